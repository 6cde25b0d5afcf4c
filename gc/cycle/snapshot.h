/* snapshot.h - a full cycle that marks a copy of the process, made by a fork, beside
 * the mutators (snapshot at the beginning: GC Handbook, 2nd ed., section 15.1; the
 * snapshot by a fork: H. Rodriguez-Rivera, V. Russo, "Nonintrusive cloning garbage
 * collection with stock operating system support", SP&E 1997). For systems that do not
 * tell which pages were written.
 *
 * Of the steps in gc/cycle/concurrent.h there are these, in this order:
 *
 *     sweep     what the last cycle left unswept
 *     copy      pause: magazines are emptied, and the process is copied
 *     await     until the copy has marked all that was reachable when it was made, and
 *               has told what was not: the dead
 *     fetch     the pages that the next step will write, chunk by chunk
 *     adopt     pause: what is allocated now, and is not among the dead, is marked;
 *               finalizers are looked for
 *     publish   chunk by chunk: from here on the dead are free
 *
 * Why no living object is freed. What was not reachable when the copy was made remains
 * so: nobody has a pointer to it, nor gets one. What was made since is not among the
 * dead, also where an object was freed meanwhile, since who freed it could reach it.
 *
 * But there are two other ways to an object. What is weak can be read by the program at
 * any time, without a word to us: so the targets of weak links and the keys of
 * ephemerons are roots of the copy, and it takes a cycle that stops the world to clear
 * them: there is one among GC_SNAPSHOT_ROW, if anything is weak. And who walks through
 * the heap is shown the dead: that spoils the cycle. Finalizers are the collector's
 * alone, and what is dead to the copy is ready for them; but not if the program has them run
 * at once for what lives and is dead alike (gc_finalize_all), which spoils it, too.
 *
 * Nor may a root lie in memory that others write, or that the copy has not: the copy would
 * see it as it is later. Ranges of the user's that are shared rule a snapshot out.
 *
 * No page is watched, and births take no part in it. The prices are a pause for the
 * copying of page tables, a copy of each page that is written while the other process
 * lives, and the memory for that.
 *
 * Threads: under the heap's lock, but for the waiting. */
#ifndef GC_CYCLE_SNAPSHOT_H
#define GC_CYCLE_SNAPSHOT_H

#include "gc/cycle/concurrent.h"

struct heap;

struct snapshot {
    bool wanted;       /* by the options */
    bool possible;     /* and not refused */
    bool now;          /* the cycle under way is one, or the last was */
    bool failed;       /* the last: the next cycle stops the world */
    bool spoilt;       /* the result is of no use, and the copy did not fail: see above */
    unsigned failures; /* in a row */
    int refusal;       /* an errno value, if the system let no copy be made; 0: the last was made */
    unsigned row;      /* of cycles since one that looked at what is weak */

    bool prepared; /* huge pages were asked for: they are copied in a tenth of the time */

    /* As measured: */
    uint32_t marked_per_us; /* bytes, while the world stands; 0: not known */
    size_t copied_per_us;   /* likewise, and believed less from time to time */

    long copy;               /* its number; 0: there is none */
    long process;            /* that it was made by */
    uint64_t *dead;          /* a bit a granule, shared with the copy; NULL: there is none */
    size_t chunks;           /* of the heap when it was made, */
    size_t allocated_before; /* by the pace, */
    size_t born_bytes;       /* and since then up to the adoption: nobody knows how much of that lives */
    size_t fetched;          /* chunks that are prepared for the adoption */
};

void gc__snapshot_init(struct snapshot *snapshot, bool wanted);

/* Whether such a cycle stops the mutators for less time than one that stops the world
 * as long as it marks, and nothing else is against it. */
bool gc__snapshot_is_better(const struct heap *heap);

/* The cycle that begins is one, or is not, as pages can be watched. False: there is to be
 * neither. Under the lock. */
bool gc__snapshot_choose(struct heap *heap);

/* Makes the step of the phase, which is one of those that are for a copy alone, and tells
 * which comes next. Under the lock, unless it is `await` or `fetch`. */
enum concurrent_phase gc__snapshot_step(struct heap *heap);

/* The cycle failed; or is over in any way; or one that stopped the world is, for
 * `pause_ns`. */
void gc__snapshot_fail(struct heap *heap);
void gc__snapshot_end(struct snapshot *snapshot);
void gc__snapshot_note_stopped(struct snapshot *snapshot, size_t scanned_bytes, uint64_t pause_ns);

#endif
