/* finalizer.h - which objects are to be finalized, and the queues of those
 * (finalization: GC Handbook, 2nd ed., section 12.1; why it is never done inside
 * a collection: H.-J. Boehm, "Destructors, finalizers, and synchronization", POPL
 * 2003).
 *
 * A collection looks through the table of objects with finalizers for white ones,
 * and marks all that those with ordered finalizers lead to, but not they themselves.
 * What is white then is ready: nothing whose finalizer has to run first leads to it.
 * (The way of bdwgc.)
 *
 * Words of an object that lead to itself are passed over meanwhile. If it turns out
 * to be marked by what it leads to, it is in a cycle, and will never be ready: that is
 * reported, once. One of each cycle at least: the first that is come to.
 *
 * What is ready is marked, so that it survives, and put into a list, in which it is a
 * root until somebody takes it out and runs its finalizer: on a higher floor, and
 * outside of all locks. It stays registered until then, so that it is found when its
 * object is freed or moved first. There is room in that list for all that are
 * registered, so a collection needs no memory, and takes no faults for it.
 *
 * An entry of the table: `a` is the function, `b` its data, a root; `note` the queue
 * and the flags below; `next_place` the number of its place in the list, if it has one.
 *
 * Threads: under the heap's lock. */
#ifndef GC_RECLAIM_FINALIZER_H
#define GC_RECLAIM_FINALIZER_H

#include "gc/mark/marker.h"

#include <broom/finalizer.h>

#define GC_FINALIZER_QUEUES 256
#define GC_FINALIZER_QUEUE_MASK 0xffffu
#define GC_FINALIZER_ORDERED 0x10000u
#define GC_FINALIZER_REPORTED 0x20000u   /* that it is in a cycle */
#define GC_FINALIZER_WHITE 0x40000u      /* in this collection, before anything was marked for finalizers */
#define GC_FINALIZER_READY 0x80000u      /* it has a place in the list; */
#define GC_FINALIZER_TO_REPORT 0x100000u /* likewise, but to be told that it is in a cycle */

/* A place in the list of what was found, and not run or told yet. Places have numbers from
 * one on; 0 is none. */
struct ready_place {
    void *object;            /* NULL: the place is free */
    uint32_t next, previous; /* of its queue; or the next that is free */
};

/* What is to be called. */
struct ready {
    void *object;
    gc_finalizer finalizer; /* NULL: that is a report */
    void *data;
};

struct gc_finalizer_queue {
    uint32_t mode;        /* an enum gc_finalizer_mode */
    uint32_t index;       /* of itself */
    uint32_t first, last; /* of the list */
    uint32_t count;
};

struct finalizers {
    struct attachments table;
    struct ready_place *place; /* room for all that are registered */
    size_t capacity;
    size_t populated_bytes; /* there is memory for those */
    size_t used;            /* the first so many were ever in use, */
    uint32_t free;          /* of which these are free now */
    size_t ready_count;
    _Atomic bool news;                                    /* something became ready since this was last false */
    uint32_t queues;                                      /* that were made */
    struct gc_finalizer_queue queue[GC_FINALIZER_QUEUES]; /* the first is everybody's */
};

/* Sets or, with the function NULL, drops the finalizer that an object has in a
 * queue. False: no memory. */
bool gc__finalizers_set(struct finalizers *finalizers, uint32_t queue, uintptr_t object, gc_finalizer finalizer,
                        void *data, bool ordered);

/* What it has there, ready or not. False: nothing. */
bool gc__finalizers_get(const struct finalizers *finalizers, uint32_t queue, uintptr_t object, struct ready *found);

/* The object is going to be freed; or is to be found elsewhere. */
void gc__finalizers_drop(struct finalizers *finalizers, uintptr_t object);
void gc__finalizers_move(struct finalizers *finalizers, uintptr_t from, uintptr_t to);

/* Makes all that are in a queue ready, whether their objects live or not. */
void gc__finalizers_make_all_ready(struct finalizers *finalizers, uint32_t queue);

/* Takes out the oldest of a queue: if that is a report, the object remains registered. False:
 * the queue is empty. */
bool gc__finalizers_take(struct finalizers *finalizers, uint32_t queue, struct ready *taken);

/* While the world stands: the data of entries from `from` on, and all that is
 * ready, are roots. */
void gc__finalizers_mark_roots(const struct finalizers *finalizers, struct marker *marker, size_t from);

/* Nothing is grey: finds what is ready, and marks what has to survive for it. */
void gc__finalizers_find_ready(struct finalizers *finalizers, struct marker *marker, size_t from);

size_t gc__finalizers_metadata_bytes(const struct finalizers *finalizers);

#endif
