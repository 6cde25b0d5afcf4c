/* test_stack_switch.c - switches of stacks that are written by hand, and switches at
 * unusual places: in a signal's handler, in a finalizer, and before a fork. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/coroutine.h"
#include "test/nearly.h"
#include "test/spin.h"

#include <broom/finalizer.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

enum { COUNT = 50, TIMES = 4 };

static size_t lost;

static void switch_by_hand(void)
{
    by_hand = true;
}

/* ---- By hand ------------------------------------------------------------------------------- */

/* In registers that a function leaves as they are: what the switch pushes lies below the
 * place where the stack is said to have been left. */
static void keep_in_registers(struct coroutine *self)
{
    register uintptr_t *a = new_number(self->value), *b = new_number(self->value), *c = new_number(self->value);

    for (unsigned i = 1; i < TIMES; i++) {
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));
        yield(self);
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));
        lost += *a != self->value || *b != self->value || *c != self->value;
    }
}

static void keep_in_frame(struct coroutine *self)
{
    uintptr_t *volatile number = new_number(self->value);

    for (unsigned i = 1; i < TIMES; i++) {
        yield(self);
        lost += *number != self->value;
    }
}

static void begin_all(struct coroutine *coroutine[COUNT])
{
    for (unsigned i = 0; i < COUNT; i++) {
        coroutine[i]->value = i + 1;
        resume(coroutine[i]);
    }
}

static void finish_all(struct coroutine *coroutine[COUNT])
{
    for (unsigned round = 1; round < TIMES; round++) {
        clear_stack();
        collect_and_overwrite();
        for (unsigned i = 0; i < COUNT; i++)
            resume(coroutine[i]);
    }
    for (unsigned i = 0; i < COUNT; i++)
        lost += !coroutine[i]->done;
}

Test(stack_switch, by_hand_keeps_what_waits, .init = switch_by_hand)
{
    struct coroutine *coroutine[COUNT];

    for (unsigned i = 0; i < COUNT; i++)
        coroutine[i] = new_coroutine(i % 2 ? keep_in_registers : keep_in_frame, map(STACK_BYTES));
    begin_all(coroutine);
    finish_all(coroutine);
    cr_assert_eq(lost, 0);
}

Test(stack_switch, by_hand_keeps_what_waits_on_new_stacks, .init = switch_by_hand)
{
    struct coroutine **coroutine = gc_calloc(COUNT, sizeof *coroutine);

    for (unsigned i = 0; i < COUNT; i++)
        coroutine[i] = coroutine_on_new_stack(i % 2 ? keep_in_registers : keep_in_frame);
    begin_all(coroutine);
    finish_all(coroutine);
    cr_assert_eq(lost, 0);
}

Test(stack_switch, by_hand_keeps_nothing_below, .init = switch_by_hand)
{
    struct coroutine *coroutine = new_coroutine(lay_and_return, map(STACK_BYTES));

    resume(coroutine);
    collect_and_overwrite();
    cr_assert_eq(count_alive(dead, OBJECTS), OBJECTS);
    resume(coroutine);
    collect_with_clear_stack();
    cr_assert_leq(count_alive(dead, OBJECTS), OBJECTS / 50);
    resume(coroutine);
    cr_assert(coroutine->done);
}

static struct coroutine *ring[COUNT + 1];

static void go_to(struct coroutine *self, struct coroutine *next)
{
    next->callers_sp = self->callers_sp;
    next->callers_stack = self->callers_stack;
    if (!next->begun)
        beginning = next;
    next->begun = true;
    gc_stack_switch(self->stack, next->stack);
    switch_to(&self->sp, next->sp);
}

static void pass_on(struct coroutine *self)
{
    uintptr_t *volatile number = new_number(self->value);

    for (;;) {
        if (self->value % 20 == 0)
            collect_and_overwrite();
        if (ring[self->value] != NULL)
            go_to(self, ring[self->value]);
        else
            yield(self);
        lost += *number != self->value;
    }
}

/* Each leads to the next, and the last one to the thread. */
Test(stack_switch, by_hand_from_one_coroutine_to_another, .init = switch_by_hand)
{
    uintptr_t *volatile number = new_number(COUNT);

    for (size_t i = 0; i < COUNT; i++) {
        ring[i] = new_coroutine(pass_on, map(STACK_BYTES));
        ring[i]->value = i + 1;
    }
    for (unsigned i = 0; i < TIMES; i++)
        resume(ring[0]);
    cr_assert_eq(*number, COUNT);
    cr_assert_eq(lost, 0);
}

/* ---- In a signal's handler ----------------------------------------------------------------- */

static struct coroutine *interrupted;

static void leave_interrupted(int signal)
{
    (void)signal;
    yield(interrupted);
}

/* What was interrupted does not see that it was left. */
static void catch_signal(void)
{
    struct sigaction action = {.sa_handler = leave_interrupted, .sa_flags = SA_NODEFER};

    cr_assert(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void be_interrupted(struct coroutine *self)
{
    uintptr_t *volatile number = new_number(self->value);

    interrupted = self;
    raise(SIGUSR1);
    lost += *number != self->value;
    interrupted = self;
    raise(SIGUSR1);
    lost += *number != self->value;
}

static void check_interrupted(void)
{
    struct coroutine *coroutine = new_coroutine(be_interrupted, map(STACK_BYTES));
    uintptr_t *volatile number = new_number(5);

    coroutine->value = 7;
    catch_signal();
    for (unsigned i = 0; i < 3; i++) {
        resume(coroutine);
        clear_stack();
        collect_and_overwrite();
    }
    cr_assert(coroutine->done);
    cr_assert_eq(*number, 5);
    cr_assert_eq(lost, 0);
}

Test(stack_switch, in_a_handler)
{
    check_interrupted();
}

Test(stack_switch, in_a_handler_by_hand, .init = switch_by_hand)
{
    check_interrupted();
}

#if defined __x86_64__

/* Runs on a coroutine, and is interrupted there by another thread. */
static struct spinner {
    spin_function *function;
    struct hidden held[SPIN_HELD], before[SPIN_HELD];
    struct spin spin;
    pthread_t spinning;
} * spinner;

static __attribute__((noinline)) void hold_numbers(void)
{
    for (size_t i = 0; i < SPIN_HELD; i++)
        spinner->held[i] = spinner->before[i] = hide(new_number(i + 10));
}

static void spin(struct coroutine *self)
{
    interrupted = self;
    spinner->function(spinner->held, &spinner->spin);
}

static void *interrupt(void *unused)
{
    while (spinner->spin.ready == 0)
        sched_yield();
    memset(spinner->held, 0, sizeof spinner->held);
    pthread_kill(spinner->spinning, SIGUSR1);
    return unused;
}

static void spin_and_be_interrupted(struct coroutine *coroutine)
{
    pthread_t thread;

    gc_disable(); /* nobody knows the numbers until they are in registers */
    hold_numbers();
    cr_assert(pthread_create(&thread, NULL, interrupt, NULL) == 0);
    resume(coroutine);
    pthread_join(thread, NULL);
    gc_enable();
}

static void check_preempted(spin_function *function)
{
    struct coroutine *coroutine = new_coroutine(spin, map(STACK_BYTES));

    spinner = calloc(1, sizeof *spinner);
    spinner->function = function;
    spinner->spinning = pthread_self();
    catch_signal();
    spin_and_be_interrupted(coroutine);
    clear_stack();
    collect_and_overwrite();
    for (size_t i = 0; i < SPIN_HELD; i++)
        cr_assert(is_alive(spinner->before[i]) && *(uintptr_t *)reveal(spinner->before[i]) == i + 10);
    spinner->spin.released = 1;
    resume(coroutine);
    cr_assert(coroutine->done && memcmp(spinner->held, spinner->before, sizeof spinner->held) == 0);
    collect_with_clear_stack();
    cr_assert_leq(count_alive(spinner->before, SPIN_HELD), SPIN_HELD / 2);
}

Test(stack_switch, in_a_handler_keeps_what_registers_hold)
{
    check_preempted(spin_callee_saved);
    check_preempted(spin_caller_saved);
    check_preempted(spin_vector);
    check_preempted(spin_red_zone);
}

#endif

/* ---- In a finalizer -------------------------------------------------------------------------- */

static gc_finalizer_queue *queue;
static size_t finalized;

static __attribute__((noinline)) void make_dead(gc_finalizer finalizer, void *data)
{
    queue = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);
    for (uintptr_t i = 0; i < COUNT; i++)
        cr_assert_eq(gc_set_finalizer_in(queue, new_number(i + 1), finalizer, data, GC_FINALIZE_UNORDERED), 0);
}

static void switch_and_count(uintptr_t *number, void (*turn)(struct coroutine *coroutine), struct coroutine *coroutine)
{
    uintptr_t before = *number;

    turn(coroutine);
    lost += *number != before || before == 0;
    finalized++;
}

static void go_and_return(void *number, void *coroutine)
{
    switch_and_count(number, resume, coroutine);
}

static void leave_and_return(void *number, void *coroutine)
{
    switch_and_count(number, yield, coroutine);
}

static void collect_each_time(struct coroutine *self)
{
    for (;;) {
        uintptr_t *volatile number = new_number(self->value);

        collect_and_overwrite();
        yield(self);
        lost += *number != self->value;
    }
}

static void check_switch_out_of_thread(void)
{
    struct coroutine *coroutine = new_coroutine(collect_each_time, map(STACK_BYTES));

    coroutine->value = 3;
    make_dead(go_and_return, coroutine);
    clear_stack();
    gc_collect_and_finalize(queue);
    check_nearly(finalized, COUNT);
    cr_assert_eq(lost, 0);
}

Test(stack_switch, in_a_finalizer)
{
    check_switch_out_of_thread();
}

Test(stack_switch, in_a_finalizer_by_hand, .init = switch_by_hand)
{
    check_switch_out_of_thread();
}

static void finalize_here(struct coroutine *self)
{
    (void)self;
    gc_collect_and_finalize(queue);
}

/* Its thread goes on amid the finalizer, and it ends some time later. */
Test(stack_switch, in_a_finalizer_that_a_coroutine_runs)
{
    struct coroutine *coroutine = new_coroutine(finalize_here, map(STACK_BYTES));

    make_dead(leave_and_return, coroutine);
    clear_stack();
    for (size_t i = 0; !coroutine->done; i++) {
        resume(coroutine);
        cr_assert_eq(finalized, i);
        collect_and_overwrite();
    }
    check_nearly(finalized, COUNT);
    cr_assert_eq(lost, 0);
}

/* ---- Before a fork ------------------------------------------------------------------------------ */

static struct coroutine *waiting[COUNT];

static void finish_waiting(void)
{
    finish_all(waiting);
    if (lost != 0)
        abort();
}

/* Those that wait go on in both processes. */
Test(stack_switch, that_lasts_over_a_fork)
{
    struct child child;

    for (unsigned i = 0; i < COUNT; i++) {
        by_hand = i % 4 < 2;
        waiting[i] = i % 2 ? coroutine_on_new_stack(keep_in_frame) : new_coroutine(keep_in_registers, map(STACK_BYTES));
    }
    begin_all(waiting);
    collect_and_overwrite();
    child = child_run(finish_waiting);
    cr_assert(child_returned(&child), "%s", child.text);
    finish_all(waiting);
    cr_assert_eq(lost, 0);
}
