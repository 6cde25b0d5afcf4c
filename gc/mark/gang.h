/* gang.h - the markers that work together while the world stands (parallel
 * marking: GC Handbook, 2nd ed., section 14.4).
 *
 * The leader is the thread that collects, with marker 0: it scans the roots and
 * begins to drain. Helpers, threads of the collector with a marker each, are
 * called when that turns out to be much, and join as soon as the system lets them
 * run; who comes when all is done finds the door closed. So a busy machine makes a
 * cycle wait for no thread but those that have work in their hands. How entries go
 * from one to another, and how all learn that nothing is grey, is said in pool.h.
 *
 * A gang of one is a marker: no atomic operation, no thread.
 *
 * The door (`attendance`): whether it is closed, and how many helpers are
 * inside. A helper enters by adding itself while it is open; the leader closes
 * it and waits until nobody is inside. Between cycles it is closed: then all
 * markers are the leader's, and helpers touch nothing of the gang's but their own
 * `calls`, the door, and what sleepers look at in the pool.
 *
 * Threads: the leader's only, whoever that is: the heap's lock is held. */
#ifndef GC_MARK_GANG_H
#define GC_MARK_GANG_H

#include "gc/mark/marker.h"

struct gang;

struct helper {
    struct gang *gang;
    unsigned marker; /* its index */
    long thread_id;
    _Atomic uint32_t calls; /* so many cycles it was called for: it sleeps on this */
};

/* What is to be done together, in parts. */
struct shared_work {
    void (*do_part)(size_t part, void *argument); /* NULL: there is none, but to drain */
    void *argument;
    size_t parts;
    _Atomic size_t begun; /* of them */
};

struct gang {
    struct region *region;
    unsigned max_markers; /* at most GC_MAX_MARKERS */
    unsigned markers;     /* of this cycle */
    unsigned shares;      /* the mark stack is split among so many */
    unsigned helpers;     /* threads there are: helper[1] to helper[helpers] */
    unsigned cpus;        /* as of... */
    uint64_t cpus_ns;     /* ...this time; 0: never asked */

    _Atomic uint32_t attendance;
    struct shared_work shared;
    struct pool pool;
    struct helper helper[GC_MAX_MARKERS]; /* the first is not used */
    struct marker marker[GC_MAX_MARKERS];
};

/* At most `max_markers` will work together; 0: as many as there are CPUs. */
void gc__gang_init(struct gang *gang, struct region *region, unsigned max_markers);

/* Decides how many markers the next cycle has, from the bytes that may be live,
 * and starts threads that are missing; if the system refuses, there are fewer.
 * Before the world is stopped: threads cannot be started while it stands. */
void gc__gang_prepare(struct gang *gang, size_t live_bytes);

/* The CPUs that the process may use: asked for now and then. */
unsigned gc__gang_cpus(struct gang *gang);

/* As gc__gang_prepare, with the number decided. */
void gc__gang_assemble(struct gang *gang, unsigned markers);

/* Readies the markers for a cycle. The world stands. */
void gc__gang_begin(struct gang *gang);

/* Who scans the roots. */
static inline struct marker *gc__gang_leader(struct gang *gang)
{
    return &gang->marker[0];
}

/* The leader begins. True if that was all, and helpers need not be called. */
bool gc__gang_drain_alone(struct gang *gang);

/* Works until nothing is grey, all markers together. */
void gc__gang_drain(struct gang *gang);

/* Does all parts, from 0 on, each by one of the markers. Returns when all is done. */
void gc__gang_share(struct gang *gang, size_t parts, void (*do_part)(size_t part, void *argument), void *argument);

/* Gives memory back that deep heaps needed, after a cycle. */
void gc__gang_trim(struct gang *gang);

/* In the child after a fork: the threads are gone, and are started again when
 * they are wanted. No cycle was under way. */
void gc__gang_forget_helpers(struct gang *gang);

size_t gc__gang_metadata_bytes(const struct gang *gang);

#endif
