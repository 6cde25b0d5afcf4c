/* test_limits.c - the soft and the hard limit, what the program holds elsewhere, and
 * collections in idle time. */
#define _GNU_SOURCE
#include "gc/base/tunables.h"
#include "gc/cycle/choice.h"
#include "test/child.h"
#include "test/effort.h"
#include "test/hidden.h"

#include <broom/limit.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <setjmp.h>
#include <sys/resource.h>

#define MIB ((size_t)1 << 20)

/* ---- The arithmetic ---------------------------------------------------------------- */

static const struct limit none = {.soft_bytes = SIZE_MAX, .most_bytes = SIZE_MAX};
static const struct limit of_100 = {.soft_bytes = 100 * MIB, .most_bytes = SIZE_MAX};

static struct limit_state live(size_t mib)
{
    return (struct limit_state){
        .live_bytes = mib * MIB, .held_bytes = mib * MIB, .hard_bytes = SIZE_MAX, .mutator_ns = 1000000000};
}

Test(limit_budget, is_what_the_pace_wants_without_a_limit)
{
    struct limit_state state = live(1000);

    cr_assert_eq(gc__limit_budget(&none, &state, 500 * MIB), 500 * MIB);
}

/* A collection of a millisecond, and 4 MiB in so many milliseconds between two. */
static struct limit_state with_intervals_of(unsigned ms)
{
    struct limit_state state = live(1);

    state.work_ns = 1000000;
    state.mutator_ns = ms * UINT64_C(1000000);
    state.allocated_bytes = 4 * MIB;
    return state;
}

Test(thrifty_budget, is_what_is_allocated_while_collections_take_a_small_share)
{
    struct limit thrifty = {.soft_bytes = SIZE_MAX, .most_bytes = SIZE_MAX, .thrifty = true};
    struct limit_state state = with_intervals_of(16);

    gc__limit_note(&thrifty, &state);
    cr_assert_eq(gc__limit_budget(&thrifty, &state, 8 * MIB), 4 * MIB);
    cr_assert_eq(gc__limit_budget(&thrifty, &state, 3 * MIB), 3 * MIB, "the pace wants less");
    state.work_ns = 1;
    cr_assert_eq(gc__limit_budget(&thrifty, &state, 8 * MIB), 8 * MIB / GC_THRIFT_LEAST_SHARE);
    cr_assert_eq(gc__limit_budget(&thrifty, &state, 2 * MIB), GC_THRIFT_MIN_BYTES);
    state.work_ns = 0; /* nothing was collected */
    cr_assert_eq(gc__limit_budget(&thrifty, &state, 8 * MIB), 8 * MIB);
}

Test(thrifty_budget, remembers_more_than_one_cycle)
{
    struct limit thrifty = {.soft_bytes = SIZE_MAX, .most_bytes = SIZE_MAX, .thrifty = true};
    struct limit_state slow = with_intervals_of(160), fast = with_intervals_of(1);

    for (unsigned i = 0; i < 20; i++)
        gc__limit_note(&thrifty, &slow);
    gc__limit_note(&thrifty, &fast);
    cr_assert_lt(gc__limit_budget(&thrifty, &fast, 100 * MIB), 30 * MIB);
    for (unsigned i = 0; i < 60; i++)
        gc__limit_note(&thrifty, &fast);
    cr_assert_gt(gc__limit_budget(&thrifty, &fast, 100 * MIB), 50 * MIB);
}

Test(limit_budget, is_what_the_pace_wants_far_below_the_limit)
{
    struct limit_state state = live(32);

    cr_assert_eq(gc__limit_budget(&of_100, &state, 32 * MIB), 32 * MIB);
}

Test(limit_budget, is_the_room_that_is_left)
{
    struct limit_state state = live(64);

    cr_assert_eq(gc__limit_budget(&of_100, &state, 64 * MIB), (100 - 64 - 64 / GC_LIMIT_SLACK_SHARE) * MIB);
    state.outside_bytes = 10 * MIB;
    cr_assert_eq(gc__limit_budget(&of_100, &state, 64 * MIB), (100 - 64 - 64 / GC_LIMIT_SLACK_SHARE - 10) * MIB);
}

Test(limit_budget, keeps_away_from_the_hard_limit)
{
    struct limit_state state = live(64);

    state.hard_bytes = 96 * MIB;
    cr_assert_eq(gc__limit_budget(&none, &state, 64 * MIB), (96 - 6 - 64 - 4) * MIB);
}

Test(limit_budget, of_the_hard_limit_alone_has_no_room_for_what_was_never_touched)
{
    struct limit_state state = live(32);

    state.untouched_bytes = 100 * MIB;
    cr_assert_eq(gc__limit_budget(&of_100, &state, 32 * MIB), 32 * MIB);
    cr_assert_not(gc__limit_is_exceeded(&of_100, &state));
    state.hard_bytes = 160 * MIB;
    cr_assert_eq(gc__limit_budget(&of_100, &state, 32 * MIB), (160 - 10 - 100 - 32 - 2) * MIB);
    cr_assert_not(gc__limit_is_exceeded(&of_100, &state));
    state.hard_bytes = 131 * MIB;
    cr_assert(gc__limit_is_exceeded(&of_100, &state));
}

Test(limit_budget, that_is_cut_by_thrift_does_not_lack_room)
{
    struct limit_state state = live(64);

    cr_assert_not(gc__limit_lacks_room(&none, &state, 64 * MIB));
    cr_assert_not(gc__limit_lacks_room(&of_100, &state, 32 * MIB));
    cr_assert(gc__limit_lacks_room(&of_100, &state, 33 * MIB));
}

/* A pause of 10 ms after 20 MiB in 5 ms: as much as 40 MiB take is worth it. */
Test(limit_budget, lets_the_program_have_half_of_the_time)
{
    struct limit_state state = live(98);

    state.allocated_bytes = 20 * MIB;
    state.mutator_ns = 5000000;
    state.work_ns = 10000000;
    cr_assert_eq(gc__limit_budget(&of_100, &state, 98 * MIB), 40 * MIB);
    cr_assert_eq(gc__limit_budget(&of_100, &state, 30 * MIB), 30 * MIB, "never more than the pace wants");
    state.mutator_ns = 0; /* the clock stood still */
    cr_assert_eq(gc__limit_budget(&of_100, &state, 98 * MIB), 98 * MIB);
}

/* Where the soft limit has 20 MiB, and half of the time would take 40. */
Test(limit_budget, goes_no_further_than_the_system_does)
{
    struct limit limit = {.soft_bytes = 84 * MIB, .most_bytes = 100 * MIB};
    struct limit_state state = live(64);

    state.allocated_bytes = 20 * MIB;
    state.mutator_ns = 5000000;
    state.work_ns = 10000000;
    state.outside_bytes = 2 * MIB;
    cr_assert_eq(gc__limit_budget(&limit, &state, 98 * MIB), (100 - 2 - 64 - 4) * MIB);
    limit.most_bytes = SIZE_MAX;
    cr_assert_eq(gc__limit_budget(&limit, &state, 98 * MIB), 40 * MIB);
}

Test(limit_budget, is_never_nothing)
{
    struct limit_state state = live(200);

    cr_assert_eq(gc__limit_budget(&of_100, &state, 200 * MIB), GC_LIMIT_MIN_BYTES);
}

/* 4 MiB a millisecond, and 32 MiB of which three quarters are the runway: enough for 6 ms. */
Test(limit, makes_mutators_wait_if_they_claim_more_than_there_is_room_for)
{
    struct limit limit = of_100;
    struct limit_state state = with_intervals_of(1);

    gc__limit_note(&limit, &state);
    cr_assert_not(gc__limit_makes_wait(&limit, 32 * MIB, 5900000));
    cr_assert(gc__limit_makes_wait(&limit, 32 * MIB, 6100000));
}

/* 64 MiB to mark: 16.4 ms while the program stands; beside it, as long as nothing is known,
 * 65.5 ms; a budget of 64 MiB; and mutators that claim so many KiB in a millisecond. */
static bool runs_beside(size_t kib, const struct heap *with)
{
    static struct heap heap;

    heap.concurrent = with->concurrent;
    heap.concurrent.possible = true;
    heap.minor.write_ns = with->minor.write_ns;
    heap.limit = (struct limit){.near = with->limit.near, .allocated_bytes = kib << 10, .mutator_ns = 1000000};
    heap.options.pause_target_us = with->options.pause_target_us > 0 ? with->options.pause_target_us : 5000;
    heap.world.cpus = 2;
    heap.gang.markers = 1;
    heap.pace.scanned_bytes = heap.pace.full_budget_bytes = 64 * MIB;
    return gc__choice_concurrent(&heap);
}

Test(limit, longer_pauses_are_the_better_choice_where_mutators_would_wait)
{
    static struct heap with;

    cr_assert(runs_beside(700, &with));
    cr_assert_not(runs_beside(800, &with), "20 ms are as good");
    with.concurrent.full_ns = 10000000; /* as the last one took */
    with.concurrent.full_bytes = 64 * MIB;
    cr_assert(runs_beside(4500, &with));
    cr_assert_not(runs_beside(5000, &with));
    with.concurrent.full_bytes = 1; /* that was for nothing, and does not grow without end */
    cr_assert(runs_beside(2200, &with));
}

Test(limit, the_more_so_where_they_leave_the_marker_no_processor)
{
    static struct heap with;

    with.options.pause_target_us = 1500;
    with.concurrent.active = 1;
    cr_assert(runs_beside(800, &with), "6 ms are less");
    with.concurrent.active = 2;
    cr_assert_not(runs_beside(800, &with), "18 ms are as good");
    cr_assert(runs_beside(700, &with), "they would not wait");
}

Test(limit, and_where_faults_are_dear)
{
    static struct heap with;

    with.minor.write_ns = 3000;
    cr_assert(runs_beside(100, &with), "15 ms are less");
    with.minor.write_ns = 4000;
    cr_assert_not(runs_beside(100, &with));
}

/* 16384 pages of 1 us. */
Test(limit, near_one_faults_count_as_time)
{
    static struct heap with;

    with.minor.write_ns = 1000;
    cr_assert(runs_beside(700, &with));
    with.limit.near = true;
    cr_assert_not(runs_beside(700, &with));
    cr_assert(runs_beside(500, &with));
}

Test(limit, is_exceeded_by_all_that_is_held)
{
    struct limit_state state = live(90);

    cr_assert_not(gc__limit_is_exceeded(&of_100, &state));
    state.outside_bytes = 11 * MIB;
    cr_assert(gc__limit_is_exceeded(&of_100, &state));
    cr_assert_not(gc__limit_is_exceeded(&none, &state));
    state.hard_bytes = 89 * MIB;
    cr_assert(gc__limit_is_exceeded(&none, &state));
}

/* ---- A heap within it ------------------------------------------------------------------- */

struct node {
    struct node *next;
    size_t number;
    size_t padding[6];
};

static struct gc_stats stats(void)
{
    struct gc_stats now;

    gc_get_stats(&now, sizeof now);
    return now;
}

static struct node *new_list(size_t bytes)
{
    struct node *list = NULL;

    for (size_t i = 0; i < bytes / sizeof *list; i++) {
        struct node *node = gc_malloc(sizeof *node);
        node->next = list;
        node->number = i;
        list = node;
    }
    return list;
}

static void check_list(const struct node *list, size_t bytes)
{
    for (size_t i = bytes / sizeof *list; i-- > 0; list = list->next)
        cr_assert_eq(list->number, i);
}

static void make_garbage(size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(struct node); i++)
        *(volatile size_t *)&((struct node *)gc_malloc(sizeof(struct node)))->number = i;
}

/* Text, which takes no time to mark: then the limit can be kept whatever the clock
 * says. */
Test(soft_limit, keeps_a_heap_with_70_percent_live_below_it)
{
    enum { BUFFER = 1000 };
    size_t limit = 64 * MIB, count = limit / 10 * 7 / BUFFER;
    char **text;

    without_stress();
    gc_set_memory_limit(limit);
    cr_assert_eq(gc_set_memory_limit(limit), limit);
    text = gc_calloc(count, sizeof *text);
    for (size_t i = 0; i < count; i++)
        memset(text[i] = gc_malloc_atomic(BUFFER), (char)i, BUFFER);
    make_garbage(20 * limit);
    for (size_t i = 0; i < count; i++)
        cr_assert(text[i][0] == (char)i && text[i][BUFFER - 1] == (char)i);
    cr_assert_leq(stats().heap_bytes + stats().metadata_bytes, limit + limit / 20);
}

Test(soft_limit, is_exceeded_by_a_program_that_needs_more)
{
    struct node *list;

    without_stress();
    gc_set_memory_limit(16 * MIB);
    list = new_list(48 * MIB);
    make_garbage(100 * MIB);
    check_list(list, 48 * MIB);
    cr_assert_geq(stats().heap_bytes, 48 * MIB);
    cr_assert_lt(stats().collections, 500, "it does not thrash");
}

Test(soft_limit, can_be_lifted)
{
    gc_set_memory_limit(8 * MIB);
    cr_assert_eq(gc_set_memory_limit(0), 8 * MIB);
    cr_assert_eq(gc_set_memory_limit(0), 0);
    cr_assert_eq(stats().memory_limit, UINT64_MAX);
}

Test(hard_limit, ends_in_ENOMEM_and_can_be_lifted)
{
    struct node *list = NULL;
    size_t count = 0;

    without_stress();
    cr_assert_eq(gc_set_hard_limit(MIB), EINVAL);
    cr_assert_eq(gc_set_hard_limit(16 * MIB), 0);
    for (struct node *node; (node = gc_malloc(sizeof *node)) != NULL; list = node, count++)
        node->next = list;
    cr_assert_eq(errno, ENOMEM);
    cr_assert_leq(stats().heap_bytes, 16 * MIB);
    cr_assert_geq(count * sizeof *list, 14 * MIB);
    cr_assert_eq(gc_set_hard_limit(0), 0);
    cr_assert_not_null(gc_malloc(sizeof *list));
}

Test(hard_limit, below_what_is_free_gives_that_back)
{
    void *large[32];

    without_stress();
    for (unsigned i = 0; i < 32; i++)
        large[i] = memset(gc_malloc(MIB), 1, MIB);
    for (unsigned i = 0; i < 32; i++)
        gc_free(large[i]);
    cr_assert_geq(stats().heap_bytes, 32 * MIB);
    cr_assert_eq(gc_set_hard_limit(8 * MIB), 0);
    cr_assert_leq(stats().heap_bytes, 8 * MIB);
}

/* The pace keeps the heap away from where an allocation has to collect for want of
 * memory. */
Test(hard_limit, with_70_percent_live_lets_the_program_work)
{
    size_t limit = 64 * MIB, bytes = limit / 10 * 7;
    struct node *list;

    without_stress();
    cr_assert_eq(gc_set_hard_limit(limit), 0);
    list = new_list(bytes);
    make_garbage(10 * limit);
    check_list(list, bytes);
    cr_assert_leq(stats().collections, 300);
}

static jmp_buf way_out;

static bool leave(size_t bytes, void *data)
{
    (void)bytes, (void)data;
    gc_set_oom_handler(NULL, NULL);
    longjmp(way_out, 1);
}

Test(hard_limit, lets_the_handler_leave_by_longjmp)
{
    static struct node *list;

    without_stress();
    gc_set_hard_limit(8 * MIB);
    gc_set_oom_handler(leave, NULL);
    if (setjmp(way_out) == 0) {
        for (;;) {
            struct node *node = gc_malloc(sizeof *node);
            node->next = list;
            list = node;
        }
    }
    list = NULL;
    gc_collect();
    cr_assert_not_null(gc_malloc(MIB));
}

/* Under RLIMIT_AS the heap reserves what it can: 70 % of that is live. */
static void work_under_rlimit(void)
{
    struct rlimit limit = {256 * MIB, 256 * MIB};
    struct node *list;
    size_t bytes;

    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return;
    gc_init();
    bytes = (size_t)stats().reserved_bytes / 10 * 6;
    list = new_list(bytes);
    make_garbage(512 * MIB);
    for (size_t i = bytes / sizeof *list; i-- > 0; list = list->next)
        if (list->number != i)
            _exit(2);
}

Test(hard_limit, of_the_address_space_is_one)
{
    struct child child;

    without_stress();
    if (is_sanitized())
        cr_skip_test("the sanitizer wants the address space");
    child = child_run(work_under_rlimit);
    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
}

Test(growth, can_be_changed)
{
    uint64_t before, at_100;
    struct node *list;

    without_stress();
    setenv("BROOM_PAUSE_TARGET_US", "never", 1); /* a cycle beside the program may take any time */
    cr_assert_eq(gc_set_growth_percent(4), EINVAL);
    cr_assert_eq(gc_set_growth_percent(1001), EINVAL);
    list = new_list(32 * MIB);
    gc_collect();
    before = stats().collections;
    make_garbage(320 * MIB);
    at_100 = stats().collections - before;
    cr_assert_eq(gc_set_growth_percent(20), 0);
    gc_collect();
    before = stats().collections;
    make_garbage(320 * MIB);
    cr_assert_gt(stats().collections - before, 3 * at_100 / 2);
    check_list(list, 32 * MIB);
}

/* ---- Pauses against throughput ---------------------------------------------------------- */

static void check_wants_concurrent(bool expected)
{
    cr_assert_eq(gc__choice_concurrent(&gc__heap), expected && gc__heap.concurrent.possible);
}

Test(pause_target, can_be_changed)
{
    uint64_t before;
    struct node *list;

    without_stress();
    setenv("BROOM_PAUSE_TARGET_US", "0", 1); /* as "never" */
    list = new_list(64 * MIB);
    gc_collect();
    check_wants_concurrent(false);
    make_garbage(200 * MIB);
    cr_assert_eq(stats().concurrent_collections, 0);
    cr_assert_eq(gc_set_pause_target(-1), EINVAL);
    cr_assert_eq(gc_set_pause_target((long)INT32_MAX + 1), EINVAL);
    check_wants_concurrent(false);
    cr_assert_eq(gc_set_pause_target(1), 0);
    check_wants_concurrent(true);
    cr_assert_eq(gc_set_pause_target(INT32_MAX), 0);
    check_wants_concurrent(false);
    cr_assert_eq(gc_set_pause_target(0), 0);
    before = stats().concurrent_collections;
    make_garbage(200 * MIB);
    cr_assert_eq(stats().concurrent_collections, before);
    check_list(list, 64 * MIB);
}

/* ---- Elsewhere -------------------------------------------------------------------------- */

Test(external, memory_makes_collections_due)
{
    uint64_t before;

    without_stress();
    gc_init();
    before = stats().collections;
    for (int i = 0; i < 100; i++) {
        gc_note_external((ptrdiff_t)MIB);
        gc_note_external(-(ptrdiff_t)MIB);
    }
    cr_assert_eq(stats().collections, before, "what was given back at once is no reason");
    for (int i = 0; i < 100; i++)
        gc_note_external((ptrdiff_t)MIB);
    cr_assert_eq(stats().external_bytes, 100 * MIB);
    cr_assert_gt(stats().collections, before);
    cr_assert_lt(stats().collections, before + 20, "its growth is geometric");
}

Test(external, never_falls_below_nothing)
{
    gc_note_external(1000);
    gc_note_external(-5000);
    cr_assert_eq(stats().external_bytes, 0);
}

Test(external, never_wraps_around)
{
    gc_disable();
    for (unsigned i = 0; i < 3; i++)
        gc_note_external(PTRDIFF_MAX);
    cr_assert_eq(stats().external_bytes, SIZE_MAX);
}

Test(external, counts_towards_the_soft_limit)
{
    uint64_t before, without;
    struct node *list;

    without_stress();
    gc_set_memory_limit(64 * MIB);
    list = new_list(24 * MIB);
    gc_collect();
    before = stats().collections;
    make_garbage(200 * MIB);
    without = stats().collections - before;
    gc_note_external(30 * MIB);
    gc_collect();
    before = stats().collections;
    make_garbage(200 * MIB);
    cr_assert_gt(stats().collections - before, without);
    check_list(list, 24 * MIB);
}

/* ---- Idle time ---------------------------------------------------------------------------- */

Test(step, collects_early_where_there_is_something_to_collect)
{
    without_stress();
    gc_collect();
    cr_assert_not(gc_step(1000000000), "nothing was allocated");
    make_garbage(MIB);
    cr_assert_not(gc_step(0), "there is no time");
    cr_assert(gc_step(1000000000));
    cr_assert_not(gc_step(1000000000));
}

Test(step, respects_gc_disable)
{
    without_stress();
    gc_disable();
    make_garbage(MIB);
    cr_assert_not(gc_step(1000000000));
    gc_enable();
    cr_assert(gc_step(1000000000));
}
