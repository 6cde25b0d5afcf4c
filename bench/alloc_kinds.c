/* alloc_kinds.c - what it costs to allocate an object of a kind, beside one that is
 * scanned word by word and one that is not scanned: 32 bytes each, all garbage, and
 * collections included. Broom only.
 *
 * In turns, so that what disturbs one disturbs the others; the median of each.
 */
#include "program.h"

#include <broom/runtime.h>

enum { OBJECTS = 40000000, TRIALS = 21, WORDS = 4, SORTS = 5 };

static gc_kind *layout, *traced, *exact;
static uintptr_t sum;

static void trace(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    (void)bytes, (void)data;
    gc_trace_pointer(tracer, *(void **)object);
}

static gc_kind *new_kind(enum gc_tracing tracing, bool only_exact)
{
    static const uint64_t first = 1;
    const struct gc_kind_options options = {
        .tracing = tracing,
        .exact = only_exact,
        .bytes = WORDS * sizeof(uintptr_t),
        .pointers = tracing == GC_TRACE_LAYOUT ? &first : NULL,
        .trace = tracing == GC_TRACE_CALLBACK ? trace : NULL,
    };
    return bench_checked(gc_kind_new(&options, sizeof options));
}

static void *new_object(size_t sort)
{
    switch (sort) {
    case 0: return gc_malloc(WORDS * sizeof(uintptr_t));
    case 1: return gc_malloc_atomic(WORDS * sizeof(uintptr_t));
    case 2: return gc_new(layout);
    case 3: return gc_new(exact);
    default: return gc_new(traced);
    }
}

static double ns_an_object(size_t sort, size_t count)
{
    uint64_t start_ns = bench_now_ns();
    for (size_t i = 0; i < count; i++) {
        uintptr_t *object = bench_checked(new_object(sort));
        object[WORDS - 1] = i;
        sum += object[WORDS - 1];
    }
    return (double)(bench_now_ns() - start_ns) / (double)count;
}

static int compare(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

int main(int argc, char **argv)
{
    static const char *const name[SORTS] = {"malloc", "malloc_atomic", "layout", "exact", "callback"};
    static double ns[SORTS][TRIALS];
    bench_start(argc, argv);
    size_t count = bench_scaled(OBJECTS) / TRIALS / SORTS + 1;
    layout = new_kind(GC_TRACE_LAYOUT, false);
    exact = new_kind(GC_TRACE_LAYOUT, true);
    traced = new_kind(GC_TRACE_CALLBACK, false);
    for (size_t trial = 0; trial < TRIALS; trial++)
        for (size_t sort = 0; sort < SORTS; sort++)
            ns[sort][trial] = ns_an_object(sort, count);
    bench.seconds = 0;
    for (size_t sort = 0; sort < SORTS; sort++) {
        char detail[40];
        qsort(ns[sort], TRIALS, sizeof(double), compare);
        printf("%-14s %6.2f ns\n", name[sort], ns[sort][TRIALS / 2]);
        snprintf(detail, sizeof detail, "%s_ns", name[sort]);
        bench_detail(detail, ns[sort][TRIALS / 2]);
        bench.seconds += ns[sort][TRIALS / 2] * 1e-9 * (double)count * TRIALS;
    }
    return bench_finish(sum != 0, count);
}
