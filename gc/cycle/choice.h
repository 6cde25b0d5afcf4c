/* choice.h - how the next cycle runs: while the world stands or beside the mutators, full
 * or minor. By what the last ones took, what is worth most; under stress, each in turn.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_CHOICE_H
#define GC_CYCLE_CHOICE_H

#include "gc/cycle/heap.h"

/* Whether the next cycle, unless it must be full at once, had better run beside the
 * mutators: where the pause that it would take is longer than is wanted. */
bool gc__choice_concurrent(const struct heap *heap);

/* Whether the cycle after one that stopped the world, and found so much, had better be minor. */
bool gc__choice_stopped_minor(const struct heap *heap, const struct census *marked);

/* Whether a cycle that begins beside the mutators had. */
bool gc__choice_concurrent_minor(struct heap *heap);

#endif
