/* watch.h - which pages the system is to watch for writes.
 *
 * Between two cycles, for the next to be minor, what is old and restful: the reasons
 * are in gc/mark/rescan.h. For a cycle beside the mutators, all that is going to be
 * scanned.
 *
 * Threads: under the heap's lock. False: nothing is known of any page. */
#ifndef GC_MARK_WATCH_H
#define GC_MARK_WATCH_H

#include "gc/base/align.h"
#include "gc/heap/block.h"
#include "gc/platform/platform.h"

/* The marks are published: all that was marked, and is not restless. The world
 * stands. */
bool gc__watch_restful(struct region *region);

/* What may be scanned of that which begins in chunk `c`: all, or what the last cycle has
 * marked. Most of the rest is dead as a rule; and what is not watched counts as written. */
bool gc__watch_chunk(struct region *region, size_t c, bool all);

/* The marks are published. Pages of chunk `c` of which half is free, or more, will be
 * written soon, when cells are claimed: they are watched no more, if there are some in a
 * row; nor is the whole chunk, if they are more than half of it. */
void gc__watch_no_free_cells(struct region *region, size_t c);

/* The pages that a range touches, as far as it lies in the heap; empty: it does not. */
static inline struct gc__range gc__pages_in_heap(const struct region *region, struct gc__range range)
{
    uintptr_t end = region->base + gc__region_span(region);

    return (struct gc__range){gc__align_down(gc__max(range.start, region->base), GC_PAGE_BYTES),
                              gc__align_up(gc__min(range.end, end), GC_PAGE_BYTES)};
}

/* The pages of a range, as far as it lies in the heap, count as written from now on. */
void gc__watch_no_more(const struct region *region, struct gc__range range);

#endif
