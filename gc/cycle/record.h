/* record.h - what is written down at the end of a cycle: for the program, and for
 * the pace of the next.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_RECORD_H
#define GC_CYCLE_RECORD_H

#include "gc/cycle/runs.h"

/* What was marked, of which the mutators keep a part that they have not handed out;
 * a minor cycle scanned `rescanned` bytes again. */
void gc__record_marked(struct heap *heap, const struct census *marked, const struct keeping *keeping, size_t rescanned);

/* The same for a cycle beside the mutators, when all is published. */
void gc__record_concurrent(struct heap *heap, const struct census *marked, const struct keeping *keeping);

/* Under the lock: a limit has changed. */
void gc__keep_limits(struct heap *heap);

#endif
