/* test_finalizer_runs.c - what finalizers may do, and who runs them. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/finalizable.h"

#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>

TestSuite(finalizers, .init = prepare);
TestSuite(finalizers_undisturbed, .init = prepare_undisturbed);

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
    cr_assert_eq(gc_finalize_all(queue), MANY);
    cr_assert_eq(runs, MANY);
    cr_assert_eq(gc_finalize_all(queue), 0);
}

enum { CHAINS = 50, LINKS = 3 };

/* Links are finalized one after the other, a collection each. */
static __attribute__((noinline)) void make_chains_of_program(gc_finalizer finalizer)
{
    for (size_t i = 0; i < CHAINS; i++) {
        struct node *node = NULL;

        for (size_t j = 0; j < LINKS; j++) {
            node = new_node(i * 5 + 1, node); /* small: no collection comes meanwhile */
            cr_assert_eq(gc_set_finalizer(node, finalizer, NULL), 0);
        }
    }
}

static void finalize_chains(enum gc_finalizer_mode mode)
{
    size_t ran;

    cr_assert_eq(gc_set_finalizer_mode(NULL, mode), 0);
    make_chains_of_program(note);
    clear_stack();
    ran = gc_collect_and_finalize(NULL);
    cr_assert_eq(ran, runs);
    check_nearly(runs, CHAINS * LINKS);
}

Test(finalizers_undisturbed, of_the_program_run_and_are_counted_if_asked)
{
    finalize_chains(GC_FINALIZE_AT_ALLOCATION);
}

Test(finalizers_undisturbed, of_a_thread_run_and_are_counted_if_asked)
{
    finalize_chains(GC_FINALIZE_IN_THREAD);
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

Test(finalizers_undisturbed, that_were_asked_for_do_not_nest)
{
    make_dead_of_program(allocate_much, 20);
    cr_assert_eq(gc_finalize_all(NULL), 20);
    cr_assert_eq(deepest, 1);
    cr_assert_eq(runs, 20);
}

Test(finalizers, at_allocation_may_leave_by_longjmp)
{
    make_dead_of_program(leave_allocation, 30);
    setjmp(way_out);
    clear_stack();
    allocate_until(28);
    check_nearly(runs, 30);
}

static struct gc_stack *own, *coroutine;
static ucontext_t caller, callee;

static void allocate_for_ever(void)
{
    for (;;) {
        for (size_t i = 0; i < 1000; i++)
            cr_assert_not_null(gc_malloc(1000));
        gc_stack_switch(coroutine, own);
        swapcontext(&callee, &caller);
    }
}

/* A stack below the thread's own, and from then on nothing is allocated but there. */
Test(finalizers, at_allocation_may_leave_by_longjmp_and_go_on_in_a_coroutine)
{
    static char memory[256 << 10];
    volatile size_t rounds = 0;

    own = gc_stack_of_thread();
    coroutine = gc_stack_register(memory, sizeof memory);
    getcontext(&callee);
    callee.uc_stack.ss_sp = memory;
    callee.uc_stack.ss_size = sizeof memory;
    makecontext(&callee, allocate_for_ever, 0);
    if (setjmp(way_out) == 0) {
        make_dead_of_program(leave, 1);
        allocate_until(1);
    }
    make_dead_of_program(note, MANY);
    while (runs <= MANY - MANY / 20 && rounds++ < 2000) {
        gc_stack_switch(own, coroutine);
        swapcontext(&caller, &callee);
    }
    check_nearly(runs, MANY + 1);
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

static gc_finalizer_queue *of_thread;

static __attribute__((noinline)) void make_dead_of_thread(void)
{
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_set_finalizer_in(of_thread, new_node(i, NULL), note_thread, NULL, GC_FINALIZE_ORDERED), 0);
}

/* One of those that are dead is enough. */
static void find_more(void *object, void *data)
{
    static size_t calls;

    (void)object, (void)data;
    if (calls++ > 0)
        return;
    make_dead_of_thread();
    collect_with_clear_stack();
}

/* What is found while others run here is not forgotten, though nobody allocates again. */
Test(finalizers, in_a_thread_are_found_by_one_at_allocation)
{
    of_thread = gc_finalizer_queue_new(GC_FINALIZE_IN_THREAD);
    make_dead_of_program(find_more, 20);
    collect_with_clear_stack();
    wait_for(MANY - MANY / 20);
    cr_assert_geq(runs, MANY - MANY / 20);
}

/* Then another takes its place. */
Test(finalizers, may_end_a_thread_of_ours)
{
    cr_assert_eq(gc_set_finalizer_mode(NULL, GC_FINALIZE_IN_THREAD), 0);
    make_dead_of_program(end_thread, 30);
    collect_with_clear_stack();
    for (size_t i = 0; runs < 28 && i < 1000; i++) {
        usleep(1000);
        gc_collect();
    }
    check_nearly(runs, 30);
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
