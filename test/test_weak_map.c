/* test_weak_map.c - weak maps against what should be in them. */
#include "test/nearly.h"
#include "test/random.h"
#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { MANY = 1000 };

static gc_weak_map *map;

static void make_map(enum gc_weak_map_mode mode)
{
    map = gc_weak_map_new(mode, NULL, NULL); /* a static variable is a root */
    cr_assert_not_null(map);
}

static uintptr_t *new_object(size_t number)
{
    uintptr_t *object = gc_malloc(32);

    object[0] = number;
    return object;
}

/* Key i in root 2i, value in root 2i + 1; the value leads to the key. */
static __attribute__((noinline)) void fill(void)
{
    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *key = new_object(i), *value = new_object(i + MANY);

        root_words()[2 * i] = (uintptr_t)key;
        root_words()[2 * i + 1] = (uintptr_t)value;
        value[1] = (uintptr_t)key;
        cr_assert_eq(gc_weak_map_put(map, key, value), 0);
    }
}

static void drop_keys(void)
{
    for (size_t i = 0; i < MANY; i++)
        root_words()[2 * i] = 0;
}

static void drop_values(void)
{
    for (size_t i = 0; i < MANY; i++)
        root_words()[2 * i + 1] = 0;
}

static __attribute__((noinline)) void check_all_by_key(void)
{
    for (size_t i = 0; i < MANY; i++) {
        const uintptr_t *value = gc_weak_map_get(map, (void *)root_words()[2 * i]);

        cr_assert(value != NULL && value[0] == i + MANY && value[1] == root_words()[2 * i]);
    }
}

TestSuite(weak_map, .init = make_roots);

/* ---- What it keeps ------------------------------------------------------------------- */

Test(weak_map, of_weak_keys)
{
    make_map(GC_WEAK_KEYS);
    fill();
    cr_assert_eq(gc_weak_map_count(map), MANY);
    drop_values();
    collect_with_clear_stack();
    check_all_by_key();
    cr_assert_eq(gc_weak_map_count(map), MANY);
    drop_keys();
    collect_with_clear_stack();
    check_nearly(MANY - gc_weak_map_count(map), MANY);
}

Test(weak_map, of_weak_values)
{
    make_map(GC_WEAK_VALUES);
    fill();
    drop_keys();
    collect_with_clear_stack();
    cr_assert_eq(gc_weak_map_count(map), MANY);
    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *value = (uintptr_t *)root_words()[2 * i + 1];

        cr_assert_eq(gc_weak_map_get(map, (void *)value[1]), value);
    }
    drop_values();
    collect_with_clear_stack();
    check_nearly(MANY - gc_weak_map_count(map), MANY);
}

Test(weak_map, of_both)
{
    make_map(GC_WEAK_BOTH);
    fill();
    collect_with_clear_stack();
    check_all_by_key();
    for (size_t i = 0; i < MANY; i += 2)
        root_words()[2 * i + 1] = 0;
    collect_with_clear_stack();
    check_nearly(MANY - gc_weak_map_count(map), MANY / 2);
    drop_keys(); /* the other values lead to their keys */
    collect_with_clear_stack();
    cr_assert_geq(gc_weak_map_count(map), MANY / 2);
    drop_roots();
    collect_with_clear_stack();
    check_nearly(MANY - gc_weak_map_count(map), MANY);
}

Test(weak_map, that_dies_dies_as_a_whole)
{
    struct hidden value[MANY];

    make_map(GC_WEAK_KEYS);
    fill();
    for (size_t i = 0; i < MANY; i++)
        value[i] = hide((void *)root_words()[2 * i + 1]);
    drop_values();
    map = NULL;
    collect_with_clear_stack();
    check_nearly(MANY - count_alive(value, MANY), MANY);
}

Test(weak_map, of_constants_keeps_them)
{
    static int constant[100];

    for (unsigned mode = GC_WEAK_KEYS; mode <= GC_WEAK_BOTH; mode++) {
        make_map(mode);
        for (size_t i = 0; i < 100; i++)
            cr_assert_eq(gc_weak_map_put(map, &constant[i], &constant[99 - i]), 0);
        collect_with_clear_stack();
        for (size_t i = 0; i < 100; i++)
            cr_assert_eq(gc_weak_map_get(map, &constant[i]), &constant[99 - i]);
    }
}

/* Integers with a tag that happen to be addresses inside of objects, say. */
Test(weak_map, of_words_that_are_no_objects)
{
    make_map(GC_WEAK_KEYS);
    fill();
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_weak_map_put(map, (void *)(root_words()[2 * i] + 1), new_object(i)), 0);
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++) {
        const uintptr_t *value = gc_weak_map_get(map, (void *)(root_words()[2 * i] + 1));

        cr_assert(value != NULL && value[0] == i);
    }
}

/* ---- As a map ----------------------------------------------------------------------------- */

Test(weak_map, replaces_and_removes)
{
    for (unsigned mode = GC_WEAK_KEYS; mode <= GC_WEAK_BOTH; mode++) {
        make_map(mode);
        fill();
        for (size_t i = 0; i < MANY; i++) {
            uintptr_t *key = (uintptr_t *)root_words()[2 * i], *other = new_object(7);

            if (i % 3 == 0) {
                cr_assert_eq(gc_weak_map_remove(map, key), (void *)root_words()[2 * i + 1]);
                cr_assert_null(gc_weak_map_remove(map, key));
                continue;
            }
            cr_assert_eq(gc_weak_map_get_or_put(map, key, other), (void *)root_words()[2 * i + 1]);
            root_words()[2 * i + 1] = (uintptr_t)other;
            cr_assert_eq(gc_weak_map_put(map, key, other), 0);
        }
        collect_with_clear_stack();
        for (size_t i = 0; i < MANY; i++)
            cr_assert_eq(gc_weak_map_get(map, (void *)root_words()[2 * i]),
                         i % 3 == 0 ? NULL : (void *)root_words()[2 * i + 1]);
        cr_assert_eq(gc_weak_map_count(map), MANY - (MANY + 2) / 3);
    }
}

Test(weak_map, refuses_nonsense)
{
    make_map(GC_WEAK_KEYS);
    cr_assert_eq(gc_weak_map_put(map, NULL, map), EINVAL);
    cr_assert_eq(gc_weak_map_put(map, map, NULL), EINVAL);
    cr_assert_null(gc_weak_map_get_or_put(map, NULL, map));
    cr_assert_null(gc_weak_map_get(map, NULL));
    cr_assert_null(gc_weak_map_remove(map, NULL));
    cr_assert_null(gc_weak_map_new(9, NULL, NULL));
    cr_assert_eq(errno, EINVAL);
}

static void see(void *key, void *value, void *data)
{
    const uintptr_t *k = key, *v = value;

    cr_assert_eq(v[0], k[0] + MANY);
    cr_assert_eq(gc_weak_map_remove(map, key), value); /* no lock is held */
    ++*(size_t *)data;
}

Test(weak_map, shows_its_entries)
{
    size_t seen = 0;

    make_map(GC_WEAK_KEYS);
    fill();
    cr_assert_eq(gc_weak_map_each(map, see, &seen), 0);
    cr_assert_eq(seen, MANY);
    cr_assert_eq(gc_weak_map_count(map), 0);
}

/* Wherever a key goes, it finds its value, and nothing finds that under where it was. */
static void check_moving_keys(enum gc_weak_map_mode mode, size_t moves_at_once)
{
    make_map(mode);
    fill();
    for (size_t i = 0; i < MANY; i++)
        for (size_t size = 100; size <= 1000; size *= 3) { /* several times before the map hears of it, too */
            uintptr_t old = root_words()[2 * i];

            root_words()[2 * i] = (uintptr_t)gc_realloc((void *)old, size);
            cr_assert_neq(root_words()[2 * i], old);
            ((uintptr_t *)root_words()[2 * i + 1])[1] = root_words()[2 * i];
            if (i % moves_at_once == 0)
                cr_assert_eq(gc_weak_map_get(map, (void *)root_words()[2 * i]), (void *)root_words()[2 * i + 1]);
        }
    check_all_by_key();
    cr_assert_eq(gc_weak_map_count(map), MANY);
    collect_with_clear_stack();
    check_all_by_key();
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_weak_map_remove(map, (void *)root_words()[2 * i]), (void *)root_words()[2 * i + 1]);
    cr_assert_eq(gc_weak_map_count(map), 0);
}

Test(weak_map, follows_keys_that_are_resized)
{
    check_moving_keys(GC_WEAK_KEYS, 1);
    check_moving_keys(GC_WEAK_BOTH, 1);
    check_moving_keys(GC_WEAK_KEYS, 100);
    check_moving_keys(GC_WEAK_BOTH, MANY + 1); /* more than are remembered */
}

/* ---- By content: a table of symbols ---------------------------------------------------------- */

struct symbol {
    const char *name;
    size_t number;
};

static size_t hash_text(const void *key)
{
    size_t hash = 5381;

    for (const unsigned char *c = key; *c != 0; c++)
        hash = hash * 33 + *c;
    return hash;
}

static bool texts_are_equal(const void *a, const void *b)
{
    return strcmp(a, b) == 0;
}

static struct symbol *intern(size_t number)
{
    char text[32];
    struct symbol *symbol;

    snprintf(text, sizeof text, "symbol-%zu", number);
    symbol = gc_weak_map_get(map, text);
    if (symbol != NULL)
        return symbol;
    symbol = GC_NEW(struct symbol);
    *symbol = (struct symbol){gc_strdup(text), number};
    return gc_weak_map_get_or_put(map, (void *)(uintptr_t)symbol->name, symbol);
}

static void make_symbols(void)
{
    make_roots();
    map = gc_weak_map_new(GC_WEAK_VALUES, hash_text, texts_are_equal);
}

Test(weak_map, of_symbols, .init = make_symbols)
{
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = (uintptr_t)intern(i);
    for (size_t i = 0; i < effort(100000); i++)
        intern(i);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(intern(i), (struct symbol *)root_words()[i]);
    collect_with_clear_stack();
    cr_assert_leq(gc_weak_map_count(map), MANY + MANY / 10);
    for (size_t i = 0; i < MANY; i++)
        cr_assert(intern(i) == (struct symbol *)root_words()[i] && intern(i)->number == i);
}

/* An equal key takes the place of the old one, whose death means nothing then. */
Test(weak_map, takes_the_new_one_of_equal_keys, .init = make_symbols)
{
    for (unsigned mode = GC_WEAK_KEYS; mode <= GC_WEAK_BOTH; mode++) {
        map = gc_weak_map_new(mode, hash_text, texts_are_equal);
        for (size_t i = 0; i < MANY; i++) {
            char text[32];

            snprintf(text, sizeof text, "key-%zu", i);
            root_words()[3 * i] = (uintptr_t)gc_strdup(text);
            root_words()[3 * i + 1] = (uintptr_t)new_object(i);
            cr_assert_eq(gc_weak_map_put(map, (void *)root_words()[3 * i], (void *)root_words()[3 * i + 1]), 0);
            root_words()[3 * i] = (uintptr_t)gc_strdup(text);
            root_words()[3 * i + 2] = (uintptr_t)new_object(i + MANY);
            cr_assert_eq(gc_weak_map_put(map, (void *)root_words()[3 * i], (void *)root_words()[3 * i + 2]), 0);
        }
        collect_with_clear_stack();
        cr_assert_eq(gc_weak_map_count(map), MANY);
        for (size_t i = 0; i < MANY; i++)
            cr_assert_eq(gc_weak_map_get(map, (void *)root_words()[3 * i]), (void *)root_words()[3 * i + 2]);
    }
}

static void *intern_many(void *unused)
{
    struct symbol **symbol = gc_calloc(MANY, sizeof *symbol);

    (void)unused;
    for (size_t i = 0; i < MANY; i++)
        symbol[i] = intern(i);
    for (size_t i = 0; i < effort(20000); i++)
        if (intern(i % 1500)->number != i % 1500)
            abort();
    for (size_t i = 0; i < MANY; i++)
        if (intern(i) != symbol[i])
            abort();
    return symbol;
}

Test(weak_map, gives_all_threads_the_same, .init = make_symbols)
{
    pthread_t thread[6];
    struct symbol **symbol[6];

    for (size_t i = 0; i < 6; i++)
        cr_assert(pthread_create(&thread[i], NULL, intern_many, NULL) == 0);
    for (size_t i = 0; i < 6; i++) {
        void *result;

        pthread_join(thread[i], &result);
        root_words()[i] = (uintptr_t)result; /* before the next is waited for */
        symbol[i] = result;
    }
    for (size_t i = 0; i < MANY; i++)
        cr_assert(symbol[0][i]->number == i);
}

/* ---- Hashes --------------------------------------------------------------------------------------- */

static size_t hash_number(const void *key)
{
    const uint64_t *number = key;

    return *number << 44;
}

static bool is_same_number(const void *a, const void *b)
{
    return *(const uint64_t *)a == *(const uint64_t *)b;
}

/* Those of numbers of floating point are so: all in few chains, it would take hours. */
Test(weak_map, of_hashes_that_differ_in_their_upper_bits, .init = make_roots)
{
    gc_weak_map *numbers = gc_weak_map_new(GC_WEAK_VALUES, hash_number, is_same_number);

    for (uint64_t i = 0; i < effort(900000); i++) {
        uint64_t *number = gc_malloc_atomic(sizeof *number);

        *number = i;
        cr_assert_eq(gc_weak_map_get_or_put(numbers, number, &root_words()[0]), &root_words()[0]);
    }
    cr_assert_eq(gc_weak_map_count(numbers), effort(900000));
}

/* ---- Bounds --------------------------------------------------------------------------------------- */

/* Of dead entries no more stay than live ones, about. */
Test(weak_map, stays_small_while_entries_die, .init = NULL)
{
    uint64_t live;

    without_stress();
    make_roots();
    make_map(GC_WEAK_KEYS);
    fill();
    for (size_t i = 0; i < effort(1000000); i++)
        cr_assert_eq(gc_weak_map_put(map, new_object(i), map), 0);
    collect_with_clear_stack();
    gc_weak_map_count(map);
    collect_with_clear_stack();
    live = stats_now().live_bytes;
    cr_assert_lt(live, 16 << 20, "%llu bytes are alive", (unsigned long long)live);
    check_all_by_key();
}

/* Nothing is added any more, nor counted: looking for what is not there is enough. */
Test(weak_map, is_rid_of_the_dead_by_being_read, .init = NULL)
{
    size_t count = effort(200000);
    uint64_t before, live;

    without_stress();
    make_roots();
    make_map(GC_WEAK_KEYS);
    gc_collect();
    before = stats_now().live_bytes;
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(gc_weak_map_put(map, new_object(i), map), 0);
    collect_with_clear_stack();
    for (size_t i = 0; i < 2 * count; i++)
        cr_assert_null(gc_weak_map_get(map, map));
    collect_with_clear_stack();
    live = stats_now().live_bytes;
    cr_assert_lt(live, before + 24 * count + (64 << 10)); /* the buckets: at most 16 bytes for each */
    cr_assert_eq(gc_weak_map_put(map, map, map), 0);      /* and the table shrinks */
    collect_with_clear_stack();
    cr_assert_lt(stats_now().live_bytes, before + (64 << 10));
    cr_assert_eq(gc_weak_map_get(map, map), map);
}

/* ---- Random use, by many threads ----------------------------------------------------------------------- */

enum { SLOTS = 300 };

/* Each thread has keys of its own, and a value of key k is a multiple of k. */
static void *use_at_random(void *argument)
{
    uintptr_t **key = gc_calloc(SLOTS, sizeof *key);
    uintptr_t **value = gc_calloc(SLOTS, sizeof *value); /* what the map should say */
    uint64_t state = (uint64_t)(uintptr_t)argument;

    for (size_t i = 0; i < effort(60000); i++) {
        size_t slot;

        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        slot = (state >> 33) % SLOTS;
        switch ((state >> 50) % 4) {
        case 0: /* a new key: the old one dies, or not yet */
            key[slot] = new_object(slot);
            value[slot] = NULL;
            break;
        case 1:
            if (key[slot] == NULL)
                break;
            value[slot] = new_object(slot * 3);
            value[slot][1] = (uintptr_t)key[slot];
            if (gc_weak_map_put(map, key[slot], value[slot]) != 0)
                abort();
            break;
        case 2:
            if (key[slot] != NULL && gc_weak_map_get(map, key[slot]) != value[slot])
                abort();
            break;
        default:
            if (key[slot] != NULL && state >> 60 == 0 && gc_weak_map_remove(map, key[slot]) != value[slot])
                abort();
            if (state >> 60 == 0)
                value[slot] = NULL;
        }
    }
    return NULL;
}

Test(weak_map, is_used_by_many_threads)
{
    pthread_t thread[6];

    make_map(GC_WEAK_KEYS);
    for (size_t i = 0; i < 6; i++)
        cr_assert(pthread_create(&thread[i], NULL, use_at_random, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(thread[i], NULL);
    cr_assert_leq(gc_weak_map_count(map), 6 * SLOTS * 50);
}
