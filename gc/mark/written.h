/* written.h - pages that were written while a marker was at work, on their way from
 * the tables, which want the heap's lock, to the marker.
 *
 * A page is watched before anything in it is scanned. Written after that, it is
 * watched again, and then its marked objects are scanned again: the other way round
 * what is written in between would be missed. At the end, when the world stands, the
 * pages that were written last are scanned once more.
 *
 * Not watched again are pages of blocks from which mutators claim cells, as they would
 * be written at once, and pages in which nothing is marked: they count as written
 * until something is.
 *
 * Threads: the collector's. */
#ifndef GC_MARK_WRITTEN_H
#define GC_MARK_WRITTEN_H

#include "gc/mark/marker.h"
#include "gc/mark/watch.h"

struct written_page {
    size_t page;
    size_t first;       /* granule of its block, */
    struct block block; /* as it was */
};

struct written {
    size_t next; /* page */
    size_t count;
    size_t to_watch_count;
    struct written_page pages[GC_WRITTEN_PAGES];
    struct page_range to_watch[GC_WRITTEN_PAGES];
};

/* Takes the next pages that are noted in region->written and hold something marked, or
 * none for now, as it takes long to find some. False: there are none left. Under the
 * lock. */
bool gc__written_take(const struct region *region, struct written *written);

/* Watches and scans what was taken. False: it cannot be watched. */
bool gc__written_watch(const struct region *region, const struct written *written);
void gc__written_scan(struct marker *marker, struct written *written);

#endif
