/* rescan.h - black objects that are scanned again.
 *
 * After an overflow: blocks with grey objects that the worklist had no room for.
 *
 * In a minor cycle: objects in pages that were written since the last cycle. The
 * mark bits of that cycle stand ("sticky": A. Demers et al., "Combining
 * generational and conservative garbage collection", POPL 1990, section 3): what
 * is marked is old, and not traced again. An old object that has come to point at
 * a young one was written since, and the system knows in which pages that was
 * (gc__os_watch_writes).
 *
 * Watching costs a fault for the first write to a page, so blocks that are likely
 * to be written, as cells are allocated from them or as they were of late, are not
 * watched but scanned as a whole: they are `restless`.
 *
 * Invariant, when the mutators go on after a cycle behind which writes are watched:
 * every word of a marked object that points to an unmarked one is in a page that
 * counts as written, or in a restless block, or in a large object without
 * GC_LARGE_WATCHED. (Nothing is unmarked then that a marked object points to; the
 * three are where that can change.)
 *
 * Threads: the leader's; the world stands. */
#ifndef GC_MARK_RESCAN_H
#define GC_MARK_RESCAN_H

#include "gc/mark/gang.h"
#include "gc/roots/ranges.h"

/* Notes in region->written which pages of a part of the heap were written. False: it is
 * not known. */
typedef bool gc__find_written(struct region *region, size_t part);

/* Does that for all parts, with all markers. False: it is not known. The world stands. */
bool gc__rescan_find_written(struct gang *gang, gc__find_written *find);

/* Finds them in all of the part, and forgets what was noted there before. */
bool gc__rescan_find_in_part(struct region *region, size_t part);

/* What may be written without the system's knowing is noted as well. */
void gc__rescan_note_pinned(struct region *region, const struct ranges *pinned);

/* For `visit` of gc__os_each_written. */
void gc__rescan_note_written(struct gc__range written, void *region);

/* Scans the marked objects there. Returns how many bytes that may have been, and for each
 * page that was noted, by a fault of the program as a rule, `fault_bytes` more. */
size_t gc__rescan_written(struct marker *marker, size_t fault_bytes);

/* Of the cell of a block, whose first granule is `first`, that lies in the first byte of
 * a page. */
static inline size_t gc__rescan_first_granule(const struct block *block, size_t first, size_t page)
{
    size_t granule = (page << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT)) - first;

    return first + (granule * block->reciprocal >> GC_RECIPROCAL_SHIFT) * block->cell_granules;
}

/* Scans the marked objects of a page again, as far as they lie in it: those of a
 * block whose first granule is `first`, or the large object's, if it has no cells. */
void gc__rescan_page(struct marker *marker, struct block *block, size_t first, size_t page);

#endif
