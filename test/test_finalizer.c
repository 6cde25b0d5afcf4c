/* test_finalizer.c - finalizers: when they run and in which order, and what they may
 * do. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>

enum { MANY = 400 };

struct node {
    uint64_t number;
    struct node *next;
    uint64_t sum; /* number, complemented */
};

static atomic_size_t runs;
static size_t order[MANY * 4]; /* numbers, as they were finalized */
static unsigned times[MANY * 4];

static void note(void *object, void *data)
{
    struct node *node = object;

    (void)data;
    cr_assert(gc_base(node) == node && node->sum == ~node->number, "a finalizer's object is not whole");
    times[node->number]++;
    order[runs++] = node->number;
}

static struct node *new_node(uint64_t number, struct node *next)
{
    struct node *node = gc_malloc(number % 5 == 0 ? 50000 : sizeof *node);

    *node = (struct node){number, next, ~number};
    return node;
}

static gc_finalizer_queue *queue;

static void prepare(void)
{
    make_roots();
    queue = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);
    cr_assert_not_null(queue);
}

static void set(void *object, gc_finalizer finalizer, void *data, enum gc_finalizer_order how)
{
    cr_assert_eq(gc_set_finalizer_in(queue, object, finalizer, data, how), 0);
}

/* Nearly all: a stray word may hold a few. */
static void check_nearly(size_t count, size_t of)
{
    cr_assert(count <= of && count >= of - of / 20 - 1, "%zu of %zu", count, of);
}

static __attribute__((noinline)) void make_dead(size_t first, size_t count, enum gc_finalizer_order how)
{
    for (size_t i = first; i < first + count; i++)
        set(new_node(i, NULL), note, NULL, how);
}

static __attribute__((noinline)) void make_living(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        root_words()[i] = (uintptr_t)new_node(i, NULL);
        set((void *)root_words()[i], note, NULL, GC_FINALIZE_ORDERED);
    }
}

static void collect_and_run(void)
{
    clear_stack();
    gc_collect_and_finalize(queue);
}

TestSuite(finalizers, .init = prepare);

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

Test(finalizers, unordered_run_together, .init = NULL)
{
    size_t ready;

    without_stress();
    prepare();
    for (size_t chain = 0; chain < 10; chain++)
        make_chain(chain * 10, 10, GC_FINALIZE_UNORDERED);
    collect_with_clear_stack();
    ready = gc_finalizers_ready(queue);
    cr_assert_geq(ready, 80);
    cr_assert_eq(gc_run_finalizers(queue, SIZE_MAX), ready);
}

/* An ordered one waits for the unordered that leads to it, not the other way. */
Test(finalizers, of_both_sorts, .init = NULL)
{
    without_stress();
    prepare();
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
        cr_assert_eq(times[i], 0);
    collect_and_run();
    check_nearly(runs, MANY);
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

/* ---- Cycles -------------------------------------------------------------------------------- */

static size_t reports;

static void break_cycle(void *object)
{
    struct node *node = object;

    cr_assert_eq(node->sum, ~node->number);
    node->next = NULL;
    reports++;
}

static __attribute__((noinline)) void make_rings(size_t count, size_t nodes)
{
    for (size_t i = 0; i < count; i++) {
        struct node *last = new_node(i * nodes, NULL), *node = last;

        set(last, note, NULL, GC_FINALIZE_ORDERED);
        for (size_t j = 1; j < nodes; j++) {
            node = new_node(i * nodes + j, node);
            set(node, note, NULL, GC_FINALIZE_ORDERED);
        }
        last->next = node;
    }
}

Test(finalizers, in_cycles_are_reported_once)
{
    gc_set_finalizer_cycle_report(break_cycle);
    make_rings(100, 1);
    make_rings(0, 3);
    collect_and_run();
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(reports, 100);
    for (size_t i = 0; i < 5; i++)
        collect_and_run();
    check_nearly(runs, 100); /* they were broken */
    cr_assert_leq(reports, 100);
}

Test(finalizers, in_longer_cycles_too)
{
    gc_set_finalizer_cycle_report(break_cycle);
    make_rings(50, 4);
    for (size_t i = 0; i < 10; i++) {
        collect_and_run();
        gc_run_finalizers(queue, SIZE_MAX);
    }
    check_nearly(runs, 200);
}

static void leave_a_cycle(void)
{
    prepare();
    make_rings(20, 2);
    for (size_t i = 0; i < 3; i++)
        collect_and_run();
}

Test(finalizers, in_cycles_are_told_on_stderr, .init = NULL)
{
    struct child child = child_run(leave_a_cycle);

    cr_assert(child_returned(&child));
    cr_assert(child_wrote(&child, "has an ordered finalizer and leads to itself"), "%s", child.text);
}

/* ---- What they may do ------------------------------------------------------------------------- */

static void resurrect(void *object, void *data)
{
    struct node *node = object;

    (void)data;
    root_words()[node->number] = (uintptr_t)node;
    note(object, NULL);
}

static __attribute__((noinline)) void make_dead_with(gc_finalizer finalizer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        set(new_node(i, new_node(i, NULL)), finalizer, NULL, GC_FINALIZE_ORDERED);
}

static size_t count_resurrected(void)
{
    size_t count = 0;

    for (size_t i = 0; i < MANY; i++) {
        const struct node *node = (void *)root_words()[i];

        if (node == NULL)
            continue;
        cr_assert(gc_base(node) == node && node->number == i && node->sum == ~i && node->next->sum == ~i);
        count++;
    }
    return count;
}

Test(finalizers, may_resurrect)
{
    make_dead_with(resurrect, MANY);
    collect_and_run();
    check_nearly(runs, MANY);
    collect_and_run();
    check_nearly(count_resurrected(), MANY);
    cr_assert_leq(runs, MANY);
}

static void register_again(void *object, void *data)
{
    note(object, data);
    set(object, times[((struct node *)object)->number] < 3 ? register_again : note, NULL, GC_FINALIZE_ORDERED);
}

Test(finalizers, may_register_again)
{
    make_dead_with(register_again, 100);
    collect_and_run();
    clear_stack();
    collect_and_run();
    check_nearly(runs, 400);
}

static void work(void *object, void *data)
{
    struct node *list = NULL;

    for (size_t i = 0; i < 100; i++)
        list = new_node(1 + i % 3, list);
    gc_collect();
    for (; list != NULL; list = list->next)
        cr_assert_eq(list->sum, ~list->number);
    note(object, data);
}

Test(finalizers, may_allocate_and_collect)
{
    make_dead_with(work, 50);
    collect_and_run();
    check_nearly(runs, 50);
}

static jmp_buf way_out;

static void leave(void *object, void *data)
{
    note(object, data);
    longjmp(way_out, 1);
}

Test(finalizers, may_leave_by_longjmp)
{
    volatile size_t rounds = 0;

    make_dead_with(leave, MANY);
    if (setjmp(way_out) != 0)
        rounds++;
    collect_and_run();
    cr_assert_eq(rounds, runs);
    check_nearly(runs, MANY);
}

static void *run_and_end(void *unused)
{
    (void)unused;
    clear_stack();
    gc_collect_and_finalize(queue);
    return NULL;
}

static void end_thread(void *object, void *data)
{
    note(object, data);
    pthread_exit(NULL);
}

Test(finalizers, may_end_their_thread)
{
    make_dead_with(end_thread, 30);
    for (size_t i = 0; i < 31; i++) {
        pthread_t thread;

        cr_assert(pthread_create(&thread, NULL, run_and_end, NULL) == 0 && pthread_join(thread, NULL) == 0);
    }
    check_nearly(runs, 30);
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

/* ---- Queues ---------------------------------------------------------------------------------------- */

Test(finalizers, may_be_taken_instead)
{
    size_t taken = 0;
    void *object, *data;
    gc_finalizer finalizer;

    make_dead(0, MANY, GC_FINALIZE_ORDERED);
    collect_with_clear_stack();
    while (gc_take_finalizable(queue, &object, &finalizer, &data)) {
        cr_assert(finalizer == note && data == NULL);
        cr_assert_eq(((struct node *)object)->sum, ~((struct node *)object)->number);
        taken++;
    }
    cr_assert_eq(runs, 0);
    check_nearly(taken, MANY);
}

Test(finalizers, all_run_at_the_end_if_asked)
{
    make_living(0, MANY);
    make_rings(0, 1);
    cr_assert_eq(gc_finalize_all(queue), MANY);
    cr_assert_eq(runs, MANY);
    cr_assert_eq(gc_finalize_all(queue), 0);
}

static void allocate_until(size_t count)
{
    for (size_t i = 0; runs < count && i < 40000000; i++)
        if (gc_malloc(64) == NULL)
            abort();
}

static __attribute__((noinline)) void make_dead_of_program(gc_finalizer finalizer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(gc_set_finalizer(new_node(i, NULL), finalizer, NULL), 0);
}

Test(finalizers, of_the_program_run_at_allocation)
{
    make_dead_of_program(note, MANY);
    clear_stack();
    allocate_until(MANY - MANY / 20);
    check_nearly(runs, MANY);
}

static size_t depth, deepest;

static void allocate_much(void *object, void *data)
{
    deepest = ++depth > deepest ? depth : deepest;
    for (size_t i = 0; i < effort(60000); i++)
        cr_assert_not_null(gc_malloc(64));
    depth--;
    note(object, data);
}

Test(finalizers, at_allocation_do_not_nest)
{
    make_dead_of_program(allocate_much, 20);
    clear_stack();
    allocate_until(18);
    cr_assert_eq(deepest, 1);
    check_nearly(runs, 20);
}

static void leave_allocation(void *object, void *data)
{
    leave(object, data);
}

Test(finalizers, at_allocation_may_leave_by_longjmp)
{
    make_dead_of_program(leave_allocation, 30);
    setjmp(way_out);
    clear_stack();
    allocate_until(28);
    check_nearly(runs, 30);
}

static pthread_t finalizer_thread;

static void note_thread(void *object, void *data)
{
    finalizer_thread = pthread_self();
    note(object, data);
}

static void wait_for(size_t count)
{
    for (size_t i = 0; runs < count && i < 100000; i++)
        usleep(100);
}

Test(finalizers, in_a_thread_of_ours)
{
    cr_assert_eq(gc_set_finalizer_mode(NULL, GC_FINALIZE_IN_THREAD), 0);
    for (size_t round = 1; round <= 3; round++) {
        make_dead_of_program(note_thread, MANY);
        collect_with_clear_stack();
        wait_for(round * (MANY - MANY / 20));
        cr_assert_geq(runs, round * (MANY - MANY / 20));
        cr_assert_not(pthread_equal(finalizer_thread, pthread_self()));
    }
}

static void fork_and_finalize(void)
{
    prepare();
    gc_set_finalizer_mode(NULL, GC_FINALIZE_IN_THREAD);
    make_dead_of_program(note_thread, MANY);
    collect_with_clear_stack();
    wait_for(MANY - MANY / 20);
    if (fork() == 0) {
        runs = 0;
        make_dead_of_program(note_thread, MANY);
        collect_with_clear_stack();
        wait_for(MANY - MANY / 20);
        _exit(runs >= MANY - MANY / 20 ? 0 : 1);
    }
    int status = 0;
    wait(&status);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
}

Test(finalizers, in_a_thread_of_a_forked_child, .init = NULL)
{
    struct child child = child_run(fork_and_finalize);

    cr_assert(child_returned(&child), "%s", child.text);
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
    cr_assert_null(gc_finalizer_queue_new(7));
    cr_assert_eq(errno, EINVAL);
    while (gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND) != NULL)
        queues++;
    cr_assert_eq(errno, ENOMEM);
    cr_assert_gt(queues, 200);
}
