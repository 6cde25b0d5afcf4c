/* root_watch.h - data segments and ranges of the user's that are large: in a cycle beside
 * the mutators they are watched for writes, as the heap is (gc/mark/written.h), so that
 * the last pause need not scan all of them.
 *
 * They are brought under watch piece by piece: a piece is watched first, and scanned
 * after that. From then on, until the cycle ends, it is known: what was written there
 * since it was last scanned counts as written. What is not known is scanned whole,
 * always: what is small, shared memory, which others may write that are not watched, what
 * lies in the heap, of which another asks; and what the system refuses to watch.
 *
 * A library or a mapping may go under way, and another one come to its place: the system
 * does not watch that, says so, and it is known no more. So the lists say nothing that the
 * system does not confirm whenever it is asked.
 *
 * Threads: the collector's. */
#ifndef GC_MARK_ROOT_WATCH_H
#define GC_MARK_ROOT_WATCH_H

#include "gc/mark/marker.h"
#include "gc/roots/ranges.h"

struct root_watch {
    struct ranges private; /* memory of the process that nobody else can write, as far as it is known */
    struct ranges known;   /* watched in this cycle */
    struct ranges settled; /* these, and what cannot be watched */
    size_t written;        /* pages that were scanned again, ever */

    const struct ranges *pinned; /* they may be written without the system's knowing: never watched */
};

/* A cycle begins, in which nothing is known. */
void gc__root_watch_begin(struct root_watch *watch, const struct ranges *pinned);

/* Looks which memory is private. Under the heap's lock. */
void gc__root_watch_look(struct root_watch *watch);

static inline bool gc__root_watch_is_private(const struct root_watch *watch, struct gc__range range)
{
    bool is_private;

    return gc__ranges_first_part(&watch->private, range, &is_private).end == range.end && is_private;
}

/* Watches and scans a piece of the range that is not settled. False: there was none. */
bool gc__root_watch_more(struct root_watch *watch, struct marker *marker, struct gc__range range);

/* Scans the range: what of it is known, as far as it was written; which is watched
 * `again` at the same moment, unless the world stands. */
void gc__root_watch_scan(struct root_watch *watch, struct marker *marker, struct gc__range range, bool again);

size_t gc__root_watch_metadata_bytes(const struct root_watch *watch);

#endif
