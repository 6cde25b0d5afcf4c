#include "gc/mark/worklist.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

void gc__worklist_init(struct worklist *list, void *memory, size_t bytes)
{
    *list = (struct worklist){.top = memory, .base = memory, .end = memory};
    list->limit = list->base + bytes / sizeof *list->base;
}

/* What an empty heap needs. */
static size_t first_bytes(void)
{
    return gc__align_up(GC_MARK_STACK_STEP_BYTES, gc__os_page_bytes());
}

/* Doubles. */
bool gc__worklist_grow(struct worklist *list)
{
    size_t left = (size_t)(list->limit - list->end) * sizeof *list->end;
    size_t bytes = gc__min(left, gc__max(gc__worklist_metadata_bytes(list), first_bytes()));

    if (bytes == 0 || !gc__os_commit(list->end, bytes))
        return false;
    list->end += bytes / sizeof *list->end;
    return true;
}

void gc__worklist_trim(struct worklist *list)
{
    uintptr_t *keep = list->base + first_bytes() / sizeof *list->base;

    GC_ASSERT(gc__worklist_is_empty(list));
    if (list->end <= keep)
        return;
    if (gc__os_decommit(keep, (size_t)(list->end - keep) * sizeof *keep))
        list->end = keep; /* still accessible: growing again finds that out */
}
