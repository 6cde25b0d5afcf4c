/* runs.h - what mutators keep across a collection: their runs, but not their
 * blocks and magazines.
 *
 * Threads: under the heap's lock; the world stands. */
#ifndef GC_CYCLE_RUNS_H
#define GC_CYCLE_RUNS_H

#include "gc/cycle/heap.h"

struct keeping {
    struct census unissued; /* black, and no object yet */
    size_t active;          /* mutators that have claimed lately */
};

struct keeping gc__runs_keep(struct heap *heap);

/* For a cycle beside the mutators: what they freed into magazines is theirs no more,
 * and free once it is white. */
void gc__runs_empty_magazines(struct heap *heap);

#endif
