/* broom/weak.h - pointers that keep nothing alive: weak links, weak references,
 * ephemerons, and weak maps.
 *
 * A **weak link** is a word of yours that is set to NULL when the object it points at
 * dies. It must lie where the collector does not look for pointers, or it would keep the
 * object alive: in an atomic object, in a word that a layout leaves out, or in memory
 * from malloc or mmap that is not a root. It must not lie in a static or thread-local
 * variable or on a stack, which are roots; nor in memory from malloc where that is a
 * root (BROOM_ROOTS=mappings) or where Broom replaces malloc.
 *
 * A **weak reference** is a small object with such a word in it.
 *
 * An **ephemeron** is an object with a key and a value. It does not keep the key
 * alive, and it keeps the value only as long as the key lives. So the value may lead
 * to the key; with other weak pointers that would keep both alive for ever.
 *
 * A **weak map** is a hash table whose entries end by themselves: they are not found any
 * more. They are taken out of the table when it is used: after a collection each operation
 * does so in a few buckets, gc_weak_map_count and gc_weak_map_each in all, and the table
 * may shrink when something is put into it.
 *
 * An object counts as dead here when it cannot be reached from the roots. If it has
 * finalizers, these can still reach it, so there are two times at which a link or
 * reference may be cleared: with GC_CLEAR_EARLY before any finalizer of the object runs,
 * so that nobody finds an object that is being finalized; with GC_CLEAR_LATE when the
 * object is reclaimed, so that it is still found if a finalizer brings it back to life.
 * Ephemerons and maps are cleared early.
 *
 * Reading a link is an ordinary load, and what it yields is an ordinary pointer, which
 * keeps the object alive: compare it with NULL, then use it.
 *
 * Anything that is not the start of an object of the heap, such as a constant or a tagged
 * integer, is taken to live for ever. So never link to the middle of an object (a base
 * class, something in an arena): the link would not be cleared when the object dies.
 *
 * gc_free clears the weak pointers to its object at once. gc_realloc makes them follow
 * the object, also where it is the key of a map by address. Do not resize weak
 * references, ephemerons and maps themselves. Links that lie in an object end when that
 * object is freed or moved. */
#ifndef BROOM_WEAK_H
#define BROOM_WEAK_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gc_clear { GC_CLEAR_EARLY, GC_CLEAR_LATE };

/* ---- Links ------------------------------------------------------------------- */

/* Stores `object` in `*link` and makes that a weak link. It remains one until the object
 * dies, until `*link` is linked to another object in this way, until gc_weak_unlink, or,
 * if it lies in an object of the heap, until that object dies. Storing anything else in
 * `*link` ends it as well. Memory outside the heap must stay readable while a link lies
 * in it. NULL as object: `*link` becomes NULL, and is no link.
 * Returns 0; ENOMEM (`*link` is NULL then); or EINVAL for another `clear`.
 * collects: never. */
GC__EXPORT int gc_weak_link(void **link, void *object, uint32_t clear);

/* Sets `*link` to NULL; it is no link any more.
 * collects: never. */
GC__EXPORT void gc_weak_unlink(void **link);

/* ---- References ---------------------------------------------------------------- */

typedef struct gc_weak_ref gc_weak_ref;

/* A new weak reference to `object`. NULL with errno = ENOMEM, or EINVAL as above.
 * collects: may. */
GC__EXPORT gc_weak_ref *gc_weak_ref_new(void *object, uint32_t clear);

/* The object, or NULL when it is dead.
 * collects: never. */
GC__EXPORT void *gc_weak_ref_get(const gc_weak_ref *ref);

/* ---- Ephemerons ---------------------------------------------------------------- */

typedef struct gc_ephemeron gc_ephemeron;

/* A new ephemeron. NULL with errno = ENOMEM, or EINVAL: NULL as key.
 * collects: may. */
GC__EXPORT gc_ephemeron *gc_ephemeron_new(void *key, void *value);

/* The key; the value. NULL when the key is dead.
 * collects: never. */
GC__EXPORT void *gc_ephemeron_key(const gc_ephemeron *ephemeron);
GC__EXPORT void *gc_ephemeron_value(const gc_ephemeron *ephemeron);

/* Gives the ephemeron another value. False: the key is dead, and nothing has changed.
 * collects: never. */
GC__EXPORT bool gc_ephemeron_set_value(gc_ephemeron *ephemeron, void *value);

/* ---- Maps ------------------------------------------------------------------------ *
 * Any thread may use a map at any time; a lock of its own guards it. (In the child
 * of a fork that other threads were using it in, it may be locked for ever, as any
 * lock of yours may be.) */

typedef struct gc_weak_map gc_weak_map;

/* An entry of GC_WEAK_VALUES keeps its key until it is taken out of the table, so a key
 * lives, and its finalizer waits, for some time after its value has died. And if a key leads
 * to its own value, both live as long as the map, unless the entry is removed. */
enum gc_weak_map_mode {
    GC_WEAK_KEYS,   /* ephemerons: an entry is there as long as its key lives, and keeps the value */
    GC_WEAK_VALUES, /* as long as its value lives; it keeps the key: for a table of symbols by name */
    GC_WEAK_BOTH    /* as long as both do; it keeps neither */
};

/* Two keys for which `equal` is true must have the same hash. Both functions may be called
 * with the map's lock held, so they must not use the map, allocate, or leave by longjmp. */
typedef size_t (*gc_weak_map_hash)(const void *key);
typedef bool (*gc_weak_map_equal)(const void *a, const void *b);

/* An empty map, an object like any other. NULL as hash and equal: keys are equal if
 * they are the same address. NULL with errno = EINVAL (for another mode, or one of
 * the two without the other), ENOMEM.
 * collects: may. */
GC__EXPORT gc_weak_map *gc_weak_map_new(uint32_t mode, gc_weak_map_hash hash, gc_weak_map_equal equal);

/* The value of a key; NULL: there is none.
 * collects: never. */
GC__EXPORT void *gc_weak_map_get(gc_weak_map *map, const void *key);

/* Gives the key a value in place of the one it has. An equal key takes the place of the
 * old one, too: the entry then goes with the new key. Returns 0, EINVAL (NULL as key or
 * value) or ENOMEM: then nothing has changed.
 * collects: may. */
GC__EXPORT int gc_weak_map_put(gc_weak_map *map, void *key, void *value);

/* Returns the value that the key has; if it has none, gives it `value` and returns that.
 * Several threads that do so at once all get the same value. NULL with errno = ENOMEM, or
 * EINVAL as above.
 * collects: may. */
GC__EXPORT void *gc_weak_map_get_or_put(gc_weak_map *map, void *key, void *value);

/* Removes a key. Returns the value that it had, or NULL.
 * collects: never. */
GC__EXPORT void *gc_weak_map_remove(gc_weak_map *map, const void *key);

/* How many entries there are.
 * collects: never. */
GC__EXPORT size_t gc_weak_map_count(gc_weak_map *map);

/* Calls visit(key, value, data) for all entries that there are now, in no order, and
 * with no lock held: it may allocate, collect, use the map, and leave by longjmp or an
 * exception. What is removed meanwhile may still be visited. Returns 0, or ENOMEM.
 * collects: may. */
GC__EXPORT int gc_weak_map_each(gc_weak_map *map, void (*visit)(void *key, void *value, void *data), void *data);

#ifdef __cplusplus
}
#endif

#endif
