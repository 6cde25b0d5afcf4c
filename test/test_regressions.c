/* test_regressions.c - what attacks on the collector once brought down, each
 * as small as it can be. */
#define _GNU_SOURCE
#include "test/hidden.h"

#include <broom.h>

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { KIB = 1 << 10, MIB = 1 << 20, MARK = 0x5eed };

/* ---- Exhaustion ------------------------------------------------------------------ */

static unsigned times_asked;

/* Makes a message, say; there is no room for that either. */
static bool allocate_and_give_up(size_t bytes, void *data)
{
    (void)data;
    times_asked++;
    cr_assert_null(gc_malloc(bytes));
    return false;
}

static __attribute__((noinline)) void *fill_the_heap(size_t bytes)
{
    void **list = NULL, **node;

    while ((node = gc_malloc(bytes)) != NULL) {
        *node = list;
        list = node;
    }
    return list;
}

static void start_with_a_small_heap(void)
{
    struct gc_options options = {.max_heap = 8 * MIB};

    cr_assert_eq(gc_init_options(&options, sizeof options), 0);
}

Test(regressions, a_handler_that_allocates_is_not_asked_about_that)
{
    start_with_a_small_heap();
    void *volatile list = fill_the_heap(16 * KIB);

    gc_set_oom_handler(allocate_and_give_up, NULL);
    cr_assert_null(gc_malloc(16 * KIB));
    cr_assert_eq(times_asked, 1);
    cr_assert_null(gc_malloc(SIZE_MAX / 2));
    cr_assert_eq(times_asked, 2);
    cr_assert_not_null(list);
}

Test(regressions, shrinking_an_object_never_fails)
{
    start_with_a_small_heap();
    char *volatile medium = gc_malloc(20000);
    char *volatile large = gc_malloc(60000);
    void *volatile lists[] = {fill_the_heap(20 * KIB), fill_the_heap(5 * KIB), fill_the_heap(500)};

    gc_set_oom_handler(allocate_and_give_up, NULL);
    cr_assert_not_null(gc_realloc(medium, 9000));
    cr_assert_not_null(gc_realloc(large, 20000));
    cr_assert_eq(times_asked, 0);
    cr_assert_not_null(lists[0]);
}

/* ---- Stacks ---------------------------------------------------------------------- */

static void collect_in_handler(int number)
{
    (void)number;
    collect_with_clear_stack();
}

/* A frame between the alternate stack and the stack pointer at the signal: its
 * object is on no other stack. */
static __attribute__((noinline)) void hold_an_object_and_raise(void)
{
    uintptr_t *volatile object = gc_malloc(48);

    *object = MARK;
    raise(SIGUSR1);
    cr_assert_eq(*object, MARK);
    cr_assert_eq(gc_base(object), object);
}

Test(regressions, a_signal_stack_may_lie_in_a_frame_of_the_normal_one)
{
    char area[64 * KIB];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
    struct sigaction action = {.sa_handler = collect_in_handler, .sa_flags = SA_ONSTACK};

    gc_init();
    cr_assert_eq(sigaltstack(&stack, NULL), 0);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    hold_an_object_and_raise();
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
}

/* ---- Roots ------------------------------------------------------------------------ */

static struct hidden kept;

static __attribute__((noinline)) void keep_in_key(pthread_key_t key)
{
    uintptr_t *object = gc_malloc(48);

    *object = MARK;
    pthread_setspecific(key, object);
    kept = hide(object);
}

/* glibc keeps the values of the first 32 keys elsewhere than the others. */
Test(regressions, values_of_thread_specific_keys_are_roots)
{
    pthread_key_t keys[40];

    gc_init();
    for (unsigned i = 0; i < 40; i++)
        pthread_key_create(&keys[i], NULL);
    for (unsigned i = 0; i < 40; i += 39) {
        keep_in_key(keys[i]);
        collect_with_clear_stack();
        cr_assert(is_alive(kept));
        cr_assert_eq(*(uintptr_t *)pthread_getspecific(keys[i]), MARK);
    }
}

/* ---- Figures ---------------------------------------------------------------------- */

Test(regressions, an_untouched_object_costs_no_bitmaps)
{
    struct gc_stats before, after;
    void *volatile object;

    gc_init();
    gc_get_stats(&before, sizeof before);
    object = gc_malloc_atomic((size_t)1 << 30);
    gc_get_stats(&after, sizeof after);
    cr_assert_not_null(object);
    cr_assert_lt(after.metadata_bytes - before.metadata_bytes, 6 * MIB);
}
