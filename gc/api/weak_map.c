/* Weak maps: see broom/weak.h. They are hash tables with chained entries, made of
 * what a program could use as well: each entry is an ephemeron, or has weak links in
 * it, and the collector knows nothing of tables. When it clears an entry, that is
 * passed over from then on, and unlinked by those who come by.
 *
 * A thread may be stopped in the middle of anything here, and what it is at is seen by
 * the collector as it stands: an entry is complete, and attached to what it is weak
 * for, before it is linked. Nothing is allocated under the lock. */

#include "gc/api/weak.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

#include <errno.h>

/* Weak words are 0 when cleared. Keys and values never are otherwise. */
struct entry {
    struct ephemeron pair;
    struct entry *next;
    size_t hash;
};

struct gc_weak_map {
    _Atomic uint32_t lock; /* 0: free, 1: taken, 2: and waited for */
    uint32_t mode;
    gc_weak_map_hash hash;
    gc_weak_map_equal equal;
    struct entry **bucket;
    size_t buckets; /* a power of two */
    size_t count;   /* of entries, with those that were cleared and not unlinked yet */
    size_t cursor;  /* the bucket to be tidied next */
};

#define FIRST_BUCKETS 16
#define TIDY_BUCKETS 2 /* for each entry that is added: a map that is added to is soon rid of what was cleared */

/* ---- The lock ------------------------------------------------------------------------ */

static void lock(gc_weak_map *map)
{
    uint32_t free = 0;

    if (atomic_compare_exchange_strong_explicit(&map->lock, &free, 1, memory_order_acquire, memory_order_relaxed))
        return;
    while (atomic_exchange_explicit(&map->lock, 2, memory_order_acquire) != 0)
        gc__os_wait(&map->lock, 2, UINT64_MAX);
}

static void unlock(gc_weak_map *map)
{
    if (atomic_exchange_explicit(&map->lock, 0, memory_order_release) == 2)
        gc__os_wake(&map->lock, 1);
}

/* ---- Entries --------------------------------------------------------------------------- */

GC_OWN_STATE static gc_kind *_Atomic entry_kinds[GC_WEAK_BOTH + 1];
GC_OWN_STATE static gc_kind *_Atomic strong_kind; /* of entries for constants that nothing clears */

#define KEY_WORD 1u
#define VALUE_WORD 2u
#define NEXT_WORD 4u

static gc_kind *kind_for(uint32_t mode, bool key_is_object)
{
    static const char name[] = "weak map entry";
    size_t bytes = sizeof(struct entry);

    if (mode == GC_WEAK_KEYS && !key_is_object)
        return gc__weak_kind(&strong_kind, name, bytes, KEY_WORD | VALUE_WORD | NEXT_WORD, false);
    if (mode == GC_WEAK_KEYS)
        return gc__weak_kind(&entry_kinds[mode], name, bytes, NEXT_WORD, true);
    return gc__weak_kind(&entry_kinds[mode], name, bytes, mode == GC_WEAK_VALUES ? KEY_WORD | NEXT_WORD : NEXT_WORD,
                         false);
}

static bool make_weak(uintptr_t *word, void *object)
{
    return gc_weak_link((void **)word, object, GC_CLEAR_EARLY) == 0;
}

static bool fill_entry(struct entry *entry, uint32_t mode, void *key, void *value, bool key_is_object)
{
    if (mode == GC_WEAK_BOTH)
        return make_weak(&entry->pair.key, key) && make_weak(&entry->pair.value, value);
    entry->pair.key = (uintptr_t)key;
    if (mode == GC_WEAK_VALUES)
        return make_weak(&entry->pair.value, value);
    entry->pair.value = (uintptr_t)value;
    return !key_is_object || gc__weak_attach_ephemeron(&entry->pair);
}

static struct entry *new_entry(const gc_weak_map *map, void *key, void *value, size_t hash)
{
    bool key_is_object = map->mode == GC_WEAK_KEYS && gc__weak_is_object(key);
    gc_kind *kind = kind_for(map->mode, key_is_object);
    struct entry *entry = kind != NULL ? gc_new(kind) : NULL;

    if (entry == NULL)
        return NULL;
    entry->hash = hash;
    if (!fill_entry(entry, map->mode, key, value, key_is_object)) {
        errno = ENOMEM;
        entry = NULL;
    }
    GC_HOLD_UNTIL_HERE(key);
    GC_HOLD_UNTIL_HERE(value);
    return entry;
}

static uintptr_t load(const uintptr_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static bool is_cleared(const struct entry *entry)
{
    return load(&entry->pair.key) == 0 || load(&entry->pair.value) == 0;
}

/* ---- The table, under the lock ------------------------------------------------------------ */

static size_t hash_of(const gc_weak_map *map, const void *key)
{
    uint64_t word = map->hash != NULL ? map->hash(key) : (uintptr_t)key >> GC_GRANULE_SHIFT;

    return (size_t)((word * UINT64_C(0x9e3779b97f4a7c15)) >> 16);
}

/* The key is in a register while the two are compared, so that it lives. */
static bool has_key(const gc_weak_map *map, const struct entry *entry, const void *key, size_t hash)
{
    const void *own = (const void *)load(&entry->pair.key);
    bool same;

    if (entry->hash != hash || own == NULL)
        return false;
    same = own == key || (map->equal != NULL && map->equal(own, key));
    GC_HOLD_UNTIL_HERE(own);
    return same;
}

/* Where the entry of a key is linked, which is not cleared; or where the chain ends.
 * Its value is held by `value` from then on. */
static struct entry **find(gc_weak_map *map, const void *key, size_t hash, void **value)
{
    struct entry **place = &map->bucket[hash & (map->buckets - 1)];

    for (; *place != NULL; place = &(*place)->next) {
        *value = (void *)load(&(*place)->pair.value);
        if (*value != NULL && has_key(map, *place, key, hash))
            return place;
    }
    *value = NULL;
    return place;
}

static void unlink_entry(gc_weak_map *map, struct entry **place)
{
    *place = (*place)->next;
    map->count--;
}

static void tidy_bucket(gc_weak_map *map, size_t index)
{
    struct entry **place = &map->bucket[index];

    while (*place != NULL)
        if (is_cleared(*place))
            unlink_entry(map, place);
        else
            place = &(*place)->next;
}

static void tidy_some(gc_weak_map *map)
{
    for (unsigned i = 0; i < TIDY_BUCKETS; i++)
        tidy_bucket(map, map->cursor++ & (map->buckets - 1));
}

/* Linked into the new bucket first: seen from there or from here at any moment, or
 * from the stack. */
static void change_buckets(gc_weak_map *map, struct entry **bucket, size_t buckets)
{
    for (size_t i = 0; i < map->buckets; i++) {
        struct entry *entry = map->bucket[i], *next;

        for (; entry != NULL; entry = next) {
            struct entry **place = &bucket[entry->hash & (buckets - 1)];

            next = entry->next;
            entry->next = *place;
            *place = entry;
        }
    }
    map->bucket = bucket;
    map->buckets = buckets;
}

static void insert(gc_weak_map *map, struct entry *entry)
{
    struct entry **place = &map->bucket[entry->hash & (map->buckets - 1)];

    entry->next = *place;
    *place = entry;
    map->count++;
    tidy_some(map);
}

/* ---- Growing ---------------------------------------------------------------------------------- */

/* Called without the lock, and takes it. Only if most entries are not cleared. */
static bool grow(gc_weak_map *map, size_t buckets)
{
    struct entry **bucket = gc_calloc(2 * buckets, sizeof *bucket);

    if (bucket == NULL)
        return false;
    lock(map);
    if (map->buckets == buckets) {
        for (size_t i = 0; i < buckets; i++)
            tidy_bucket(map, i);
        if (map->count > buckets / 2)
            change_buckets(map, bucket, 2 * buckets);
    }
    unlock(map);
    return true;
}

/* A map that cannot grow has longer chains. */
static void make_room(gc_weak_map *map)
{
    size_t count, buckets;

    lock(map);
    count = map->count;
    buckets = map->buckets;
    unlock(map);
    if (count >= buckets)
        grow(map, buckets);
}

/* ---- The public functions ------------------------------------------------------------------------- */

gc_weak_map *gc_weak_map_new(uint32_t mode, gc_weak_map_hash hash, gc_weak_map_equal equal)
{
    gc_weak_map *map;

    if (mode > GC_WEAK_BOTH || (hash == NULL) != (equal == NULL)) {
        errno = EINVAL;
        return NULL;
    }
    map = gc_malloc(sizeof *map);
    if (map == NULL)
        return NULL;
    map->mode = mode;
    map->hash = hash;
    map->equal = equal;
    map->buckets = FIRST_BUCKETS;
    map->bucket = gc_calloc(FIRST_BUCKETS, sizeof *map->bucket);
    return map->bucket != NULL ? map : NULL;
}

void *gc_weak_map_get(gc_weak_map *map, const void *key)
{
    void *value;

    lock(map);
    find(map, key, hash_of(map, key), &value);
    unlock(map);
    return value;
}

/* Whether the key had a value: then `*value` is that. */
static bool get_or_insert(gc_weak_map *map, struct entry *entry, const void *key, void **value)
{
    bool had;

    lock(map);
    find(map, key, entry->hash, value);
    had = *value != NULL;
    if (!had)
        insert(map, entry);
    unlock(map);
    return had;
}

void *gc_weak_map_get_or_put(gc_weak_map *map, void *key, void *value)
{
    void *old = gc_weak_map_get(map, key);
    struct entry *entry;

    if (old != NULL)
        return old;
    if (key == NULL || value == NULL) {
        errno = EINVAL;
        return NULL;
    }
    entry = new_entry(map, key, value, hash_of(map, key));
    if (entry == NULL)
        return NULL;
    make_room(map);
    return get_or_insert(map, entry, key, &old) ? old : value;
}

/* In the entry that the key has, if that holds its value by an ordinary pointer. */
static bool replace_value(gc_weak_map *map, const void *key, void *value)
{
    struct entry **place;
    void *old;

    if (map->mode != GC_WEAK_KEYS)
        return false;
    lock(map);
    place = find(map, key, hash_of(map, key), &old);
    if (old != NULL)
        __atomic_store_n(&(*place)->pair.value, (uintptr_t)value, __ATOMIC_RELAXED);
    unlock(map);
    GC_HOLD_UNTIL_HERE(key);
    return old != NULL;
}

static void replace_entry(gc_weak_map *map, const void *key, struct entry *entry)
{
    struct entry **place;
    void *old;

    lock(map);
    place = find(map, key, entry->hash, &old);
    if (old != NULL)
        unlink_entry(map, place);
    insert(map, entry);
    unlock(map);
}

int gc_weak_map_put(gc_weak_map *map, void *key, void *value)
{
    struct entry *entry;

    if (key == NULL || value == NULL)
        return EINVAL;
    if (replace_value(map, key, value))
        return 0;
    entry = new_entry(map, key, value, hash_of(map, key));
    if (entry == NULL)
        return ENOMEM;
    make_room(map);
    replace_entry(map, key, entry);
    GC_HOLD_UNTIL_HERE(value);
    return 0;
}

void *gc_weak_map_remove(gc_weak_map *map, const void *key)
{
    struct entry **place;
    void *value;

    lock(map);
    place = find(map, key, hash_of(map, key), &value);
    if (value != NULL)
        unlink_entry(map, place);
    unlock(map);
    return value;
}

size_t gc_weak_map_count(gc_weak_map *map)
{
    size_t count;

    lock(map);
    for (size_t i = 0; i < map->buckets; i++)
        tidy_bucket(map, i);
    count = map->count;
    unlock(map);
    return count;
}

/* Under the lock: `pairs` has room for `room` of them. */
static size_t copy_pairs(gc_weak_map *map, struct ephemeron *pairs, size_t room)
{
    size_t count = 0;

    for (size_t i = 0; i < map->buckets; i++)
        for (const struct entry *entry = map->bucket[i]; entry != NULL && count < room; entry = entry->next) {
            struct ephemeron pair = {load(&entry->pair.key), load(&entry->pair.value)};

            if (pair.key != 0 && pair.value != 0)
                pairs[count++] = pair;
        }
    return count;
}

int gc_weak_map_each(gc_weak_map *map, void (*visit)(void *key, void *value, void *data), void *data)
{
    struct ephemeron *pairs = NULL;
    size_t room, count;

    do {
        room = gc_weak_map_count(map) + FIRST_BUCKETS;
        pairs = gc_calloc(room, sizeof *pairs);
        if (pairs == NULL)
            return ENOMEM;
        lock(map);
        count = map->count <= room ? copy_pairs(map, pairs, room) : SIZE_MAX;
        unlock(map);
    } while (count == SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        visit((void *)pairs[i].key, (void *)pairs[i].value, data);
    return 0;
}
