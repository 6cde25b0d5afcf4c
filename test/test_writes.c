/* test_writes.c - the tracking of writes: what the system says was written is all
 * that was, whoever wrote it, and what is not written does not count. */
#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 600 };

static char *start;
static size_t page;

/* What the last look found. */
static bool written[PAGES];
static size_t written_count;

static struct gc__range pages(size_t from, size_t to)
{
    return (struct gc__range){(uintptr_t)start + from * page, (uintptr_t)start + to * page};
}

static void note(struct gc__range range, void *argument)
{
    (void)argument;
    cr_assert(range.start >= (uintptr_t)start && range.end <= (uintptr_t)start + PAGES * page);
    for (uintptr_t at = range.start; at < range.end; at += page) {
        written[(at - (uintptr_t)start) / page] = true;
        written_count++;
    }
}

static bool look(void)
{
    memset(written, 0, sizeof written);
    written_count = 0;
    return gc__os_each_written(pages(0, PAGES), false, note, NULL);
}

static void watch_all(void)
{
    struct gc__range all = pages(0, PAGES);

    cr_assert(gc__os_watch_writes(&all, 1));
}

static void begin(void)
{
    page = gc__os_page_bytes();
    start = gc__os_reserve(2 * PAGES * page, page, 0);
    cr_assert_not_null(start);
    cr_assert(gc__os_commit(start, PAGES * page));
    if (!gc__os_track_writes((struct gc__range){(uintptr_t)start, (uintptr_t)start + 2 * PAGES * page}))
        cr_skip_test("the system does not tell which pages were written");
    memset(start, 1, PAGES * page);
    watch_all();
}

TestSuite(writes, .init = begin);

Test(writes, count_only_where_they_happen)
{
    cr_assert(look());
    cr_assert_eq(written_count, 0);
    for (size_t i = 3; i < PAGES; i += 7)
        start[i * page + i] = 2;
    cr_assert(look());
    for (size_t i = 0; i < PAGES; i++)
        cr_assert_eq(written[i], i % 7 == 3, "page %zu", i);
}

Test(writes, count_until_the_page_is_watched_again)
{
    struct gc__range some[2] = {pages(0, 5), pages(8, 10)};

    memset(start, 2, 20 * page);
    cr_assert(look() && look());
    cr_assert_eq(written_count, 20);
    cr_assert(gc__os_watch_writes(some, 2));
    cr_assert(look());
    cr_assert_eq(written_count, 13);
    cr_assert(!written[4] && written[5] && written[7] && !written[8] && !written[9] && written[10]);
}

Test(writes, of_system_calls_count)
{
    int file = open("/proc/self/exe", O_RDONLY);

    cr_assert_eq(read(file, start + 10 * page + 5, 100), 100);
    close(file);
    cr_assert(look());
    cr_assert(written_count == 1 && written[10]);
}

Test(writes, to_memory_that_came_from_the_os_since_count)
{
    cr_assert(gc__os_decommit(start + 10 * page, 4 * page));
    start[11 * page] = 2;
    cr_assert(look());
    cr_assert(written[11]);
    cr_assert(!written[9] && !written[14]);
}

Test(writes, count_where_pages_were_moved_to)
{
    if (!gc__os_move(start + 100 * page, start + 10 * page, 20 * page))
        cr_skip_test("pages do not move here");
    cr_assert(look());
    for (size_t i = 100; i < 120; i++)
        cr_assert(written[i], "page %zu", i);
    watch_all();
    start[105 * page] = 2;
    start[11 * page] = 2;
    cr_assert(look());
    cr_assert(written[105] && written[11] && !written[106]);
}

Test(writes, count_in_the_parent_of_a_fork)
{
    pid_t child = fork();

    if (child == 0) {
        memset(start, 3, PAGES * page);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert(look());
    cr_assert_eq(written_count, 0, "the child has its own");
    start[5 * page] = 2;
    cr_assert(look());
    cr_assert(written_count == 1 && written[5]);
}

static void check_in_child(int (*function)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(function());
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0, "%x", status);
}

/* Nothing is known in the child, until it is tracked anew. */
static int track_in_child(void)
{
    struct gc__range all = pages(0, PAGES);

    if (look() || gc__os_watch_writes(&all, 1))
        return 1;
    if (!gc__os_track_writes((struct gc__range){(uintptr_t)start, (uintptr_t)start + 2 * PAGES * page}))
        return 2;
    if (!gc__os_watch_writes(&all, 1))
        return 3;
    start[7 * page] = 2;
    return look() && written_count == 1 && written[7] ? 0 : 4;
}

Test(writes, in_the_child_of_a_fork_are_its_own)
{
    check_in_child(track_in_child);
    cr_assert(look());
    cr_assert_eq(written_count, 0);
}

/* In a child: the test runner needs its files. */
static int close_all_files(void)
{
    if (!gc__os_track_writes((struct gc__range){(uintptr_t)start, (uintptr_t)start + 2 * PAGES * page}) || !look())
        return 5;
    for (int file = 3; file < 1024; file++)
        close(file);
    return look() ? 6 : track_in_child();
}

Test(writes, are_not_known_once_our_file_is_closed)
{
    check_in_child(close_all_files);
}
