/* broom/event.h - callbacks for what the collector does, and a look at what the heap holds. */
#ifndef BROOM_EVENT_H
#define BROOM_EVENT_H

#include <broom.h>
#include <broom/kind.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Events ------------------------------------------------------------- */

/* Each is a bit, so that a set of them is one number. */
enum gc_event_sort {
    GC_EVENT_BEGIN = 1 << 0,         /* a collection begins; */
    GC_EVENT_STOPPED = 1 << 1,       /* all threads are stopped, */
    GC_EVENT_RESUMED = 1 << 2,       /* and run again: several times in a concurrent collection; */
    GC_EVENT_MARKED = 1 << 3,        /* all that is reachable is marked; */
    GC_EVENT_END = 1 << 4,           /* it is over. `bytes`, `objects`: what is live. One that is given up has no end */
    GC_EVENT_GROWN = 1 << 5,         /* the heap holds more, `bytes` in all, */
    GC_EVENT_RELEASED = 1 << 6,      /* or less, as memory went back to the OS */
    GC_EVENT_THREAD_BEGIN = 1 << 7,  /* a thread has become known. `thread`: its number (gettid) */
    GC_EVENT_THREAD_END = 1 << 8,    /* it has given back what it held: at its end, or as it was unregistered */
    GC_EVENT_OUT_OF_MEMORY = 1 << 9, /* an allocation of `bytes` fails, after all that could be done */
    GC_EVENT_ALL = (1 << 10) - 1
};

struct gc_event {
    uint32_t sort;       /* an enum gc_event_sort */
    uint32_t minor;      /* 1: the collection is a minor one (at GC_EVENT_MARKED and GC_EVENT_END) */
    uint64_t time_ns;    /* when it happened, by CLOCK_MONOTONIC */
    uint64_t collection; /* its number; of other events, that of the last one */
    uint64_t bytes;
    uint64_t objects;
    int64_t thread; /* in which it happened */
    uint64_t lost;  /* events that were dropped, for want of room, between the last one reported and this one */
};

/* Called after an event happened, in the next thread that collects, calls gc_step or
 * gc_note_external, or makes an allocation that its own free memory cannot serve. In a
 * program that does none of these it is not called. No lock of Broom's is held and all
 * threads run, so a callback may do anything: allocate, collect, wait for others. (Events
 * and finalizers that it causes come with a later call; that it found no memory itself is
 * no event.) Events are reported one at a time, in the order in which they happened, but
 * not always in the same thread. While a callback runs, up to 256 events wait; if there are
 * more, the oldest are lost. It must return: no longjmp, no exception. If its thread ends in
 * it, by pthread_exit or cancellation, the other callbacks do not get that event. */
typedef void (*gc_event_callback)(const struct gc_event *event, void *data);

/* Has `callback` called, from now on, for events whose sorts are in the set `sorts`. With
 * the same callback and data again the set is replaced; an empty set, 0, removes the
 * callback (which may still be running in another thread). `data` is a root.
 * Returns 0; ENOSPC: there are 8 already; EINVAL: unknown sorts, or NULL as callback.
 * collects: never. */
GC__EXPORT int gc_set_event_callback(uint32_t sorts, gc_event_callback callback, void *data);

/* ---- What the heap holds ----------------------------------------------------- */

struct gc_object_info {
    void *start;    /* what an arena or a pool has handed out lies in an object, behind its start */
    size_t bytes;   /* that may be used */
    gc_kind *kind;  /* as gc_kind_of */
    uint32_t sort;  /* an enum gc_object_sort */
    uint32_t large; /* 1: it has pages of its own */
};

enum gc_object_sort { GC_OBJECT_CONSERVATIVE, GC_OBJECT_ATOMIC, GC_OBJECT_UNCOLLECTABLE, GC_OBJECT_OF_KIND };

/* Calls `visit` for every object, small ones first and each group by address, until it
 * returns false. Objects that have died since the last collection are visited too, so
 * collect first if that matters. Returns whether it got to the end.
 * All other threads are stopped meanwhile, and may hold any lock: `visit` must not call
 * Broom (gc_kind_name is allowed), malloc, stdio or anything else that locks, and must
 * return. It may read the object.
 * collects: never. */
GC__EXPORT bool gc_for_each_object(bool (*visit)(const struct gc_object_info *object, void *data), void *data);

struct gc_kind_stats {
    gc_kind *kind;    /* NULL: built in */
    const char *name; /* "conservative", "atomic", "uncollectable"; or as gc_kind_name */
    uint64_t objects;
    uint64_t bytes; /* in whole cells and pages */
};

/* Counts, kind by kind, the objects that gc_for_each_object would visit, and fills in the
 * first `capacity` entries of `out`. Returns how many kinds there are.
 * collects: never. */
GC__EXPORT size_t gc_get_kind_stats(struct gc_kind_stats *out, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
