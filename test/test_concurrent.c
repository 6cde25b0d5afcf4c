/* test_concurrent.c - cycles beside the mutators: what is reachable when the marks
 * are published survives, whatever the mutators did meanwhile; what was dead when the
 * cycle began goes.
 *
 * First step by step, with the mutator's moves in between, so that each order of the
 * two is tried; then with the collector's own thread. Where the system does not tell
 * which pages were written there are no such cycles, and the tests say so. */
#define _GNU_SOURCE
#include "gc/api/enter.h"
#include "gc/cycle/collect.h"
#include "test/effort.h"
#include "test/exhaustion.h"
#include "test/random.h"

#include <broom.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(by_steps, .timeout = 300);
TestSuite(beside, .timeout = 300);

/* ---- A heap that is rewired --------------------------------------------------------- */

enum { NODES = 3000, SLOTS = 4 };

/* Each parcel hangs on one slot alone. */
struct parcel {
    uint64_t stamp;
    struct parcel *inner;
};

struct branch {
    struct branch *next;
    struct parcel *slot[SLOTS];
    uint64_t filler[3];
};

static struct branch *first;
static struct branch **nodes; /* in malloc memory: no root */
static __attribute__((noinline)) struct parcel *new_parcel(void)
{
    struct parcel *parcel = gc_malloc(sizeof *parcel);

    parcel->inner = gc_malloc(random_next() % 8 == 0 ? 5000 : sizeof *parcel);
    parcel->stamp = random_next() | 1;
    parcel->inner->stamp = ~parcel->stamp;
    return parcel;
}

static bool is_intact(const struct parcel *parcel)
{
    return (parcel->stamp & 1) != 0 && parcel->inner != NULL && parcel->inner->stamp == ~parcel->stamp;
}

static __attribute__((noinline)) void build(void)
{
    random_begin("concurrent");
    nodes = calloc(NODES, sizeof(struct branch *));
    for (size_t i = 0; i < NODES; i++) {
        struct branch *node = gc_malloc(sizeof *node);

        for (unsigned s = 0; s < SLOTS; s++)
            node->slot[s] = new_parcel();
        node->next = first;
        first = nodes[i] = node;
    }
}

static struct parcel **any_slot(void)
{
    uint64_t random = random_next();

    return &nodes[random % NODES]->slot[(random >> 32) % SLOTS];
}

static __attribute__((noinline)) void swap_slots(void)
{
    struct parcel **a = any_slot(), **b = any_slot();
    struct parcel *parcel = *a;

    *a = *b;
    *b = parcel;
}

static __attribute__((noinline)) void take_out_and_put_back(void)
{
    static struct parcel *in_data;
    struct parcel **a = any_slot();

    if (in_data == NULL) {
        in_data = *a;
        *a = NULL;
    } else if (*a == NULL) {
        *a = in_data;
        in_data = NULL;
    }
}

/* Into something new, and the old way is cut. */
static __attribute__((noinline)) void wrap(void)
{
    struct parcel **a = any_slot();
    struct parcel *outer = gc_malloc(sizeof *outer);

    if (*a == NULL)
        return;
    outer->stamp = (*a)->stamp;
    outer->inner = (*a)->inner;
    *a = outer;
}

static __attribute__((noinline)) void replace(void)
{
    *any_slot() = new_parcel();
}

static __attribute__((noinline)) void free_one(void)
{
    struct parcel **a = any_slot(), *old = *a;

    *a = new_parcel();
    if (old == NULL)
        return;
    gc_free(old->inner);
    gc_free(old);
}

static __attribute__((noinline)) void resize_one(void)
{
    struct parcel **a = any_slot();

    if (*a != NULL)
        (*a)->inner = gc_realloc((*a)->inner, 16 + random_next() % 40000);
}

static void make_moves(unsigned count)
{
    static void (*const moves[])(void) = {swap_slots, swap_slots, swap_slots, take_out_and_put_back,
                                          wrap,       replace,    free_one,   resize_one};

    for (unsigned i = 0; i < count; i++)
        moves[random_next() % (sizeof moves / sizeof *moves)]();
}

static __attribute__((noinline)) void litter(size_t bytes)
{
    for (size_t done = 0; done < bytes; done += 32 + 64 + 5008) {
        memset(gc_malloc(16), 0xa4, 16);
        memset(gc_malloc(64), 0xa4, 64);
        memset(gc_malloc(5000), 0xa4, 5000);
    }
}

static void check(void)
{
    size_t count = 0;

    for (const struct branch *node = first; node != NULL; node = node->next, count++)
        for (unsigned s = 0; s < SLOTS; s++)
            cr_assert(node->slot[s] == NULL || is_intact(node->slot[s]));
    cr_assert_eq(count, NODES);
}

/* ---- Step by step ------------------------------------------------------------------------ */

/* The collector's own thread is not started: nobody but us makes a step. */
static void be_the_collector(void)
{
    unsetenv("BROOM_STRESS");
    gc_init();
    gc__heap.background.started = true;
    gc__heap.concurrent.step_objects = 50;
}

static bool begin_cycle_of(bool minor)
{
    bool begun;

    gc__world_lock(&gc__heap.world);
    begun = gc__concurrent_begin(&gc__heap, minor);
    gc__world_unlock(&gc__heap.world);
    return begun;
}

/* Minor or not. */
static bool begin_cycle(void)
{
    return begin_cycle_of(random_once_in(2));
}

#define BEGIN()                                                                                                        \
    be_the_collector();                                                                                                \
    build();                                                                                                           \
    if (!begin_cycle())                                                                                                \
    cr_skip_test("the system does not tell which pages were written")

static void *step_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);
    bool more;

    (void)a, (void)b;
    gc__world_begin(mutator);
    more = gc__concurrent_step(&gc__heap);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return more ? mutator : NULL;
}

static bool step(void)
{
    return gc__os_spill_registers(step_spilled, "step", 0, 0) != NULL;
}

static enum concurrent_phase phase(void)
{
    return gc__concurrent_phase(&gc__heap.concurrent);
}

/* The pace may have ended the cycle. */
static void step_to(enum concurrent_phase wanted)
{
    while (phase() != wanted)
        if (!step())
            cr_assert(begin_cycle());
}

static void finish_cycle(void)
{
    while (step())
        continue;
    cr_assert_eq(phase(), PHASE_OFF);
}

static uint64_t concurrent_collections(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats.concurrent_collections;
}

Test(by_steps, a_cycle_goes_through_all_phases)
{
    bool seen[PHASE_COUNT] = {false};

    BEGIN();
    do {
        seen[phase()] = true;
        swap_slots(); /* others allocate, and may have to help */
    } while (step());
    for (unsigned i = PHASE_OFF + 1; i < PHASE_COUNT; i++)
        cr_assert(seen[i] == (i != PHASE_FAIL), "phase %u", i);
    cr_assert_eq(concurrent_collections(), 1);
    check();
}

Test(by_steps, moves_between_any_two_steps)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(60); cycle++) {
        gc__heap.concurrent.step_objects = 1 + random_next() % 500;
        do
            make_moves((unsigned)(random_next() % 20));
        while (step());
        litter(1 << 20);
        check();
        cr_assert(begin_cycle());
    }
}

/* The marks are checked by the verifier, too: no edge leads from black to white. */
Test(by_steps, moves_under_the_verifier)
{
    BEGIN();
    gc__heap.options.stress = 1 << 30;
    for (uint64_t cycle = 0; cycle < effort(20); cycle++) {
        gc__heap.concurrent.step_objects = 1 + random_next() % 500;
        do
            make_moves((unsigned)(random_next() % 20));
        while (step());
        check();
        cr_assert(begin_cycle());
    }
}

Test(by_steps, a_cycle_that_is_taken_over_anywhere)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(100); cycle++) {
        uint64_t steps = random_next() % 400;

        while (steps-- > 0 && step())
            make_moves(3);
        switch (random_next() % 4) {
        case 0: gc_collect(); break;
        case 1:
            gc__world_lock(&gc__heap.world);
            if (phase() != PHASE_OFF)
                gc__concurrent_give_up(&gc__heap);
            gc__world_unlock(&gc__heap.world);
            break;
        case 2:
            gc_disable();
            cr_assert(phase() == PHASE_OFF);
            gc_enable();
            break;
        default: finish_cycle();
        }
        litter(1 << 20);
        check();
        if (phase() == PHASE_OFF)
            cr_assert(begin_cycle());
    }
}

static struct hidden dead[1000];

static __attribute__((noinline)) void make_dead(void)
{
    for (size_t i = 0; i < 1000; i++)
        dead[i] = hide(gc_malloc(i % 10 == 0 ? 40000 : 48));
}

Test(by_steps, what_was_dead_before_is_gone_after)
{
    BEGIN();
    finish_cycle();
    make_dead();
    clear_stack();
    cr_assert(begin_cycle_of(false));
    finish_cycle();
    cr_assert_leq(count_alive(dead, 1000), 20);
    check();
}

/* Born black, it is kept, but for one cycle only. */
Test(by_steps, what_is_born_and_dies_meanwhile_is_gone_after_the_next)
{
    BEGIN();
    step_to(PHASE_TRACE);
    make_dead();
    clear_stack();
    finish_cycle();
    cr_assert_eq(count_alive(dead, 1000), 1000);
    cr_assert(begin_cycle_of(false));
    finish_cycle();
    cr_assert_leq(count_alive(dead, 1000), 20);
}

Test(by_steps, memory_that_is_freed_meanwhile_comes_back)
{
    struct gc_stats stats;
    char *large[20];

    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(30); cycle++) {
        for (unsigned i = 0; i < 20; i++)
            large[i] = gc_malloc(1 << 20);
        step_to(cycle % 2 == 0 ? PHASE_TRACE : PHASE_PUBLISH);
        for (unsigned i = 0; i < 20; i++)
            gc_free(large[i]);
        finish_cycle();
    }
    gc_get_stats(&stats, sizeof stats);
    cr_assert_leq(stats.heap_peak_bytes, 150 << 20);
}

/* The collector's own file, as a program closes it that closes all. */
static void close_all_files(void)
{
    for (int file = 3; file < 1024; file++)
        close(file);
}

static void lose_the_file(void)
{
    gc__heap.background.started = true;            /* nor is it here */
    for (unsigned cycle = 0; cycle < 2; cycle++) { /* a third would be the last */
        uint64_t steps = random_next() % 300;

        while (steps-- > 0 && step())
            make_moves(3);
        close_all_files();
        while (step())
            make_moves(3);
        litter(1 << 20);
        REQUIRE(begin_cycle_of(cycle % 2 != 0));
    }
    while (step())
        make_moves(3);
    check();
}

Test(by_steps, a_file_that_is_closed_anywhere)
{
    BEGIN();
    for (uint64_t i = 0; i < effort(20); i++) {
        struct child child;

        make_moves((unsigned)i + 1);
        child = child_run(lose_the_file);
        cr_assert(child_returned(&child), "%s", child.text);
    }
}

Test(by_steps, a_fork_anywhere)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(30); cycle++) {
        uint64_t steps = random_next() % 400;
        int status;
        pid_t child;

        while (steps-- > 0 && step())
            make_moves(3);
        child = fork();
        if (child == 0) {
            litter(1 << 20);
            make_moves(100);
            gc_collect();
            litter(1 << 20);
            check();
            _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        finish_cycle();
        litter(1 << 20);
        check();
        cr_assert(begin_cycle());
    }
}

/* ---- With the collector's thread ------------------------------------------------------------ */

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
