/* test_concurrent.c - cycles beside the mutators, step by step, with the mutator's
 * moves in between, so that each order of the two is tried: what is reachable when the
 * marks are published survives, whatever the mutators did meanwhile; what was dead when
 * the cycle began goes. Where the system does not tell which pages were written there
 * are no such cycles, and the tests say so. */
#define _GNU_SOURCE
#include "test/by_steps.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(by_steps, .timeout = 300);

/* ---- Step by step ------------------------------------------------------------------------ */

static uint64_t concurrent_collections(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats.concurrent_collections;
}

static bool is_for_copies(unsigned wanted)
{
    return wanted >= PHASE_COPY && wanted <= PHASE_ADOPT;
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
        cr_assert(seen[i] == (i != PHASE_FAIL && !is_for_copies(i)), "phase %u", i);
    cr_assert_eq(concurrent_collections(), 1);
    check();
}

Test(by_steps, moves_between_any_two_steps)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(24); cycle++) {
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
    for (uint64_t cycle = 0; cycle < effort(12); cycle++) {
        gc__heap.concurrent.step_objects = 1 + random_next() % 500;
        do
            make_moves((unsigned)(random_next() % 20));
        while (step());
        check();
        cr_assert(begin_cycle());
    }
}

/* As if the system had not seen a write: the page is watched, and not scanned again. */
static void lose_a_write(void)
{
    uintptr_t page;
    struct gc__range range;

    gc__heap.background.started = true; /* nor is it here */
    gc__heap.options.stress = 1 << 30;
    REQUIRE(begin_cycle_of(false));
    step_to(PHASE_FINISH);
    first->slot[0] = new_parcel();
    page = (uintptr_t)first & ~(GC_PAGE_BYTES - 1);
    range = (struct gc__range){page, page + GC_PAGE_BYTES};
    REQUIRE(gc__os_watch_writes(&range, 1));
    clear_stack();
    finish_cycle();
}

Test(by_steps, a_write_that_is_lost_is_found_by_the_second_mark)
{
    struct child child;

    BEGIN();
    if (!GC_DEBUG)
        cr_skip_test("what was born meanwhile is passed over");
    finish_cycle();
    child = child_run(lose_a_write);
    cr_assert(child_aborted(&child), "%s", child.text);
    cr_assert(child_wrote(&child, "can be reached, and the concurrent cycle did not mark it"), "%s", child.text);
}

Test(by_steps, a_cycle_that_is_taken_over_anywhere)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(100); cycle++) {
        uint64_t steps = random_next() % 400;

        while (steps-- > 0 && step())
            make_moves(3);
        end_somehow();
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

Test(by_steps, what_is_born_and_dies_meanwhile_is_gone)
{
    BEGIN();
    step_to(PHASE_TRACE);
    make_dead();
    clear_stack();
    finish_cycle();
    cr_assert_leq(count_alive(dead, 1000), 20);
    check();
}

/* So that it hangs on what was marked before, in memory that was not there then. */
static __attribute__((noinline)) void hang_much_on(struct branch *node)
{
    for (size_t i = 0; i < 200000; i++) {
        struct parcel *parcel = gc_malloc(sizeof *parcel);

        parcel->stamp = i;
        parcel->inner = node->slot[0];
        node->slot[0] = parcel;
    }
}

/* What was marked before it was replaced, and what was born and replaced meanwhile, counts as
 * live once: the next cycle would let more of it come together, and so on. */
Test(by_steps, what_is_replaced_meanwhile_lets_no_heap_grow)
{
    size_t budget;

    BEGIN();
    finish_cycle();
    cr_assert(begin_cycle_of(false));
    finish_cycle();
    budget = gc__heap.pace.full_budget_bytes;
    for (unsigned round = 0; round < 5; round++) {
        cr_assert(begin_cycle_of(false));
        while (step())
            for (unsigned i = 0; i < 12; i++)
                replace();
        cr_assert_leq(gc__heap.pace.full_budget_bytes, budget + budget / 4, "round %u: %zu instead of %zu", round,
                      gc__heap.pace.full_budget_bytes, budget);
    }
    check();
}

/* As much as a whole budget was granted beyond it, and it is used up again. */
Test(by_steps, a_cycle_that_is_outrun_is_given_up_for_one_that_stops)
{
    uint64_t concurrent, collections;

    BEGIN();
    step_to(PHASE_TRACE);
    concurrent = gc__heap.record.concurrent_collections;
    collections = gc__heap.record.collections;
    gc__pace_grant(&gc__heap.pace, gc__heap.pace.full_budget_bytes + (1 << 20));
    gc__pace_make_due(&gc__heap.pace);
    litter(1 << 20);
    cr_assert_not(gc__concurrent_is_under_way(&gc__heap.concurrent));
    cr_assert_eq(gc__heap.record.concurrent_collections, concurrent);
    cr_assert_eq(gc__heap.record.collections, collections + 1);
    check();
}

Test(by_steps, the_heap_grows_meanwhile)
{
    struct parcel *parcel;
    size_t chunks;

    BEGIN();
    step_to(PHASE_ASK);
    chunks = gc__heap.region.accessible;
    hang_much_on(first);
    cr_assert_gt(gc__heap.region.accessible, chunks);
    clear_stack();
    finish_cycle();
    litter(16 << 20);
    parcel = first->slot[0];
    for (size_t i = 200000; i-- > 0; parcel = parcel->inner)
        cr_assert_eq(parcel->stamp, i);
    first->slot[0] = parcel;
    check();
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

/* A list that loses its first one before the marker looks at it, again and again: it finds
 * all of the rest when the world stands. */
static struct link {
    struct link *next;
} * first_link;

static void take_first(void)
{
    struct link *taken = first_link;

    first_link = taken->next;
    taken->next = NULL;
}

static void make_list(size_t links)
{
    while (links-- > 0) {
        struct link *link = gc_malloc(sizeof *link);

        link->next = first_link;
        first_link = link;
    }
}

static size_t length(void)
{
    size_t links = 0;

    for (const struct link *link = first_link; link != NULL; link = link->next)
        links++;
    return links;
}

/* As the marker finds it at the finish. */
static void hide_list_until_the_finish(void)
{
    make_list(10 * GC_FINISH_OBJECTS);
    REQUIRE(begin_cycle_of(false));
    while (phase() != PHASE_FINISH) {
        take_first();
        REQUIRE(step());
    }
}

Test(by_steps, a_finish_that_finds_much_is_put_off)
{
    size_t links;

    BEGIN();
    finish_cycle();
    hide_list_until_the_finish();
    links = length();
    REQUIRE(step());
    REQUIRE(phase() == PHASE_TRACE);
    cr_assert_eq(gc__heap.concurrent.put_off, 1);
    finish_cycle();
    cr_assert_eq(gc__heap.concurrent.put_off, 1);
    litter(1 << 20);
    cr_assert_eq(length(), links);
    check();
}

Test(by_steps, who_cannot_wait_does_not_put_the_finish_off)
{
    BEGIN();
    finish_cycle();
    hide_list_until_the_finish();
    cr_assert(take_over_and_finish());
    cr_assert_eq(phase(), PHASE_OFF);
    litter(1 << 20);
    cr_assert_geq(length(), GC_FINISH_OBJECTS);
    check();
}

/* The system does not tell of any page. */
Test(by_steps, a_cycle_that_failed_is_not_finished)
{
    struct rlimit all, few;

    BEGIN();
    step_to(PHASE_ASK);
    getrlimit(RLIMIT_NOFILE, &all);
    few = (struct rlimit){3, all.rlim_max}; /* none can be opened */
    setrlimit(RLIMIT_NOFILE, &few);
    while (phase() == PHASE_ASK)
        step();
    setrlimit(RLIMIT_NOFILE, &all);
    REQUIRE(phase() == PHASE_FAIL);
    cr_assert_not(take_over_and_finish());
    cr_assert_eq(phase(), PHASE_OFF);
    litter(1 << 20);
    check();
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

/* ---- Beside a marker at work ---------------------------------------------------------------- */

struct pair {
    struct pair *next;
    uintptr_t *object;
};

#define PAIRS 2000000 /* take a marker some ten milliseconds */
#define TOLD 64       /* words of an object */

static struct pair *first_pair;
static struct hidden last_pairs;

static void make_pairs(void)
{
    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *pair = gc_malloc(sizeof *pair);

        pair->next = first_pair;
        first_pair = pair;
        if (i == 1000)
            last_pairs = hide(pair);
    }
}

static void tell_nothing(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    (void)object, (void)bytes, (void)tracer, (void)data;
}

/* Hung on what the marker comes to last. */
static void hang_objects_of_a_new_kind(void)
{
    struct gc_kind_options options = {.tracing = GC_TRACE_CALLBACK, .trace = tell_nothing};
    gc_kind *kind = gc_kind_new(&options, sizeof options);

    for (struct pair *pair = reveal(last_pairs); pair != NULL; pair = pair->next) {
        pair->object = gc_new_bytes(kind, TOLD * sizeof *pair->object);
        pair->object[TOLD - 1] = (uintptr_t)pair;
    }
}

/* A step of the collector's own thread goes through all. */
Test(beside, the_first_kind, .timeout = 60)
{
    without_stress();
    make_pairs();
    gc__heap.concurrent.step_objects = SIZE_MAX;
    if (!begin_cycle_of(false))
        cr_skip_test("the system does not tell which pages were written");
    gc__background_call(&gc__heap.background); /* on one CPU, too */
    while (phase() != PHASE_OFF && phase() < PHASE_TRACE)
        continue;
    usleep(1000); /* it is at it */
    hang_objects_of_a_new_kind();
    while (phase() != PHASE_OFF)
        continue;
    litter(1 << 20);
    for (struct pair *pair = reveal(last_pairs); pair != NULL; pair = pair->next)
        cr_assert_eq(pair->object[TOLD - 1], (uintptr_t)pair);
}
