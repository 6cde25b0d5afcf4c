#include "gc/roots/mutator.h"

#include "gc/base/align.h"

#include <string.h>

const struct mutator gc__no_mutator;

_Thread_local struct mutator *gc__mutator __attribute__((tls_model("initial-exec"))) =
    (struct mutator *)(uintptr_t)&gc__no_mutator;

/* As broom/inline.h knows it: a mutator begins with its runs. */
extern _Thread_local struct mutator *gc_runs
    __attribute__((alias("gc__mutator"), visibility("default"), tls_model("initial-exec")));

_Static_assert(offsetof(struct mutator, runs) == 0, "gc_runs points at the runs");

size_t gc__mutator_metadata_bytes(void)
{
    return gc__align_up(sizeof(struct mutator), gc__os_page_bytes());
}

struct mutator *gc__mutator_create(void)
{
    size_t bytes = gc__mutator_metadata_bytes();
    struct mutator *mutator = gc__os_reserve(bytes, gc__os_page_bytes(), 0);

    if (mutator == NULL)
        return NULL;
    if (!gc__os_commit(mutator, bytes)) {
        gc__os_release(mutator, bytes);
        return NULL;
    }
    return mutator;
}

/* The magazines are as full as the runs say. */
void gc__mutator_clear(struct mutator *mutator)
{
    size_t behind = offsetof(struct mutator, used);

    memset(mutator->runs, 0, sizeof mutator->runs);
    memset((char *)mutator + behind, 0, sizeof *mutator - behind);
}

/* The mutator may be at it: what cannot be is not counted. */
static size_t unissued_bytes_of(const struct run *run)
{
    const char *cur = __atomic_load_n(&run->cur, __ATOMIC_RELAXED);
    const char *end = __atomic_load_n(&run->end, __ATOMIC_RELAXED);
    size_t bytes = (size_t)(end - cur);

    return bytes <= GC_LARGEST_CELL_BYTES ? bytes : 0;
}

size_t gc__mutator_unissued_bytes(const struct mutator *mutator)
{
    size_t bytes = 0;

    for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++)
        for (unsigned c = 0; c < GC_CLASS_COUNT; c++)
            bytes += unissued_bytes_of(&mutator->runs[kind][c]);
    return bytes;
}

bool gc__mutator_holds_unissued(const struct mutator *mutator, const struct block *block, const void *address)
{
    const struct run *run = &mutator->runs[block->kind][block->class_index];

    return (const char *)address >= run->cur && (const char *)address < run->end;
}
