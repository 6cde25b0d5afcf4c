/* test_weak_map_finalizers.c - weak maps whose keys have finalizers, which bring them
 * back; and maps of which several threads drop keys and values. */
#define _GNU_SOURCE
#include "test/nearly.h"
#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY = 400, THREADS = 4, NAMES = 64 };

static gc_weak_map *map;
static gc_finalizer_queue *queue;
static atomic_size_t finalized, found;
static atomic_uintptr_t now; /* which mode is tried */

/* ---- Keys that come back --------------------------------------------------------------------- */

static uintptr_t *new_object(uintptr_t number)
{
    uintptr_t *object = gc_malloc(32);

    object[0] = number;
    return object;
}

/* The entry is gone by then: maps are cleared early. A key that a stray word kept may come
 * when the next mode is tried. */
static void come_back(void *object, void *mode)
{
    const uintptr_t *key = object;

    if ((uintptr_t)mode != now)
        return;
    found += gc_weak_map_get(map, key) != NULL;
    root_words()[key[0]] = (uintptr_t)key;
    finalized++;
}

/* The value leads to the key; half of the keys lead to the value, too, unless the map
 * keeps the key. */
static __attribute__((noinline)) void make_dead_keys(enum gc_weak_map_mode mode)
{
    for (uintptr_t i = 0; i < MANY; i++) {
        uintptr_t *key = new_object(i), *value = new_object(i);

        value[1] = (uintptr_t)key;
        if (mode != GC_WEAK_VALUES && i % 2 == GC_FINALIZE_UNORDERED)
            key[1] = (uintptr_t)value;
        cr_assert_eq(gc_weak_map_put(map, key, value), 0);
        cr_assert_eq(gc_set_finalizer_in(queue, key, come_back, (void *)(uintptr_t)mode, i % 2), 0);
    }
}

/* Whoever runs them. A key that its entry keeps dies when that is unlinked, which an
 * operation does. */
static void wait_for_finalizers(void)
{
    collect_with_clear_stack();
    gc_weak_map_count(map);
    gc_collect_and_finalize(queue);
    for (unsigned i = 0; finalized < MANY - MANY / 20 && i < 10000; i++)
        usleep(1000);
    check_nearly(finalized, MANY);
}

static __attribute__((noinline)) void check_put_again(void)
{
    for (uintptr_t i = 0; i < MANY; i++) {
        uintptr_t *key = (uintptr_t *)root_words()[i];

        if (key == NULL)
            continue;
        cr_assert(gc_base(key) == key && key[0] == i);
        cr_assert_null(gc_weak_map_get(map, key));
        root_words()[MANY + i] = (uintptr_t)new_object(MANY + i);
        cr_assert_eq(gc_weak_map_put(map, key, (void *)root_words()[MANY + i]), 0);
    }
    collect_with_clear_stack();
    for (uintptr_t i = 0; i < MANY; i++)
        if (root_words()[i] != 0)
            cr_assert_eq(gc_weak_map_get(map, (void *)root_words()[i]), (void *)root_words()[MANY + i]);
}

static void check_come_back(enum gc_finalizer_mode queue_mode)
{
    make_roots();
    for (unsigned mode = GC_WEAK_KEYS; mode <= GC_WEAK_BOTH; mode++) {
        drop_roots();
        now = mode;
        finalized = found = 0;
        map = gc_weak_map_new(mode, NULL, NULL);
        queue = gc_finalizer_queue_new(queue_mode);
        make_dead_keys(mode);
        wait_for_finalizers();
        cr_assert_eq(found, 0);
        check_put_again();
        for (size_t i = 0; i < MANY; i++)
            root_words()[mode == GC_WEAK_VALUES ? MANY + i : i] = 0;
        collect_with_clear_stack();
        check_nearly(MANY - gc_weak_map_count(map), MANY);
    }
}

Test(weak_map_finalizers, on_demand)
{
    check_come_back(GC_FINALIZE_ON_DEMAND);
}

Test(weak_map_finalizers, at_allocation)
{
    check_come_back(GC_FINALIZE_AT_ALLOCATION);
}

Test(weak_map_finalizers, in_a_thread)
{
    check_come_back(GC_FINALIZE_IN_THREAD);
}

/* ---- Values that come back --------------------------------------------------------------------- */

static void value_comes_back(void *object, void *key)
{
    found += gc_weak_map_get(map, key) != NULL;
    root_words()[((uintptr_t *)object)[0]] = (uintptr_t)object;
    finalized++;
}

/* The keys are roots, and the data. */
static __attribute__((noinline)) void make_dead_values(void)
{
    for (uintptr_t i = 0; i < MANY; i++) {
        uintptr_t *key = new_object(i), *value = new_object(i);

        root_words()[MANY + i] = (uintptr_t)key;
        cr_assert_eq(gc_weak_map_put(map, key, value), 0);
        cr_assert_eq(gc_set_finalizer_in(queue, value, value_comes_back, key, i % 2), 0);
    }
}

Test(weak_map_finalizers, of_values, .init = make_roots)
{
    for (unsigned mode = GC_WEAK_VALUES; mode <= GC_WEAK_BOTH; mode++) {
        drop_roots();
        finalized = found = 0;
        map = gc_weak_map_new(mode, NULL, NULL);
        queue = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);
        make_dead_values();
        wait_for_finalizers();
        cr_assert_eq(found, 0);
        for (uintptr_t i = 0; i < MANY; i++)
            if (root_words()[i] != 0)
                cr_assert_null(gc_weak_map_get(map, (void *)root_words()[MANY + i]));
    }
}

/* ---- Threads that drop both ---------------------------------------------------------------------- */

struct entry {
    uint64_t name, triple;
    struct entry *key; /* of a value, if the map keeps it or nobody does */
};

static size_t hash_name(const void *key)
{
    return (size_t)(((const struct entry *)key)->name * UINT64_C(0x9e3779b97f4a7c15));
}

static bool same_name(const void *a, const void *b)
{
    return ((const struct entry *)a)->name == ((const struct entry *)b)->name;
}

static struct entry *put(uint64_t name)
{
    struct entry *key = gc_malloc_atomic(sizeof *key), *value = gc_malloc(sizeof *value), *got;

    key->name = value->name = name;
    value->triple = 3 * name;
    value->key = key;
    got = gc_weak_map_get_or_put(map, key, value);
    if (got == NULL || got->triple != 3 * name)
        abort();
    return got;
}

/* What a thread holds, value and by it the key, is what everybody finds. */
static void *hold_and_drop(void *seed)
{
    struct entry *held[NAMES] = {NULL};
    uint64_t state = (uint64_t)(uintptr_t)seed;

    for (size_t i = 0; i < effort(30000); i++) {
        struct entry name, *got;

        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        name.name = (state >> 33) % NAMES;
        got = gc_weak_map_get(map, &name);
        if (got != NULL && (got->triple != 3 * name.name || got->key->name != name.name))
            abort();
        if (held[name.name] != NULL && got != held[name.name])
            abort();
        held[name.name] = state >> 62 != 0 ? NULL : put(name.name);
        if (i % 3000 == 0)
            gc_collect();
    }
    return NULL;
}

static void check_threads(enum gc_weak_map_mode mode)
{
    pthread_t thread[THREADS];

    map = gc_weak_map_new(mode, hash_name, same_name);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, hold_and_drop, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    collect_with_clear_stack();
    cr_assert_leq(gc_weak_map_count(map), NAMES / 4);
}

Test(weak_map_finalizers, threads_drop_values)
{
    check_threads(GC_WEAK_VALUES);
}

Test(weak_map_finalizers, threads_drop_both)
{
    check_threads(GC_WEAK_BOTH);
}
