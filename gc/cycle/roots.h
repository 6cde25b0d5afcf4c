/* roots.h - makes everything grey that a root points at (root enumeration: GC
 * Handbook, 2nd ed., section 11.2), by the leader of the gang.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_ROOTS_H
#define GC_CYCLE_ROOTS_H

#include "gc/cycle/heap.h"

/* How data segments and ranges are scanned. */
enum roots_scan {
    ROOTS_WHOLE,
    ROOTS_AGAIN, /* as far as they were written since they were watched, and they are watched again */
    ROOTS_LAST   /* likewise, but watched no more */
};

/* Data segments, or mappings; for segments no lock is needed, but only one thread at a time. */
void gc__roots_mark_segments(struct heap *heap, enum roots_scan how);

/* The user's ranges, objects of root kinds. */
void gc__roots_mark_ranges(struct heap *heap, enum roots_scan how);

/* Watches and scans a piece of these that is not watched yet in this cycle. False: there
 * was none. `next`: of the ranges, where to go on. */
bool gc__roots_watch_segments(struct heap *heap);
bool gc__roots_watch_ranges(struct heap *heap, size_t *next);

/* Whether nobody else can write the user's ranges. */
bool gc__roots_are_private(struct heap *heap);

/* Registers, stacks and thread-local data of all mutators, and what threads hold
 * that have not begun, or have ended. The world stands. */
void gc__roots_mark_mutators(struct heap *heap);

/* All of these. The world stands. */
void gc__roots_mark(struct heap *heap, enum roots_scan how);

/* Then whatever they lead to: nothing is grey afterwards. The world stands. */
void gc__roots_trace(struct heap *heap);

#endif
