/* test_spare.c - how many markers may work beside the mutators: no more than leave each
 * mutator that runs a processor. */
#include "gc/base/tunables.h"
#include "gc/cycle/spare.h"

#include <criterion/criterion.h>

#define MS ((uint64_t)1000 * 1000)

static struct spare spare;
static struct ran ran;

static void begin(size_t mutators)
{
    gc__spare_begin(&spare, mutators);
    gc__spare_note(&spare, &ran);
}

static void begin_with_four(void)
{
    ran = (struct ran){1000 * MS, 500 * MS, 100 * MS};
    begin(4);
}

/* In a tenth of a second. */
static void run(uint64_t mutators_ms, uint64_t own_ms)
{
    ran.clock_ns += 100 * MS;
    ran.process_ns += (mutators_ms + own_ms) * MS;
    ran.own_ns += own_ms * MS;
    gc__spare_note(&spare, &ran);
}

TestSuite(spare, .init = begin_with_four);

Test(spare, all_are_taken_to_run_to_begin_with)
{
    cr_assert_eq(gc__spare_markers(&spare, 6), 2);
    cr_assert_eq(gc__spare_markers(&spare, 5), 1);
}

Test(spare, there_is_always_one)
{
    for (unsigned cpus = 1; cpus <= 4; cpus++)
        cr_assert_eq(gc__spare_markers(&spare, cpus), 1);
}

Test(spare, who_sleeps_leaves_a_processor)
{
    run(200, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 2);
    run(0, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 4);
    run(400, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 1, "they have woken up");
}

Test(spare, who_runs_for_some_of_the_time_has_one_to_itself)
{
    run(10, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 3);
    run(110, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 2);
    run(105, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 3, "but for a trifle");
    run(5, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 4);
}

Test(spare, what_markers_run_does_not_count)
{
    run(100, 300);
    cr_assert_eq(gc__spare_markers(&spare, 4), 3);
}

/* The clocks are not read at once. */
Test(spare, markers_that_seem_to_have_run_longer_than_all)
{
    ran.own_ns += 60 * MS;
    run(0, 0);
    cr_assert_eq(gc__spare_markers(&spare, 4), 4);
}

Test(spare, who_waits_leaves_a_processor_at_once)
{
    run(400, 0);
    spare.waiting = 3;
    cr_assert_eq(gc__spare_markers(&spare, 4), 3);
    spare.waiting = 5;
    cr_assert_eq(gc__spare_markers(&spare, 4), 4, "one that came since");
}

Test(spare, others_than_mutators_are_no_more_than_there_are)
{
    run(900, 0);
    cr_assert_eq(gc__spare_markers(&spare, 8), 4);
}

Test(spare, is_looked_at_now_and_then)
{
    cr_assert_not(gc__spare_is_due(&spare, ran.clock_ns + GC_SPARE_LOOK_NS - 1));
    cr_assert(gc__spare_is_due(&spare, ran.clock_ns + GC_SPARE_LOOK_NS));
    gc__spare_begin(&spare, 4);
    cr_assert(gc__spare_is_due(&spare, ran.clock_ns), "nothing is known of this cycle");
}
