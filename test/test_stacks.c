/* test_stacks.c - stacks of coroutines: what waits on them survives, what does not
 * lie on them is reclaimed, and a collection may come at any moment of a switch. */
#define _GNU_SOURCE
#include "gc/cycle/heap.h"
#include "test/child.h"
#include "test/coroutine.h"

#include <errno.h>

/* ---- What survives ------------------------------------------------------------------ */

static void keep_number(struct coroutine *self)
{
    uintptr_t *volatile number = new_number(self->value);

    for (unsigned i = 0; i < 3; i++) {
        yield(self);
        cr_assert_eq(*number, self->value);
    }
}

Test(stacks, what_waits_on_a_registered_stack_survives)
{
    enum { COUNT = 50 };
    struct coroutine *coroutine[COUNT];

    for (unsigned i = 0; i < COUNT; i++) {
        coroutine[i] = new_coroutine(keep_number, map(STACK_BYTES));
        coroutine[i]->value = i + 1;
    }
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            resume(coroutine[i]);
        collect_and_overwrite();
    }
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(coroutine[i]->done);
}

/* The object is in a register that a function leaves as it is, and whose saved
 * value ucontext puts into memory that is no root. */
static void keep_in_register(struct coroutine *self)
{
    register uintptr_t *number = new_number(self->value);

    __asm__ volatile("" : "+r"(number));
    yield(self);
    __asm__ volatile("" : "+r"(number));
    cr_assert_eq(*number, self->value);
}

Test(stacks, what_waits_in_a_register_survives)
{
    struct coroutine *coroutine = new_coroutine(keep_in_register, map(STACK_BYTES));

    coroutine->value = 77;
    resume(coroutine);
    collect_and_overwrite();
    resume(coroutine);
    cr_assert(coroutine->done);
}

static void collect_here(struct coroutine *self)
{
    (void)self;
    clear_stack();
    collect_and_overwrite();
}

Test(stacks, what_the_thread_left_on_its_own_stack_survives)
{
    struct coroutine *coroutine = new_coroutine(collect_here, map(STACK_BYTES));
    uintptr_t *volatile number = new_number(123);

    resume(coroutine);
    cr_assert_eq(*number, 123);
}

static __attribute__((noinline)) struct coroutine *coroutine_with_argument(void)
{
    struct coroutine *coroutine = new_coroutine(collect_here, map(STACK_BYTES));
    void **top = (void **)((char *)coroutine->memory + STACK_BYTES);

    top[-8] = new_number(5);
    coroutine->value = hide(top[-8]).bits;
    return coroutine;
}

Test(stacks, what_is_laid_on_a_stack_that_has_not_run_survives)
{
    struct coroutine *coroutine = coroutine_with_argument();

    collect_and_overwrite();
    cr_assert_eq(*(uintptr_t *)reveal((struct hidden){coroutine->value}), 5);
}

Test(stacks, a_stack_in_an_atomic_object_lives_while_it_is_registered)
{
    struct coroutine *coroutine = new_coroutine(keep_number, gc_malloc_atomic(STACK_BYTES));
    struct hidden memory = hide(coroutine->memory);

    coroutine->value = 9;
    for (unsigned i = 0; i < 4; i++) {
        resume(coroutine);
        clear_stack();
        collect_and_overwrite();
        cr_assert(is_alive(memory));
    }
    cr_assert(coroutine->done);
}

/* ---- What is reclaimed ---------------------------------------------------------------- */

Test(stacks, what_lies_below_the_point_where_a_stack_was_left_is_reclaimed)
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

/* Without gc_stack_unregister: it may begin anew, and its uppermost words are those
 * of a beginning. */
Test(stacks, a_stack_that_is_left_for_good_keeps_next_to_nothing)
{
    struct coroutine *coroutine = new_coroutine(lay_deep, map(STACK_BYTES));

    resume(coroutine);
    resume(coroutine);
    cr_assert(coroutine->done);
    collect_with_clear_stack();
    cr_assert_leq(count_alive(dead, OBJECTS), OBJECTS / 10);

    prepare(coroutine, keep_number);
    coroutine->value = 31;
    for (unsigned i = 0; i < 4; i++) {
        resume(coroutine);
        collect_and_overwrite();
    }
    cr_assert(coroutine->done);
}

Test(stacks, a_stack_that_is_no_longer_registered_keeps_nothing)
{
    struct coroutine *coroutine = new_coroutine(lay_deep, map(STACK_BYTES));

    resume(coroutine);
    gc_stack_unregister(coroutine->stack);
    munmap(coroutine->memory, STACK_BYTES);
    collect_with_clear_stack();
    cr_assert_leq(count_alive(dead, OBJECTS), OBJECTS / 50);
}

/* ---- Stacks that are objects ------------------------------------------------------------- */

Test(stacks, what_waits_on_a_new_stack_survives_as_long_as_it_is_reachable)
{
    enum { COUNT = 50 };
    struct coroutine **coroutine = gc_calloc(COUNT, sizeof *coroutine);

    for (unsigned i = 0; i < COUNT; i++) {
        coroutine[i] = coroutine_on_new_stack(i % 2 ? keep_in_register : keep_number);
        coroutine[i]->value = i + 1;
    }
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            if (!coroutine[i]->done)
                resume(coroutine[i]);
        clear_stack();
        collect_and_overwrite();
    }
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(coroutine[i]->done);
}

static struct hidden forgotten[100];

/* Its own record and stack are in its frames, too: a cycle. And getcontext gives each
 * the registers of its maker, in which the one before may stand: a chain. */
static __attribute__((noinline)) void forget_coroutines(void)
{
    for (size_t i = 0; i < 100; i++) {
        struct coroutine *coroutine = coroutine_on_new_stack(lay_deep);

        resume(coroutine);
        forgotten[i] = hide(coroutine->stack);
    }
}

Test(stacks, new_stacks_that_are_forgotten_halfway_are_collected)
{
    forget_coroutines();
    resume(new_coroutine(keep_number, map(STACK_BYTES))); /* what was left last is kept */
    collect_with_clear_stack();
    cr_assert_leq(count_alive(forgotten, 100), 5);
}

static void run_alone(struct coroutine *self)
{
    struct hidden memory = hide(self->stack);

    clear_stack();
    collect_and_overwrite();
    cr_assert(is_alive(memory));
}

Test(stacks, a_new_stack_that_runs_lives)
{
    struct coroutine *coroutine = coroutine_on_new_stack(run_alone);

    resume(coroutine);
    cr_assert(coroutine->done);
    gc_stack_unregister(coroutine->stack);
}

Test(stacks, a_new_stack_is_used_again_when_its_coroutine_is_over)
{
    struct coroutine *coroutine = coroutine_on_new_stack(keep_number);

    for (uintptr_t round = 1; round < 20; round++) {
        coroutine->value = round;
        for (unsigned i = 0; i < 4; i++)
            resume(coroutine);
        cr_assert(coroutine->done);
        collect_and_overwrite();
        prepare(coroutine, keep_number);
    }
}

Test(stacks, one_that_no_heap_holds_is_ENOMEM)
{
    volatile size_t most = SIZE_MAX;
    void *memory;
    size_t size;

    errno = 0;
    cr_assert_null(gc_stack_new(most, &memory, &size));
    cr_assert_eq(errno, ENOMEM);
}

/* ---- A collection between the steps of a switch ------------------------------------------ */

static void collect_amid_switch(struct coroutine *self)
{
    uintptr_t *volatile before = new_number(1), *volatile number;

    gc_stack_switch(self->stack, self->callers_stack);
    collect_and_overwrite(); /* it is still this stack that runs */
    number = new_number(2);
    swapcontext(&self->context, self->caller);
    cr_assert_eq(*before, 1);
    (void)number;
}

Test(stacks, a_collection_between_the_call_and_the_switch_finds_everything)
{
    struct coroutine *coroutine = new_coroutine(collect_amid_switch, map(STACK_BYTES));
    uintptr_t *volatile number = new_number(3);

    resume(coroutine);
    collect_and_overwrite();
    resume(coroutine);
    cr_assert(coroutine->done);
    cr_assert_eq(*number, 3);
}

static void raise_and_collect(int signal)
{
    (void)signal;
    collect_and_overwrite();
}

static __attribute__((noinline)) void signalled(struct coroutine *self)
{
    uintptr_t *volatile number = new_number(self->value);

    raise(SIGUSR1);
    cr_assert_eq(*number, self->value);
    yield(self);
    cr_assert_eq(*number, self->value);
}

Test(stacks, a_handler_on_its_own_stack_above_a_coroutine_may_collect)
{
    struct sigaction action = {.sa_handler = raise_and_collect, .sa_flags = SA_ONSTACK};
    stack_t alternate = {.ss_sp = map(4 * STACK_BYTES), .ss_size = 4 * STACK_BYTES};
    struct coroutine *coroutine = new_coroutine(signalled, map(STACK_BYTES));
    uintptr_t *volatile number = new_number(6);

    coroutine->value = 8;
    cr_assert(sigaltstack(&alternate, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    resume(coroutine);
    collect_and_overwrite();
    resume(coroutine);
    cr_assert(coroutine->done);
    cr_assert_eq(*number, 6);
}

/* ---- Mistakes --------------------------------------------------------------------------------- */

Test(stacks, a_stack_without_bytes_is_refused)
{
    struct gc_stack *stack;

    errno = 0;
    stack = gc_stack_register(map(STACK_BYTES), 0);
    cr_assert(stack == NULL && errno == EINVAL);
    gc_stack_unregister(NULL);
}

static void switch_from_elsewhere(void)
{
    struct gc_stack *stack = gc_stack_register(map(STACK_BYTES), STACK_BYTES);

    gc_stack_switch(stack, gc_stack_of_thread());
}

Test(stacks, to_leave_a_stack_that_does_not_run_is_a_misuse)
{
    struct child child = child_run(switch_from_elsewhere);

    cr_assert(child_aborted(&child));
    cr_assert(child_wrote(&child, "gc_stack_switch"));
}

static void unregister_self(struct coroutine *self)
{
    gc_stack_unregister(self->stack);
}

static void unregister_running(void)
{
    resume(new_coroutine(unregister_self, map(STACK_BYTES)));
}

Test(stacks, to_unregister_the_stack_that_runs_is_a_misuse)
{
    struct child child = child_run(unregister_running);

    cr_assert(child_aborted(&child));
    cr_assert(child_wrote(&child, "gc_stack_unregister"));
}

static void run_unregistered(void)
{
    struct coroutine *coroutine = new_coroutine(keep_number, map(STACK_BYTES));

    gc_stack_unregister(coroutine->stack);
    coroutine->stack = NULL;
    coroutine->body = collect_here;
    coroutine->caller = &(ucontext_t){0};
    swapcontext(coroutine->caller, &coroutine->context);
}

Test(stacks, a_stack_that_nobody_registered_is_warned_of_once)
{
    struct child child = child_run(run_unregistered);
    const char *warning = strstr(child.text, "of which nobody told");

    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(warning != NULL && strstr(warning + 1, "of which nobody told") == NULL, "%s", child.text);
}

/* ---- Many ---------------------------------------------------------------------------------------- */

Test(stacks, descriptors_are_used_again)
{
    char *memory = map(STACK_BYTES);
    struct gc_stack *first = gc_stack_register(memory, STACK_BYTES);
    size_t before = gc__stacks_metadata_bytes(&gc__heap.stacks);

    gc_stack_unregister(first);
    for (unsigned i = 0; i < 100000; i++)
        gc_stack_unregister(gc_stack_register(memory, STACK_BYTES));
    cr_assert_eq(gc__stacks_metadata_bytes(&gc__heap.stacks), before);
    cr_assert_eq(gc__heap.stacks.count, 0);
}

Test(stacks, thousands_are_found_and_audited)
{
    enum { COUNT = 5000, BYTES = 4096 };
    char *memory = map((size_t)COUNT * BYTES);
    static struct gc_stack *stack[COUNT];

    for (size_t i = 0; i < COUNT; i++)
        stack[i] = gc_stack_register(memory + i * BYTES, BYTES);
    for (size_t i = 0; i < COUNT; i++)
        cr_assert_eq(gc__stacks_find(&gc__heap.stacks, (uintptr_t)memory + i * BYTES + BYTES - 1), stack[i]);
    gc__stacks_audit(&gc__heap.stacks);
    for (size_t i = 0; i < COUNT; i += 2)
        gc_stack_unregister(stack[i]);
    gc__stacks_audit(&gc__heap.stacks);
    cr_assert_eq(gc__heap.stacks.count, COUNT / 2);
    cr_assert_null(gc__stacks_find(&gc__heap.stacks, (uintptr_t)memory));
}
