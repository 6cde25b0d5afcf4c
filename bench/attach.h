/* attach.h - weak links, finalizers and layouts of the collectors under comparison,
 * behind one interface, for the programs that measure these.
 *
 *   bench_link            *link is cleared when the object dies
 *   bench_set_finalizer   function(object) is run by bench_finalize; ordered
 *   bench_finalize        runs what is ready; returns how many
 *   bench_new_typed       an object of the one layout that bench_set_layout gave: bit i
 *                         of its map stands for word i
 */
#ifndef BENCH_ATTACH_H
#define BENCH_ATTACH_H

#include "collection.h"

typedef void bench_finalizer(void *object, void *data);

#if defined BENCH_BROOM

#include <broom/runtime.h>

static gc_kind *bench_kind;

static inline void bench_start_attaching(void)
{
    gc_set_finalizer_mode(NULL, GC_FINALIZE_ON_DEMAND);
}
static inline void bench_link(void **link, void *object)
{
    if (gc_weak_link(link, object, GC_CLEAR_LATE) != 0)
        abort();
}
static inline void bench_set_finalizer(void *object, bench_finalizer *finalizer)
{
    if (gc_set_finalizer(object, finalizer, NULL) != 0)
        abort();
}
static inline size_t bench_finalize(void)
{
    return gc_run_finalizers(NULL, SIZE_MAX);
}
static inline void bench_set_layout(size_t bytes, const uint64_t *map)
{
    const struct gc_kind_options options = {.tracing = GC_TRACE_LAYOUT, .bytes = bytes, .pointers = map};
    bench_kind = bench_checked(gc_kind_new(&options, sizeof options));
}
static inline void *bench_new_typed(size_t bytes)
{
    (void)bytes;
    return bench_checked(gc_new(bench_kind));
}

#elif defined BENCH_BDWGC

#include <gc/gc_typed.h>

static GC_descr bench_descriptor;

static inline void bench_start_attaching(void)
{
    GC_set_finalize_on_demand(1);
}
static inline void bench_link(void **link, void *object)
{
    *link = object;
    if (GC_general_register_disappearing_link(link, object) == GC_NO_MEMORY)
        abort();
}
static inline void bench_set_finalizer(void *object, bench_finalizer *finalizer)
{
    GC_register_finalizer(object, finalizer, NULL, NULL, NULL);
}
static inline size_t bench_finalize(void)
{
    return (size_t)GC_invoke_finalizers();
}
static inline void bench_set_layout(size_t bytes, const uint64_t *map)
{
    bench_descriptor = GC_make_descriptor((const GC_word *)map, bytes / sizeof(GC_word));
}
static inline void *bench_new_typed(size_t bytes)
{
    return bench_checked(GC_malloc_explicitly_typed(bytes, bench_descriptor));
}

#endif

#endif
