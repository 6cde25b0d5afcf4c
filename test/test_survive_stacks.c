/* test_survive_stacks.c - what must survive a collection that runs on another
 * stack than the usual one: a signal's, a coroutine's, one in the heap. */
#include "test/effort.h"
#include "test/place.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 << 10 };

static struct place *waiting; /* a place on the stack that does not run */

static void check_both_stacks(void)
{
    uintptr_t words[WORDS];

    check_array(words);
    check_intact(waiting);
}

static void on_signal(int number)
{
    (void)number;
    check_both_stacks();
}

/* Handles SIGUSR1 on an alternate stack. */
static void catch_signal(void (*handler)(int), void *stack, int stack_flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    stack_t alternate = {.ss_sp = stack, .ss_size = STACK_BYTES, .ss_flags = stack_flags};

    cr_assert(sigaltstack(&alternate, NULL) == 0);
    cr_assert(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void check_signal(void *stack, int stack_flags)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    catch_signal(on_signal, stack, stack_flags);
    fill(&place);
    waiting = &place;
    raise(SIGUSR1);
    collect_and_check_intact(&place);
}

static void *new_stack(void)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    cr_assert(stack != MAP_FAILED);
    return stack;
}

#ifndef SS_AUTODISARM /* Linux 4.7 */
#define SS_AUTODISARM (1U << 31)
#endif

Test(survive_stacks, signal_stack)
{
    check_signal(malloc(STACK_BYTES), 0);
    check_signal(new_stack(), 0);
}

/* The kernel then says of the stack that it is in use that there is none. */
Test(survive_stacks, signal_stack_disarmed)
{
    check_signal(new_stack(), (int)SS_AUTODISARM);
}

static void on_signal_collect(int number)
{
    (void)number;
    collect_and_overwrite();
}

static void raise_signal(void)
{
    raise(SIGUSR1);
}

/* What the interrupted code had in registers. */
Test(survive_stacks, registers_below_a_signal)
{
    catch_signal(on_signal_collect, new_stack(), 0);
    check_registers(raise_signal, 0);
}

static struct {
    ucontext_t caller;
    ucontext_t own;
} * coroutine; /* in malloc memory: no root */

static void coroutine_main(void)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    check_both_stacks();
    fill(&place);
    waiting = &place;
    swapcontext(&coroutine->own, &coroutine->caller);
    collect_and_check_intact(&place);
    check_both_stacks();
}

/* Runs a coroutine to the point where it waits with pointers on its stack. */
static __attribute__((noinline)) void start_coroutine(void *stack)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    coroutine = malloc(sizeof *coroutine);
    getcontext(&coroutine->own);
    coroutine->own.uc_stack.ss_sp = stack;
    coroutine->own.uc_stack.ss_size = STACK_BYTES;
    coroutine->own.uc_link = &coroutine->caller;
    makecontext(&coroutine->own, coroutine_main, 0);
    fill(&place);
    waiting = &place;
    swapcontext(&coroutine->caller, &coroutine->own);
    check_intact(&place);
}

/* Lets it go on, to its end. */
static void finish_coroutine(void)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS}, *theirs = waiting;

    collect_and_check_intact(theirs);
    fill(&place);
    waiting = &place;
    swapcontext(&coroutine->caller, &coroutine->own);
    check_intact(&place);
}

/* A stack that waits is a root if it is said to be one. */
Test(survive_stacks, coroutine)
{
    char *stack = new_stack();

    cr_assert(gc_add_roots(stack, stack + STACK_BYTES) == 0);
    start_coroutine(stack);
    finish_coroutine();
}

static void *stack_object;

static __attribute__((noinline)) void start_coroutine_on_object(void)
{
    stack_object = gc_malloc(STACK_BYTES);
    start_coroutine(stack_object);
}

/* Held by a global while it waits, an object like others. */
Test(survive_stacks, coroutine_on_an_object)
{
    start_coroutine_on_object();
    finish_coroutine();
}

static struct hidden running_stack; /* in memory, so that no register holds it complemented twice */

static __attribute__((noinline)) void make_running_stack(void)
{
    running_stack = hide(gc_malloc(STACK_BYTES));
}

/* The stack that runs is held by the stack pointer, if by nothing else. */
Test(survive_stacks, stack_that_runs)
{
    make_running_stack();
    clear_stack();
    run_on_stack((struct hidden){running_stack.bits - STACK_BYTES}, gc_collect);
    cr_assert(is_alive(running_stack), "the stack was reclaimed");
}

static void check_running_stack(void)
{
    uintptr_t words[WORDS];

    check_array(words);
}

/* From its stack pointer: also where it lies in a mapping that nobody told of. */
Test(survive_stacks, stack_of_which_nobody_told)
{
    run_on_stack(hide((char *)new_stack() + STACK_BYTES), check_running_stack);
}

/* ---- A stack that grows beyond the limit it began with --------------------------------- */

enum { FRAME_BYTES = 16 << 10, DEEP = (80 << 20) / FRAME_BYTES };

static __attribute__((noinline)) size_t count_intact(size_t depth)
{
    size_t *volatile object = gc_malloc(sizeof *object);
    volatile char frame[FRAME_BYTES];
    size_t below = 0;

    frame[0] = 1;
    *object = ~depth;
    if (depth > 0) {
        below = count_intact(depth - 1);
    } else {
        gc_collect();
        for (size_t i = 0; i < 200000; i++)
            *(size_t *)gc_malloc(sizeof *object) = 1;
    }
    return below + (*object == ~depth) + (size_t)(frame[0] - 1);
}

Test(survive_stacks, in_a_stack_whose_limit_was_raised)
{
    struct rlimit limit;

    if (is_sanitized())
        cr_skip_test("frames are larger there");
    without_stress();
    gc_init();
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 120 << 20;
    if (setrlimit(RLIMIT_STACK, &limit) != 0)
        cr_skip_test("the limit cannot be raised");
    cr_assert(count_intact(DEEP) == DEEP + 1);
}
