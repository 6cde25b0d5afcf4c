#include "gc/mark/worklist.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <string.h>

void gc__worklist_init(struct worklist *list, void *memory, size_t bytes)
{
    *list = (struct worklist){.top = memory, .bottom = memory, .base = memory, .end = memory};
    list->limit = list->base + bytes / sizeof *list->base;
}

/* What an empty heap needs. */
static size_t first_bytes(void)
{
    return gc__align_up(GC_MARK_STACK_STEP_BYTES, gc__os_page_bytes());
}

static void slide_down(struct worklist *list)
{
    size_t entries = gc__worklist_entries(list);

    memmove(list->base, list->bottom, entries * sizeof *list->base);
    list->bottom = list->base;
    list->top = list->base + entries;
}

/* Doubles. */
static bool commit_more(struct worklist *list)
{
    size_t left = (size_t)(list->limit - list->end) * sizeof *list->end;
    size_t bytes = gc__min(left, gc__max(gc__worklist_metadata_bytes(list), first_bytes()));

    if (bytes == 0 || !gc__os_commit(list->end, bytes))
        return false;
    gc__os_populate(list->end, bytes);
    list->end += bytes / sizeof *list->end;
    return true;
}

/* Slides when that moves no more than it gains, or when all else fails. */
bool gc__worklist_grow(struct worklist *list)
{
    size_t gap = (size_t)(list->bottom - list->base);

    if (gap < gc__worklist_entries(list) || gap == 0) {
        if (commit_more(list))
            return true;
        if (gap == 0)
            return false;
    }
    slide_down(list);
    return true;
}

void gc__worklist_trim(struct worklist *list)
{
    uintptr_t *keep = list->base + first_bytes() / sizeof *list->base;

    GC_ASSERT(gc__worklist_is_empty(list));
    list->top = list->bottom = list->base;
    if (list->end <= keep)
        return;
    if (gc__os_decommit(keep, (size_t)(list->end - keep) * sizeof *keep))
        list->end = keep; /* still accessible: growing again finds that out */
}
