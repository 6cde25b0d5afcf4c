/* spare.h - processors that no mutator wants: there are not so many mutators, or they
 * sleep, or wait for the cycle. There markers may work beside them.
 *
 * Who runs is told by the time that the process has run, less what the collector's threads
 * have. A mutator that sleeps most of the time still has a processor to itself: it would
 * have to wait for one whenever it wakes up.
 *
 * Threads: who makes a step; `waiting` is anybody's. */
#ifndef GC_CYCLE_SPARE_H
#define GC_CYCLE_SPARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Until now, on the clock: the process has run so long, and the collector's threads. */
struct ran {
    uint64_t clock_ns, process_ns, own_ns;
};

struct spare {
    size_t mutators; /* there were at the snapshot, */
    size_t running;  /* of which so many did, lately */
    struct ran ran;  /* when that was found */
    _Atomic uint32_t waiting;
};

/* A cycle begins to trace beside so many mutators. */
void gc__spare_begin(struct spare *spare, size_t mutators);

/* Whether it is time to say how long what has run. */
bool gc__spare_is_due(const struct spare *spare, uint64_t clock_ns);
void gc__spare_note(struct spare *spare, const struct ran *ran);

/* How many markers may work where there are so many processors: one, and another for each
 * that is spare besides. */
unsigned gc__spare_markers(const struct spare *spare, unsigned cpus);

#endif
