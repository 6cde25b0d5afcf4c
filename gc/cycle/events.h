/* events.h - what happened and is still to be told, and who wants to know.
 *
 * Events happen under the heap's lock, or while the world stands; the program's
 * callbacks run without either. So an event is put into a ring, and told by the next
 * thread that leaves our code (gc/api/events.c).
 *
 * Threads: under the heap's lock, but for `news`.
 *
 * Invariants: told <= happened <= told + GC_EVENT_RING; `news` only if nobody is
 * `telling`. */
#ifndef GC_CYCLE_EVENTS_H
#define GC_CYCLE_EVENTS_H

#include <broom/event.h>
#include <stdatomic.h>

#define GC_EVENT_RING 256
#define GC_MAX_WATCHERS 8

struct watcher {
    gc_event_callback callback;
    void *data; /* a root */
    uint32_t sorts;
};

struct events {
    _Atomic bool news;   /* something is to be told, and nobody is at it */
    bool telling;        /* somebody is */
    uint32_t sorts;      /* that anybody wants to know of */
    uint64_t happened;   /* so many were put into the ring, */
    uint64_t told;       /* and taken out of it */
    uint64_t lost;       /* and overwritten since one was taken out */
    uint64_t collection; /* the number of the one that began last */
    uint64_t held_bytes; /* as the last event of a heap that grew or shrank says */
    struct watcher watcher[GC_MAX_WATCHERS];
    struct gc_event ring[GC_EVENT_RING];
};

struct heap;

void gc__events_put(struct heap *heap, enum gc_event_sort sort, uint64_t bytes, uint64_t objects);

/* A collection is over, and recorded. */
void gc__events_note_end(struct heap *heap);

/* Whether the heap has grown or shrunk since it was last looked at. */
void gc__events_note_held(struct heap *heap);

/* The oldest that was not told. */
bool gc__events_take(struct events *events, struct gc_event *event);

/* Replaces, adds or, with no sorts, removes a watcher. False: there are too many. */
bool gc__events_watch(struct events *events, struct watcher watcher);

#endif
