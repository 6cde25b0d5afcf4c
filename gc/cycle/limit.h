/* limit.h - how the heap stays within the memory it may have: arithmetic on what a
 * cycle found, beside that of pace.h.
 *
 * The soft limit is one for all that is held: the heap, its tables, and what the
 * program said it holds outside. Nearing it, collections become more frequent, so
 * that the heap does not grow beyond; but not so frequent that they take more than
 * half of the time: rather than that, the limit is exceeded, up to where the system
 * (a control group) would end the process. The hard limit is for
 * the heap alone, and kept page by page where pages are taken (gc/heap/pages.c).
 * Here it is a limit that had better not be reached, as an allocation that has to
 * collect for want of memory gives everything free back to the system first.
 *
 * A cycle beside the mutators needs room for what they claim meanwhile. Where there is
 * none they would wait for most of it, which takes several times as long as to mark the
 * heap while they stand. So near a limit they stand, likewise where they would spend most
 * of the time between two such cycles in the faults of what they write (gc/cycle/heap.c).
 *
 * In the place of malloc (`thrifty`) a heap is compared with one that frees at once.
 * There the budget is what is allocated while a collection takes a small share of the
 * time, if the pace wants more than that.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_LIMIT_H
#define GC_CYCLE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limit {
    size_t soft_bytes;   /* SIZE_MAX: none; 0: not known yet */
    size_t most_bytes;   /* likewise: of what the system allows */
    uint64_t resumed_ns; /* when the last cycle ended */
    bool near;           /* there was less room than the pace wanted */
    bool thrifty;        /* while collections take little time, there may be more of them */

    /* Of the last cycles, the older ones less and less. */
    uint64_t allocated_bytes;
    uint64_t mutator_ns;
};

/* What a cycle found, for the next budget. */
struct limit_state {
    size_t live_bytes;
    size_t held_bytes;      /* of the heap, from the system */
    size_t untouched_bytes; /* of live objects, and in neither: they take no memory, but count for the hard limit */
    size_t outside_bytes;   /* of its tables, and what the program holds elsewhere */
    size_t hard_bytes;      /* SIZE_MAX: no limit for the heap */
    size_t allocated_bytes; /* since the cycle before, */
    uint64_t mutator_ns;    /* which took the mutators so long */
    uint64_t work_ns;       /* of this cycle: what threads ran for it, or what it took the mutators, if that is more */
};

/* A cycle is over. */
void gc__limit_note(struct limit *limit, const struct limit_state *state);

/* How much of the budget that the pace wants there is room for. */
size_t gc__limit_budget(const struct limit *limit, const struct limit_state *state, size_t wanted_bytes);

bool gc__limit_lacks_room(const struct limit *limit, const struct limit_state *state, size_t wanted_bytes);

/* Whether mutators claim so much in the length of a cycle that runs beside them that with
 * this budget they would have to wait for it, or had little left of it. */
bool gc__limit_makes_wait(const struct limit *limit, size_t budget_bytes, uint64_t cycle_ns);

/* Whether so much is held that free memory had better go back now. */
bool gc__limit_is_exceeded(const struct limit *limit, const struct limit_state *state);

#endif
