/* roots.h - makes everything grey that a root points at (root enumeration: GC
 * Handbook, 2nd ed., section 11.2), by the leader of the gang.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_ROOTS_H
#define GC_CYCLE_ROOTS_H

#include "gc/cycle/heap.h"

/* Data segments, or mappings; for segments no lock is needed, but only one thread at a time. */
void gc__roots_mark_segments(struct heap *heap);

/* The user's ranges, objects of root kinds. */
void gc__roots_mark_ranges(struct heap *heap);

/* Registers, stacks and thread-local data of all mutators, and what threads hold
 * that have not begun, or have ended. The world stands. */
void gc__roots_mark_mutators(struct heap *heap);

/* All of these. The world stands. */
void gc__roots_mark(struct heap *heap);

/* Then whatever they lead to: nothing is grey afterwards. The world stands. */
void gc__roots_trace(struct heap *heap);

#endif
