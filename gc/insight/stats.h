/* stats.h - the figures of a heap, computed when they are asked for: the
 * collector keeps only what it needs itself. */
#ifndef GC_INSIGHT_STATS_H
#define GC_INSIGHT_STATS_H

#include "gc/cycle/heap.h"

/* Under the lock. */
struct gc_stats gc__stats_of(const struct heap *heap);

/* Of the process's heap, and takes the lock itself. The soft limit is told only if it is
 * known. */
struct gc_stats gc__stats_now(void);

/* What the last collection found alive, and what the program came to hold since: takes the
 * lock itself. */
uint64_t gc__stats_in_use(void);

#endif
