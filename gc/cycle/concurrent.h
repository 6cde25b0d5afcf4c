/* concurrent.h - a full cycle beside the mutators (mostly-concurrent marking: Boehm,
 * Demers, Shenker, "Mostly parallel garbage collection", PLDI 1991; GC Handbook, 2nd
 * ed., section 16.1), for programs that were compiled without a write barrier: the
 * system tells which pages were written.
 *
 * The steps, in this order; where it says "pause" the world stands:
 *
 *     sweep     what the last cycle left unswept
 *     quiet     pause: from now on no mark bit means anything, and none is set
 *     watch     pages of which something may be scanned: as a rule, what was marked
 *     whiten    every object
 *     snapshot  pause: registers, stacks, thread-local data
 *     segments, ranges   the other roots
 *     trace     until nothing is grey
 *     ask       which pages were written meanwhile, and watches them again;
 *     rescan    scans what is marked in them;
 *     stacks    pause: as in the snapshot; then the other roots, and traces again; and
 *               so on, until all this is little, or it was done a dozen times
 *     finish    pause: all roots, the pages that were written last, all they lead to;
 *               if that is much, it is put off, and traced
 *     publish   chunk by chunk: from here on the dead are free
 *
 * Objects are born white, also while the marker is at work: it finds those that live as
 * it finds others, and those that died meanwhile are free at the end.
 *
 * Why no living object is white at the end. What a black object pointed at when it
 * was scanned is not white. What was written into it since then is in a page that was
 * watched before, and so counts as written; or in one that was not watched, and then it
 * counts as written, too. All such pages are scanned again, the last of them when nobody
 * writes any more, as are all roots. So at the end no black object and no root points at
 * a white one. (Roots that are large are watched and scanned in the same way, the rest is
 * scanned whole: gc/mark/root_watch.h.)
 *
 * A minor cycle (gc/mark/rescan.h) leaves out two steps: it does not whiten, and need
 * not watch, as what was watched in the last cycle still is. Its first rescan finds
 * what was written since then.
 *
 * Where the system does not tell which pages were written, a copy of the process is
 * marked: gc/cycle/snapshot.h says how that goes. Most steps are different ones, then.
 *
 * A step takes some ten or hundred microseconds, but for the pauses. Who makes it, and
 * with what locks, is in gc/cycle/steps.h. */
#ifndef GC_CYCLE_CONCURRENT_H
#define GC_CYCLE_CONCURRENT_H

#include "gc/cycle/hands.h"
#include "gc/mark/root_watch.h"
#include "gc/mark/written.h"
#include "gc/reclaim/sweep.h"

#include <stdatomic.h>

struct heap;
struct mutator;

enum concurrent_phase {
    PHASE_OFF,
    PHASE_SWEEP,
    PHASE_COPY, /* these four are for a copy of the process alone, */
    PHASE_AWAIT,
    PHASE_FETCH,
    PHASE_ADOPT,
    PHASE_QUIET, /* and from here to the finish for the process itself */
    PHASE_WATCH,
    PHASE_WHITEN,
    PHASE_SNAPSHOT,
    PHASE_SEGMENTS,
    PHASE_RANGES,
    PHASE_TRACE,
    PHASE_ASK,
    PHASE_TAKE,
    PHASE_RESCAN,
    PHASE_STACKS,
    PHASE_FAIL, /* a step without the lock could not do its work */
    PHASE_FINISH,
    PHASE_PUBLISH,
    PHASE_COUNT
};

struct concurrent {
    bool possible; /* by the options */
    struct hands hands;
    _Atomic uint32_t phase; /* an enum concurrent_phase */
    _Atomic uint32_t steps; /* made, ever */

    bool marks_stand;        /* all that lives was marked by the last cycle, and what was written since is known */
    bool now;                /* the cycle under way is concurrent, or the last was */
    bool no_magazines;       /* from `quiet` on, until all is published */
    bool unknown;            /* which pages were written */
    bool too_much;           /* was found at the finish */
    unsigned put_off;        /* how often the finish was */
    unsigned failures;       /* to know what is written, in a row; */
    unsigned given_up;       /* cycles: likewise */
    size_t step_objects;     /* scanned in a step of tracing */
    size_t chunk;            /* where the phase goes on: a chunk, a part to be asked about, or a range */
    unsigned passes;         /* of `ask` and `rescan` */
    size_t unknown_parts;    /* of the heap, in this pass: the system did not tell */
    size_t rescanned;        /* pages, in this pass, */
    size_t rescanned_before; /* in the one before, */
    size_t rescanned_total;  /* and in all */
    size_t traced;           /* steps, in this pass */
    struct written written;
    struct root_watch roots;

    struct census unissued;     /* at the finish, */
    size_t active;              /* and mutators that allocated, in whatever cycle; */
    struct census marked;       /* what is counted when it is published */
    size_t allocated_before;    /* by the pace: at the begin, */
    size_t allocated;           /* at the finish */
    uint64_t begun_ns;          /* this cycle; */
    uint64_t full_ns;           /* how long the last took that was full, */
    size_t full_bytes;          /* for so many that were scanned; */
    uint64_t minor_ns;          /* and the last minor one since */
    size_t runway_bytes;        /* what was claimed between these, in the last cycle */
    uint64_t work_ns;           /* that threads ran for steps, since the last record (gc/cycle/record.h); */
    uint64_t taken_ns;          /* of which so much was taken from the mutators, by steps of theirs and pauses; */
    _Atomic uint64_t waited_ns; /* and so much they waited, all of them together */
};

void gc__concurrent_init(struct concurrent *concurrent, bool wanted);

static inline enum concurrent_phase gc__concurrent_phase(const struct concurrent *concurrent)
{
    return (enum concurrent_phase)atomic_load_explicit(&concurrent->phase, memory_order_relaxed);
}

static inline bool gc__concurrent_is_under_way(const struct concurrent *concurrent)
{
    return gc__concurrent_phase(concurrent) != PHASE_OFF;
}

/* Whether a marker may be at any object: what is freed then is kept until the end.
 * Under the heap's lock. */
static inline bool gc__concurrent_is_marking(const struct concurrent *concurrent)
{
    enum concurrent_phase phase = gc__concurrent_phase(concurrent);

    return phase > PHASE_SNAPSHOT && phase <= PHASE_FINISH;
}

/* What is found unmarked now, and was awaiting that, is destroyed: so large objects are
 * born black. Under the heap's lock. */
static inline bool gc__concurrent_is_publishing(const struct concurrent *concurrent)
{
    return gc__concurrent_phase(concurrent) == PHASE_PUBLISH;
}

/* As far as is known, the system tells which pages are written. */
bool gc__concurrent_may_watch(const struct heap *heap);

/* Whether it does, when a cycle begins. Under the lock. */
bool gc__concurrent_try_to_watch(struct heap *heap);

/* Begins a cycle, if there can be one; a minor one, if that is wanted and the marks of
 * the last stand. Under the lock. */
bool gc__concurrent_begin(struct heap *heap, bool minor);

/* What a step is, if the phase is this; with the hands taken, and the lock, if it wants that. */
void gc__concurrent_make(struct heap *heap, enum concurrent_phase phase);
bool gc__concurrent_wants_lock(const struct concurrent *concurrent);

/* The cycle is given up: some objects are marked, and that means nothing. Not when it is
 * publishing. */
void gc__concurrent_drop(struct heap *heap);

static inline uint32_t gc__concurrent_steps(const struct concurrent *concurrent)
{
    return atomic_load_explicit(&concurrent->steps, memory_order_relaxed);
}

/* In the last pause: traces from what is grey, and does what follows from what is white. */
void gc__concurrent_complete(struct heap *heap);

#endif
