/* allowance.h - what a mutator may claim before it asks the pace again: the
 * counter of the pace is one for all, and would be fought over at every run.
 *
 * Threads: the mutator's own. */
#ifndef GC_CYCLE_ALLOWANCE_H
#define GC_CYCLE_ALLOWANCE_H

#include "gc/base/align.h"
#include "gc/cycle/heap.h"

/* Whether a collection is due before `bytes` are claimed. */
static inline bool gc__allowance_is_used_up(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    size_t allocated, budget, grant;

    if (mutator->allowance >= bytes)
        return false;
    if (gc__pace_is_due(&heap->pace, bytes - mutator->allowance))
        return true;
    allocated = gc__pace_allocated(&heap->pace);
    budget = gc__pace_budget(&heap->pace);
    grant = budget > allocated ? budget - allocated : 0;
    grant = gc__min(grant, GC_ALLOWANCE_BYTES);
    gc__pace_note_allocated(&heap->pace, grant);
    mutator->allowance += grant;
    return false;
}

static inline void gc__note_claimed(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    size_t allowed = gc__min(bytes, mutator->allowance);

    /* Others look whether it has changed. */
    __atomic_store_n(&mutator->claimed_bytes, mutator->claimed_bytes + bytes, __ATOMIC_RELAXED);
    mutator->allowance -= allowed;
    if (allowed < bytes)
        gc__pace_note_allocated(&heap->pace, bytes - allowed);
}

/* What is freed may be claimed again; a hoard of it is everybody's. */
static inline void gc__note_freed(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    mutator->freed_bytes += bytes;
    mutator->allowance += bytes;
    if (mutator->allowance > 2 * GC_ALLOWANCE_BYTES) {
        gc__pace_note_freed(&heap->pace, mutator->allowance - GC_ALLOWANCE_BYTES);
        mutator->allowance = GC_ALLOWANCE_BYTES;
    }
}

#endif
