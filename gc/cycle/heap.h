/* heap.h - the heap: the structs of the rooms below, composed once. */
#ifndef GC_CYCLE_HEAP_H
#define GC_CYCLE_HEAP_H

#include "gc/cycle/pace.h"
#include "gc/heap/region.h"
#include "gc/mark/marker.h"
#include "gc/reclaim/sweep.h"
#include "gc/roots/mutator.h"
#include "gc/roots/ranges.h"

#include <broom.h>

/* What the last collections did. */
struct cycle_record {
    uint64_t collections;
    uint64_t live_bytes;
    uint64_t objects_marked;
    uint64_t pause_last_ns;
    uint64_t pause_max_ns;
    uint64_t pause_total_ns;
};

struct heap {
    bool started;
    bool collecting;
    unsigned disabled; /* gc_disable less gc_enable */
    uint32_t stress_countdown;
    uint64_t decommit_delay_ns; /* UINT64_MAX: never */
    uint64_t next_decommit_ns;

    struct region region;
    struct mutators mutators;
    struct ranges user_roots;
    struct marker marker;
    struct bins bins;
    struct pace pace;
    struct cycle_record record;
    struct gc_options options;

    gc_oom_handler oom_handler;
    void *oom_data; /* a root */
};

/* The only one of the process. Its parts are handed to the rooms; they do not
 * look it up here. */
extern struct heap gc__heap;

/* Reserves and readies the heap for `options`, which are complete. */
bool gc__heap_start(struct heap *heap, const struct gc_options *options);

/* The colour in which objects are born. No cycle runs beside the mutators yet:
 * white. */
static inline bool gc__heap_births_are_black(const struct heap *heap)
{
    (void)heap;
    return false;
}

/* The whole heap, checked: every room's audit. Between collections. */
void gc__heap_audit(const struct heap *heap);

#endif
