/* ephemerons.c - times full collections of a million ephemerons: in one chain, where
 * the value of each is the key of the next, along it, against it, and in random order,
 * and in a weak map; beside lists and a hash table of ordinary objects of the same
 * shape. Broom only.
 */
#include "collection.h"

#include <broom/runtime.h>

enum { EPHEMERONS = 1000000 };

/* Two of these for each ephemeron. */
struct plain {
    struct plain *next, *other;
};

static void **root;
static void *volatile first_key; /* read by the collector alone */
static gc_weak_map *volatile map;

static void make_list(size_t count)
{
    struct plain *key = bench_alloc(sizeof *key);
    first_key = key;
    for (size_t i = 0; i < count; i++) {
        struct plain *pair = bench_alloc(sizeof *pair);
        root[i] = pair;
        pair->other = key;
        pair->next = bench_alloc(sizeof *key);
        key->next = pair->next;
        key = pair->next;
    }
}

static void make_chain(size_t count)
{
    void *key = bench_alloc(sizeof(struct plain));
    first_key = key;
    for (size_t i = 0; i < count; i++) {
        void *next = bench_alloc(sizeof(struct plain));
        root[i] = bench_checked(gc_ephemeron_new(key, next));
        key = next;
    }
}

static void make_chain_backwards(size_t count)
{
    void *key = bench_alloc(sizeof(struct plain));
    for (size_t i = 0; i < count; i++) {
        void *before = bench_alloc(sizeof(struct plain));
        root[i] = bench_checked(gc_ephemeron_new(before, key));
        key = before;
    }
    first_key = key;
}

/* A cycle through all of `count` in random order (S. Sattolo): i is followed by next[i]. */
static size_t *new_cycle(size_t count)
{
    size_t *next = bench_checked(malloc(count * sizeof *next));
    for (size_t i = 0; i < count; i++)
        next[i] = i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t other = bench_random_below(i), kept = next[i];
        next[i] = next[other];
        next[other] = kept;
    }
    return next;
}

/* In memory where the collector does not find them; it is at rest meanwhile. */
static struct plain **new_keys(size_t count)
{
    struct plain **key = bench_checked(malloc(count * sizeof *key));
    for (size_t i = 0; i < count; i++)
        key[i] = bench_alloc(sizeof **key);
    first_key = key[0];
    return key;
}

/* Of which nothing but the list leads to one object, as in the chain. */
static void make_list_at_random(size_t count)
{
    size_t *next = new_cycle(count);
    struct plain **key = new_keys(count);
    for (size_t i = 0; i < count; i++) {
        root[i] = bench_alloc(sizeof(struct plain));
        key[i]->next = key[next[i]];
    }
    free(next);
    free(key);
}

static void make_chain_at_random(size_t count)
{
    size_t *next = new_cycle(count);
    struct plain **key = new_keys(count);
    for (size_t i = 0; i < count; i++)
        root[i] = bench_checked(gc_ephemeron_new(key[i], key[next[i]]));
    free(next);
    free(key);
}

/* As a weak map is made, of chained entries. */
struct entry {
    void *key, *value;
    struct entry *next;
    size_t hash;
};

static void make_table(size_t count)
{
    size_t buckets = 1;
    struct entry **bucket;
    while (buckets < count)
        buckets *= 2;
    first_key = bucket = bench_alloc(buckets * sizeof *bucket);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = bench_alloc(sizeof *entry), **place;
        root[i] = entry->key = bench_alloc(sizeof(struct plain));
        entry->value = bench_alloc(sizeof(struct plain));
        entry->hash = bench_random();
        place = &bucket[entry->hash % buckets];
        entry->next = *place;
        *place = entry;
    }
}

static void make_map(size_t count)
{
    map = bench_checked(gc_weak_map_new(GC_WEAK_KEYS, NULL, NULL));
    for (size_t i = 0; i < count; i++) {
        void *value = bench_alloc(sizeof(struct plain));
        root[i] = bench_alloc(sizeof(struct plain));
        if (gc_weak_map_put(map, root[i], value) != 0)
            abort();
    }
}

static size_t intact;

static void count_chain(size_t count)
{
    size_t with_value = 0;
    for (size_t i = 0; i < count; i++)
        with_value += gc_ephemeron_value(root[i]) != NULL;
    intact += with_value == count;
}

static void measure(const char *name, size_t count, void (*make)(size_t count))
{
    bench_pause_collecting();
    make(count);
    bench_resume_collecting();
    printf("%s: ", name);
    bench_time_collections();
    bench_detail(name, bench.seconds * 1e3);
    if (make == make_chain || make == make_chain_backwards || make == make_chain_at_random)
        count_chain(count);
    memset(root, 0, count * sizeof *root);
    first_key = map = NULL;
    bench_collect();
    bench_collect();
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(EPHEMERONS);
    root = bench_alloc(count * sizeof *root);
    measure("plain_ms", count, make_list);
    measure("plain_table_ms", count, make_table);
    measure("map_ms", count, make_map);
    measure("plain_random_ms", count, make_list_at_random);
    measure("random_ms", count, make_chain_at_random);
    measure("backwards_ms", count, make_chain_backwards);
    measure("chain_ms", count, make_chain);
    return bench_finish(intact == 3, count);
}
