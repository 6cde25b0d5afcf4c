/* small.h - cells from runs: the slow path of allocation.
 *
 * The fast path (gc/api/allocate.c) bumps through the mutator's run of a class
 * and kind. When it is used up, in this order: a freed cell of the magazine;
 * the next run of the mutator's own block; the next block of the bin, swept now;
 * new units. Only the last two want the heap's lock, once for each block. A
 * collection comes first when the pace says that it is due.
 *
 * Where there are several mutators, one that has claimed little of a class since
 * the last collection does not get a block of it: two hundred threads in twenty
 * classes would hold 256 MiB. It claims short runs, under the lock, from a block
 * that all share. */
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

/* The lane of a kind and class, for the mutator to allocate from. GC_NO_LANE: there
 * are too many, or no memory for one. */
unsigned gc__small_lane(struct heap *heap, struct mutator *mutator, unsigned kind, unsigned class_index);

/* A cell, or NULL when there is no memory without a collection. May collect
 * where that is due anyway. The lane is one that the mutator can use. */
void *gc__small_allocate(struct heap *heap, struct mutator *mutator, unsigned lane);

/* Under the lock: gives the blocks, runs and freed cells of a mutator back. */
void gc__small_give_back_all(struct heap *heap, struct mutator *mutator);

/* Takes back a live cell; it may be handed out again by the next allocation. The
 * mutator holds it (`held`). */
void gc__small_free(struct heap *heap, struct mutator *mutator, struct object object);

#endif
