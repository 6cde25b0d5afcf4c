/* stacks.h - what of which stack a cycle scans.
 *
 * Of a stack that a thread stands in: from its stack pointer to the end. Which
 * stack that is, the address tells: one that was registered, an object of the heap,
 * a signal's, the thread's own, or one that nobody told us of, which is scanned as
 * far as it is readable, with a warning. Of a registered stack that waits: from
 * where it was left.
 *
 * Threads: the leader's; the world stands. */
#ifndef GC_CYCLE_STACKS_H
#define GC_CYCLE_STACKS_H

#include "gc/cycle/heap.h"

/* The stacks that the mutator's thread uses. */
void gc__mark_stacks(struct heap *heap, const struct mutator *mutator);

/* All others that were registered: after the mutators'. */
void gc__mark_waiting_stacks(struct heap *heap);

#endif
