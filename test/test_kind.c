/* test_kind.c - kinds: which words of their objects keep others, and which do not. */
#include "gc/heap/kind.h"
#include "test/held.h"
#include "test/resident.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- Layouts ------------------------------------------------------------------------ */

TestSuite(kinds, .init = make_roots);

static void check_layout(size_t words, const uint64_t *map)
{
    gc_kind *kind = layout_of(words, map);

    for (size_t i = 0; i < words; i += 1 + words / 16) {
        if ((map[i / 64] >> i % 64 & 1) != 0)
            check_held(kind, words * 8, i, plain);
        else
            check_not_held(kind, words * 8, i, plain);
    }
}

Test(kinds, keep_by_the_words_of_their_layout_alone)
{
    check_layout(2, (uint64_t[]){1});
    check_layout(4, (uint64_t[]){3}); /* pointers first: scanned like any words */
    check_layout(4, (uint64_t[]){7});
    check_layout(8, (uint64_t[]){0xa5});
    check_layout(40, (uint64_t[]){UINT64_C(0x8000000401)});
    check_layout(64, (uint64_t[]){UINT64_C(0x8000000000000101)});
    check_layout(64, (uint64_t[]){~UINT64_C(0)});
    check_layout(130, (uint64_t[]){UINT64_C(0xf0f0f0f0f0f0f0f0), 0, 2});
    check_layout(700, (uint64_t[11]){[5] = ~UINT64_C(0)});
}

Test(kinds, of_large_objects)
{
    static uint64_t map[200];

    map[0] = 1;
    map[199] = 0xff;
    check_layout(200 * 64, map);
}

Test(kinds, without_pointers_keep_nothing)
{
    check_not_held(layout_of(4, NULL), 32, 2, plain);
    check_not_held(kind_of((struct gc_kind_options){.tracing = GC_TRACE_NOTHING}), 32, 1, plain);
}

Test(kinds, that_say_nothing_are_conservative)
{
    gc_kind *kind = kind_of((struct gc_kind_options){.bytes = 40});

    check_held(kind, 40, 0, plain);
    check_held(kind, 40, 4, plain);
    check_held(kind, 50000, 6000, plain);
}

/* ---- Arrays ----------------------------------------------------------------------------- */

static void check_array(size_t head_words, size_t element_words, size_t count)
{
    static const uint64_t head_map = 2, element_map = 4;
    gc_kind *kind = kind_of((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT,
                                                     .bytes = head_words * 8,
                                                     .pointers = head_words > 0 ? &head_map : NULL,
                                                     .element_bytes = element_words * 8,
                                                     .element_pointers = &element_map});
    size_t bytes = (head_words + count * element_words) * 8, last = head_words + (count - 1) * element_words;

    if (head_words > 1) {
        check_held(kind, bytes, 1, plain);
        check_not_held(kind, bytes, 0, plain);
    }
    check_held(kind, bytes, head_words + 2, plain);
    check_not_held(kind, bytes, head_words + 1, plain);
    check_held(kind, bytes, last + 2, plain);
    check_not_held(kind, bytes, last, plain);
    check_held(kind, bytes, head_words + count / 2 * element_words + 2, plain);
}

Test(kinds, of_arrays)
{
    check_array(2, 3, 1);
    check_array(2, 3, 10);
    check_array(0, 5, 300);
    check_array(3, 7, 2000); /* in pages of its own: pieces end within elements */
}

Test(kinds, give_arrays_their_size)
{
    gc_kind *kind = kind_of(
        (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .bytes = 16, .element_bytes = 24, .pointers = NULL});

    cr_assert_geq(gc_usable_size(gc_new_array(kind, 0)), 16);
    cr_assert_geq(gc_usable_size(gc_new_array(kind, 1000)), 24016);
    cr_assert_null(gc_new_array(kind, SIZE_MAX / 24));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_null(gc_new_array(kind, SIZE_MAX / 2));
}

/* ---- Callbacks ----------------------------------------------------------------------------- */

/* Its values lie outside of the heap. */
struct table {
    size_t count;
    uintptr_t *value;
};

static void trace_table(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    const struct table *table = object;

    cr_assert(bytes >= sizeof *table && data == &held);
    if (table->value != NULL)
        gc_trace_range(tracer, table->value, table->value + table->count);
}

static gc_kind *tables(void)
{
    return kind_of((struct gc_kind_options){
        .tracing = GC_TRACE_CALLBACK, .bytes = sizeof(struct table), .trace = trace_table, .data = &held});
}

static __attribute__((noinline)) void fill_tables(gc_kind *kind, size_t bytes, size_t count)
{
    for (size_t i = 0; i < MANY / count; i++) {
        struct table *table = gc_new_bytes(kind, bytes);

        root_words()[i] = (uintptr_t)table;
        table->value = calloc(count, sizeof *table->value);
        table->count = count;
        for (size_t j = 0; j < count; j++) {
            uintptr_t *target = gc_malloc(24);

            *target = i;
            table->value[j] = (uintptr_t)target;
            held.target[i * count + j] = hide(target);
        }
    }
}

static void check_tables(size_t bytes)
{
    size_t left;

    fill_tables(tables(), bytes, 100);
    collect_with_clear_stack();
    cr_assert_eq(count_alive(held.target, MANY), MANY);
    for (size_t i = 0; i < MANY / 100; i++)
        ((struct table *)root_words()[i])->count = 50;
    collect_with_clear_stack();
    left = count_alive(held.target, MANY);
    cr_assert(left >= MANY / 2 && left < MANY / 2 + MANY / 10, "%zu", left);
    drop_roots();
}

Test(kinds, with_a_callback_lead_out_of_the_heap)
{
    check_tables(sizeof(struct table));
    check_tables(5000);
    check_tables(100000);
}

static void trace_every_other_word(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    void **word = object;

    (void)data;
    for (size_t i = 1; i < bytes / sizeof *word; i += 2)
        gc_trace_pointer(tracer, word[i]);
}

Test(kinds, with_a_callback_that_tells_of_single_pointers)
{
    gc_kind *kind = kind_of((struct gc_kind_options){.tracing = GC_TRACE_CALLBACK, .trace = trace_every_other_word});
    gc_kind *exact =
        kind_of((struct gc_kind_options){.tracing = GC_TRACE_CALLBACK, .trace = trace_every_other_word, .exact = 1});

    check_held(kind, 64, 3, plain);
    check_not_held(kind, 64, 4, plain);
    check_held(kind, 70000, 8001, plain);
    check_held(kind, 64, 3, into);
    check_not_held(exact, 64, 3, into);
}

/* What old objects lead to outside of the heap changes unseen. */
Test(kinds, with_a_callback_are_asked_in_minor_collections)
{
    gc_kind *kind = tables();
    struct table *table;

    fill_tables(kind, sizeof(struct table), 100);
    for (size_t i = 0; i < 30 << 20; i += 4096) { /* old, and enough for minor collections */
        uintptr_t *old = gc_malloc(4096);

        old[0] = root_words()[ROOTS - 1];
        root_words()[ROOTS - 1] = (uintptr_t)old;
    }
    for (size_t round = 0; round < 30; round++) {
        table = (struct table *)root_words()[round % 4];
        table->value[round] = (uintptr_t)gc_malloc(24);
        *(uintptr_t *)table->value[round] = round;
        for (size_t i = 0; i < effort(4 << 20); i += 256)
            memset(gc_malloc(256), 0x5a, 256);
        for (size_t before = 0; before <= round; before++) {
            table = (struct table *)root_words()[before % 4];
            cr_assert_eq(*(uintptr_t *)table->value[before], before);
        }
    }
    if (!is_stressed() && number_from_environment("BROOM_NO_MINOR", 0) == 0)
        cr_log_info("%llu minor collections", (unsigned long long)stats_now().minor_collections);
}

/* ---- Graphs ---------------------------------------------------------------------------------- */

struct tree {
    uint64_t number;
    struct tree *left;
    double weight;
    struct tree *right;
};

static struct tree *new_tree(gc_kind *kind, unsigned depth, uint64_t number)
{
    struct tree *tree = gc_new(kind);

    tree->number = number;
    tree->weight = (double)number;
    if (depth > 0) {
        tree->left = new_tree(kind, depth - 1, 2 * number);
        tree->right = new_tree(kind, depth - 1, 2 * number + 1);
    }
    return tree;
}

static void check_tree(const struct tree *tree, unsigned depth, uint64_t number)
{
    cr_assert_eq(tree->number, number);
    if (depth > 0) {
        check_tree(tree->left, depth - 1, 2 * number);
        check_tree(tree->right, depth - 1, 2 * number + 1);
    }
}

static gc_kind *trees(void)
{
    static const uint64_t map = GC_POINTER_AT(struct tree, left) | GC_POINTER_AT(struct tree, right);

    return layout_of(sizeof(struct tree) / 8, &map);
}

Test(kinds, make_trees_that_survive)
{
    gc_kind *kind = trees();
    unsigned depth = is_stressed() || is_sanitized() ? 12 : 17;

    root_words()[0] = (uintptr_t)new_tree(kind, depth, 1);
    for (unsigned i = 0; i < 20; i++) {
        new_tree(kind, depth - 2, 1);
        check_tree((void *)root_words()[0], depth, 1);
    }
    gc_collect();
    check_tree((void *)root_words()[0], depth, 1);
}

static void *build_and_check(void *argument)
{
    for (unsigned i = 0; i < 6; i++) {
        struct tree *tree = new_tree(argument, 10, 1);

        gc_free(new_tree(argument, 0, 1));
        check_tree(tree, 10, 1);
    }
    return new_tree(argument, 10, 1);
}

Test(kinds, serve_many_threads)
{
    gc_kind *kind = trees();
    pthread_t thread[8];

    for (unsigned i = 0; i < 8; i++)
        cr_assert(pthread_create(&thread[i], NULL, build_and_check, i % 2 == 0 ? kind : trees()) == 0);
    for (unsigned i = 0; i < 8; i++) {
        void *tree;

        cr_assert(pthread_join(thread[i], &tree) == 0);
        check_tree(tree, 10, 1);
        gc_free(tree); /* of a thread that has a magazine for it, or none */
    }
}

/* ---- Many ------------------------------------------------------------------------------------- */

Test(kinds, are_cheap_by_the_hundred, .init = make_roots_without_stress)
{
    uint64_t before = stats_now().metadata_bytes;
    gc_kind *kind[500];
    char name[20];

    for (size_t i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "kind %zu", i);
        kind[i] = kind_of((struct gc_kind_options){.name = name, .bytes = 16 + i % 10 * 16});
        root_words()[i] = (uintptr_t)gc_new(kind[i]);
    }
    cr_assert_lt(stats_now().metadata_bytes - before, 2 << 20);
    gc_collect();
    for (size_t i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "kind %zu", i);
        cr_assert_eq(gc_kind_of((void *)root_words()[i]), kind[i]);
        cr_assert_str_eq(gc_kind_name(kind[i]), name);
    }
}

enum { KINDS = 1000, USERS = 4 };

static gc_kind *many_kinds[KINDS];

static void *use_each(void *unused)
{
    void **last = NULL;

    (void)unused;
    for (size_t i = 0; i < KINDS; i++) {
        void **object = gc_new(many_kinds[i]);

        *object = last;
        last = object;
    }
    return last;
}

/* An object of each for each thread. */
Test(kinds, are_cheap_by_the_thousand_for_several_threads, .init = make_roots_without_stress)
{
    pthread_t thread[USERS];
    size_t before, growth;

    for (size_t i = 0; i < KINDS; i++)
        many_kinds[i] = kind_of((struct gc_kind_options){.bytes = 16 + i % 10 * 16});
    gc_disable();
    before = resident_bytes();
    for (size_t i = 0; i < USERS; i++)
        cr_assert(pthread_create(&thread[i], NULL, use_each, NULL) == 0);
    for (size_t i = 0; i < USERS; i++)
        pthread_join(thread[i], (void **)&root_words()[i]);
    growth = resident_bytes() - before;
    gc_enable();
    cr_assert(is_sanitized() || growth < (size_t)KINDS * (16 << 10), "%zu KiB", growth >> 10);
    gc_collect();
    for (size_t i = 0; i < USERS; i++) {
        size_t count = 0;

        for (void **object = (void **)root_words()[i]; object != NULL; object = *object, count++)
            cr_assert_eq(gc_kind_of(object), many_kinds[KINDS - 1 - count]);
        cr_assert_eq(count, KINDS);
    }
}

/* Two cells of each class: more lanes than there are. The others get pages. */
Test(kinds, find_room_when_lanes_run_out, .init = make_roots_without_stress)
{
    size_t last = 0;

    for (size_t i = 0; i < 60; i++) {
        gc_kind *kind = kind_of((struct gc_kind_options){.bytes = 16});

        for (size_t bytes = 8; bytes < 32 << 10; bytes += bytes / 8 + 8) {
            uintptr_t *object = gc_new_bytes(kind, bytes);

            cr_assert(object != NULL && gc_kind_of(object) == kind && gc_usable_size(object) >= bytes);
            object[0] = last;
            last = (size_t)object;
        }
    }
    root_words()[0] = last;
    gc_collect();
    for (; last != 0; last = *(uintptr_t *)last)
        cr_assert_eq(gc_base((void *)last), (void *)last);
}

Test(kinds, have_a_limit)
{
    struct gc_kind_options options = {.name = NULL};
    size_t count = 0;

    while (gc_kind_new(&options, sizeof options) != NULL)
        count++;
    cr_assert_eq(errno, ENOMEM);
    cr_assert(count > 900 && count <= GC_MAX_KINDS);
}

/* ---- The rest ----------------------------------------------------------------------------------- */

Test(kinds, stay_when_an_object_is_resized)
{
    static const uint64_t map = 4;
    gc_kind *kind = layout_of(4, &map);

    for (size_t bytes = 32; bytes < 300000; bytes *= 3) {
        uintptr_t *object = gc_realloc(gc_new(kind), bytes);
        size_t left;

        cr_assert_eq(gc_kind_of(object), kind);
        hold(kind, bytes, 2, plain);
        cr_assert_eq(alive(), MANY);
        hold(kind, bytes, 3, plain);
        left = alive();
        cr_assert(left <= MANY / 20, "%zu", left);
    }
}

Test(kinds, zero_their_objects)
{
    gc_kind *kind = trees();

    for (size_t i = 0; i < 20000; i++) {
        uint64_t *object = gc_new(kind);

        cr_assert((object[0] | object[1] | object[2] | object[3]) == 0);
        memset(object, 0xff, 32);
        if (i % 3 == 0)
            gc_free(object);
    }
}

Test(kinds, of_ordinary_objects_are_none)
{
    cr_assert_null(gc_kind_of(gc_malloc(10)));
    cr_assert_null(gc_kind_of(gc_malloc_atomic(100000)));
    tables();
    cr_assert_null(gc_kind_of(gc_malloc(10)));
}

static void check_invalid(struct gc_kind_options options)
{
    errno = 0;
    cr_assert_null(gc_kind_new(&options, sizeof options));
    cr_assert_eq(errno, EINVAL);
}

Test(kinds, refuse_options_that_make_no_sense)
{
    static const uint64_t map = 1;

    check_invalid((struct gc_kind_options){.tracing = 9});
    check_invalid((struct gc_kind_options){.exact = 2});
    check_invalid((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT});
    check_invalid((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .bytes = 12, .pointers = &map});
    check_invalid((struct gc_kind_options){.tracing = GC_TRACE_CALLBACK});
    check_invalid((struct gc_kind_options){.trace = trace_table});
    check_invalid((struct gc_kind_options){.pointers = &map, .bytes = 16});
    check_invalid((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .bytes = 8, .element_pointers = &map});
    check_invalid((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .element_bytes = 8, .pointers = &map});
    check_invalid((struct gc_kind_options){.tag_shift = 64});
}

Test(kinds, macros_allocate_by_type)
{
    struct tree *tree = GC_NEW(struct tree), **array = GC_NEW_ARRAY(struct tree *, 100);

    cr_assert_geq(gc_usable_size(tree), sizeof *tree);
    cr_assert_geq(gc_usable_size(array), 100 * sizeof *array);
}
