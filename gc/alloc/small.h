/* small.h - cells from runs: the slow path of allocation.
 *
 * The fast path (gc/api/allocate.c) bumps through the mutator's run of a class
 * and kind. When it is used up, in this order: a freed cell of the magazine;
 * the next run of the current block; the next block of the bin, swept now; new
 * units. A collection comes first when the pace says that it is due. */
#ifndef GC_ALLOC_SMALL_H
#define GC_ALLOC_SMALL_H

#include "gc/cycle/heap.h"

/* Takes the next cell of a run that is not used up. */
static inline void *gc__run_next(struct run *run)
{
    char *cell = run->cur;

    run->cur = cell + run->cell_bytes;
    return cell;
}

/* A cell, or NULL when there is no memory without a collection. May collect
 * where that is due anyway. */
void *gc__small_allocate(struct heap *heap, struct mutator *mutator, enum gc__kind kind, unsigned class_index);

/* Takes back a live cell; it may be handed out again by the next allocation. */
void gc__small_free(struct heap *heap, struct mutator *mutator, struct object object);

#endif
