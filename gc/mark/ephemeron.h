/* ephemeron.h - marking through ephemerons (B. Hayes, "Ephemerons: a new
 * finalization mechanism", OOPSLA 1997; GC Handbook, 2nd ed., section 12.2).
 *
 * An ephemeron is an object with a key and a value. The value lives if both the
 * ephemeron and the key do. Of the four ways in which this may come about
 *
 *  1. the ephemeron is scanned, and its key is marked already: in ordinary marking
 *  2. the key was marked after the ephemeron: found by going through the table of all
 *     ephemerons once, when nothing is grey any more
 *  3. the key is marked by that, as the value of another ephemeron. Those that were
 *     made one after the other, the value of each being the key of the next, or the
 *     other way round, are found on the way, or on the way back
 *  4. the key is marked only after that: whatever turns from white now is looked up in
 *     the table. For the values of all ephemerons that is done beforehand, so that in a
 *     chain each step has to wait for the memory of one entry, as in a list for that
 *     of one object
 *
 * only the fourth costs ordinary objects anything, and only those that nothing but
 * values of ephemerons leads to. A pass that marks nothing, or after which no key is
 * white, is the last. Each ephemeron is looked at once in each of them, so chains and
 * cycles take linear time.
 *
 * The table holds an entry for each ephemeron whose key is an object: `object` is
 * the key, `a` the ephemeron. While keys are awaited `b` is its value, and `note` the
 * chain of the table in which the value is, if it is a key; or `b` is NULL, and `note`
 * the next that is due.
 *
 * Threads: gc__ephemeron_scan any marker's, the others the leader's, alone. */
#ifndef GC_MARK_EPHEMERON_H
#define GC_MARK_EPHEMERON_H

#include "gc/mark/marker.h"
#include "gc/mark/trace.h"

/* A key outside of the heap lives for ever. */
static inline bool gc__ephemeron_key_lives(const struct marker *marker, uintptr_t key)
{
    return key - marker->base >= marker->span || gc__is_marked_at(marker->region, key);
}

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
