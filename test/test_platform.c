#define _GNU_SOURCE
#include "gc/base/align.h"
#include "gc/cycle/heap.h"
#include "test/child.h"
#include "test/mappings.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

/* ---- Memory --------------------------------------------------------------------- */

TestSuite(memory, .init = learn_page_size);

Test(memory, pages_are_a_power_of_two)
{
    cr_assert(gc__is_power_of_two(page));
    cr_assert_geq(page, 4096);
}

Test(memory, reserved_space_is_aligned_and_has_no_memory)
{
    for (size_t alignment = page; alignment <= 64 * MIB; alignment *= 4) {
        char *start = gc__os_reserve(3 * MIB, alignment, 0);

        cr_assert_not_null(start);
        cr_assert_eq((uintptr_t)start % alignment, 0);
        cr_assert_not(is_readable(start));
        cr_assert_not(is_readable(start + 3 * MIB - 1));
        gc__os_release(start, 3 * MIB);
    }
}

/* The address space that this process has mapped. */
static size_t mapped_bytes(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    cr_assert_not_null(statm);
    cr_assert_eq(fscanf(statm, "%zu", &pages), 1);
    fclose(statm);
    return pages * page;
}

Test(memory, aligning_takes_no_more_space_than_asked_for)
{
    size_t before = (mapped_bytes(), mapped_bytes()); /* the first call may map something itself */
    char *start = gc__os_reserve(2 * MIB, 256 * MIB, 0);

    cr_assert_eq(mapped_bytes() - before, 2 * MIB);
    gc__os_release(start, 2 * MIB);
    cr_assert_eq(mapped_bytes(), before);
}

Test(memory, is_reserved_at_the_address_asked_for)
{
    char *free_place = gc__os_reserve(64 * MIB, 2 * MIB, 0);
    uintptr_t hint = (uintptr_t)free_place;

    gc__os_release(free_place, 64 * MIB);
    cr_assert_eq((uintptr_t)gc__os_reserve(16 * MIB, 2 * MIB, hint), hint);
    cr_assert_neq((uintptr_t)gc__os_reserve(16 * MIB, 2 * MIB, hint), hint, "what is taken is not taken over");
}

Test(memory, that_cannot_be_had_is_refused)
{
    cr_assert_null(gc__os_reserve(SIZE_MAX - page + 1, page, 0));
    cr_assert_null(gc__os_reserve(SIZE_MAX - page + 1, 2 * MIB, 0));
    cr_assert_null(gc__os_reserve((size_t)1 << 62, 2 * MIB, 0));
}

Test(memory, released_space_is_free_again)
{
    char *start = committed(MIB);

    gc__os_release(start, MIB);
    cr_assert_eq(count_mappings(start, start + MIB), 0);
}

Test(memory, committed_memory_is_zero_and_only_that_is_accessible)
{
    char *start = gc__os_reserve(MIB, page, 0);

    cr_assert(gc__os_commit(start + page, 2 * page));
    cr_assert(is_all(start + page, 2 * page, 0));
    memset(start + page, 1, 2 * page);
    cr_assert_not(is_readable(start + page - 1));
    cr_assert_not(is_readable(start + 3 * page));
}

Test(memory, committing_again_keeps_the_contents)
{
    char *start = committed(4 * page);

    memset(start, 5, 4 * page);
    cr_assert(gc__os_commit(start, 4 * page));
    cr_assert(is_all(start, 4 * page, 5));
}

Test(memory, decommitted_memory_is_zero_and_its_neighbours_are_as_they_were)
{
    char *start = committed(4 * page);

    memset(start, 5, 4 * page);
    cr_assert(gc__os_decommit(start + page, 2 * page));
    cr_assert(is_all(start, page, 5));
    cr_assert(is_all(start + page, 2 * page, 0));
    cr_assert(is_all(start + 3 * page, page, 5));
    start[page] = 1; /* still accessible */
}

Test(memory, decommitting_splits_no_mapping)
{
    char *start = committed(MIB);
    unsigned before = count_mappings(start, start + MIB);

    for (size_t i = 0; i < MIB; i += 2 * page) {
        start[i] = 1;
        cr_assert(gc__os_decommit(start + i, page));
    }
    cr_assert_eq(count_mappings(start, start + MIB), before);
}

/* ---- Moving ------------------------------------------------------------------------ */

TestSuite(move, .init = learn_page_size);

Test(move, takes_the_contents_along)
{
    char *start = committed(8 * page);

    memset(start, 1, 2 * page);
    memset(start + 2 * page, 2, 2 * page);
    memset(start + 4 * page, 3, 4 * page);
    cr_assert(gc__os_move(start + 5 * page, start + page, 2 * page));
    cr_assert(is_all(start, page, 1));
    cr_assert(is_all(start + page, 2 * page, 0), "what was moved is still there");
    cr_assert(is_all(start + 3 * page, page, 2));
    cr_assert(is_all(start + 4 * page, page, 3));
    cr_assert(is_all(start + 5 * page, page, 1));
    cr_assert(is_all(start + 6 * page, page, 2));
    cr_assert(is_all(start + 7 * page, page, 3));
}

Test(move, leaves_both_ranges_writable)
{
    char *start = committed(4 * page);

    start[0] = 1;
    cr_assert(gc__os_move(start + 2 * page, start, page));
    memset(start, 7, 4 * page);
    cr_assert(is_all(start, 4 * page, 7));
}

Test(move, of_memory_never_written_moves_zeros)
{
    char *start = committed(4 * page);

    memset(start + 2 * page, 7, 2 * page);
    cr_assert(gc__os_move(start + 2 * page, start, 2 * page));
    cr_assert(is_all(start, 4 * page, 0));
}

/* A move that fails because the process has more address space than it may
 * have. In a child: nothing else works there. Says on stderr what is wrong. */
static void fail_to_move(void)
{
    const struct rlimit none = {MIB, RLIM_INFINITY};
    char *start = gc__os_reserve(8 * page, page, 0);

    if (start == NULL || !gc__os_commit(start, 8 * page))
        _exit(1);
    memset(start, 1, 4 * page);
    memset(start + 4 * page, 2, 4 * page);
    setrlimit(RLIMIT_AS, &none);
    if (gc__os_move(start + 4 * page, start, 4 * page))
        fputs("the move did not fail\n", stderr);
    else if (!is_all(start, 4 * page, 1))
        fputs("the old contents are gone\n", stderr);
    else if (!is_readable(start + 4 * page))
        fputs("there is no memory any more where it was to go\n", stderr);
}

Test(move, that_fails_leaves_both_as_they_were)
{
    if (!gc__os_address_is_free())
        cr_skip_test("a sanitizer needs the address space");

    struct child child = child_run(fail_to_move);
    cr_assert_str_eq(child.text, "");
    cr_assert(child_returned(&child));
}

Test(move, renewing_empties_the_range_and_only_that)
{
    char *start = committed(8 * page);

    memset(start, 1, 8 * page);
    cr_assert(gc__os_move(start + 4 * page, start, 2 * page));
    cr_assert(gc__os_renew(start + 4 * page, 2 * page));
    cr_assert(is_all(start + 2 * page, 2 * page, 1));
    cr_assert(is_all(start + 4 * page, 2 * page, 0));
    cr_assert(is_all(start + 6 * page, 2 * page, 1));
    memset(start, 3, 8 * page);
}

Test(move, renewing_joins_the_mappings_again)
{
    char *start = committed(MIB);
    unsigned before;

    memset(start, 1, MIB);
    before = count_mappings(start, start + MIB);
    for (size_t to = MIB / 2; to < MIB; to += 2 * page)
        cr_assert(gc__os_move(start + to, start + to - MIB / 2, page));
    cr_assert_gt(count_mappings(start, start + MIB), before + 10, "else this shows nothing");
    for (size_t to = MIB / 2; to < MIB; to += 2 * page) {
        cr_assert(gc__os_renew(start + to, page));
        start[to] = 1;
    }
    cr_assert_leq(count_mappings(start, start + MIB), before + 1);
}

/* ---- Limits ----------------------------------------------------------------------------- */

static void expect(bool condition, const char *what)
{
    if (!condition)
        fprintf(stderr, "not so: %s\n", what);
}

static void look_at_limits(void)
{
    struct rlimit limit = {(size_t)1 << 40, RLIM_INFINITY};
    size_t before, after;

    expect(gc__os_address_space_left() == SIZE_MAX, "no limit, no end");
    setrlimit(RLIMIT_AS, &limit);
    before = gc__os_address_space_left();
    expect(before < limit.rlim_cur, "what is used counts");
    expect(before > limit.rlim_cur / 2, "what is free counts");
    expect(gc__os_reserve((size_t)1 << 30, page, 0) != NULL, "a reservation within the limit");
    after = gc__os_address_space_left();
    expect(before - after >= (size_t)1 << 30, "a reservation counts");
    expect(before - after < (size_t)2 << 30, "nothing else does");
    expect(gc__os_reserve((size_t)2 << 40, page, 0) == NULL, "a reservation beyond the limit");
    limit.rlim_cur = MIB;
    setrlimit(RLIMIT_AS, &limit);
    expect(gc__os_address_space_left() == 0, "beyond the limit nothing is left");
}

Test(limits, say_how_much_address_space_is_left, .init = learn_page_size)
{
    struct rlimit limit;

    if (!gc__os_address_is_free())
        cr_skip_test("a sanitizer needs the address space");
    getrlimit(RLIMIT_AS, &limit);
    if (limit.rlim_cur != RLIM_INFINITY || limit.rlim_max != RLIM_INFINITY)
        cr_skip_test("run under a limit");

    struct child child = child_run(look_at_limits);
    cr_assert_str_eq(child.text, "");
    cr_assert(child_returned(&child));
}

/* ---- The rest ------------------------------------------------------------------------------------------ */

Test(system, the_clock_does_not_run_backwards)
{
    uint64_t last = gc__os_clock_ns();

    cr_assert_gt(last, 0);
    for (int i = 0; i < 10000; i++) {
        uint64_t now = gc__os_clock_ns();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(system, the_thread_has_the_kernel_s_number)
{
    cr_assert_eq(gc__os_thread_id(), syscall(SYS_gettid));
}

static int pipe_ends[2];
static _Atomic long number;

static void *wait_at_pipe(void *unused)
{
    char byte;

    number = gc__os_thread_id();
    return read(pipe_ends[0], &byte, 1) == 1 ? unused : NULL;
}

/* To a hundredth of a second. */
Test(system, which_thread_began_later_is_told)
{
    uint64_t before_ns = gc__os_boot_ns(), after_ns;
    pthread_t thread;

    cr_assert_eq(pipe(pipe_ends), 0);
    usleep(20000);
    cr_assert_eq(pthread_create(&thread, NULL, wait_at_pipe, NULL), 0);
    while (number == 0)
        usleep(100);
    usleep(20000);
    after_ns = gc__os_boot_ns();
    errno = 42;
    cr_assert(gc__os_thread_began_after(number, before_ns));
    cr_assert_not(gc__os_thread_began_after(number, after_ns));
    cr_assert_not(gc__os_thread_began_after(gc__os_thread_id(), before_ns));
    cr_assert_eq(write(pipe_ends[1], "", 1), 1);
    pthread_join(thread, NULL);
    while (gc__os_thread_exists(getpid(), number))
        usleep(100);
    cr_assert_not(gc__os_thread_began_after(number, before_ns), "there is none");
    cr_assert_eq(errno, 42);
}
