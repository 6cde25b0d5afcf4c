/* marker.h - from the roots to every reachable object (mark-sweep: GC
 * Handbook, 2nd ed., chapter 2).
 *
 * The tri-colour invariant, stated once: when the world goes on, no black
 * object holds an edge to a white one. White is a clear mark bit; grey, a set
 * mark bit and an entry in the worklist or the object FIFO (or, where that had
 * no room, the rescan flag of its block); black, a set mark bit and neither.
 *
 * The way of an edge:
 *
 *     scan ──> edge FIFO ──> resolve, test and set the mark ──> worklist
 *      ^    (its mark bits                                          │
 *      │     are prefetched)                                        v
 *      └───────────────────────────────────────────────────── object FIFO
 *                                                      (its first line is prefetched)
 *
 * Every word that passes the range test enters the edge FIFO, so the mark bits
 * are in the cache when it leaves (edge enqueuing: Garner, Blackburn, Frampton,
 * "Effective prefetch for mark-sweep garbage collection", ISMM 2007). Edges
 * leave in batches: neither loop is then interrupted by the other. Only
 * objects that were white, and may hold pointers, have their own lines
 * fetched: the second FIFO (Cher, Hosking, Vijaykumar, ASPLOS 2004). FIFOs
 * that are nearly empty cost nothing: a list has one edge in flight, and its
 * objects go past the second FIFO.
 *
 * Nothing is counted here: what is live is read off the mark bits afterwards.
 *
 * Threads: the mutators are stopped, or one marker works beside them
 * (gc/cycle/concurrent.h says why that finds everything). A marker is one thread's;
 * several may mark at once (gc/mark/gang.h), and then set mark bits and flags
 * atomically. An atomic operation on a line that another processor has takes longer
 * than all else that marking an object does, so new mark bits are collected, and set
 * a good while after their line was asked for (`pending`). Until then another marker
 * may find the same objects white and scan them, too: that is wasted, not wrong.
 * (Large objects are too much to waste.) All bits are set when a marker leaves its
 * loop, so none is pending when marking has ended. A marker beside which nobody works
 * uses plain stores: the same source is compiled for either case. */
#ifndef GC_MARK_MARKER_H
#define GC_MARK_MARKER_H

#include "gc/heap/attachments.h"
#include "gc/mark/pool.h"
#include "gc/mark/worklist.h"
#include "gc/platform/platform.h"

/* Other markers: there are none; those there are wait, and cannot do anything
 * before they are given something; they work. */
enum company {
    ALONE,
    AMONG_IDLE,
    IN_COMPANY,
    BESIDE_MUTATORS, /* there are none, but the mutators work */
    AWAITED          /* there are none, and what turns from white may be awaited: gc/mark/ephemeron.h */
};

/* New marks of a word of the bitmap, in a table by the word's address. They are set when
 * another word comes to the same place. */
struct pending {
    struct bits *bits; /* NULL: none */
    uint64_t marks;
};

struct marker {
    _Alignas(GC_CACHE_LINES_BYTES) struct region *region;
    struct pool *pool; /* of its gang; NULL: it has none */
    uintptr_t base;    /* of the region: copies for the hot loop */
    uintptr_t span;
    struct worklist worklist;

    /* FIFOs: rings, counts of all that was ever put in, and of what was taken out
     * or is inside. */
    uintptr_t edge[GC_EDGE_RING_ENTRIES]; /* offsets from the base */
    size_t edges_in, edges_out;
    size_t exact[GC_EDGE_RING_ENTRIES];       /* the edges_in behind an edge that must be the address of an object */
    uintptr_t object[GC_OBJECT_FIFO_ENTRIES]; /* entries of the worklist */
    size_t objects_in, objects;

    struct pending pending[GC_PENDING_ENTRIES];

    bool unaligned;       /* an option: see UNALIGNED_COUNT */
    bool overflowed;      /* some block has its rescan flag set */
    enum company company; /* while something is scanned outside of the inlined loop */

    struct attachments *awaited; /* ephemerons by their keys; NULL: no key is awaited */
    uint32_t due;                /* those whose keys were found: the first's number plus one */
};

void gc__marker_init(struct marker *marker, struct region *region);

/* Readies the marker for a cycle. */
void gc__marker_begin(struct marker *marker);

/* What is grey is forgotten. */
void gc__marker_abandon(struct marker *marker);

/* Whether an address one past the end of an object counts for it, as on stacks; or
 * addresses at odd multiples of four, as packed structs in the heap have them. */
enum past_end { PAST_END_IGNORED, PAST_END_COUNTS, UNALIGNED_COUNT };

/* In the heap. */
static inline enum past_end gc__marker_past_end(const struct marker *marker)
{
    return marker->unaligned ? UNALIGNED_COUNT : PAST_END_IGNORED;
}

/* Every aligned word of the range is a root (gc/mark/roots.c), and the others as the
 * marker's option says. */
void gc__marker_scan_roots(struct marker *marker, struct gc__range range, enum past_end past_end);

/* Those words of the range that are not aligned. */
void gc__marker_scan_between(struct marker *marker, struct gc__range range);

/* As that, for bounds that are aligned. */
void gc__marker_scan_range(struct marker *marker, uintptr_t start, uintptr_t end, enum past_end past_end);

/* Whether something is left to do. */
static inline bool gc__marker_has_grey(const struct marker *marker)
{
    return marker->edges_in != marker->edges_out || marker->objects != 0 || marker->overflowed ||
           !gc__worklist_is_empty(&marker->worklist);
}

/* Takes edges out of the FIFO, if there is another batch behind them. */
void gc__marker_visit_due(struct marker *marker);

/* Takes all edges out of it: what they lead to is grey, and not scanned yet. Alone. */
void gc__marker_visit_edges(struct marker *marker);

/* The object becomes grey, or black at once if its kind has no pointers. */
void gc__marker_mark(struct marker *marker, struct object object);

/* Makes every object of the root kinds grey (gc/mark/roots.c). */
void gc__marker_mark_root_kinds(struct marker *marker);

/* Works until nothing is grey. Alone. */
void gc__marker_drain(struct marker *marker);

/* Works alone until it has nothing grey left (true; something may have
 * overflowed), or has scanned so many objects. */
bool gc__marker_drain_some(struct marker *marker, size_t objects);

/* The same, beside the mutators. */
bool gc__marker_drain_beside(struct marker *marker, size_t objects);

/* As one of a gang: works until it has nothing grey left, giving others a part
 * when they wait for it. What overflowed is left to a gc__marker_drain. */
void gc__marker_drain_shared(struct marker *marker);

/* Takes entries over that another marker had. */
void gc__marker_accept(struct marker *marker, const uintptr_t *entries, size_t count);

#endif
