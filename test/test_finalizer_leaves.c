/* test_finalizer_leaves.c - finalizers and reports of cycles that do not return, or that do
 * away with their own object. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/finalizable.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

TestSuite(finalizers, .init = prepare);
TestSuite(finalizers_undisturbed, .init = prepare_undisturbed);

enum { FEW = 30 };

static __attribute__((noinline)) void make_dead_in(gc_finalizer_queue *of, gc_finalizer finalizer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(gc_set_finalizer_in(of, new_node(i, NULL), finalizer, of, i % 2), 0);
}

/* How many threads do not come to the end of the function, until one does. */
static size_t count_ended(void *(*function)(void *unused), size_t limit)
{
    size_t ended;

    for (ended = 0; ended < limit; ended++) {
        pthread_t thread;
        void *result;

        cr_assert(pthread_create(&thread, NULL, function, NULL) == 0 && pthread_join(thread, &result) == 0);
        if (result != NULL)
            break;
    }
    return ended;
}

/* ---- The end of a thread -------------------------------------------------------------------- */

static void end_thread(void *object, void *data)
{
    note(object, data);
    pthread_exit(NULL);
}

/* In the program's queue nobody runs them before there is a thread that allocates. */
static void *allocate_much(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < 500000; i++)
        if (gc_malloc(64) == NULL)
            abort();
    return &runs;
}

Test(finalizers_undisturbed, at_allocation_may_end_their_thread)
{
    size_t ended;

    cr_assert_eq(gc_set_finalizer_mode(NULL, GC_FINALIZE_ON_DEMAND), 0);
    make_dead_in(NULL, end_thread, FEW);
    collect_with_clear_stack();
    cr_assert_eq(gc_set_finalizer_mode(NULL, GC_FINALIZE_AT_ALLOCATION), 0);
    ended = count_ended(allocate_much, FEW + 1);
    cr_assert_eq(ended, runs);
    check_nearly(runs, FEW);
    cr_assert_eq(gc_finalizers_ready(NULL), 0);
}

static void *finalize_all(void *unused)
{
    (void)unused;
    gc_finalize_all(queue);
    return &runs;
}

Test(finalizers, of_all_may_end_their_thread)
{
    make_dead_in(queue, end_thread, FEW);
    cr_assert_eq(count_ended(finalize_all, FEW + 1), FEW);
    cr_assert_eq(runs, FEW);
}

static jmp_buf way_out;

static void leave(void *object, void *data)
{
    note(object, data);
    longjmp(way_out, 1);
}

Test(finalizers, of_all_may_leave_by_longjmp)
{
    volatile size_t left = 0;

    make_dead_in(queue, leave, FEW);
    if (setjmp(way_out) != 0)
        left++;
    gc_finalize_all(queue);
    cr_assert_eq(left, FEW);
    cr_assert_eq(runs, FEW);
}

/* It is cancelled amid the first finalizer; those behind it are left to others. */
static void be_cancelled(void *object, void *data)
{
    note(object, data);
    pthread_cancel(pthread_self());
    pthread_testcancel();
}

static void *run_until_cancelled(void *unused)
{
    (void)unused;
    gc_collect_and_finalize(queue);
    return &runs;
}

Test(finalizers_undisturbed, may_be_cancelled)
{
    make_dead_in(queue, be_cancelled, FEW);
    collect_with_clear_stack();
    for (size_t i = 0; gc_finalizers_ready(queue) > 0; i++) {
        pthread_t thread;
        void *result;

        cr_assert_eq(runs, i);
        cr_assert(pthread_create(&thread, NULL, run_until_cancelled, NULL) == 0 && pthread_join(thread, &result) == 0);
        cr_assert_eq(result, PTHREAD_CANCELED);
    }
    check_nearly(runs, FEW);
}

/* ---- Their own object ------------------------------------------------------------------------- */

static void free_own(void *object, void *data)
{
    note(object, data);
    gc_free(object);
}

Test(finalizers, may_free_their_object)
{
    make_dead_in(queue, free_own, MANY);
    collect_and_run();
    collect_and_run();
    check_nearly(runs, MANY);
}

static void resize_own(void *object, void *of)
{
    struct node *node;

    note(object, NULL);
    node = gc_realloc(object, 70000);
    cr_assert(node != NULL && node->sum == ~node->number);
    cr_assert_eq(gc_set_finalizer_in(of, node, times[node->number] < 3 ? resize_own : note, of, GC_FINALIZE_ORDERED),
                 0);
}

Test(finalizers, may_resize_their_object_and_register_it_again)
{
    make_dead_in(queue, resize_own, FEW);
    for (size_t i = 0; i < 4; i++)
        collect_and_run();
    check_nearly(runs, 4 * FEW);
}

static void free_all(void *object, void *data)
{
    static bool once;

    note(object, data);
    for (size_t i = 0; !once && i < MANY; i++)
        if (root_words()[i] != 0 && root_words()[i] != (uintptr_t)object)
            gc_free((void *)root_words()[i]);
    once = true;
}

/* The first of them frees the others. */
Test(finalizers, of_all_may_free_those_that_wait)
{
    for (size_t i = 0; i < MANY; i++) {
        root_words()[i] = (uintptr_t)new_node(i, NULL);
        set((void *)root_words()[i], free_all, NULL, GC_FINALIZE_ORDERED);
    }
    cr_assert_eq(gc_finalize_all(queue), 1);
    cr_assert_eq(runs, 1);
}

/* ---- Reports of cycles ------------------------------------------------------------------------- */

static atomic_size_t reports;

static __attribute__((noinline)) void make_rings(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct node *first = new_node(2 * i, NULL), *second = new_node(2 * i + 1, first);

        first->next = second;
        set(first, note, NULL, GC_FINALIZE_ORDERED);
        set(second, note, NULL, GC_FINALIZE_ORDERED);
    }
}

static void break_ring(void *object)
{
    struct node *node = object;

    cr_assert_eq(node->sum, ~node->number);
    node->next = NULL;
    reports++;
}

static void collect_and_break(void *object)
{
    for (size_t i = 0; i < 100; i++)
        cr_assert_not_null(gc_malloc(64));
    gc_collect();
    break_ring(object);
}

static void check_rings(void)
{
    for (size_t i = 0; i < 3; i++)
        collect_and_run();
    check_nearly(reports, FEW);
    check_nearly(runs, 2 * FEW);
}

Test(finalizers, whose_cycles_are_reported_to_who_collects)
{
    gc_set_finalizer_cycle_report(collect_and_break);
    make_rings(FEW);
    check_rings();
}

static void break_and_leave(void *object)
{
    break_ring(object);
    longjmp(way_out, 1);
}

Test(finalizers, whose_cycles_are_reported_to_who_leaves_by_longjmp)
{
    volatile size_t left = 0;

    gc_set_finalizer_cycle_report(break_and_leave);
    make_rings(FEW);
    if (setjmp(way_out) != 0)
        left++;
    collect_and_run();
    check_rings();
    cr_assert_eq(left, reports);
}

static void break_and_end(void *object)
{
    break_ring(object);
    pthread_exit(NULL);
}

static void *collect_and_finalize(void *unused)
{
    (void)unused;
    collect_and_run();
    return &runs;
}

Test(finalizers, whose_cycles_are_reported_to_who_ends_the_thread)
{
    gc_set_finalizer_cycle_report(break_and_end);
    make_rings(FEW);
    cr_assert_eq(count_ended(collect_and_finalize, FEW + 1), reports);
    gc_set_finalizer_cycle_report(break_ring); /* a ring that a stray word held is told of here */
    check_rings();
}

/* ---- At exit -------------------------------------------------------------------------------------- */

static void tell_and_count(void)
{
    size_t ran = gc_finalize_all(NULL);

    dprintf(STDERR_FILENO, "finalized at exit: %zu, in all %zu\n", ran, (size_t)runs);
}

/* The thread of ours is there, and there is nothing for it to do. */
static void exit_with_finalizers(void)
{
    static struct node *living[FEW];

    prepare();
    atexit(tell_and_count);
    cr_assert_eq(gc_set_finalizer_mode(NULL, GC_FINALIZE_IN_THREAD), 0);
    make_dead_in(NULL, note, FEW);
    collect_with_clear_stack();
    for (size_t i = 0; runs < FEW - FEW / 20 - 1 && i < 10000; i++)
        usleep(1000);
    while (gc_finalizers_ready(NULL) > 0)
        usleep(1000);
    gc_finalize_all(NULL);
    runs = 0;
    for (size_t i = 0; i < FEW; i++) {
        living[i] = new_node(i, NULL);
        gc_set_finalizer(living[i], note, NULL);
    }
    exit(0);
}

Test(finalizers, at_exit_beside_a_thread_of_ours, .init = NULL)
{
    struct child child = child_run(exit_with_finalizers);

    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(child_wrote(&child, "finalized at exit: 30, in all 30\n"), "%s", child.text);
}
