/* test_background.c - cycles beside the mutators, by the collector's own thread: the
 * same heap as in test_concurrent.c, threads, forks, and heaps that become large. */
#define _GNU_SOURCE
#include "gc/cycle/collect.h"
#include "test/effort.h"
#include "test/rewired.h"

#include <broom/limit.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(beside, .timeout = 300);

static uint64_t concurrent_collections(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats.concurrent_collections;
}

/* A cycle begins whenever none is under way. */
static void keep_collecting(void)
{
    gc__world_lock(&gc__heap.world);
    if (!gc__concurrent_is_under_way(&gc__heap.concurrent))
        gc__concurrent_begin(&gc__heap, random_once_in(2));
    gc__world_unlock(&gc__heap.world);
}

#define BEGIN_BESIDE()                                                                                                 \
    gc_init();                                                                                                         \
    build();                                                                                                           \
    keep_collecting();                                                                                                 \
    if (!gc__heap.concurrent.possible)                                                                                 \
    cr_skip_test("the system does not tell which pages were written")

Test(beside, moves)
{
    BEGIN_BESIDE();
    for (uint64_t i = 0; i < effort(20000); i++) {
        make_moves(20);
        keep_collecting();
    }
    check();
    cr_assert_gt(concurrent_collections(), 0);
}

static void keep_to_one_cpu(void)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET((size_t)sched_getcpu(), &cpus);
    cr_assert_eq(sched_setaffinity(0, sizeof cpus, &cpus), 0);
}

/* There the program makes all steps, when it allocates. */
Test(beside, nothing_but_the_program_on_one_cpu)
{
    keep_to_one_cpu();
    BEGIN_BESIDE();
    for (uint64_t i = 0; i < effort(20000); i++) {
        make_moves(20);
        keep_collecting();
    }
    check();
    cr_assert_gt(concurrent_collections(), 0);
    cr_assert_eq(gc__heap.background.calls, 0);
}

/* Or when it has nothing else to do. */
Test(beside, idle_time_is_made_use_of)
{
    keep_to_one_cpu();
    BEGIN_BESIDE();
    cr_assert(gc__concurrent_is_under_way(&gc__heap.concurrent));
    for (unsigned i = 0; gc__concurrent_is_under_way(&gc__heap.concurrent) && i < 1000; i++)
        gc_step(1000000);
    cr_assert_not(gc__concurrent_is_under_way(&gc__heap.concurrent));
    check();
}

struct ring {
    struct ring *next;
    uint64_t number;
    uint64_t filler[6];
};

static __attribute__((noinline)) struct ring *new_ring(uint64_t count, uint64_t number)
{
    struct ring *last = gc_malloc(sizeof *last), *ring = last;

    last->number = number;
    for (uint64_t i = 1; i < count; i++) {
        struct ring *link = gc_malloc(sizeof *link);
        link->number = number;
        link->next = ring;
        ring = link;
    }
    last->next = ring;
    return ring;
}

static bool ring_is_intact(const struct ring *ring, uint64_t count, uint64_t number)
{
    const struct ring *link = ring;

    for (uint64_t i = 0; i < count; i++, link = link->next)
        if (link->number != number)
            return false;
    return link == ring;
}

/* Each has rings of its own on its stack, and passes some on. */
static struct ring *passed[8];

static void *turn_rings(void *argument)
{
    uint64_t me = (uint64_t)(uintptr_t)argument, random = me * 7919 + 1;
    struct ring *own[16] = {NULL};

    for (uint64_t round = 0; round < effort(4000); round++) {
        struct ring **place = &own[round % 16], *other;

        if (*place != NULL && !ring_is_intact(*place, 40, (me << 32) + (round - 16)))
            return argument;
        *place = new_ring(40, (me << 32) + round);
        random = random * 6364136223846793005u + 1442695040888963407u;
        other = __atomic_exchange_n(&passed[random >> 61], new_ring(10, 5), __ATOMIC_ACQ_REL);
        if (other != NULL && !ring_is_intact(other, 10, 5))
            return argument;
        if (round % 64 == 0)
            keep_collecting();
        if (round % 16 == me) /* waits for steps of others, who may be stopping it */
            gc_step(200000);
    }
    return NULL;
}

Test(beside, several_mutators)
{
    pthread_t threads[4];

    BEGIN_BESIDE();
    for (uintptr_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, turn_rings, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result;
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_assert_null(result);
    }
    check();
    cr_assert_gt(concurrent_collections(), 0);
}

static void *live_briefly(void *argument)
{
    struct ring *ring = new_ring(30, 77);

    (void)argument;
    return ring_is_intact(ring, 30, 77) ? ring : NULL;
}

Test(beside, threads_that_come_and_go)
{
    BEGIN_BESIDE();
    for (uint64_t i = 0; i < effort(1000); i++) {
        pthread_t thread;
        void *ring;

        cr_assert_eq(pthread_create(&thread, NULL, live_briefly, NULL), 0);
        make_moves(20);
        keep_collecting();
        cr_assert_eq(pthread_join(thread, &ring), 0);
        cr_assert(ring != NULL && ring_is_intact(ring, 30, 77));
    }
    check();
}

Test(beside, collections_that_are_asked_for)
{
    BEGIN_BESIDE();
    for (uint64_t i = 0; i < effort(500); i++) {
        make_moves(50);
        keep_collecting();
        if (i % 3 == 0)
            gc_collect();
    }
    litter(1 << 20);
    check();
}

Test(beside, children_that_go_on)
{
    BEGIN_BESIDE();
    for (uint64_t i = 0; i < effort(40); i++) {
        int status;
        pid_t child;

        keep_collecting();
        make_moves(200);
        child = fork();
        if (child == 0) {
            for (unsigned j = 0; j < 50; j++) {
                make_moves(20);
                keep_collecting();
            }
            gc_collect();
            check();
            _exit(0);
        }
        make_moves(200);
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    check();
}

/* The pauses are told to the pace: a large heap is collected beside the program by
 * itself, and stays bounded. */
Test(beside, large_heaps_by_themselves)
{
    struct gc_stats stats;
    struct ring *ring;

    gc_init();
    if (gc__heap.options.stress != 0)
        cr_skip_test("under stress heaps do not grow");
    gc_set_pause_target(5); /* microseconds: also where a cycle beside the program is dear */
    ring = new_ring(effort(1500000), 1);
    for (uint64_t i = 0; i < effort(400000); i++)
        new_ring(20, 2);
    gc_get_stats(&stats, sizeof stats);
    cr_assert(ring_is_intact(ring, effort(1500000), 1));
    if (!gc__heap.concurrent.possible)
        cr_skip_test("the system does not tell which pages were written");
    if (effort(1500000) == 1500000) {
        cr_assert_gt(stats.concurrent_collections, 0);
        cr_assert_leq(stats.heap_peak_bytes, 350 << 20);
    }
}
