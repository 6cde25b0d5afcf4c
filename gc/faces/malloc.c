/* malloc.c - the C library's allocator by Broom's: what the library broom-malloc
 * exports in the place of malloc and its like.
 *
 * The program knows of nothing. So what it gets is scanned conservatively; what it
 * frees is freed, or not, as an option says; and every call has the contract of
 * glibc's function of that name, `errno` included.
 *
 * A call that comes in the middle of another one (gc/faces/middle.h) is served by the arena
 * (gc/faces/arena.h); what it frees of the heap's is left to the collector. */

#include "gc/alloc/allocate.h"
#include "gc/alloc/magazine.h"
#include "gc/alloc/small.h"
#include "gc/api/enter.h"
#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/collect.h"
#include "gc/faces/arena.h"
#include "gc/faces/middle.h"
#include "gc/faces/preload.h"
#include "gc/faces/protect.h"
#include "gc/faces/rivals.h"
#include "gc/platform/linux/keepers.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static __attribute__((constructor)) void begin_with_program(int count, char **arguments)
{
    (void)count;
    gc__c_library_has_begun();
    gc__avoid_rivals(arguments);
    gc__preload_begin();
    gc__keepers_begin();
}

/* ---- Allocating ------------------------------------------------------------------------ */

static void *out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *allocate_from_arena(size_t bytes, size_t alignment)
{
    void *piece = gc__arena_allocate(bytes, alignment);

    return piece != NULL ? piece : out_of_memory();
}

/* Programs keep addresses one past the end, as one of an array's element -1: they cost no
 * more than what glibc's chunks have of their own.
 *
 * One marker, as the C library takes the loader's locks to make a thread, and who has
 * them may be waiting for the collection. */
static void start_heap(void)
{
    static const struct gc_options options = {
        .roots = GC_ROOTS_MAPPINGS,
        .past_end = GC_PAST_END_ALWAYS,
        .unaligned = 1,
        .markers = 1,
    };
    int saved_errno = errno;

    gc_init_options(&options, sizeof options);
    if (gc__heap.options.roots == GC_ROOTS_SEGMENTS) {
        struct gc__range arena = gc__arena_range();

        gc_add_roots((void *)arena.start, (void *)arena.end);
    }
    errno = saved_errno;
}

static void *allocate_spilled(uintptr_t sp, const char *call, uintptr_t bytes, uintptr_t alignment)
{
    void *object;

    if (GC_UNLIKELY(!gc__heap.started))
        start_heap();
    object = gc__allocate(&gc__heap, gc__enter_spilled(call, sp), GC_KIND_CONSERVATIVE, bytes, alignment);
    gc__end_call();
    return object;
}

/* Ends with a tail call: no frame of ours, with holes in it, lies between the
 * client's and the spilled registers. */
static __attribute__((noinline)) void *allocate_slow(const char *call, size_t bytes, size_t alignment, uintptr_t sp)
{
    if (GC_UNLIKELY(gc__in_middle(sp)))
        return allocate_from_arena(bytes, alignment);
    gc__begin_call();
    return gc__os_spill_registers(allocate_spilled, call, bytes, alignment);
}

/* The fast paths call nothing that comes back to them, and so save no registers. Who is
 * to stop at the end of one does so here, where the object stands in the frame. */
static __attribute__((noinline)) void *stop_and_allocate(void *object, const char *call, size_t bytes, uintptr_t sp)
{
    gc__world_stop_here(&gc__heap.world, gc__mutator);
    gc__end_call();
    return object != NULL ? object : allocate_slow(call, bytes, 1, sp);
}

/* What was freed before is used first, unless a collection may be due, or has just been
 * and left nothing. While it is `inside` the mutator is not stopped. */
static __attribute__((noinline)) void *allocate_freed(const char *call, size_t bytes, unsigned lane, uintptr_t sp)
{
    struct mutator *mutator = gc__mutator;
    const struct run *run = &mutator->runs[lane];
    void *object = NULL;

    gc__begin_call();
    gc__world_begin(mutator);
    if (GC_LIKELY(run->freed != 0 && mutator->allowance >= run->cell_bytes && gc__heap.options.stress == 0)) {
        object = gc__magazine_take(&gc__heap, mutator, lane);
        gc__note_claimed(&gc__heap, mutator, run->cell_bytes);
    }
    if (GC_UNLIKELY(gc__world_end_is_asked(mutator)))
        return stop_and_allocate(object, call, bytes, sp);
    gc__end_call();
    return GC_LIKELY(object != NULL) ? object : allocate_slow(call, bytes, 1, sp);
}

static __attribute__((noinline)) void *allocate_freed_zeroed(const char *call, size_t bytes, unsigned lane,
                                                             uintptr_t sp)
{
    void *object = allocate_freed(call, bytes, lane, sp);

    return object != NULL ? memset(object, 0, bytes) : NULL;
}

/* ---- For those whose memory is kept ---------------------------------------------------- */

/* Some was, and is freed by those who have it, whatever free means. */
static bool some_is_kept;

static void *keep_spilled(uintptr_t sp, const char *call, uintptr_t bytes, uintptr_t alignment)
{
    void *object;

    if (GC_UNLIKELY(!gc__heap.started))
        start_heap();
    some_is_kept = true;
    object = gc__allocate(&gc__heap, gc__enter_spilled(call, sp), GC_KIND_UNCOLLECTABLE, bytes, alignment);
    gc__end_call();
    return object;
}

static __attribute__((noinline)) void *keep(const char *call, size_t bytes, size_t alignment, uintptr_t sp)
{
    if (GC_UNLIKELY(gc__in_middle(sp)))
        return allocate_from_arena(bytes, alignment);
    gc__begin_call();
    return gc__os_spill_registers(keep_spilled, call, bytes, alignment);
}

#define CALLER_IS_KEEPER (GC_UNLIKELY(gc__keepers_may_call) && gc__keepers_have(__builtin_return_address(0)))

/* ---- Where the time goes ---------------------------------------------------------------- */

static inline __attribute__((always_inline)) void *allocate(const char *call, size_t bytes, bool zeroed)
{
    struct mutator *mutator = gc__mutator;
    unsigned lane;
    struct run *run;
    void *object;

    if (CALLER_IS_KEEPER)
        return keep(call, bytes, 1, GC_CALLER_SP);
    if (GC_UNLIKELY(bytes > GC_SMALL_MAX_BYTES || gc__in_fast_middle(mutator)))
        return allocate_slow(call, bytes, 1, GC_CALLER_SP);
    lane = GC_KIND_CONSERVATIVE * GC_CLASS_COUNT + gc__sizeclass_of(bytes);
    run = &mutator->runs[lane];
    if (run->freed != 0)
        return zeroed ? allocate_freed_zeroed(call, bytes, lane, GC_CALLER_SP)
                      : allocate_freed(call, bytes, lane, GC_CALLER_SP);
    gc__begin_call();
    if (GC_UNLIKELY(run->cur == run->end)) {
        gc__end_call();
        return allocate_slow(call, bytes, 1, GC_CALLER_SP);
    }
    object = gc__run_next(run);
    gc__end_call();
    return object;
}

/* ---- Objects by address ----------------------------------------------------------------- */

static inline bool is_in_heap(const void *address)
{
    return gc__region_offset(&gc__heap.region, (uintptr_t)address) < gc__region_span(&gc__heap.region);
}

/* Of an address in the heap: the live cell that starts there, if one does. In a run of
 * another thread it may not have been handed out yet. */
static inline __attribute__((always_inline)) bool find_cell(const void *address, struct object *object)
{
    const struct region *region = &gc__heap.region;

    return gc__resolve_cell(region->blocks, gc__region_offset(region, (uintptr_t)address), object) &&
           gc__object_start(region, object) == address && gc__object_is_live(region, object);
}

/* What the program may hold: the start of an object, or, where it asked for an alignment
 * that no heap serves, an address inside of one that is larger. */
static bool find(const void *address, struct object *object)
{
    const struct region *region = &gc__heap.region;

    if (is_in_heap(address) && find_cell(address, object) &&
        !gc__mutator_holds_unissued(gc__mutator, object->block, address))
        return true;
    if (!gc__resolve(region, gc__ambiguous(address), object) || object->block != NULL)
        return false;
    return gc__object_start(region, object) == address || (uintptr_t)address % GC_CHUNK_BYTES == 0;
}

static _Noreturn void refuse(const char *call, const void *address)
{
    if (!is_in_heap(address))
        GC_MISUSE(call, "%p is not in Broom's heap: another allocator's, perhaps", address);
    GC_MISUSE(call, "%p is no object of malloc's, or is free already", address);
}

static size_t usable_bytes(const void *address)
{
    struct object object;

    if (gc__arena_owns(address))
        return gc__arena_usable_bytes(address);
    if (!find(address, &object))
        return 0;
    return gc__object_usable_bytes(&gc__heap.region, &object) -
           (size_t)((const char *)address - gc__object_start(&gc__heap.region, &object));
}

/* ---- Freeing ------------------------------------------------------------------------------ */

static bool frees_are_honoured(void)
{
    return gc__heap.options.free == GC_FREE_HONOUR;
}

/* A thread that is over may run on while the world stands (gc/roots/world.h), and glibc
 * frees in it what others had: the collector will find that. */
static bool is_over(void)
{
    return gc__mutator->over;
}

/* What is not ours is the C library's from before, or the loader's: it stays. */
static void free_in_heap(const char *call, void *address)
{
    struct object object;

    if (!is_in_heap(address) || gc__in_middle(GC_CALLER_SP) || is_over())
        return;
    gc__begin_call();
    if (!find(address, &object))
        refuse(call, address);
    gc__free(&gc__heap, gc__enter(call), object, address);
    gc__end_call();
}

/* Does not complain of what it does not find. */
static bool is_kept(const void *address)
{
    struct object object;

    return some_is_kept && is_in_heap(address) && find(address, &object) &&
           gc__object_kind(&gc__heap.region, &object) == GC_KIND_UNCOLLECTABLE;
}

static inline void free_object(const char *call, void *address)
{
    if (GC_UNLIKELY(gc__arena_owns(address)))
        gc__arena_free(address);
    else if (address != NULL && (frees_are_honoured() || is_kept(address)))
        free_in_heap(call, address);
}

static __attribute__((noinline)) void unprotect(void *address)
{
    struct object object;
    uintptr_t start;

    if (!is_in_heap(address) || gc__in_middle(GC_CALLER_SP) || !find(address, &object))
        return;
    start = (uintptr_t)gc__object_start(&gc__heap.region, &object);
    gc__unprotect((struct gc__range){start, start + gc__object_bytes(&gc__heap.region, &object)});
}

static __attribute__((noinline)) void free_slowly(void *address)
{
    if (GC_UNLIKELY(gc__protected_count != 0))
        unprotect(address);
    free_object("free", address);
}

static __attribute__((noinline)) void stop_and_free(bool done, void *address)
{
    gc__world_stop_here(&gc__heap.world, gc__mutator);
    gc__end_call();
    if (!done)
        free_slowly(address);
}

/* Of a cell that was handed out. */
static inline __attribute__((always_inline)) bool put_into_magazine(struct mutator *mutator, const void *address)
{
    struct object object;
    struct run *run;
    unsigned lane;

    if (!find_cell(address, &object))
        return false;
    lane = object.block->lane;
    if (GC_UNLIKELY(lane >= GC_BUILTIN_LANES))
        return false;
    run = &mutator->runs[lane];
    return !((const char *)address >= run->cur && (const char *)address < run->end) &&
           gc__magazine_put_at(&gc__heap, mutator, run, &mutator->magazines[lane], &object);
}

/* Into the magazine, as nearly all are that are in the heap; else the long way, be it
 * right or wrong. */
static __attribute__((noinline)) void free_honoured(void *address)
{
    struct mutator *mutator = gc__mutator;
    bool done;

    if (GC_UNLIKELY(gc__in_fast_middle(mutator) || !gc__mutator_exists(mutator) || mutator->over)) {
        free_slowly(address);
        return;
    }
    gc__begin_call();
    gc__world_begin(mutator);
    done = put_into_magazine(mutator, address);
    if (GC_UNLIKELY(gc__world_end_is_asked(mutator))) {
        stop_and_free(done, address);
        return;
    }
    gc__end_call();
    if (GC_UNLIKELY(!done))
        free_slowly(address);
}

EXPORT void free(void *address)
{
    if (GC_UNLIKELY(!is_in_heap(address) || gc__protected_count != 0))
        free_slowly(address);
    else if (frees_are_honoured())
        free_honoured(address);
    else if (GC_UNLIKELY(some_is_kept))
        free_slowly(address);
}

/* ---- Resizing ------------------------------------------------------------------------------ */

static inline __attribute__((always_inline)) void *move(void *address, size_t bytes)
{
    void *moved = allocate("realloc", bytes, false);

    if (moved == NULL)
        return NULL;
    memcpy(moved, address, gc__min(usable_bytes(address), bytes));
    free_object("realloc", address);
    return moved;
}

static void *resize_spilled(uintptr_t sp, const char *call, uintptr_t address, uintptr_t bytes)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);
    struct object object;
    void *resized;

    if (!find((void *)address, &object))
        refuse(call, (void *)address);
    resized = gc__reallocate(&gc__heap, mutator, object, (void *)address, bytes,
                             frees_are_honoured() || is_kept((void *)address));
    gc__end_call();
    return resized;
}

/* To more than the heap knows. */
static bool is_over_aligned(const void *address)
{
    struct object object;

    return (uintptr_t)address % GC_CHUNK_BYTES == 0 && find(address, &object) &&
           gc__object_start(&gc__heap.region, &object) != address;
}

/* glibc frees where the size is 0. An object of the arena, or one that is over-aligned,
 * becomes an ordinary one; what others allocated for a keeper is kept from then on. Inline, as
 * who has called is asked for. */
static inline __attribute__((always_inline)) void *resize(void *address, size_t bytes)
{
    if (address == NULL)
        return allocate("realloc", bytes, false);
    if (bytes == 0) {
        free_object("realloc", address);
        return NULL;
    }
    if (gc__arena_owns(address) || gc__in_middle(GC_CALLER_SP) || is_over_aligned(address) ||
        (CALLER_IS_KEEPER && is_in_heap(address) && !is_kept(address)))
        return move(address, bytes);
    gc__begin_call();
    return gc__os_spill_registers(resize_spilled, "realloc", (uintptr_t)address, bytes);
}

EXPORT void *realloc(void *address, size_t bytes)
{
    return resize(address, bytes);
}

EXPORT void *reallocarray(void *address, size_t count, size_t bytes)
{
    size_t all;

    return __builtin_mul_overflow(count, bytes, &all) ? out_of_memory() : resize(address, all);
}

/* ---- The simple ones ------------------------------------------------------------------------- */

EXPORT void *malloc(size_t bytes)
{
    return allocate("malloc", bytes, false);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    size_t all;

    return __builtin_mul_overflow(count, bytes, &all) ? out_of_memory() : allocate("calloc", all, true);
}

/* ---- Alignment --------------------------------------------------------------------------------- */

/* Beyond what the heap knows: a part of a larger object, which any address in it keeps. Inline,
 * as who has called is asked for. */
static inline __attribute__((always_inline)) void *allocate_aligned(const char *call, size_t alignment, size_t bytes)
{
    void *(*allocate_it)(const char *call, size_t bytes, size_t alignment, uintptr_t sp) = allocate_slow;
    char *object;

    if (alignment <= GC_GRANULE_BYTES)
        return allocate(call, bytes, false);
    if (CALLER_IS_KEEPER)
        allocate_it = keep;
    if (alignment <= GC_CHUNK_BYTES)
        return allocate_it(call, bytes, alignment, GC_CALLER_SP);
    if (bytes > SIZE_MAX - alignment)
        return out_of_memory();
    object = allocate_it(call, bytes + alignment, GC_CHUNK_BYTES, GC_CALLER_SP);
    return object != NULL ? (void *)gc__align_up((uintptr_t)object, alignment) : NULL;
}

/* glibc takes any alignment, and rounds it up to a power of two. */
static inline __attribute__((always_inline)) void *allocate_to_power(const char *call, size_t alignment, size_t bytes)
{
    size_t power = gc__power_of_two_for(alignment);

    if (power != 0)
        return allocate_aligned(call, power, bytes);
    errno = EINVAL;
    return NULL;
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
    return allocate_to_power("memalign", alignment, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return allocate_to_power("aligned_alloc", alignment, bytes);
}

EXPORT int posix_memalign(void **result, size_t alignment, size_t bytes)
{
    int saved_errno = errno;
    void *object;

    if (!gc__is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    object = allocate_aligned("posix_memalign", alignment, bytes);
    errno = saved_errno;
    if (object == NULL)
        return ENOMEM;
    *result = object;
    return 0;
}

EXPORT void *valloc(size_t bytes)
{
    return allocate_aligned("valloc", gc__os_page_bytes(), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = gc__os_page_bytes();

    return bytes > SIZE_MAX - page ? out_of_memory() : allocate_aligned("pvalloc", page, gc__align_up(bytes, page));
}

/* ---- Asking -------------------------------------------------------------------------------------- */

EXPORT size_t malloc_usable_size(void *address)
{
    return address != NULL ? usable_bytes(address) : 0;
}

static void *trim_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);

    (void)a, (void)b;
    gc__world_begin(mutator);
    gc__collect_hard(&gc__heap);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    gc__end_call();
    return NULL;
}

EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    if (gc__in_middle(GC_CALLER_SP) || !gc__heap.started)
        return 0;
    gc__begin_call();
    gc__os_spill_registers(trim_spilled, "malloc_trim", 0, 0);
    return 1;
}
