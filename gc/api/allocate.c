/* The public functions that hand out and take back objects. The fast path of
 * allocation is here, once: a table look-up, an add, a compare. */

#include "gc/alloc/allocate.h"

#include "gc/alloc/small.h"
#include "gc/api/enter.h"
#include "gc/base/align.h"
#include "gc/base/check.h"

#include <broom/inline.h>
#include <errno.h>

/* What broom/inline.h compiles into programs. */
_Static_assert(sizeof(struct gc_run) == sizeof(struct run), "the layout of a run");
_Static_assert(offsetof(struct gc_run, next) == offsetof(struct run, cur), "the layout of a run");
_Static_assert(offsetof(struct gc_run, end) == offsetof(struct run, end), "the layout of a run");
_Static_assert(GC_INLINE_CLASSES == GC_CLASS_COUNT, "the runs of atomic objects come behind the others");
_Static_assert(GC_KIND_CONSERVATIVE == 0 && GC_KIND_ATOMIC == 1, "the order of the kinds");
_Static_assert(GC_INLINE_BYTES == GC_LINEAR_CLASSES * 8, "a class for every eight bytes");

/* The largest alignment that is served: a chunk's. */
#define MAX_ALIGNMENT GC_CHUNK_BYTES

static void *allocate_spilled(uintptr_t sp, const char *call, uintptr_t bytes, uintptr_t kind)
{
    return gc__attended(gc__allocate(&gc__heap, gc__enter_spilled(call, sp), (unsigned)kind, bytes, 1));
}

/* A tail call: no frame of ours, with holes in it, lies between the client's
 * and the spilled registers. */
static __attribute__((noinline)) void *allocate_slow(const char *call, size_t bytes, unsigned kind)
{
    return gc__os_spill_registers(allocate_spilled, call, bytes, kind);
}

/* Before the heap starts, and on a thread without a mutator, the class may be
 * wrong and the runs are empty: the slow path looks again. */
static inline __attribute__((always_inline)) void *allocate(const char *call, size_t bytes, unsigned kind)
{
    struct run *run;

    if (GC_UNLIKELY(bytes > GC_SMALL_MAX_BYTES))
        return allocate_slow(call, bytes, kind);
    run = &gc__mutator->runs[kind * GC_CLASS_COUNT + gc__sizeclass_of(bytes)];
    if (GC_UNLIKELY(run->cur == run->end))
        return allocate_slow(call, bytes, kind);
    return gc__run_next(run);
}

void *gc_malloc(size_t bytes)
{
    return allocate("gc_malloc", bytes, GC_KIND_CONSERVATIVE);
}

void *gc_malloc_atomic(size_t bytes)
{
    return allocate("gc_malloc_atomic", bytes, GC_KIND_ATOMIC);
}

void *gc_malloc_uncollectable(size_t bytes)
{
    return allocate("gc_malloc_uncollectable", bytes, GC_KIND_UNCOLLECTABLE);
}

/* SIZE_MAX, which no heap can hold, stands for an overflow. */
static size_t product(size_t count, size_t bytes)
{
    size_t all;

    return __builtin_mul_overflow(count, bytes, &all) ? SIZE_MAX : all;
}

void *gc_calloc(size_t count, size_t bytes)
{
    return allocate("gc_calloc", product(count, bytes), GC_KIND_CONSERVATIVE);
}

static void *reallocate_spilled(uintptr_t sp, const char *call, uintptr_t object, uintptr_t bytes)
{
    struct object old = gc__enter_object(call, (void *)object); /* first: a hook may leave after a misuse */

    return gc__attended(gc__reallocate(&gc__heap, gc__enter_spilled(call, sp), old, (void *)object, bytes, true));
}

static void *reallocate(const char *call, void *object, size_t bytes)
{
    if (object == NULL)
        return allocate(call, bytes, GC_KIND_CONSERVATIVE);
    return gc__os_spill_registers(reallocate_spilled, call, (uintptr_t)object, bytes);
}

void *gc_realloc(void *object, size_t bytes)
{
    return reallocate("gc_realloc", object, bytes);
}

void *gc_reallocarray(void *object, size_t count, size_t bytes)
{
    return reallocate("gc_reallocarray", object, product(count, bytes));
}

void gc_free(void *object)
{
    if (object == NULL)
        return;
    gc__free(&gc__heap, gc__enter("gc_free"), gc__enter_object("gc_free", object), object);
}

static void *allocate_aligned_spilled(uintptr_t sp, const char *call, uintptr_t alignment, uintptr_t bytes)
{
    return gc__attended(gc__allocate(&gc__heap, gc__enter_spilled(call, sp), GC_KIND_CONSERVATIVE, bytes, alignment));
}

static void *allocate_aligned(const char *call, size_t alignment, size_t bytes)
{
    return gc__os_spill_registers(allocate_aligned_spilled, call, alignment, bytes);
}

void *gc_aligned_alloc(size_t alignment, size_t bytes)
{
    if (!gc__is_power_of_two(alignment) || alignment > MAX_ALIGNMENT) {
        errno = EINVAL;
        return NULL;
    }
    return allocate_aligned("gc_aligned_alloc", alignment, bytes);
}

int gc_posix_memalign(void **result, size_t alignment, size_t bytes)
{
    int saved_errno = errno;
    void *object;

    if (!gc__is_power_of_two(alignment) || alignment % sizeof(void *) != 0 || alignment > MAX_ALIGNMENT)
        return EINVAL;
    object = allocate_aligned("gc_posix_memalign", alignment, bytes);
    errno = saved_errno;
    if (object == NULL)
        return ENOMEM;
    *result = object;
    return 0;
}
