/* ephemeron.h - marking through ephemerons (B. Hayes, "Ephemerons: a new
 * finalization mechanism", OOPSLA 1997; GC Handbook, 2nd ed., section 12.2).
 *
 * An ephemeron is an object with a key and a value. The value lives if both the
 * ephemeron and the key do. Of the three ways in which this may come about
 *
 *  1. the ephemeron is scanned, and its key is marked already: gc__ephemeron_scan
 *  2. the key was marked after the ephemeron, in ordinary marking: found by going
 *     through the table of all ephemerons once, when nothing is grey any more
 *  3. the key is marked only after that, perhaps by the value of another ephemeron:
 *     whatever turns from white now is looked up in the table
 *
 * only the third costs ordinary objects anything, and only those that nothing but
 * values of ephemerons leads to. Each ephemeron is looked at once in each of them,
 * so chains and cycles take linear time.
 *
 * The table holds an entry for each ephemeron whose key is an object: `object` is
 * the key, `a` the ephemeron, `note` the next that is due.
 *
 * Threads: gc__ephemeron_scan any marker's, the others the leader's, alone. */
#ifndef GC_MARK_EPHEMERON_H
#define GC_MARK_EPHEMERON_H

#include "gc/mark/marker.h"
#include "gc/mark/trace.h"

/* The ephemeron at `address` is being scanned. */
void gc__ephemeron_scan(struct marker *marker, uintptr_t address);

/* Nothing is grey: marks what lives by the ephemerons of the table, those behind
 * the first `from`. Nothing is grey afterwards. */
void gc__ephemerons_mark(struct marker *marker, struct attachments *table, size_t from);

/* The object at `granule`, which may be awaited, turned from white. */
void gc__ephemerons_find_due(struct marker *marker, size_t granule);

/* Breaks those whose keys are white, and forgets them; with `dead`, also those that
 * are white themselves, and will remain so. */
void gc__ephemerons_break(const struct region *region, struct attachments *table, size_t from, bool dead);

#endif
