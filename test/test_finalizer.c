/* test_finalizer.c - finalizers: when they run, and in which order. */
#define _GNU_SOURCE
#include "test/finalizable.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

TestSuite(finalizers, .init = prepare);
TestSuite(finalizers_undisturbed, .init = prepare_undisturbed);

/* ---- When ---------------------------------------------------------------------------- */

Test(finalizers, run_once_for_what_is_dead)
{
    make_dead(MANY, MANY, GC_FINALIZE_ORDERED);
    make_dead(2 * MANY, MANY, GC_FINALIZE_UNORDERED);
    make_living(0, MANY);
    collect_and_run();
    check_nearly(runs, 2 * MANY);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(times[i], 0);
    drop_roots();
    collect_and_run();
    collect_and_run();
    check_nearly(runs, 3 * MANY);
    for (size_t i = 0; i < 3 * MANY; i++)
        cr_assert_leq(times[i], 1);
}

Test(finalizers, run_when_they_are_asked_for)
{
    make_dead(0, MANY, GC_FINALIZE_ORDERED);
    cr_assert_eq(gc_run_finalizers(queue, SIZE_MAX), runs);
    collect_with_clear_stack();
    collect_with_clear_stack();
    check_nearly(runs + gc_finalizers_ready(queue), MANY);
    cr_assert_leq(runs, gc_run_finalizers(queue, 0) + runs);
    if (gc_finalizers_ready(queue) > 10)
        cr_assert_eq(gc_run_finalizers(queue, 10), 10);
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(runs, MANY);
    cr_assert_eq(gc_finalizers_ready(queue), 0);
}

Test(finalizers, are_replaced_and_dropped)
{
    make_living(0, MANY);
    for (size_t i = 0; i < MANY; i++)
        set((void *)root_words()[i], i % 2 == 0 ? NULL : note, NULL, GC_FINALIZE_UNORDERED);
    drop_roots();
    collect_and_run();
    check_nearly(runs, MANY / 2);
    for (size_t i = 0; i < MANY; i += 2)
        cr_assert_eq(times[i], 0);
}

Test(finalizers, are_dropped_by_gc_free)
{
    make_living(0, MANY);
    for (size_t i = 0; i < MANY; i++)
        gc_free((void *)root_words()[i]);
    drop_roots();
    for (size_t i = 0; i < MANY; i++) /* in the same cells */
        new_node(i, NULL);
    collect_and_run();
    cr_assert_eq(runs, 0);
}

Test(finalizers, move_with_gc_realloc)
{
    make_living(0, MANY);
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = (uintptr_t)gc_realloc((void *)root_words()[i], 100 + i % 3 * 70000);
    collect_and_run();
    cr_assert_eq(runs, 0);
    drop_roots();
    collect_and_run();
    check_nearly(runs, MANY);
}

/* Two that lead to each other are ready: the first to be finalized frees the other, or
 * resizes it. */
static __attribute__((noinline)) void make_dead_pairs(gc_finalizer finalizer)
{
    for (size_t i = 0; i < MANY; i++) {
        struct node *one = new_node(i, NULL), *other = new_node(i, one);

        one->next = other;
        set(one, finalizer, NULL, GC_FINALIZE_UNORDERED);
        set(other, finalizer, NULL, GC_FINALIZE_UNORDERED);
    }
}

static void free_other(void *object, void *data)
{
    struct node *node = object;

    note(object, data);
    gc_free(node->next);
    memset(gc_malloc(node->number % 5 == 0 ? 50000 : sizeof *node), 0x55, sizeof *node); /* in the same place */
}

static void drop_other(void *object, void *data)
{
    note(object, data);
    cr_assert_eq(gc_set_finalizer_in(queue, ((struct node *)object)->next, NULL, NULL, GC_FINALIZE_ORDERED), 0);
}

static void resize_other(void *object, void *data)
{
    struct node *node = object, *other = node->next;

    note(object, data);
    if (other == NULL)
        return;
    other->next = NULL;
    if (gc_realloc(other, 100 + node->number % 3 * 70000) != other)
        memset(gc_malloc(node->number % 5 == 0 ? 50000 : sizeof *node), 0x55, sizeof *node);
}

Test(finalizers, that_are_ready_are_dropped_with_gc_free)
{
    make_dead_pairs(free_other);
    collect_with_clear_stack();
    check_nearly(gc_finalizers_ready(queue), 2 * MANY);
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(runs, MANY);
    cr_assert_eq(gc_finalizers_ready(queue), 0);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_leq(times[i], 1);
}

static void ask_for_other(void *object, void *data)
{
    gc_finalizer finalizer = NULL;
    struct node *other = ((struct node *)object)->next;

    note(object, data);
    cr_assert_not(gc_get_finalizer(queue, object, NULL, NULL));
    if (times[other->number] == 0)
        cr_assert(gc_get_finalizer(queue, other, &finalizer, NULL) && finalizer == ask_for_other);
}

Test(finalizers, one_in_each_queue)
{
    gc_finalizer_queue *other = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);

    make_living(0, MANY);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_set_finalizer_in(other, (void *)root_words()[i], note, NULL, GC_FINALIZE_ORDERED), 0);
    drop_roots();
    collect_and_run();
    check_nearly(runs, MANY);
    collect_with_clear_stack();
    gc_run_finalizers(other, SIZE_MAX);
    check_nearly(runs, 2 * MANY);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_leq(times[i], 2);
}

Test(finalizers, that_are_ready_can_be_asked_for)
{
    make_dead_pairs(ask_for_other);
    collect_and_run();
    check_nearly(runs, 2 * MANY);
}

Test(finalizers, that_are_ready_can_be_dropped)
{
    make_dead_pairs(drop_other);
    collect_with_clear_stack();
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(runs, MANY);
    cr_assert_eq(gc_finalizers_ready(queue), 0);
}

Test(finalizers, that_are_ready_move_with_gc_realloc)
{
    make_dead_pairs(resize_other);
    collect_with_clear_stack();
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(runs, 2 * MANY);
}

/* By page tables. */
Test(finalizers, move_with_large_objects)
{
    for (size_t i = 0; i < 20; i++) {
        struct node *node = gc_malloc(2 << 20);

        *node = (struct node){i, NULL, ~i};
        set(node, note, NULL, GC_FINALIZE_ORDERED);
        root_words()[0] = (uintptr_t)gc_malloc(100000); /* in its way */
        root_words()[i + 1] = (uintptr_t)gc_realloc(node, 5 << 20);
    }
    collect_and_run();
    cr_assert_eq(runs, 0);
    drop_roots();
    collect_and_run();
    cr_assert_geq(runs, 18);
}

/* ---- Order ----------------------------------------------------------------------------- */

static __attribute__((noinline)) void make_chain(size_t first, size_t count, enum gc_finalizer_order how)
{
    struct node *node = NULL;

    for (size_t i = count; i-- > 0;) {
        node = new_node(first + i, node);
        set(node, note, NULL, how);
    }
}

Test(finalizers, ordered_run_before_those_of_what_they_lead_to)
{
    for (size_t chain = 0; chain < 10; chain++)
        make_chain(chain * 10, 10, GC_FINALIZE_ORDERED);
    clear_stack();
    for (size_t i = 0; i < 30; i++)
        gc_collect_and_finalize(queue);
    cr_assert_geq(runs, 80);
    for (size_t i = 1; i < runs; i++)
        for (size_t before = 0; before < i; before++)
            cr_assert(order[before] / 10 != order[i] / 10 || order[before] < order[i]);
}

Test(finalizers_undisturbed, unordered_run_together)
{
    size_t ready;

    for (size_t chain = 0; chain < 10; chain++)
        make_chain(chain * 10, 10, GC_FINALIZE_UNORDERED);
    collect_with_clear_stack();
    ready = gc_finalizers_ready(queue);
    cr_assert_geq(ready, 80);
    cr_assert_eq(gc_run_finalizers(queue, SIZE_MAX), ready);
}

/* An unordered one waits for the ordered that leads to it, not the other way. */
Test(finalizers_undisturbed, of_both_sorts)
{
    for (size_t i = 0; i < MANY; i += 4) {
        struct node *low = new_node(i, NULL), *high = new_node(i + 1, low);

        set(low, note, NULL, GC_FINALIZE_ORDERED);
        set(high, note, NULL, GC_FINALIZE_UNORDERED);
        low = new_node(i + 2, NULL);
        high = new_node(i + 3, low);
        set(low, note, NULL, GC_FINALIZE_UNORDERED);
        set(high, note, NULL, GC_FINALIZE_ORDERED);
    }
    collect_with_clear_stack();
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(runs, MANY * 3 / 4);
    for (size_t i = 0; i < MANY; i += 4)
        cr_assert_eq(times[i + 2], 0);
    collect_and_run();
    check_nearly(runs, MANY);
}

static void ignore(void *object, void *data)
{
    (void)object, (void)data;
}

Test(finalizers, can_be_asked_for)
{
    static int data;
    gc_finalizer finalizer = NULL;
    void *found = NULL, *object = gc_malloc(64), *other = gc_malloc(64);

    cr_assert_not(gc_get_finalizer(queue, object, &finalizer, &found));
    set(object, ignore, &data, GC_FINALIZE_ORDERED);
    cr_assert_not(gc_get_finalizer(NULL, object, &finalizer, &found));
    cr_assert_not(gc_get_finalizer(queue, other, &finalizer, &found));
    cr_assert_null(finalizer);
    cr_assert(gc_get_finalizer(queue, object, NULL, NULL));
    cr_assert(gc_get_finalizer(queue, object, &finalizer, &found));
    cr_assert(finalizer == ignore && found == &data);
    set(object, NULL, NULL, GC_FINALIZE_ORDERED);
    cr_assert_not(gc_get_finalizer(queue, object, NULL, NULL));
}

/* ---- Data --------------------------------------------------------------------------------------- */

static size_t data_seen;

static void check_data(void *object, void *data)
{
    cr_assert_eq(((struct node *)data)->sum, ~((struct node *)object)->number);
    data_seen++;
}

Test(finalizers, keep_their_data)
{
    struct hidden data[MANY];

    for (size_t i = 0; i < MANY; i++) {
        struct node *node = new_node(i, NULL);

        data[i] = hide(new_node(i, NULL));
        root_words()[i] = (uintptr_t)node;
        set(node, check_data, reveal(data[i]), GC_FINALIZE_ORDERED);
    }
    for (size_t i = 0; i < 3; i++) {
        collect_and_run();
        cr_assert_eq(count_alive(data, MANY), MANY);
    }
    drop_roots();
    collect_and_run();
    check_nearly(data_seen, MANY);
    collect_with_clear_stack();
    check_nearly(MANY - count_alive(data, MANY), MANY);
}

/* ---- Many ---------------------------------------------------------------------------------------------- */

static void count_only(void *object, void *data)
{
    (void)data;
    if (((struct node *)object)->sum == ~((struct node *)object)->number)
        runs++;
}

enum { THREADS = 6 };

static void *register_many(void *queue_of_thread)
{
    size_t count = effort(20000);

    for (size_t i = 0; i < count; i++) {
        struct node *node = gc_malloc(sizeof *node);

        *node = (struct node){i, NULL, ~i};
        if (gc_set_finalizer_in(queue_of_thread, node, count_only, NULL, i % 2) != 0)
            abort();
        if (i % 7 == 0)
            gc_free(node);
        if (i % 100 == 0)
            gc_run_finalizers(queue_of_thread, 50);
    }
    return NULL;
}

Test(finalizers, of_many_threads)
{
    pthread_t thread[THREADS];
    size_t all = THREADS * effort(20000), kept = all - THREADS * (effort(20000) + 6) / 7;

    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, register_many, i % 2 == 0 ? queue : NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (size_t i = 0; i < 3; i++) {
        collect_and_run();
        gc_collect_and_finalize(NULL);
    }
    cr_assert(runs <= all && runs >= kept - kept / 20 - THREADS, "%zu of %zu", (size_t)runs, kept);
}

/* Old ones are looked at in full collections alone, and not forgotten. */
Test(finalizers, of_old_objects)
{
    uintptr_t list = 0;

    make_living(0, MANY);
    for (size_t i = 0; i < effort(400000); i++) {
        uintptr_t *cell = gc_malloc(64);

        *cell = list;
        list = (uintptr_t)cell;
        root_words()[MANY] = list;
        if (i % 50 == 0)
            list = 0;
    }
    for (size_t i = 0; i < 5; i++) {
        collect_and_run();
        cr_assert_eq(runs, 0);
    }
    drop_roots();
    collect_and_run();
    check_nearly(runs, MANY);
}

Test(finalizers, of_kinds_and_large_objects)
{
    static const uint64_t map = 2;
    gc_kind *kind = gc_kind_new(
        &(struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .bytes = sizeof(struct node), .pointers = &map},
        sizeof(struct gc_kind_options));

    for (size_t i = 0; i < MANY; i++) {
        struct node *node = gc_new_bytes(kind, i % 3 == 0 ? 100000 : sizeof *node);
        struct node *next = gc_new(kind);

        *next = (struct node){i + MANY, NULL, ~(i + MANY)};
        *node = (struct node){i, next, ~i};
        set(next, note, NULL, GC_FINALIZE_ORDERED);
        set(node, note, NULL, GC_FINALIZE_ORDERED);
    }
    collect_and_run();
    clear_stack();
    collect_and_run();
    check_nearly(runs, 2 * MANY);
}

Test(finalizers, queues_have_a_limit_and_modes)
{
    size_t queues = 0;

    cr_assert_eq(gc_set_finalizer_mode(queue, 7), EINVAL);
    cr_assert_eq(gc_set_finalizer_in(queue, gc_malloc(1), note, NULL, 2), EINVAL);
    cr_assert_null(gc_finalizer_queue_new(7));
    cr_assert_eq(errno, EINVAL);
    while (gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND) != NULL)
        queues++;
    cr_assert_eq(errno, ENOMEM);
    cr_assert_gt(queues, 200);
}
