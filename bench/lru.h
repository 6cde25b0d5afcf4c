/* lru.h - a cache of values, as a server keeps of its files or rows: a hash table finds
 * an entry by its key, a list in order of use tells which was not used for longest. That
 * one goes when room is needed. The values have 32 bytes to 4 KiB and no pointers.
 */
#ifndef BENCH_LRU_H
#define BENCH_LRU_H

#include "program.h"

enum {
    REPLACE_EVERY = 16,  /* of so many requests that find an entry, one gives it another value */
    BUCKETS = 1 << 17,   /* a power of two */
    SMALLEST_VALUE = 32, /* bytes */
    DOUBLINGS = 7        /* up to 4 KiB */
};

struct entry {
    struct entry *next; /* of the same bucket */
    struct entry *newer, *older;
    unsigned char *value; /* all bytes alike */
    size_t bytes;
    size_t key;
    size_t version; /* which value it has: it is made from the key and this */
};

static struct {
    struct entry **buckets;
    struct entry *newest, *oldest;
    size_t entries;
    size_t bytes, capacity_bytes;
    size_t hits;
} cache;

static struct entry **bucket_of(size_t key)
{
    return &cache.buckets[(key * UINT64_C(11400714819323198485)) >> 32 & (BUCKETS - 1)];
}

static struct entry *find(size_t key)
{
    struct entry *entry = *bucket_of(key);
    while (entry && entry->key != key)
        entry = entry->next;
    return entry;
}

static unsigned char tag(const struct entry *entry)
{
    return (unsigned char)(entry->key * 37 + entry->version * 101 + 11);
}

static void set_value(struct entry *entry, size_t version)
{
    size_t smallest = (size_t)SMALLEST_VALUE << bench_random_below(DOUBLINGS);
    entry->version = version;
    entry->bytes = smallest + bench_random_below(smallest);
    entry->value = bench_alloc_atomic(entry->bytes);
    memset(entry->value, tag(entry), entry->bytes);
    cache.bytes += entry->bytes;
}

static void drop_value(struct entry *entry)
{
    cache.bytes -= entry->bytes;
    bench_free(entry->value);
}

static void link_newest(struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache.newest;
    *(cache.newest ? &cache.newest->newer : &cache.oldest) = entry;
    cache.newest = entry;
}

static void unlink_entry(struct entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache.newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache.oldest) = entry->newer;
}

static void put(size_t key, size_t version)
{
    struct entry *entry = bench_alloc(sizeof *entry);
    entry->key = key;
    set_value(entry, version);
    struct entry **bucket = bucket_of(key);
    entry->next = *bucket;
    *bucket = entry;
    link_newest(entry);
    cache.entries++;
}

static void evict(struct entry *entry)
{
    struct entry **link = bucket_of(entry->key);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    unlink_entry(entry);
    drop_value(entry);
    bench_free(entry);
    cache.entries--;
}

static bool ends_intact(const struct entry *entry)
{
    return entry->value[0] == tag(entry) && entry->value[entry->bytes - 1] == tag(entry);
}

/* Returns whether the value, if there is one, is what was put in. */
static bool request(size_t key, size_t version)
{
    bool correct = true;
    struct entry *entry = find(key);
    if (entry) {
        correct = ends_intact(entry);
        if (++cache.hits % REPLACE_EVERY == 0) {
            drop_value(entry);
            set_value(entry, version);
        }
        unlink_entry(entry);
        link_newest(entry);
    } else {
        put(key, version);
    }
    while (cache.bytes > cache.capacity_bytes)
        evict(cache.oldest);
    return correct;
}

static bool cache_intact(uint64_t *checksum)
{
    size_t entries = 0;
    size_t bytes = 0;
    for (struct entry *entry = cache.newest; entry; entry = entry->older) {
        for (size_t i = 0; i < entry->bytes; i++)
            if (entry->value[i] != tag(entry))
                return false;
        if (find(entry->key) != entry)
            return false;
        *checksum = *checksum * 31 + entry->key + entry->version;
        entries++;
        bytes += entry->bytes;
    }
    return entries == cache.entries && bytes == cache.bytes;
}

/* Low keys are asked for more often. */
static bool request_any(size_t keys, size_t version)
{
    size_t limit = 1 + bench_random_below(keys);
    return request(bench_random_below(limit), version);
}

static void make_cache(size_t capacity_bytes)
{
    cache.capacity_bytes = capacity_bytes;
    cache.buckets = bench_alloc(BUCKETS * sizeof *cache.buckets);
}

#endif
