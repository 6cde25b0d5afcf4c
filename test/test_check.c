#define _GNU_SOURCE
#include "gc/base/check.h"
#include "gc/platform/platform.h"
#include "test/child.h"

#include <criterion/criterion.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Messages ------------------------------------------------------------------ */

static void say_one_thing(void)
{
    gc__message("%d sheep and %s", 7, "a wolf");
}

Test(message, is_one_line_with_the_library_s_name)
{
    struct child child = child_run(say_one_thing);

    cr_assert(child_returned(&child));
    cr_assert_str_eq(child.text, "broom: 7 sheep and a wolf\n");
}

Test(message, is_written_at_once)
{
    cr_assert_eq(child_run(say_one_thing).writes, 1);
}

static void say_a_lot(void)
{
    static char text[5000];

    memset(text, 'x', sizeof text - 1);
    gc__message("%s", text);
    gc__message("next");
}

Test(message, that_is_too_long_is_cut_and_stays_a_line)
{
    struct child child = child_run(say_a_lot);
    const char *line_end = strchr(child.text, '\n');

    cr_assert(child_returned(&child));
    cr_assert_not_null(line_end);
    cr_assert_gt(line_end - child.text, 500);
    cr_assert_eq(memcmp(child.text, "broom: xxxx", 11), 0);
    cr_assert_str_eq(line_end + 1, "broom: next\n");
}

Test(append, puts_texts_behind_each_other)
{
    char text[32];
    size_t used = gc__append(text, 0, sizeof text, "%s", "one");

    cr_assert_eq(used, 3);
    used = gc__append(text, used, sizeof text, " and %d", 2);
    cr_assert_eq(used, 9);
    cr_assert_str_eq(text, "one and 2");
}

Test(append, fills_to_the_last_byte_and_no_further)
{
    char text[9] = "........";
    size_t used = gc__append(text, 0, 8, "1234567");

    cr_assert_eq(used, 7);
    cr_assert_str_eq(text, "1234567");
    cr_assert_eq(gc__append(text, used, 8, "8"), 7);
    cr_assert_str_eq(text, "1234567");
    cr_assert_eq(text[8], '\0');

    text[8] = '!';
    cr_assert_eq(gc__append(text, 0, 8, "a text that is too long"), 7);
    cr_assert_str_eq(text, "a text ");
    cr_assert_eq(text[8], '!');
}

/* ---- Fatal ends ------------------------------------------------------------------ */

/* Called from nowhere else: its name must stand among the callers. */
__attribute__((noinline)) void a_caller_to_be_named(void);
void a_caller_to_be_named(void)
{
    gc__fatal("%s has %d ends", "a sausage", 2);
}

static void fail_plainly(void)
{
    a_caller_to_be_named();
}

Test(fatal, tells_and_aborts)
{
    struct child child = child_run(fail_plainly);

    cr_assert(child_aborted(&child), "status %#x", (unsigned)child.status);
    cr_assert_eq(strncmp(child.text, "broom: a sausage has 2 ends\n", 28), 0, "%s", child.text);
}

/* Built --without-libunwind, the message says so instead. */
static bool names_callers(const struct child *child)
{
    return !child_wrote(child, "without libunwind");
}

Test(fatal, names_the_callers)
{
    struct child child = child_run(fail_plainly);

    if (!names_callers(&child))
        cr_skip_test("built without libunwind");
    cr_assert(child_wrote(&child, "\n  at a_caller_to_be_named+0x"), "%s", child.text);
    cr_assert_not(child_wrote(&child, "  at gc__write_callers"), "itself: %s", child.text);
    cr_assert_eq(child.text[child.length - 1], '\n');
}

static void *fail_inside(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    (void)sp, (void)call, (void)a, (void)b;
    gc__fatal("inside");
}

__attribute__((noinline)) void a_caller_behind_the_spill(void);
void a_caller_behind_the_spill(void)
{
    gc__os_spill_registers(fail_inside, NULL, 0, 0);
    __asm__ volatile(""); /* not a tail call */
}

Test(fatal, names_the_callers_of_a_collection)
{
    struct child child = child_run(a_caller_behind_the_spill);

    if (!names_callers(&child))
        cr_skip_test("built without libunwind");
    cr_assert(child_wrote(&child, "\n  at a_caller_behind_the_spill+0x"), "%s", child.text);
}

static void fail_if(bool wanted)
{
    if (wanted)
        gc__fatal("deep down");
}

static void go_deep(int depth)
{
    fail_if(depth == 0);
    if (depth > 0)
        go_deep(depth - 1);
    __asm__ volatile("");
}

static void fail_deep_down(void)
{
    go_deep(3000);
}

Test(fatal, keeps_the_message_when_there_are_thousands_of_callers)
{
    struct child child = child_run(fail_deep_down);

    cr_assert(child_aborted(&child));
    cr_assert_eq(strncmp(child.text, "broom: deep down\n", 17), 0);
    cr_assert_lt(child.length, 10000);
}

static void misuse(void)
{
    GC_MISUSE("gc_free", "%p is not the start of an object", (void *)0x1234);
}

Test(fatal, misuse_names_the_call)
{
    struct child child = child_run(misuse);

    cr_assert(child_aborted(&child));
    cr_assert_eq(strncmp(child.text, "broom: gc_free: 0x1234 is not the start of an object\n", 53), 0, "%s",
                 child.text);
}

/* A hook that must not be called. */
static void abort_in_hook(const char *message)
{
    (void)message;
    abort();
}

/* ---- Reports ----------------------------------------------------------------------- */

__attribute__((noinline)) void a_caller_of_a_report(void);
void a_caller_of_a_report(void)
{
    gc__report("%d things are odd", 3);
    __asm__ volatile(""); /* not a tail call */
}

static void report_with_hook(void)
{
    gc__fatal_hook = abort_in_hook;
    a_caller_of_a_report();
    a_caller_of_a_report();
}

Test(report, names_the_callers_and_goes_on)
{
    struct child child = child_run(report_with_hook);
    const char *second = strstr(child.text + 1, "broom: 3 things are odd\n");

    cr_assert(child_returned(&child));
    cr_assert_eq(strncmp(child.text, "broom: 3 things are odd\n", 24), 0, "%s", child.text);
    cr_assert_not_null(second);
    if (names_callers(&child))
        cr_assert_not_null(strstr(second, "\n  at a_caller_of_a_report+0x"));
}

/* ---- The hook ---------------------------------------------------------------------- */

static void hook_that_returns(const char *message)
{
    fputs("HOOK:", stderr);
    fputs(message, stderr);
}

static void fail_with_hook(void)
{
    gc__fatal_hook = hook_that_returns;
    a_caller_to_be_named();
}

Test(hook, gets_the_whole_message_after_it_was_written)
{
    struct child child = child_run(fail_with_hook);
    char *hook = strstr(child.text, "HOOK:");

    cr_assert_not_null(hook);
    *hook = '\0';
    cr_assert_str_eq(child.text, hook + 5);
}

Test(hook, that_returns_does_not_stop_the_abort)
{
    struct child child = child_run(fail_with_hook);

    cr_assert(child_aborted(&child));
}

static void hook_that_exits(const char *message)
{
    (void)message;
    _exit(0);
}

static void fail_with_exit(void)
{
    gc__fatal_hook = hook_that_exits;
    gc__fatal("bye");
}

Test(hook, may_end_the_program)
{
    struct child child = child_run(fail_with_exit);

    cr_assert(child_returned(&child));
}

static jmp_buf way_out;

static void hook_that_jumps(const char *message)
{
    (void)message;
    longjmp(way_out, 1);
}

static void fail_twice(void)
{
    volatile int failures = 0;

    gc__fatal_hook = hook_that_jumps;
    if (setjmp(way_out) != 0)
        failures++;
    if (failures < 2)
        a_caller_to_be_named();
    fputs("went on\n", stderr);
}

Test(hook, may_leave_and_the_next_failure_is_told_in_full_too)
{
    struct child child = child_run(fail_twice);
    const char *second = strstr(child.text + 1, "broom: a sausage");

    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert_not_null(second);
    cr_assert_not_null(strstr(second, "went on\n"));
    if (names_callers(&child))
        cr_assert_not_null(strstr(second, "  at a_caller_to_be_named"));
}

/* ---- Assertions and audits ------------------------------------------------------------ */

static int zero(void)
{
    static volatile int value;

    return value;
}

static void audit_what_is_wrong(void)
{
    GC_AUDIT(zero() == 1);
}

static void audit_what_is_right(void)
{
    GC_AUDIT(zero() == 0);
}

static void assert_what_is_wrong(void)
{
    GC_ASSERT(zero() == 1);
}

static void assert_what_is_right(void)
{
    GC_ASSERT(zero() == 0);
}

Test(audit, that_fails_says_what_does_not_hold_and_where)
{
    struct child child = child_run(audit_what_is_wrong);

    cr_assert(child_aborted(&child));
    cr_assert(child_wrote(&child, "broom: a bug in Broom: zero() == 1 does not hold ("), "%s", child.text);
    cr_assert(child_wrote(&child, "test_check.c:"));
}

Test(audit, that_holds_says_nothing)
{
    struct child child = child_run(audit_what_is_right);

    cr_assert(child_returned(&child));
    cr_assert_eq(child.length, 0);
}

Test(assertion, fails_in_debug_builds_only)
{
    struct child child = child_run(assert_what_is_wrong);

    if (GC_DEBUG) {
        cr_assert(child_aborted(&child));
        cr_assert(child_wrote(&child, "a bug in Broom: zero() == 1 does not hold"));
    } else {
        cr_assert(child_returned(&child));
        cr_assert_eq(child.length, 0);
    }
}

Test(assertion, that_holds_says_nothing)
{
    struct child child = child_run(assert_what_is_right);

    cr_assert(child_returned(&child));
    cr_assert_eq(child.length, 0);
}
