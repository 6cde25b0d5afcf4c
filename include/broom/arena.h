/* broom/arena.h - objects that end together, and objects of one size that are given
 * back one by one.
 *
 * An *arena* hands out objects and releases them all at once: what one request, one
 * compilation, one frame needs. To allocate is to advance a pointer; to release does
 * not look at the objects. A *pool* hands out objects of one size and takes them
 * back.
 *
 * Both live in the heap. Their objects are scanned as those of gc_malloc are, may
 * point at any object and be pointed at, from anywhere. An arena or a pool that
 * nothing points at is collected like other objects, but for the pieces of it that
 * something still points into. Their objects have no life of their own: as long as
 * the arena is reachable, all of them are, and keep what they point at. gc_free,
 * gc_realloc and gc_usable_size do not take them (a misuse).
 *
 * What holds in addition to what broom.h says: an arena or a pool is used by one
 * thread at a time. */
#ifndef BROOM_ARENA_H
#define BROOM_ARENA_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Arenas ------------------------------------------------------------- */

struct gc_arena;

/* An empty arena.
 * collects: may. */
GC__EXPORT struct gc_arena *gc_arena_new(void) __attribute__((warn_unused_result));

/* As gc_malloc and gc_malloc_atomic, from the arena.
 * collects: may. */
GC__EXPORT void *gc_arena_malloc(struct gc_arena *arena, size_t bytes) GC__MALLOC GC__SIZE(2);
GC__EXPORT void *gc_arena_malloc_atomic(struct gc_arena *arena, size_t bytes) GC__MALLOC GC__SIZE(2);

/* All objects of the arena end here, and their memory is used again at once: what
 * still points at them points at something else. The arena may be used again.
 * With BROOM_CHECK_ARENAS=1 as gc_arena_release_checked, and where something still
 * points into the arena, a message on stderr that names the callers.
 * collects: never; with BROOM_CHECK_ARENAS always. */
GC__EXPORT void gc_arena_release(struct gc_arena *arena);

/* The same, but a collection looks first whether something still points into the
 * arena. Memory that it does is left to the collector, so that nothing dangles; the
 * rest is free. Returns into how many pieces of the arena something points: 0 if all
 * is well. A stale word on the stack may be taken for such a pointer.
 * collects: always. */
GC__EXPORT size_t gc_arena_release_checked(struct gc_arena *arena);

/* What the arena holds of the heap, in bytes.
 * collects: never. */
GC__EXPORT size_t gc_arena_bytes(const struct gc_arena *arena);

/* ---- Pools -------------------------------------------------------------- */

struct gc_pool;

/* A pool of objects of `bytes` bytes.
 * collects: may. */
GC__EXPORT struct gc_pool *gc_pool_new(size_t bytes) __attribute__((warn_unused_result));

/* An object, zeroed.
 * collects: may. */
GC__EXPORT void *gc_pool_get(struct gc_pool *pool) __attribute__((warn_unused_result));

/* Gives one back, which the next gc_pool_get hands out. It must be of this pool, and not
 * given back already; the latter is checked with BROOM_CHECK_ARENAS=1 (a misuse). NULL
 * does nothing.
 * collects: never. */
GC__EXPORT void gc_pool_put(struct gc_pool *pool, void *object);

/* All objects of the pool end, as of an arena.
 * collects: never; with BROOM_CHECK_ARENAS always. */
GC__EXPORT void gc_pool_release(struct gc_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
