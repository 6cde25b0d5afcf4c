/* heap.h - the heap: the structs of the rooms below, composed once. */
#ifndef GC_CYCLE_HEAP_H
#define GC_CYCLE_HEAP_H

#include "gc/cycle/background.h"
#include "gc/cycle/concurrent.h"
#include "gc/cycle/events.h"
#include "gc/cycle/limit.h"
#include "gc/cycle/minor.h"
#include "gc/cycle/pace.h"
#include "gc/cycle/snapshot.h"
#include "gc/cycle/steps.h"
#include "gc/heap/region.h"
#include "gc/mark/gang.h"
#include "gc/reclaim/attached.h"
#include "gc/reclaim/sweep.h"
#include "gc/roots/mappings.h"
#include "gc/roots/ranges.h"
#include "gc/roots/stacks.h"
#include "gc/roots/world.h"

#include <broom.h>

/* What the last collections did. Under the lock. */
struct cycle_record {
    uint64_t collections;
    uint64_t minor_collections; /* of them */
    uint64_t concurrent_collections;
    uint64_t live_bytes;
    uint64_t balance_bytes; /* of the world, at that time */
    uint64_t objects_marked;
    uint64_t pause_last_ns;
    uint64_t pause_max_ns;
    uint64_t pause_total_ns;
};

struct heap {
    _Atomic bool started;
    bool collecting;               /* by the lock's owner */
    bool full;                     /* the cycle under way is not to be minor */
    bool hard;                     /* for want of memory */
    bool told_of_failure;          /* that there are no collections */
    long process;                  /* that it belongs to */
    _Atomic unsigned disabled;     /* gc_disable less gc_enable */
    _Atomic uint32_t stress_count; /* allocations, under stress */
    uint64_t decommit_delay_ns;    /* UINT64_MAX: never */
    uint64_t next_decommit_ns;

    struct region region;
    struct world world;
    struct ranges user_roots;
    struct ranges pinned; /* gc_pin_writable */
    struct stacks stacks;
    struct mappings mappings;
    struct pace pace;
    struct limit limit;
    struct minor minor;
    struct concurrent concurrent;
    struct snapshot snapshot;
    struct background background;
    struct events events;
    struct cycle_record record;
    struct gc_options options;

    gc_oom_handler oom_handler;
    void *oom_data; /* a root */

    struct attached attached; /* what is long stands behind: a short process touches no more than a few pages */
    struct bins bins;
    struct gang gang;
};

/* The only one of the process. Its parts are handed to the rooms; they do not
 * look it up here. Of the parts, the world's lock guards what its room says. */
extern struct heap gc__heap;

/* Under the lock: reserves and readies the heap for `options`, which are
 * complete, and makes the calling thread a mutator. */
bool gc__heap_start(struct heap *heap, const struct gc_options *options, struct gc__range stack);

/* Under the lock: what the control group leaves the heap is its soft limit, if there is no
 * other. It is looked up before the first cycle, and not at the start: most processes are
 * short. */
void gc__heap_know_limit(struct heap *heap);

static inline bool gc__heap_roots_are_mappings(const struct heap *heap)
{
    return heap->options.roots > GC_ROOTS_SEGMENTS;
}

static inline bool gc__collections_are_disabled(const struct heap *heap)
{
    return atomic_load_explicit(&heap->disabled, memory_order_relaxed) != 0;
}

/* The whole heap, checked: every room's audit. The world is stopped. */
void gc__heap_audit(const struct heap *heap);

#endif
