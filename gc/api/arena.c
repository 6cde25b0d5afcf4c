/* Arenas (regions: GC Handbook, 2nd ed., section 10.6) made of ordinary objects, so
 * that no other room knows of them: the arena's own, a list of its pieces, and the
 * pieces, from which objects are cut. The objects lie inside of a piece, never at its
 * start, so that no function takes one for an object of its own. */

#include <broom/arena.h>

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/base/tunables.h"
#include "gc/cycle/heap.h"

#include <string.h>

/* From which objects of one sort are cut: [next, end) is free, and zero if it is not
 * atomic. */
struct source {
    char *next;
    char *end;
    char *piece;
};

struct gc_arena {
    struct source scanned;
    struct source atomic;
    void **pieces;
    size_t count;
    size_t capacity;
    size_t piece_bytes; /* of the next */
};

struct gc_pool {
    struct gc_arena *arena;
    void *free; /* objects, each with the next in its first word */
    size_t bytes;
};

/* ---- Pieces ------------------------------------------------------------------------ */

static bool has_room(struct gc_arena *arena)
{
    size_t capacity = gc__max(2 * arena->capacity, 8);
    void **pieces;

    if (arena->count < arena->capacity)
        return true;
    pieces = gc_reallocarray(arena->pieces, capacity, sizeof *pieces);
    if (pieces == NULL)
        return false;
    arena->pieces = pieces;
    arena->capacity = capacity;
    return true;
}

/* The usable part of a new piece begins behind its first granule. */
static char *new_piece(struct gc_arena *arena, size_t bytes, bool atomic)
{
    size_t all;
    char *piece;

    if (__builtin_add_overflow(bytes, GC_GRANULE_BYTES, &all))
        all = SIZE_MAX; /* which no heap can hold: NULL and ENOMEM */
    if (!has_room(arena))
        return NULL;
    piece = atomic ? gc_malloc_atomic(all) : gc_malloc(all);
    if (piece == NULL)
        return NULL;
    arena->pieces[arena->count++] = piece;
    return piece + GC_GRANULE_BYTES;
}

static bool refill(struct gc_arena *arena, struct source *source, bool atomic)
{
    size_t bytes = arena->piece_bytes;
    char *start = new_piece(arena, bytes, atomic);

    if (start == NULL)
        return false;
    *source = (struct source){start, start + bytes, start - GC_GRANULE_BYTES};
    arena->piece_bytes = gc__min(2 * bytes, GC_ARENA_MAX_PIECE_BYTES);
    return true;
}

static __attribute__((noinline)) void *allocate_slow(struct gc_arena *arena, struct source *source, size_t bytes,
                                                     bool atomic)
{
    char *object;

    if (bytes > arena->piece_bytes / GC_ARENA_LARGE_SHARE) /* a piece of its own */
        return new_piece(arena, bytes, atomic);
    if (!refill(arena, source, atomic))
        return NULL;
    object = source->next;
    source->next += bytes;
    return object;
}

static inline void *allocate(struct gc_arena *arena, struct source *source, size_t bytes, bool atomic)
{
    size_t cell = gc__align_up(gc__max(bytes, 1), GC_GRANULE_BYTES);
    char *object = source->next;

    if (GC_UNLIKELY(cell < bytes))
        return gc_malloc(bytes); /* fails */
    if (GC_UNLIKELY(cell > (size_t)(source->end - object)))
        return allocate_slow(arena, source, cell, atomic);
    source->next = object + cell;
    return object;
}

/* ---- Arenas ------------------------------------------------------------------------- */

struct gc_arena *gc_arena_new(void)
{
    struct gc_arena *arena = gc_malloc(sizeof *arena);

    if (arena != NULL)
        arena->piece_bytes = GC_ARENA_PIECE_BYTES;
    return arena;
}

void *gc_arena_malloc(struct gc_arena *arena, size_t bytes)
{
    return allocate(arena, &arena->scanned, bytes, false);
}

void *gc_arena_malloc_atomic(struct gc_arena *arena, size_t bytes)
{
    return allocate(arena, &arena->atomic, bytes, true);
}

/* The piece in use is the largest as a rule, and what the next objects are cut from:
 * only what was handed out of it has to be cleared. */
static void begin_anew(struct source *source, bool atomic)
{
    char *start;

    if (source->piece == NULL)
        return;
    start = source->piece + GC_GRANULE_BYTES;
    if (!atomic)
        memset(start, 0, (size_t)(source->next - start));
    source->next = start;
}

static void release(struct gc_arena *arena)
{
    size_t kept = 0;

    for (size_t i = 0; i < arena->count; i++) {
        void *piece = arena->pieces[i];

        arena->pieces[i] = NULL;
        if (piece == arena->scanned.piece || piece == arena->atomic.piece)
            arena->pieces[kept++] = piece;
        else
            gc_free(piece);
    }
    arena->count = kept;
    begin_anew(&arena->scanned, false);
    begin_anew(&arena->atomic, true);
}

/* The arena lets go of its pieces, and remembers where they were. */
static __attribute__((noinline)) void hide_pieces(struct gc_arena *arena)
{
    arena->scanned = arena->atomic = (struct source){NULL, NULL, NULL};
    for (size_t i = 0; i < arena->count; i++)
        arena->pieces[i] = (void *)~(uintptr_t)arena->pieces[i];
}

static __attribute__((noinline)) size_t count_living(struct gc_arena *arena, uintptr_t *first)
{
    size_t living = 0;

    for (size_t i = 0; i < arena->count; i++) {
        void *piece = (void *)~(uintptr_t)arena->pieces[i];

        arena->pieces[i] = NULL;
        if (gc_base(piece) == piece && living++ == 0)
            *first = (uintptr_t)piece;
    }
    return living;
}

/* What nothing points into dies in the collection. */
static size_t release_checked(struct gc_arena *arena, uintptr_t *first)
{
    size_t living;

    hide_pieces(arena);
    gc_collect();
    living = count_living(arena, first);
    arena->count = 0;
    arena->piece_bytes = GC_ARENA_PIECE_BYTES;
    return living;
}

size_t gc_arena_release_checked(struct gc_arena *arena)
{
    uintptr_t first;

    return release_checked(arena, &first);
}

static void release_as(struct gc_arena *arena, const char *function, const char *what, const void *owner)
{
    uintptr_t first = 0;
    size_t living;

    if (GC_LIKELY(gc__heap.options.check_arenas == 0)) {
        release(arena);
        return;
    }
    living = release_checked(arena, &first);
    if (living > 0)
        gc__report("%s: something still points into %zu pieces of the %s at %p (the first is at %p)", function, living,
                   what, owner, (void *)first);
}

void gc_arena_release(struct gc_arena *arena)
{
    release_as(arena, "gc_arena_release", "arena", arena);
}

size_t gc_arena_bytes(const struct gc_arena *arena)
{
    size_t bytes = gc_usable_size(arena) + gc_usable_size(arena->pieces);

    for (size_t i = 0; i < arena->count; i++)
        bytes += gc_usable_size(arena->pieces[i]);
    return bytes;
}

/* ---- Pools ---------------------------------------------------------------------------- */

struct gc_pool *gc_pool_new(size_t bytes)
{
    struct gc_pool *pool = gc_malloc(sizeof *pool);

    if (pool == NULL)
        return NULL;
    pool->bytes = gc__max(bytes, sizeof(void *));
    pool->arena = gc_arena_new();
    return pool->arena != NULL ? pool : NULL;
}

void *gc_pool_get(struct gc_pool *pool)
{
    void *object = pool->free;

    if (object == NULL)
        return gc_arena_malloc(pool->arena, pool->bytes);
    memcpy(&pool->free, object, sizeof pool->free);
    memset(object, 0, sizeof pool->free); /* the rest is zero */
    return object;
}

/* What is free is zero behind its first word. */
static bool may_be_free(const struct gc_pool *pool, const char *object)
{
    for (size_t i = sizeof(void *); i < pool->bytes; i++)
        if (object[i] != 0)
            return false;
    return true;
}

static bool is_free(const struct gc_pool *pool, const void *object)
{
    const void *each = may_be_free(pool, object) ? pool->free : NULL;

    for (; each != NULL && each != object; each = *(void *const *)each)
        continue;
    return each != NULL;
}

/* What it pointed at is not kept any longer. */
void gc_pool_put(struct gc_pool *pool, void *object)
{
    if (object == NULL)
        return;
    if (GC_UNLIKELY(gc__heap.options.check_arenas != 0) && is_free(pool, object))
        GC_MISUSE("gc_pool_put", "%p was given back already", object);
    memset(object, 0, pool->bytes);
    memcpy(object, &pool->free, sizeof pool->free);
    pool->free = object;
}

void gc_pool_release(struct gc_pool *pool)
{
    pool->free = NULL;
    release_as(pool->arena, "gc_pool_release", "pool", pool);
}
