/* test_minor.c - minor collections: what is old and has come to point at something
 * young keeps it, however the pointer came there, and what was old and died goes
 * in the end. Where the system does not tell which pages were written there are
 * none, and the tests say so. */
#define _GNU_SOURCE
#include "gc/cycle/heap.h"
#include "test/device.h"
#include "test/effort.h"
#include "test/exhaustion.h"

#include <broom.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { OLD_NODES = 250000, TOUCHED = 500 };

struct young {
    uint64_t stamp;
    struct young *next; /* one more, that only this knows */
};

struct old_node {
    struct old_node *next;
    struct young *young;
    uint64_t number;
    uint64_t filler[5];
};

static struct old_node *old;              /* all of them */
static struct old_node *touched[TOUCHED]; /* some of them, from all over the heap */

static uint64_t minor_collections(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats.minor_collections;
}

static __attribute__((noinline)) struct young *new_young(uint64_t stamp)
{
    struct young *young = gc_malloc(sizeof *young);

    young->next = gc_malloc(sizeof *young);
    young->stamp = stamp;
    young->next->stamp = ~stamp;
    return young;
}

static bool is_intact(const struct young *young, uint64_t stamp)
{
    return young->stamp == stamp && young->next->stamp == ~stamp;
}

/* Allocates what nobody wants, in the sizes of all that lives, until there was a
 * minor collection. False: it does not come. */
static bool reach_minor_collection(void)
{
    uint64_t before = minor_collections();

    for (size_t bytes = 0; bytes < 2000 * MIB; bytes += 16 + 64) {
        memset(gc_malloc(sizeof(struct young)), 0xa5, sizeof(struct young));
        memset(gc_malloc(sizeof(struct old_node)), 0xa5, sizeof(struct old_node));
        if (bytes / 80 % 4096 == 0 && minor_collections() != before)
            return true;
    }
    return false;
}

static __attribute__((noinline)) void make_old(void)
{
    for (uint64_t i = 0; i < OLD_NODES; i++) {
        struct old_node *node = gc_malloc(sizeof *node);

        node->number = i;
        node->next = old;
        old = node;
        if (i % (OLD_NODES / TOUCHED) == 0)
            touched[i / (OLD_NODES / TOUCHED)] = node;
    }
}

/* Twice, so that those who are old are watched. */
static bool begin(void)
{
    setenv("BROOM_PAUSE_TARGET_US", "never", 1);
    make_old();
    reach_minor_collection();
    if (!gc__heap.minor.possible)
        return false;
    cr_assert(reach_minor_collection());
    cr_assert(reach_minor_collection());
    return true;
}

#define BEGIN()                                                                                                        \
    if (!begin())                                                                                                      \
    cr_skip_test("the system does not tell which pages were written")

static void check_old(void)
{
    uint64_t number = OLD_NODES;

    for (const struct old_node *node = old; node != NULL; node = node->next)
        cr_assert_eq(node->number, --number);
    cr_assert_eq(number, 0);
}

/* What is lost may be found as a ring. */
TestSuite(minor, .timeout = 300);

/* ---- Ways to store a pointer ------------------------------------------------------------- */

typedef void storing(struct old_node *node, struct young *young);

static void store_plainly(struct old_node *node, struct young *young)
{
    node->young = young;
}

static void store_by_memcpy(struct old_node *node, struct young *young)
{
    struct old_node copy = *node;

    copy.young = young;
    memcpy(node, &copy, sizeof copy);
}

static void store_by_read(struct old_node *node, struct young *young)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], &young, sizeof young), sizeof young);
    cr_assert_eq(read(ends[0], &node->young, sizeof young), sizeof young);
    close(ends[0]);
    close(ends[1]);
}

static __attribute__((noinline)) void store_into_all(storing *store, uint64_t round)
{
    for (size_t i = 0; i < TOUCHED; i++)
        if ((i + round) % 3 == 0)
            store(touched[i], new_young(round << 32 | i));
}

static void check_all(uint64_t round)
{
    for (size_t i = 0; i < TOUCHED; i++)
        if ((i + round) % 3 == 0)
            cr_assert(is_intact(touched[i]->young, round << 32 | i), "round %llu, %zu", (unsigned long long)round, i);
}

static void store_and_collect(storing *store)
{
    for (uint64_t round = 0; round < effort(12); round++) {
        store_into_all(store, round);
        cr_assert(reach_minor_collection());
        cr_assert(round % 4 != 3 || reach_minor_collection());
        check_all(round);
    }
    check_old();
}

Test(minor, old_points_at_young_by_plain_stores)
{
    BEGIN();
    store_and_collect(store_plainly);
}

Test(minor, old_points_at_young_by_memcpy)
{
    BEGIN();
    store_and_collect(store_by_memcpy);
}

Test(minor, old_points_at_young_by_a_system_call)
{
    BEGIN();
    store_and_collect(store_by_read);
}

/* ---- Other objects ------------------------------------------------------------------------ */

static struct young **array;

static __attribute__((noinline)) void store_into_array(size_t count, size_t step, uint64_t round)
{
    for (size_t i = round % step; i < count; i += step)
        array[i] = new_young(round << 32 | i);
}

static __attribute__((noinline)) void store_into_array_by_device(size_t count, size_t step, uint64_t round)
{
    for (size_t i = round % step; i < count; i += step)
        device_store(&array[i], new_young(round << 32 | i));
}

static void check_array_of(size_t count, size_t step, uint64_t round)
{
    for (size_t i = round % step; i < count; i += step)
        cr_assert(is_intact(array[i], round << 32 | i));
}

Test(minor, large_objects_that_grow_and_move)
{
    size_t count = 100000;

    BEGIN();
    array = gc_malloc(count * sizeof *array);
    for (uint64_t round = 0; round < effort(12); round++) {
        store_into_array(count, 3001, round);
        cr_assert(reach_minor_collection());
        check_array_of(count, 3001, round);
        count += count / 3;
        array = gc_realloc(array, count * sizeof *array);
        check_array_of(count * 3 / 4, 3001, round);
        store_into_array(count, 7, round);
        cr_assert(reach_minor_collection());
        check_array_of(count, 7, round);
    }
}

/* Of which the system does not tell. */
Test(minor, old_points_at_young_by_a_device)
{
    enum { ALL = 1 << 18, COUNT = 1 << 12, STEP = 16 }; /* a part that does not make all restless */

    array = gc_malloc(ALL * sizeof *array);
    BEGIN();
    if (!device_open(array, COUNT * sizeof *array))
        cr_skip_test("the system has no io_uring for us");
    for (uint64_t round = 0; round < effort(12); round++) {
        cr_assert_eq(gc_pin_writable(array, array + COUNT), 0);
        store_into_array_by_device(COUNT, STEP, round);
        if (round % 3 == 2) /* what was written before it is known */
            cr_assert_eq(gc_unpin_writable(array, array + COUNT), 0);
        cr_assert(reach_minor_collection());
        check_array_of(COUNT, STEP, round);
    }
    cr_assert_eq(gc_pin_writable(array + COUNT, array), EINVAL);
}

Test(minor, uncollectable_objects)
{
    struct old_node *node;

    BEGIN();
    for (size_t i = 0; i < TOUCHED; i++) {
        node = gc_malloc_uncollectable(sizeof *node);
        touched[i] = (struct old_node *)~(uintptr_t)node; /* hidden: it is kept by its kind */
    }
    for (uint64_t round = 0; round < effort(6); round++) {
        for (size_t i = 0; i < TOUCHED; i++)
            ((struct old_node *)~(uintptr_t)touched[i])->young = new_young(round << 32 | i);
        cr_assert(reach_minor_collection());
        for (size_t i = 0; i < TOUCHED; i++)
            cr_assert(is_intact(((struct old_node *)~(uintptr_t)touched[i])->young, round << 32 | i));
    }
}

/* What takes the place of freed old objects is young. */
Test(minor, cells_that_were_freed_and_used_again)
{
    BEGIN();
    for (uint64_t round = 0; round < effort(12); round++) {
        for (size_t i = 0; i < TOUCHED; i++) {
            struct old_node *node = gc_malloc(sizeof *node);

            if (round > 0)
                gc_free(touched[i]);
            touched[i] = node;
        }
        store_into_all(store_plainly, round);
        cr_assert(reach_minor_collection());
        check_all(round);
    }
}

/* ---- Old garbage ---------------------------------------------------------------------------- */

Test(minor, what_was_old_and_died_goes_in_the_end)
{
    struct gc_stats stats;
    uint64_t least = UINT64_MAX;

    without_stress();
    BEGIN();
    for (unsigned generation = 0; generation < 20; generation++) {
        old = NULL;
        memset(touched, 0, sizeof touched);
        make_old();
        for (unsigned i = 0; i < 3; i++)
            reach_minor_collection();
    }
    gc_get_stats(&stats, sizeof stats);
    cr_assert_leq(stats.heap_peak_bytes, 80 * MIB, "%zu MiB", (size_t)stats.heap_peak_bytes / MIB);

    old = NULL;
    memset(touched, 0, sizeof touched);
    for (size_t bytes = 0; bytes < 1000 * MIB; bytes += 4096) {
        memset(gc_malloc(4096), 0, 4096);
        gc_get_stats(&stats, sizeof stats);
        least = stats.live_bytes < least ? stats.live_bytes : least;
    }
    cr_assert_leq(least, 4 * MIB);
}

Test(minor, none_where_they_are_not_wanted)
{
    setenv("BROOM_NO_MINOR", "1", 1);
    without_stress();
    make_old();
    for (size_t bytes = 0; bytes < 300 * MIB; bytes += 64)
        memset(gc_malloc(64), 0, 64);
    cr_assert_eq(minor_collections(), 0);
    check_old();
}

/* ---- The process ------------------------------------------------------------------------------ */

static void mutate_in_child(void)
{
    store_and_collect(store_plainly);
}

Test(minor, in_the_child_of_a_fork)
{
    BEGIN();
    store_into_all(store_plainly, 99);
    check_child(mutate_in_child);
    cr_assert(reach_minor_collection());
    check_all(99);
    store_and_collect(store_plainly);
}

Test(minor, while_children_come_and_go)
{
    BEGIN();
    for (uint64_t round = 0; round < effort(6); round++) {
        pid_t child;

        store_into_all(store_plainly, round);
        child = fork();
        if (child == 0)
            _exit(0);
        cr_assert(reach_minor_collection());
        check_all(round);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        store_into_all(store_plainly, round + 50);
        cr_assert(reach_minor_collection());
        check_all(round + 50);
    }
}

/* In a child, whose test runner needs no files. */
static void close_all_files_once(void)
{
    for (int file = 3; file < 1024; file++)
        close(file);
}

static void close_all_files(void)
{
    for (uint64_t round = 0; round < effort(6); round++) {
        store_into_all(store_plainly, round);
        close_all_files_once();
        store_into_all(store_plainly, round + 50);
        REQUIRE(reach_minor_collection());
        REQUIRE(reach_minor_collection());
        for (size_t i = 0; i < TOUCHED; i++)
            if ((i + round + 50) % 3 == 0)
                REQUIRE(is_intact(touched[i]->young, (round + 50) << 32 | i));
    }
}

Test(minor, when_the_program_closes_our_file)
{
    BEGIN();
    check_child(close_all_files);
}

/* A full collection finds out, too, that nothing is known any more. */
static void collect_fully_first(void)
{
    gc_collect();
    REQUIRE(reach_minor_collection());
    close_all_files_once();
    gc_collect();
    REQUIRE(reach_minor_collection());
}

Test(minor, go_on_after_a_full_collection_in_a_child)
{
    BEGIN();
    check_child(collect_fully_first);
}

static size_t open_files(void)
{
    size_t count = 0;

    for (int file = 3; file < 1024; file++)
        count += fcntl(file, F_GETFD) >= 0;
    return count;
}

static void fork_on(void)
{
    size_t before = open_files();

    for (unsigned generation = 0; generation < 5; generation++) {
        pid_t child = fork();
        int status;

        if (child != 0) {
            waitpid(child, &status, 0);
            _exit(status != 0);
        }
        if (!reach_minor_collection() || open_files() > before)
            _exit(1);
    }
    _exit(0);
}

Test(minor, do_not_leave_files_behind_in_children_of_children)
{
    pid_t child;
    int status;

    BEGIN();
    child = fork();
    if (child == 0)
        fork_on();
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

static void *go_on_alone(void *unused)
{
    for (unsigned i = 0; i < 3; i++)
        if (!reach_minor_collection())
            _exit(1);
    _exit(0);
    return unused;
}

static void end_main_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, go_on_alone, NULL) == 0)
        pthread_exit(NULL);
}

Test(minor, after_the_end_of_the_initial_thread)
{
    pid_t child;
    int status;

    BEGIN();
    child = fork();
    if (child == 0) {
        end_main_thread();
        _exit(2);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

/* ---- Threads ------------------------------------------------------------------------------------ */

static void *mutate_a_share(void *argument)
{
    size_t share = (size_t)argument;
    bool intact = true;

    for (uint64_t round = 0; round < effort(9); round++) {
        for (size_t i = share; i < TOUCHED; i += 4)
            touched[i]->young = new_young(round << 32 | i);
        if (!reach_minor_collection())
            return NULL;
        for (size_t i = share; i < TOUCHED; i += 4)
            intact &= is_intact(touched[i]->young, round << 32 | i);
    }
    return intact ? touched : NULL;
}

Test(minor, several_threads)
{
    pthread_t thread[4];
    void *result;

    BEGIN();
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, mutate_a_share, (void *)i), 0);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(thread[i], &result), 0);
        cr_assert_not_null(result);
    }
    check_old();
}
