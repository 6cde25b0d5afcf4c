/* The public functions about kinds: see broom/kind.h. */

#include "gc/alloc/allocate.h"
#include "gc/alloc/small.h"
#include "gc/api/enter.h"
#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/mark/trace.h"

#include <errno.h>
#include <string.h>

/* ---- Making ---------------------------------------------------------------------- */

static bool words_are_whole(const struct gc_kind_options *options)
{
    return options->bytes % GC_WORD_BYTES == 0 && options->element_bytes % GC_WORD_BYTES == 0;
}

static bool is_valid(const struct gc_kind_options *options)
{
    if (options->tracing > GC_TRACE_CALLBACK || options->exact > 1 || options->tag_shift >= 64)
        return false;
    if (options->bytes / GC_WORD_BYTES > UINT32_MAX || options->element_bytes / GC_WORD_BYTES > UINT32_MAX)
        return false;
    if ((options->tracing == GC_TRACE_CALLBACK) != (options->trace != NULL))
        return false;
    if ((options->pointers != NULL && options->bytes == 0) ||
        (options->element_pointers != NULL && options->element_bytes == 0))
        return false; /* a map of nothing: a size was forgotten */
    if (options->tracing == GC_TRACE_LAYOUT)
        return words_are_whole(options) && (options->bytes != 0 || options->element_bytes != 0);
    return options->pointers == NULL && options->element_pointers == NULL;
}

gc_kind *gc_kind_new(const struct gc_kind_options *options, size_t size)
{
    struct gc_kind_options complete = {0};
    struct gc_kind *kind = NULL;

    gc__enter("gc_kind_new");
    memcpy(&complete, options, gc__min(size, sizeof complete));
    if (!is_valid(&complete)) {
        errno = EINVAL;
        return NULL;
    }
    gc__world_lock(&gc__heap.world);
    gc__concurrent_hold(&gc__heap); /* a marker may be at work that knows of no kinds */
    kind = gc__kind_new(&complete);
    gc__concurrent_release(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    if (kind == NULL)
        errno = ENOMEM;
    return kind;
}

/* ---- Allocating -------------------------------------------------------------------- */

static void *new_spilled(uintptr_t sp, const char *call, uintptr_t kind, uintptr_t bytes)
{
    return gc__attended(gc__allocate(&gc__heap, gc__enter_spilled(call, sp), (unsigned)kind, bytes, 1));
}

static __attribute__((noinline)) void *new_slow(const char *call, const gc_kind *kind, size_t bytes)
{
    return gc__os_spill_registers(new_spilled, call, kind->index, bytes);
}

/* A lane of the program's kinds that this mutator has not used yet, GC_NO_LANE too,
 * is not below `lanes`. */
static inline __attribute__((always_inline)) void *new_from(const char *call, const gc_kind *kind, unsigned lane,
                                                            size_t bytes)
{
    struct mutator *mutator = gc__mutator;
    struct run *run;

    if (GC_UNLIKELY(lane >= mutator->lanes))
        return new_slow(call, kind, bytes);
    run = &mutator->user_runs[lane - GC_BUILTIN_LANES];
    if (GC_UNLIKELY(run->cur == run->end))
        return new_slow(call, kind, bytes);
    return gc__run_next(run);
}

static inline __attribute__((always_inline)) void *new_bytes(const char *call, const gc_kind *kind, size_t bytes)
{
    unsigned lane = GC_NO_LANE;

    if (bytes <= GC_SMALL_MAX_BYTES)
        lane = __atomic_load_n(&kind->lane[gc__sizeclass_of(bytes)], __ATOMIC_RELAXED);
    return new_from(call, kind, lane, bytes);
}

void *gc_new(gc_kind *kind)
{
    return new_from("gc_new", kind, __atomic_load_n(&kind->first_lane, __ATOMIC_RELAXED), kind->bytes);
}

void *gc_new_array(gc_kind *kind, size_t count)
{
    size_t bytes;

    if (GC_UNLIKELY(kind->element_bytes == 0))
        GC_MISUSE("gc_new_array", "objects of the kind \"%s\" have no elements", kind->name);
    if (__builtin_mul_overflow(count, kind->element_bytes, &bytes) ||
        __builtin_add_overflow(bytes, kind->bytes, &bytes))
        bytes = SIZE_MAX;
    return new_bytes("gc_new_array", kind, bytes);
}

void *gc_new_bytes(gc_kind *kind, size_t bytes)
{
    return new_bytes("gc_new_bytes", kind, bytes);
}

/* ---- Asking -------------------------------------------------------------------------- */

gc_kind *gc_kind_of(const void *object)
{
    struct object found = gc__enter_object("gc_kind_of", object);
    unsigned kind = gc__object_kind(&gc__heap.region, &found);

    return kind < GC_KIND_COUNT ? NULL : gc__kind_at(kind);
}

const char *gc_kind_name(const gc_kind *kind)
{
    return kind->name;
}

/* ---- For trace callbacks ----------------------------------------------------------------- */

void gc_trace_pointer(gc_tracer *tracer, const void *pointer)
{
    tracer->visit(tracer, (uintptr_t)pointer);
}

GC_SCANS_ANYTHING void gc_trace_range(gc_tracer *tracer, const void *start, const void *end)
{
    const uintptr_t *word = (const uintptr_t *)gc__align_up((uintptr_t)start, sizeof(uintptr_t));

    for (; (uintptr_t)(word + 1) <= (uintptr_t)end; word++)
        tracer->visit(tracer, gc__kind_decode(tracer->kind, *word));
}
