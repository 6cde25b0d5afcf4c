/* broom/arena.h - objects that end together, and objects of one size that are given
 * back one by one.
 *
 * An *arena* hands out objects and releases them all at once: what one request, one
 * compilation, one frame needs. Allocation advances a pointer, and a release does not
 * look at the objects. A *pool* hands out objects of one size and takes them back.
 *
 * Both live in the heap. Their objects are scanned as those of gc_malloc are, may
 * point at any object, and may be pointed at from anywhere. An arena or a pool that
 * nothing points at is collected like other objects, except for the pieces of it that
 * something still points into. Single objects of it are not collected: as long as the
 * arena is reachable, all of them are, and so is what they point at. To give one to
 * gc_free, gc_realloc or gc_usable_size is a misuse. The arena or pool itself may be given
 * to gc_free, which frees nothing else: what it handed out is left to the collector, as if
 * nothing pointed at the arena any more. Do not resize it.
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

/* Ends all objects of the arena. Their memory is reused at once, so a pointer that still
 * leads to one of them dangles. The arena may be used again. With BROOM_CHECK_ARENAS=1
 * this does what gc_arena_release_checked does and, if something still points into the
 * arena, prints a message on stderr that names the callers.
 * collects: never; with BROOM_CHECK_ARENAS always. */
GC__EXPORT void gc_arena_release(struct gc_arena *arena);

/* The same, but first a collection finds out whether something still points into the
 * arena. Pieces of memory that something points into are left to the collector, so that
 * nothing dangles; the rest is freed. Returns the number of such pieces: 0 if all is well.
 * A stale word on the stack may be taken for such a pointer.
 * collects: always. */
GC__EXPORT size_t gc_arena_release_checked(struct gc_arena *arena);

/* The bytes of heap memory that the arena holds.
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

/* Gives an object back; the next gc_pool_get hands it out again. It must be of this pool,
 * which is not checked, and must not have been given back already, which is a misuse that
 * BROOM_CHECK_ARENAS=1 detects. NULL does nothing.
 * collects: never. */
GC__EXPORT void gc_pool_put(struct gc_pool *pool, void *object);

/* Ends all objects of the pool, as gc_arena_release does for an arena.
 * collects: never; with BROOM_CHECK_ARENAS always. */
GC__EXPORT void gc_pool_release(struct gc_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
