/* test_misuse.c - mistakes of the caller: each is detected, told with the
 * call, the address and the callers, and left to the fatal hook; then the
 * program aborts. A hook may leave by longjmp, and the heap is as it was. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/effort.h"
#include "test/hidden.h"

#include "gc/cycle/heap.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Calls ------------------------------------------------------------------------ */

static void *volatile resized;
static volatile size_t usable;

static void call_free(void *address)
{
    gc_free(address);
}

static void call_realloc(void *address)
{
    resized = gc_realloc(address, 100);
}

static void call_realloc_large(void *address)
{
    resized = gc_realloc(address, 100000);
}

static void call_reallocarray(void *address)
{
    resized = gc_reallocarray(address, 10, 10);
}

static void call_usable_size(void *address)
{
    usable = gc_usable_size(address);
}

static void finalize(void *object, void *data)
{
    (void)object, (void)data;
}

static void call_set_finalizer(void *address)
{
    usable = (size_t)gc_set_finalizer(address, finalize, NULL);
}

static void call_set_finalizer_in(void *address)
{
    usable = (size_t)gc_set_finalizer_in(NULL, address, finalize, NULL, GC_FINALIZE_UNORDERED);
}

static void call_get_finalizer(void *address)
{
    usable = gc_get_finalizer(NULL, address, NULL, NULL);
}

struct call {
    const char *name;
    void (*function)(void *address);
};

/* The calls that want the start of an object. */
static const struct call calls[] = {
    {"gc_free", call_free},
    {"gc_realloc", call_realloc},
    {"gc_realloc", call_realloc_large},
    {"gc_reallocarray", call_reallocarray},
    {"gc_usable_size", call_usable_size},
    {"gc_set_finalizer", call_set_finalizer},
    {"gc_set_finalizer_in", call_set_finalizer_in},
    {"gc_get_finalizer", call_get_finalizer},
};

enum { CALLS = sizeof calls / sizeof calls[0] };

static const struct call *current;
static void *bad_address;

/* Its name must be in the message. */
static __attribute__((noinline)) void misuse_here(void)
{
    current->function(bad_address);
    __asm__ volatile("" : : : "memory"); /* no tail call */
}

/* The callers are named, or it is told why not. */
static bool callers_are_told(const struct child *child, const char *caller)
{
    return child_wrote(child, caller) || child_wrote(child, "callers are not named");
}

static void check_message(const struct child *child, const char *call, const void *address)
{
    char expected[100];

    snprintf(expected, sizeof expected, "broom: %s: %p is not the start of an object", call, address);
    cr_assert(child_aborted(child), "%s(%p): status %d", call, address, child->status);
    cr_assert(strncmp(child->text, expected, strlen(expected)) == 0, "%s(%p): %s", call, address, child->text);
    cr_assert(callers_are_told(child, "misuse_here"), "%s", child->text);
}

/* Each call with the address: the heap, copied by fork, is the same each time. */
static void check_misuse(const void *address)
{
    bad_address = reveal(hide(address));
    for (current = calls; current < calls + CALLS; current++) {
        struct child child = child_run(misuse_here);
        check_message(&child, current->name, address);
    }
}

/* ---- Addresses --------------------------------------------------------------------- */

static int initialized = 1;

Test(misuse, no_address_of_the_heap)
{
    int local = 0;
    void *allocated = malloc(100);

    check_misuse(&local); /* before the heap starts */
    gc_init();
    check_misuse(&local);
    check_misuse(&initialized);
    check_misuse("text");
    check_misuse(allocated);
    check_misuse((void *)8);
    check_misuse((void *)UINTPTR_MAX);
    free(allocated);
}

Test(misuse, inside_an_object)
{
    char *small = gc_malloc(100), *large = gc_malloc(100000);

    check_misuse(small + 16);
    check_misuse(small + 1);
    check_misuse(large + 16);
    check_misuse(large + 4096);
    check_misuse(large + 99999);
}

Test(misuse, freed_already)
{
    char *small = gc_malloc(100), *large = gc_malloc(100000), *root = gc_malloc_uncollectable(50);

    gc_free(small);
    gc_free(large);
    gc_free(root);
    check_misuse(small);
    check_misuse(large);
    check_misuse(root);
}

Test(misuse, moved_away)
{
    char *small = gc_malloc(100), *large = gc_malloc(2000000), *barrier = gc_malloc_atomic(40000);
    char *moved = gc_realloc(small, 10000), *moved_large = gc_realloc(large, 5000000);

    cr_assert(barrier != NULL && moved != small && moved_large != large);
    check_misuse(small);
    check_misuse(large);
}

static __attribute__((noinline)) void make_unheld(struct hidden *object, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        object[i] = hide(gc_malloc(bytes));
}

/* The first that was reclaimed. */
static void *reclaimed_address(size_t bytes)
{
    struct hidden object[100];
    size_t i = 0;

    make_unheld(object, 100, bytes);
    collect_with_clear_stack();
    while (i < 100 && is_alive(object[i]))
        i++;
    cr_assert(i < 100);
    return reveal(object[i]);
}

Test(misuse, reclaimed)
{
    check_misuse(reclaimed_address(64));
    check_misuse(reclaimed_address(70000));
}

/* The cell that the next allocation will hand out, and cells far behind it. */
Test(misuse, not_handed_out_yet)
{
    char *object = gc_malloc(48);

    check_misuse(object + 48);
    check_misuse(object + 4800);
    cr_assert(gc_base(object + 48) == NULL && gc_base(object + 4800) == NULL);
}

Test(misuse, never_allocated)
{
    char *large = gc_malloc(100000);

    check_misuse(large + (1 << 20));
    check_misuse(large + (200 << 20)); /* behind what is accessible */
}

/* ---- Other mistakes ----------------------------------------------------------------- */

static __attribute__((noinline)) void enable_too_often(void)
{
    gc_disable();
    gc_enable();
    gc_enable();
    __asm__ volatile("" : : : "memory");
}

Test(misuse, enable_without_disable)
{
    struct child child = child_run(enable_too_often);

    cr_assert(child_aborted(&child));
    cr_assert(strncmp(child.text, "broom: gc_enable: ", 18) == 0, "%s", child.text);
    cr_assert(callers_are_told(&child, "enable_too_often"), "%s", child.text);
}

static void call_enable(void *address)
{
    (void)address;
    gc_enable();
}

static void *collect_while_blocking(void *argument)
{
    gc_collect();
    return argument;
}

static __attribute__((noinline)) void block_and_collect(void)
{
    resized = gc_thread_blocking(collect_while_blocking, NULL);
    __asm__ volatile("" : : : "memory");
}

Test(misuse, call_while_blocking)
{
    struct child child = child_run(block_and_collect);

    cr_assert(child_aborted(&child));
    cr_assert(strncmp(child.text, "broom: gc_collect: ", 19) == 0, "%s", child.text);
    cr_assert(callers_are_told(&child, "block_and_collect"), "%s", child.text);
}

Test(misuse, options)
{
    struct gc_options options = {.past_end = 17}, fine = {.growth_percent = 50};

    cr_assert(gc_init_options(&options, sizeof options) == EINVAL);
    options = (struct gc_options){.decommit_delay_ms = -2};
    cr_assert(gc_init_options(&options, sizeof options) == EINVAL);
    options = (struct gc_options){.max_heap = 1};
    cr_assert(gc_init_options(&options, sizeof options) == EINVAL);
    cr_assert(gc_init_options(&fine, sizeof fine) == 0);
    cr_assert(gc_init_options(&fine, sizeof fine) == EALREADY);
    cr_assert(gc_init_options(NULL, 0) == EALREADY);
}

/* ---- What is no misuse ------------------------------------------------------------------ */

static void use_null(void)
{
    gc_free(NULL);
    usable = gc_usable_size(NULL);
    resized = gc_realloc(NULL, 10);
    gc_free(resized);
}

Test(misuse, null_is_none)
{
    struct child child = child_run(use_null);

    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(child.length == 0, "%s", child.text);
}

/* ---- The hook ----------------------------------------------------------------------------- */

static void tell_again(const char *message)
{
    fprintf(stderr, "the hook: %s", message);
}

static void misuse_with_hook(void)
{
    gc_set_fatal_hook(tell_again);
    misuse_here();
}

/* It is given what was written, and when it returns the program ends. */
Test(misuse, hook)
{
    struct child child;
    const char *again;

    current = calls;
    bad_address = &initialized;
    child = child_run(misuse_with_hook);
    cr_assert(child_aborted(&child));
    again = strstr(child.text, "the hook: broom: gc_free: ");
    cr_assert(again != NULL, "%s", child.text);
    again += strlen("the hook: ");
    cr_assert(2 * strlen(again) + strlen("the hook: ") == child.length);
    cr_assert(strncmp(child.text, again, strlen(again)) == 0, "%s", child.text);
}

static jmp_buf out;
static unsigned hook_calls;

static void leave(const char *message)
{
    hook_calls++;
    longjmp(out, message != NULL ? 1 : 2);
}

static bool is_misuse(const struct call *call, void *address)
{
    if (setjmp(out) != 0)
        return true;
    call->function(address);
    return false;
}

/* The messages are not for the log. */
static void leave_quietly(void)
{
    cr_assert(freopen("/dev/null", "w", stderr) != NULL);
    gc_set_fatal_hook(leave);
}

Test(misuse, hooks_are_exchanged)
{
    cr_assert(gc_set_fatal_hook(leave) == NULL);
    cr_assert(gc_set_fatal_hook(tell_again) == leave);
    cr_assert(gc_set_fatal_hook(NULL) == tell_again);
    cr_assert(gc_set_fatal_hook(NULL) == NULL);
}

static void check_heap_is_usable(void)
{
    char *object = NULL;

    for (size_t bytes = 1; bytes < 1000000; bytes *= 2) {
        object = gc_realloc(object, bytes);
        object[bytes - 1] = (char)bytes;
        gc_free(gc_malloc_atomic(bytes));
    }
    for (size_t bytes = 1; bytes < 1000000; bytes *= 2)
        cr_assert(object[bytes - 1] == (char)bytes);
    gc_collect();
    gc__heap_audit(&gc__heap);
    cr_assert(gc_base(object) == object);
    gc_free(object);
}

Test(misuse, hook_leaves)
{
    char *object = gc_malloc(100), *large = gc_malloc(100000);

    leave_quietly();
    memset(object, 'x', 100);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < CALLS; i++) {
            cr_assert(is_misuse(&calls[i], object + 16));
            cr_assert(is_misuse(&calls[i], large + 16));
            cr_assert(is_misuse(&calls[i], &initialized));
        }
        cr_assert(is_misuse(&(struct call){"gc_enable", call_enable}, NULL));
        check_heap_is_usable();
    }
    cr_assert(hook_calls == 3 * (3 * CALLS + 1));
    cr_assert(object[0] == 'x' && object[99] == 'x' && gc_usable_size(object) >= 100);
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

static void call_new_array(void *kind)
{
    resized = gc_new_array(kind, 10);
}

Test(misuse, arrays_of_a_kind_without_elements)
{
    const struct gc_kind_options options = {.bytes = 16};
    const struct call call = {"gc_new_array", call_new_array};

    leave_quietly();
    cr_assert(is_misuse(&call, gc_kind_new(&options, sizeof options)));
    check_heap_is_usable();
}

/* ---- Freeing twice --------------------------------------------------------------------------- */

/* Some of them: to name the callers takes milliseconds. */
static void check_are_misuses(void *const *object, size_t count)
{
    for (size_t i = 0; i < count; i += count / 8)
        cr_assert(is_misuse(&calls[0], object[i]), "object %zu of %zu", i, count);
}

/* However many were freed in between, until the memory serves another object. */
static void check_double_frees(size_t bytes, size_t count)
{
    void **object = calloc(count, sizeof *object);

    gc_disable();
    for (size_t i = 0; i < count; i++)
        object[i] = gc_malloc(bytes);
    for (size_t i = 0; i < count; i++)
        gc_free(object[i]);
    check_are_misuses(object, count);
    gc_collect();
    check_are_misuses(object, count);
    gc_enable();
    free(object);
    check_heap_is_usable();
}

Test(misuse, freed_twice)
{
    leave_quietly();
    check_double_frees(16, 200);
    check_double_frees(64, 100);
    check_double_frees(5000, 100);
    check_double_frees(40000, 40);
    check_double_frees(3 << 20, 8);
}

/* An object that died, in a block that was not swept yet. */
Test(misuse, dead_but_not_swept)
{
    struct hidden object[500];
    size_t found = 0, dead = 0;

    leave_quietly();
    make_unheld(object, 500, 64);
    collect_with_clear_stack();
    for (size_t i = 0; i < 500; i += 25) {
        if (is_alive(object[i]))
            continue;
        dead++;
        for (size_t j = 0; j < CALLS; j++)
            found += is_misuse(&calls[j], reveal(object[i]));
    }
    cr_assert(dead > 10 && found == dead * CALLS, "%zu of %zu were found", found, dead * CALLS);
    check_heap_is_usable();
}
