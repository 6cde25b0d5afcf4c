/* Weak maps: see broom/weak.h. They are hash tables with chained entries, made of
 * what a program could use as well: each entry is an ephemeron, or has weak links in
 * it, and the collector knows nothing of tables. What it clears is unlinked by those who
 * come by; and after each collection every operation looks through a few buckets, until
 * all were. The array of buckets is made smaller by the next that adds something.
 *
 * A thread may be stopped in the middle of anything here, and what it is at is seen by
 * the collector as it stands: an entry is complete, and attached to what it is weak
 * for, before it is linked. Nothing is allocated under the lock. */

#include "gc/api/weak.h"

#include "gc/api/enter.h"
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
    size_t buckets;       /* a power of two */
    size_t count;         /* of entries, with those that were cleared and not unlinked yet */
    size_t cursor;        /* the bucket to be tidied next, */
    size_t untidy;        /* and how many are still to be, */
    uint64_t collections; /* after so many of these */
    uint64_t moves;       /* of objects, that the table takes account of */
};

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

/* Addresses differ in their middle bits, numbers of floating point or with a tag in their
 * upper ones: a bucket is to depend on all of them. (The last steps of MurmurHash3.) */
static size_t hash_of(const gc_weak_map *map, const void *key)
{
    uint64_t word = map->hash != NULL ? map->hash(key) : (uintptr_t)key;

    word = (word ^ word >> 33) * UINT64_C(0xff51afd7ed558ccd);
    word = (word ^ word >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (size_t)(word ^ word >> 33);
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

static void unlink_entry(gc_weak_map *map, struct entry **place)
{
    *place = (*place)->next;
    map->count--;
}

/* Where the entry of a key is linked, which is not cleared; or where the chain ends.
 * Its value is held by `value` from then on. */
static struct entry **find(gc_weak_map *map, const void *key, size_t hash, void **value)
{
    struct entry **place = &map->bucket[hash & (map->buckets - 1)];

    while (*place != NULL) {
        *value = (void *)load(&(*place)->pair.value);
        if (*value == NULL || load(&(*place)->pair.key) == 0)
            unlink_entry(map, place);
        else if (has_key(map, *place, key, hash))
            return place;
        else
            place = &(*place)->next;
    }
    *value = NULL;
    return place;
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

/* What gc_free clears meanwhile waits for the next collection, or is found in passing. */
static void tidy_some(gc_weak_map *map)
{
    uint64_t collections = __atomic_load_n(&gc__heap.record.collections, __ATOMIC_RELAXED);

    if (collections != map->collections) {
        map->collections = collections;
        map->untidy = map->buckets;
    }
    for (unsigned i = 0; i < GC_MAP_TIDY_BUCKETS && map->untidy > 0; i++, map->untidy--)
        tidy_bucket(map, map->cursor++ & (map->buckets - 1));
}

/* ---- Keys that moved --------------------------------------------------------------------- *
 * By gc_realloc. Their entries know that, but stand where the old address has its place. */

static bool is_by_weak_address(const gc_weak_map *map)
{
    return map->hash == NULL && map->mode != GC_WEAK_VALUES;
}

/* Out of this bucket, those that belong into another. */
static void relink_moved(gc_weak_map *map, size_t index)
{
    struct entry **place = &map->bucket[index];

    while (*place != NULL) {
        struct entry *entry = *place, **to;
        uintptr_t key = load(&entry->pair.key);
        size_t hash = hash_of(map, (const void *)key);

        if (key == 0 || hash == entry->hash) {
            place = &entry->next;
            continue;
        }
        *place = entry->next; /* the entry is seen from the stack meanwhile */
        to = &map->bucket[hash & (map->buckets - 1)];
        entry->hash = hash;
        entry->next = *to;
        *to = entry;
        GC_HOLD_UNTIL_HERE(entry);
    }
}

static void follow_last_moves(gc_weak_map *map)
{
    struct attached *attached = &gc__heap.attached;

    for (; map->moves != attached->moves; map->moves++) {
        uintptr_t from = attached->moved[map->moves % GC_MOVES_KEPT].from;

        relink_moved(map, hash_of(map, (const void *)from) & (map->buckets - 1));
    }
}

/* All were looked at, whatever moved. */
static void follow_all_moves(gc_weak_map *map, uint64_t moves)
{
    map->moves = moves;
    for (size_t i = 0; i < map->buckets; i++)
        relink_moved(map, i);
}

static void follow_moves(gc_weak_map *map)
{
    uint64_t moves;
    bool kept;

    if (atomic_load_explicit(&gc__heap.attached.moves, memory_order_acquire) == map->moves || !is_by_weak_address(map))
        return;
    gc__enter("gc_weak_map");
    gc__world_lock(&gc__heap.world);
    moves = gc__heap.attached.moves;
    kept = moves - map->moves <= GC_MOVES_KEPT;
    if (kept)
        follow_last_moves(map);
    gc__world_unlock(&gc__heap.world);
    if (!kept)
        follow_all_moves(map, moves);
}

/* Every operation on the table begins so. */
static void lock_table(gc_weak_map *map)
{
    lock(map);
    follow_moves(map);
    tidy_some(map);
}

/* ---- The number of buckets ----------------------------------------------------------------- */

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
}

/* A map that is far too large is made to fit, with as much room again. */
static size_t buckets_for(size_t count, size_t buckets)
{
    if (count >= buckets)
        return 2 * buckets;
    if (count < buckets / GC_MAP_SPARSE_SHARE)
        for (buckets = GC_MAP_BUCKETS; buckets < 2 * count;)
            buckets *= 2;
    return buckets;
}

/* Called without the lock, and takes it. It grows only if most entries are not
 * cleared. */
static void resize(gc_weak_map *map, size_t from, size_t to)
{
    struct entry **bucket = gc_calloc(to, sizeof *bucket);

    if (bucket == NULL)
        return;
    lock(map);
    if (map->buckets == from) {
        for (size_t i = 0; i < from; i++)
            tidy_bucket(map, i);
        if (to < from || map->count > from / 2)
            change_buckets(map, bucket, to);
    }
    unlock(map);
}

/* For one entry more. A map that cannot grow has longer chains. */
static void make_room(gc_weak_map *map)
{
    size_t buckets, wanted;

    lock(map);
    buckets = map->buckets;
    wanted = buckets_for(map->count, buckets);
    unlock(map);
    if (wanted != buckets)
        resize(map, buckets, wanted);
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
    map->buckets = GC_MAP_BUCKETS;
    map->bucket = gc_calloc(GC_MAP_BUCKETS, sizeof *map->bucket);
    return map->bucket != NULL ? map : NULL;
}

void *gc_weak_map_get(gc_weak_map *map, const void *key)
{
    void *value;

    if (key == NULL)
        return NULL;
    lock_table(map);
    find(map, key, hash_of(map, key), &value);
    unlock(map);
    return value;
}

/* Whether the key had a value: then `*value` is that. */
static bool get_or_insert(gc_weak_map *map, struct entry *entry, const void *key, void **value)
{
    bool had;

    lock_table(map);
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

/* In the entry of this very key, if that holds its value by an ordinary pointer. An equal
 * one has to go with its entry: the value is to live as long as the new key does. */
static bool replace_value(gc_weak_map *map, const void *key, void *value)
{
    struct entry **place;
    void *old;
    bool same;

    if (map->mode != GC_WEAK_KEYS)
        return false;
    lock_table(map);
    place = find(map, key, hash_of(map, key), &old);
    same = old != NULL && load(&(*place)->pair.key) == (uintptr_t)key;
    if (same)
        __atomic_store_n(&(*place)->pair.value, (uintptr_t)value, __ATOMIC_RELAXED);
    unlock(map);
    GC_HOLD_UNTIL_HERE(key);
    return same;
}

static void replace_entry(gc_weak_map *map, const void *key, struct entry *entry)
{
    struct entry **place;
    void *old;

    lock_table(map);
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

    if (key == NULL)
        return NULL;
    lock_table(map);
    place = find(map, key, hash_of(map, key), &value);
    if (value != NULL)
        unlink_entry(map, place);
    unlock(map);
    return value;
}

size_t gc_weak_map_count(gc_weak_map *map)
{
    size_t count;

    lock_table(map);
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
        room = gc_weak_map_count(map) + GC_MAP_BUCKETS;
        pairs = gc_calloc(room, sizeof *pairs);
        if (pairs == NULL)
            return ENOMEM;
        lock_table(map);
        count = map->count <= room ? copy_pairs(map, pairs, room) : SIZE_MAX;
        unlock(map);
    } while (count == SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        visit((void *)pairs[i].key, (void *)pairs[i].value, data);
    return 0;
}
