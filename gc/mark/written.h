/* written.h - pages that were written while a marker was at work, on their way from
 * the tables, which want the heap's lock, to the marker.
 *
 * A page is watched again at the moment when it is asked whether it was written, and
 * its marked objects are scanned after that: the other way round what is written in
 * between would be missed. At the end, when the world stands, the pages that were
 * written last are scanned once more.
 *
 * It is asked by chunks, of which all written pages are watched again in one call: for
 * single pages a call takes longer than the fault that it may save. Chunks in which
 * nothing is marked are passed over, and what the system does not tell of counts as
 * written. So do pages of kinds whose objects say what to scan by a callback.
 *
 * Threads: the collector's. */
#ifndef GC_MARK_WRITTEN_H
#define GC_MARK_WRITTEN_H

#include "gc/mark/gang.h"

struct written_page {
    size_t page;
    size_t first;       /* granule of its block, */
    struct block block; /* as it was */
};

struct written {
    size_t next; /* page */
    size_t count;
    struct written_page pages[GC_WRITTEN_PAGES];
};

/* Parts of the heap that are asked about at once. */
static inline size_t gc__written_parts(const struct region *region)
{
    return (gc__region_span(region) + GC_ASK_BYTES - 1) / GC_ASK_BYTES;
}

/* No page is noted in region->written, or taken. Under the lock. */
void gc__written_forget(struct region *region, struct written *written);

/* Notes there which pages of the part were written, too, and has those watched again.
 * False: it is not known, and all are noted. */
bool gc__written_ask(struct region *region, size_t part);

/* The same of all, but nothing is watched again. The world stands. */
bool gc__written_ask_all(struct gang *gang);

/* Takes the next pages that are noted and hold something marked, or none for now, as it
 * takes long to find some. False: there are none left. What was looked at is noted no
 * more; so whoever goes on instead finds what is left to do. Under the lock. */
bool gc__written_take(const struct region *region, struct written *written);

/* Scans what was taken, once. */
void gc__written_scan(struct marker *marker, struct written *written);

#endif
