/* test_ephemeron.c - ephemerons: what they keep, and when they break. */
#include "test/nearly.h"
#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

enum { MANY = 400 };

static size_t finalized;

static uintptr_t *new_object(size_t number)
{
    uintptr_t *object = gc_malloc(number % 7 == 0 ? 70000 : 16 + number % 5 * 16);

    *object = number;
    return object;
}

TestSuite(ephemerons, .init = make_roots);

/* ---- Ephemerons ---------------------------------------------------------------------------- */

static gc_ephemeron *new_ephemeron(void *key, void *value)
{
    gc_ephemeron *ephemeron = gc_ephemeron_new(key, value);

    cr_assert(gc_ephemeron_key(ephemeron) == key && gc_ephemeron_value(ephemeron) == value);
    return ephemeron;
}

/* Root i holds key i, root MANY + i its ephemeron, whose value leads to the key. */
static __attribute__((noinline)) void make_ephemerons(struct hidden *value)
{
    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *key = new_object(i), *of_key = gc_malloc(32);

        of_key[0] = i;
        of_key[1] = (uintptr_t)key;
        value[i] = hide(of_key);
        root_words()[i] = (uintptr_t)key;
        root_words()[MANY + i] = (uintptr_t)new_ephemeron(key, of_key);
    }
}

static void check_whole(size_t i)
{
    const gc_ephemeron *ephemeron = (void *)root_words()[MANY + i];
    const uintptr_t *value = gc_ephemeron_value(ephemeron);

    cr_assert(gc_base(value) == (void *)value && value[0] == i);
    cr_assert_eq(value[1], (uintptr_t)gc_ephemeron_key(ephemeron));
}

static size_t count_broken(void)
{
    size_t broken = 0;

    for (size_t i = 0; i < MANY; i++) {
        const gc_ephemeron *ephemeron = (void *)root_words()[MANY + i];

        cr_assert_eq(gc_ephemeron_key(ephemeron) == NULL, gc_ephemeron_value(ephemeron) == NULL);
        broken += gc_ephemeron_key(ephemeron) == NULL;
    }
    return broken;
}

Test(ephemerons, keep_values_as_long_as_keys_live)
{
    struct hidden value[MANY];

    make_ephemerons(value);
    for (size_t i = 0; i < 3; i++) {
        collect_with_clear_stack();
        for (size_t j = 0; j < MANY; j++)
            check_whole(j);
    }
    for (size_t i = 0; i < MANY; i += 2)
        root_words()[i] = 0;
    collect_with_clear_stack();
    for (size_t i = 1; i < MANY; i += 2)
        check_whole(i);
    check_nearly(count_broken(), MANY / 2);
    check_nearly(MANY - count_alive(value, MANY), MANY / 2);
}

Test(ephemerons, that_die_keep_nothing)
{
    struct hidden value[MANY];

    make_ephemerons(value);
    for (size_t i = 0; i < MANY; i++)
        root_words()[MANY + i] = 0;
    collect_with_clear_stack();
    check_nearly(MANY - count_alive(value, MANY), MANY);
}

/* The value of each is the key of the next; the first key is root 0. */
enum order { FORWARDS, BACKWARDS, MIXED };

static size_t place_in_chain(size_t i, size_t count, enum order order)
{
    switch (order) {
    case BACKWARDS: return count - 1 - i;
    case MIXED: return i * 7919 % count; /* a prime: each once */
    default: return i;
    }
}

/* The object, or another that leads to it. */
static void *perhaps_behind_another(size_t i, void *object)
{
    void **other = gc_malloc(32);

    other[3] = object;
    return i % 3 == 0 ? other : object;
}

static __attribute__((noinline)) void make_chain(struct hidden *key, size_t count, enum order order)
{
    uintptr_t *list = gc_calloc(count, sizeof *list);

    root_words()[1] = (uintptr_t)list;
    for (size_t i = 0; i < count; i++)
        key[i] = hide(new_object(i * 7 + 1));
    root_words()[0] = (uintptr_t)reveal(key[0]);
    for (size_t i = 0; i + 1 < count; i++) {
        size_t at = place_in_chain(i, count - 1, order);

        list[i] = (uintptr_t)new_ephemeron(reveal(key[at]), perhaps_behind_another(i, reveal(key[at + 1])));
    }
}

static void check_chain(size_t count, enum order order)
{
    struct hidden *key = calloc(count, sizeof *key);

    gc_disable();
    make_chain(key, count, order);
    gc_enable();
    collect_with_clear_stack();
    cr_assert_eq(count_alive(key, count), count);
    root_words()[0] = 0;
    collect_with_clear_stack();
    /* A stray word that holds one of them holds those behind it. */
    cr_assert_leq(count_alive(key, count), count);
    cr_assert_lt(is_alive(key[0]) + is_alive(key[count / 4]), 2);
    drop_roots();
    free(key);
}

Test(ephemerons, in_chains)
{
    for (enum order order = FORWARDS; order <= MIXED; order++) {
        check_chain(10, order);
        check_chain(effort(20000), order);
    }
}

/* Two that hold each other's keys. */
static __attribute__((noinline)) void make_pairs(struct hidden *key)
{
    for (size_t i = 0; i < MANY; i += 2) {
        void *a = new_object(i), *b = new_object(i + 1);

        key[i] = hide(a);
        key[i + 1] = hide(b);
        root_words()[i] = (uintptr_t)new_ephemeron(a, b);
        root_words()[i + 1] = (uintptr_t)new_ephemeron(b, a);
        root_words()[MANY + i] = (uintptr_t)a;
    }
}

Test(ephemerons, in_cycles)
{
    struct hidden key[MANY];

    make_pairs(key);
    collect_with_clear_stack();
    cr_assert_eq(count_alive(key, MANY), MANY);
    for (size_t i = 0; i < MANY; i++)
        root_words()[MANY + i] = 0;
    collect_with_clear_stack();
    check_nearly(MANY - count_alive(key, MANY), MANY);
}

/* An ephemeron that only another one's value leads to. */
static __attribute__((noinline)) void nest(struct hidden *value, size_t count)
{
    gc_ephemeron *inner = NULL;
    void *key = new_object(1);

    root_words()[0] = (uintptr_t)key;
    for (size_t i = 0; i < count; i++) {
        uintptr_t *pair = gc_malloc(16);

        pair[0] = i;
        pair[1] = (uintptr_t)inner;
        value[i] = hide(pair);
        inner = new_ephemeron(key, pair);
    }
    root_words()[1] = (uintptr_t)inner;
}

Test(ephemerons, within_values_of_ephemerons)
{
    struct hidden value[MANY];

    nest(value, MANY);
    collect_with_clear_stack();
    cr_assert_eq(count_alive(value, MANY), MANY);
    root_words()[0] = 0;
    collect_with_clear_stack();
    cr_assert_leq(count_alive(value, MANY), MANY / 2);
}

Test(ephemerons, of_constants_are_ordinary)
{
    static int constant;

    root_words()[0] = (uintptr_t)new_ephemeron(&constant, new_object(5));
    collect_with_clear_stack();
    cr_assert_eq(*(uintptr_t *)gc_ephemeron_value((void *)root_words()[0]), 5);
}

Test(ephemerons, take_another_value)
{
    struct hidden value[MANY];

    make_ephemerons(value);
    gc_collect();
    gc_collect();
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < MANY; i++) {
            uintptr_t *other = gc_malloc(64);

            other[0] = i;
            other[1] = root_words()[i];
            cr_assert(gc_ephemeron_set_value((void *)root_words()[MANY + i], other));
        }
        for (size_t i = 0; i < effort(20000); i++)
            memset(gc_malloc(64), 0x55, 64);
        for (size_t i = 0; i < MANY; i++)
            check_whole(i);
    }
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = 0;
    collect_with_clear_stack();
    check_nearly(count_broken(), MANY);
    for (size_t i = 0; i < MANY; i++)
        if (gc_ephemeron_key((void *)root_words()[MANY + i]) == NULL)
            cr_assert_not(gc_ephemeron_set_value((void *)root_words()[MANY + i], roots));
}

Test(ephemerons, have_a_key)
{
    errno = 0;
    cr_assert_null(gc_ephemeron_new(NULL, gc_malloc(10)));
    cr_assert_eq(errno, EINVAL);
}

Test(ephemerons, whose_keys_are_freed_are_broken)
{
    struct hidden value[MANY];

    make_ephemerons(value);
    for (size_t i = 0; i < MANY; i++)
        gc_free((void *)root_words()[i]);
    cr_assert_eq(count_broken(), MANY);
}

Test(ephemerons, that_are_freed_are_forgotten)
{
    struct hidden value[MANY];

    make_ephemerons(value);
    for (size_t i = 0; i < MANY; i++) {
        gc_free((void *)root_words()[MANY + i]);
        root_words()[MANY + i] = (uintptr_t)gc_malloc(16);
        memset((void *)root_words()[MANY + i], 0x77, 16);
    }
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = 0;
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(*(uintptr_t *)root_words()[MANY + i], UINT64_C(0x7777777777777777));
}

Test(ephemerons, follow_keys_that_are_resized)
{
    struct hidden value[MANY];

    make_ephemerons(value);
    for (size_t i = 0; i < MANY; i++) {
        root_words()[i] = (uintptr_t)gc_realloc((void *)root_words()[i], i % 50 == 0 ? 2 << 20 : 1000);
        ((uintptr_t *)reveal(value[i]))[1] = root_words()[i];
    }
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        check_whole(i);
}

/* ---- Ephemerons and finalizers ------------------------------------------------------------- */

static void bring_back(void *object, void *data)
{
    (void)data;
    root_words()[*(uintptr_t *)object] = (uintptr_t)object;
    finalized++;
}

/* The holder is brought back, and with it an ephemeron whose key lives. */
static __attribute__((noinline)) void make_holders(struct hidden *value)
{
    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *holder = gc_malloc(32), *of_key = gc_malloc(16);

        holder[0] = i;
        *of_key = i + 9;
        root_words()[MANY + i] = (uintptr_t)new_object(i);
        value[i] = hide(of_key);
        holder[1] = (uintptr_t)new_ephemeron((void *)root_words()[MANY + i], of_key);
        cr_assert_eq(gc_set_finalizer(holder, bring_back, NULL), 0);
    }
}

Test(ephemerons, come_back_with_their_holders)
{
    struct hidden value[MANY];

    gc_set_finalizer_mode(NULL, GC_FINALIZE_ON_DEMAND);
    make_holders(value);
    clear_stack();
    gc_collect_and_finalize(NULL);
    check_nearly(finalized, MANY);
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        if (root_words()[i] != 0)
            cr_assert_eq(*(uintptr_t *)gc_ephemeron_value(((void **)root_words()[i])[1]), i + 9);
    for (size_t i = 0; i < MANY; i++)
        root_words()[MANY + i] = 0;
    collect_with_clear_stack();
    check_nearly(MANY - count_alive(value, MANY), MANY);
}

/* A key that a finalizer brings back has lost its ephemeron. */
static __attribute__((noinline)) void make_finalizable_keys(void)
{
    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *key = gc_malloc(16);

        *key = i;
        root_words()[MANY + i] = (uintptr_t)new_ephemeron(key, key);
        cr_assert_eq(gc_set_finalizer(key, bring_back, NULL), 0);
    }
}

Test(ephemerons, break_before_finalizers)
{
    gc_set_finalizer_mode(NULL, GC_FINALIZE_ON_DEMAND);
    make_finalizable_keys();
    clear_stack();
    gc_collect_and_finalize(NULL);
    check_nearly(finalized, MANY);
    check_nearly(count_broken(), MANY);
}

/* ---- Old ones ------------------------------------------------------------------------------------ */

/* Enough that is old, and dies young, for minor collections. */
static void age(void)
{
    for (size_t i = 0; i < effort(300000); i++) {
        uintptr_t *cell = gc_malloc(64);

        *cell = i % 60 == 0 ? 0 : root_words()[ROOTS - 1];
        root_words()[ROOTS - 1] = (uintptr_t)cell;
    }
}

static size_t count_links(void *const *links)
{
    size_t set = 0;

    for (size_t i = 0; i < MANY; i++)
        set += links[i] != NULL;
    return set;
}

Test(ephemerons, and_links_that_are_old_are_cleared_too)
{
    struct hidden value[MANY];
    void **links = calloc(MANY, sizeof *links);

    for (size_t i = 0; i < effort(300000); i++) {
        uintptr_t *cell = gc_malloc(64);

        *cell = root_words()[ROOTS - 2];
        root_words()[ROOTS - 2] = (uintptr_t)cell;
    }
    make_ephemerons(value);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_weak_link(&links[i], (void *)root_words()[i], i % 2), 0);
    for (size_t i = 0; i < 4; i++) {
        age();
        for (size_t j = 0; j < MANY; j++)
            check_whole(j);
        cr_assert_eq(count_links(links), MANY);
    }
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = 0;
    collect_with_clear_stack();
    check_nearly(count_broken(), MANY);
    check_nearly(MANY - count_links(links), MANY);
}
