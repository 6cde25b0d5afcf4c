/* test_snapshot_beside.c - cycles that mark a copy of the process, by the collector's own
 * thread: the same heap as in test_snapshot.c, threads, and heaps that become large. */
#define _GNU_SOURCE
#include "gc/cycle/collect.h"
#include "test/effort.h"
#include "test/exhaustion.h"
#include "test/rewired.h"

#include <broom/limit.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(by_itself, .timeout = 300);

static struct gc_stats stats(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

static void keep_collecting(void)
{
    gc__world_lock(&gc__heap.world);
    if (!gc__concurrent_is_under_way(&gc__heap.concurrent))
        gc__concurrent_begin(&gc__heap, false);
    gc__world_unlock(&gc__heap.world);
}

static void wait_for_the_cycle(void)
{
    while (gc__concurrent_is_under_way(&gc__heap.concurrent))
        gc_step(1000000);
}

static void begin_beside(void)
{
    setenv("BROOM_NO_TRACKING", "1", 1);
    setenv("BROOM_SNAPSHOT", "1", 1);
    gc_init();
    build();
    keep_collecting();
}

Test(by_itself, moves)
{
    begin_beside();
    for (uint64_t i = 0; i < effort(20000); i++) {
        make_moves(20);
        keep_collecting();
    }
    wait_for_the_cycle();
    check();
    cr_assert_gt(stats().concurrent_collections, 0);
    cr_assert(gc__heap.snapshot.possible);
}

/* What was born beside a copy is for the next cycle to judge: the heap does not grow by it. */
Test(by_itself, births_are_no_reason_to_grow)
{
    begin_beside();
    make_moves(2000);
    gc__background_call(&gc__heap.background); /* on one CPU, too */
    while (gc__concurrent_is_under_way(&gc__heap.concurrent))
        usleep(1000);
    if (!gc__heap.concurrent.now)
        cr_skip_test("a collection was due that stopped the world");
    cr_assert_eq(gc__heap.pace.full_live_bytes + gc__heap.snapshot.born_bytes, gc__heap.record.live_bytes);
    check();
}

/* Each has chains of its own on its stack, and passes some on. */
static struct parcel *passed[8];

static bool chain_is_intact(const struct parcel *parcel, uint64_t stamp)
{
    size_t length = 0;

    for (; parcel != NULL; parcel = parcel->inner, length++)
        if (parcel->stamp != stamp)
            return false;
    return length == 30;
}

static __attribute__((noinline)) struct parcel *new_chain(uint64_t stamp)
{
    struct parcel *chain = NULL;

    for (unsigned i = 0; i < 30; i++) {
        struct parcel *parcel = gc_malloc(sizeof *parcel);

        parcel->stamp = stamp;
        parcel->inner = chain;
        chain = parcel;
    }
    return chain;
}

static void *turn_chains(void *argument)
{
    uint64_t me = (uint64_t)(uintptr_t)argument, random = me * 7919 + 1;
    struct parcel *own[16] = {NULL};

    for (uint64_t round = 0; round < effort(4000); round++) {
        struct parcel **place = &own[round % 16], *other;

        if (*place != NULL && !chain_is_intact(*place, me))
            return argument;
        *place = new_chain(me);
        random = random * 6364136223846793005u + 1442695040888963407u;
        other = __atomic_exchange_n(&passed[random >> 61], new_chain(99), __ATOMIC_ACQ_REL);
        if (other != NULL && !chain_is_intact(other, 99))
            return argument;
        if (round % 64 == 0)
            keep_collecting();
    }
    return NULL;
}

Test(by_itself, several_mutators)
{
    pthread_t threads[4];

    begin_beside();
    for (uintptr_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, turn_chains, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result;
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_null(result);
    }
    wait_for_the_cycle();
    check();
    cr_assert_gt(stats().concurrent_collections, 0);
    cr_assert(gc__heap.snapshot.possible);
}

/* At the start, and after a fork. */
static void grow_large(void)
{
    uint64_t before = stats().concurrent_collections;

    for (size_t i = 0; i < effort(3000000); i++) {
        struct parcel *parcel = gc_malloc(sizeof *parcel + 32);

        parcel->inner = passed[i % 8];
        if (i % 2 == 0)
            passed[i % 8] = parcel;
    }
    for (size_t i = 0; i < effort(3000000); i++)
        new_parcel();
    if (effort(3000000) == 3000000)
        REQUIRE(stats().concurrent_collections > before);
    REQUIRE(gc__heap.snapshot.possible);
}

Test(by_itself, large_heaps_at_the_start_and_after_a_fork)
{
    struct child child;

    setenv("BROOM_NO_TRACKING", "1", 1);
    setenv("BROOM_SNAPSHOT", "1", 1);
    gc_init();
    if (gc__heap.options.stress != 0)
        cr_skip_test("under stress heaps do not grow");
    grow_large();
    child = child_run(grow_large);
    cr_assert(child_returned(&child), "%s", child.text);
}

static void say_the_way(void)
{
    setenv("BROOM_LOG", "1", 1);
    gc_init();
    build();
    for (unsigned i = 0; i < 2; i++) {
        keep_collecting();
        wait_for_the_cycle();
    }
}

/* Once. */
static bool says(const struct child *child, const char *way)
{
    const char *said = strstr(child->text, "large heaps are marked ");

    return said != NULL && strstr(said + 1, "large heaps") == NULL &&
           strncmp(said + strlen("large heaps are marked "), way, strlen(way)) == 0;
}

Test(by_itself, the_log_tells_the_way_once)
{
    struct child child;

    setenv("BROOM_NO_TRACKING", "1", 1);
    setenv("BROOM_SNAPSHOT", "1", 1);
    child = child_run(say_the_way);
    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(says(&child, "in a copy of the process: BROOM_NO_TRACKING is set\n"), "%s", child.text);
    cr_assert_not_null(strstr(child.text, "snapshot collection "));
}

Test(by_itself, the_log_tells_that_there_is_no_way_beside)
{
    struct child child;

    setenv("BROOM_NO_TRACKING", "1", 1);
    child = child_run(say_the_way);
    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(says(&child, "while the program is stopped: BROOM_NO_TRACKING is set, and BROOM_SNAPSHOT is not set\n"),
              "%s", child.text);
}

/* As the system has it; the second for want of files. */
Test(by_itself, the_log_tells_what_the_system_does)
{
    struct child child = child_run(say_the_way);

    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(says(&child, "beside the program: the system tells which pages are written\n") ||
                  says(&child, "while the program is stopped: the system does not tell which pages are written ("),
              "%s", child.text);
}

static void say_the_way_without_files(void)
{
    struct rlimit limit = {3, 3};

    unsetenv("BROOM_STRESS");
    setenv("BROOM_LOG", "1", 1);
    gc_init();
    build();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    keep_collecting();
}

Test(by_itself, the_log_tells_why_the_system_refuses)
{
    struct child child = child_run(say_the_way_without_files);

    cr_assert(says(&child, "while the program is stopped: the system does not tell which pages are written (") &&
                  child_wrote(&child, "), and BROOM_SNAPSHOT is not set\n"),
              "%s", child.text);
}
