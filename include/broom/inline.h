/* broom/inline.h - gc_malloc and gc_malloc_atomic with their fast path inlined,
 * for the allocator of a language runtime, where the call itself counts.
 *
 * They do what the functions do; the same holds for them in every respect. Sizes
 * above 128 bytes are passed on to those. Inlining pays where the size is a
 * constant; elsewhere it makes the program larger, and hardly faster.
 *
 * What is compiled here is part of the program: the layout below belongs to the
 * library's soname. */
#ifndef BROOM_INLINE_H
#define BROOM_INLINE_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Free cells that the thread bumps through: the next, and where they end. */
struct gc_run {
    char *next;
    char *end;
    uint64_t reserved[2];
};

/* The calling thread's runs, by size class, those for atomic objects behind the
 * others. Up to GC_INLINE_BYTES there is a class for every 8 bytes. */
#define GC_INLINE_BYTES 128
#define GC_INLINE_CLASSES 87
GC__EXPORT extern __thread struct gc_run *gc_runs __attribute__((tls_model("initial-exec")));

#define GC__INLINE static inline __attribute__((always_inline))

GC__INLINE struct gc_run *gc__inline_run(size_t first_class, size_t bytes)
{
    return &gc_runs[first_class + (bytes - 1) / 8];
}

/* The object is held by `cell` from before it leaves the run: hence the empty
 * instruction, without which the compiler might know the object by the end of its
 * cell alone. */
GC__INLINE void *gc__inline_next(struct gc_run *run, size_t bytes)
{
    char *cell = run->next;

    __asm__("" : "+r"(cell));
    run->next = cell + ((bytes + 15) & ~(size_t)15);
    return cell;
}

/* Small enough, and the run is not used up. */
GC__INLINE bool gc__inline_serves(size_t first_class, size_t bytes)
{
    if (bytes - 1 >= GC_INLINE_BYTES)
        return false;
    return __builtin_expect(gc__inline_run(first_class, bytes)->next != gc__inline_run(first_class, bytes)->end, 1);
}

GC__INLINE GC__MALLOC GC__SIZE(1) void *gc_malloc_inline(size_t bytes)
{
    if (!gc__inline_serves(0, bytes))
        return gc_malloc(bytes);
    return gc__inline_next(gc__inline_run(0, bytes), bytes);
}

GC__INLINE GC__MALLOC GC__SIZE(1) void *gc_malloc_atomic_inline(size_t bytes)
{
    if (!gc__inline_serves(GC_INLINE_CLASSES, bytes))
        return gc_malloc_atomic(bytes);
    return gc__inline_next(gc__inline_run(GC_INLINE_CLASSES, bytes), bytes);
}

#ifdef __cplusplus
}
#endif

#endif
