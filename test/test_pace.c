#include "gc/base/tunables.h"
#include "gc/cycle/pace.h"

#include <criterion/criterion.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static struct pace pace;

/* A floor of 1 MiB and a growth of 50 %. */
static void init(void)
{
    gc__pace_init(&pace, MIB, 50, 0);
}

/* ---- When a collection is due ------------------------------------------------------ */

TestSuite(due, .init = init);

Test(due, is_not_before_the_budget_is_used_up)
{
    cr_assert_not(gc__pace_is_due(&pace, 1));
    gc__pace_note_allocated(&pace, MIB - 16);
    cr_assert_not(gc__pace_is_due(&pace, 16));
    cr_assert(gc__pace_is_due(&pace, 17));
    gc__pace_note_allocated(&pace, 16);
    cr_assert_not(gc__pace_is_due(&pace, 0));
    cr_assert(gc__pace_is_due(&pace, 1));
}

Test(due, is_never_right_after_a_collection)
{
    cr_assert_not(gc__pace_is_due(&pace, GIB), "nothing was allocated that could be garbage");
    gc__pace_note_allocated(&pace, 1);
    cr_assert(gc__pace_is_due(&pace, GIB));
}

Test(due, credits_what_was_freed)
{
    for (int i = 0; i < 1000; i++) {
        gc__pace_note_allocated(&pace, MIB / 2);
        gc__pace_note_freed(&pace, MIB / 2);
    }
    cr_assert_not(gc__pace_is_due(&pace, MIB));
    gc__pace_note_allocated(&pace, MIB);
    gc__pace_note_freed(&pace, KIB);
    cr_assert_not(gc__pace_is_due(&pace, KIB));
    cr_assert(gc__pace_is_due(&pace, KIB + 1));
}

Test(due, gives_no_credit_beyond_what_was_allocated)
{
    gc__pace_note_freed(&pace, GIB);
    gc__pace_note_allocated(&pace, MIB);
    cr_assert(gc__pace_is_due(&pace, 1));
}

/* ---- The budget ------------------------------------------------------------------------ */

/* After a collection that found so much. */
static size_t budget_after(size_t live, size_t scanned, size_t held)
{
    gc__pace_begin_again(&pace, live, scanned, held, 1);
    return pace.budget_bytes;
}

TestSuite(budget, .init = init);

Test(budget, has_a_floor_for_each_of_a_few_mutators)
{
    gc__pace_begin_again(&pace, 0, 0, 0, 3);
    cr_assert_eq(pace.budget_bytes, 3 * GC_PACE_MUTATOR_BYTES);
    gc__pace_begin_again(&pace, 0, 0, 0, 100);
    cr_assert_eq(pace.budget_bytes, GC_PACE_FLOOR_MUTATORS * GC_PACE_MUTATOR_BYTES);
    gc__pace_begin_again(&pace, 0, 0, 0, 0);
    cr_assert_eq(pace.budget_bytes, pace.floor_bytes);
}

Test(budget, at_first_is_the_floor_or_what_was_asked_for)
{
    cr_assert_eq(pace.budget_bytes, MIB);
    gc__pace_init(&pace, MIB, 50, 5 * MIB);
    cr_assert_eq(pace.budget_bytes, 5 * MIB);
    gc__pace_init(&pace, MIB, 50, KIB);
    cr_assert_eq(pace.budget_bytes, MIB);
    gc__pace_init(&pace, MIB, 50, SIZE_MAX);
    gc__pace_note_allocated(&pace, GIB);
    cr_assert_not(gc__pace_is_due(&pace, GIB));
}

Test(budget, fills_the_initial_heap_each_time)
{
    gc__pace_init(&pace, MIB, 50, 10 * MIB);
    cr_assert_eq(budget_after(4 * MIB, 0, 0), 6 * MIB);
    cr_assert_eq(budget_after(0, 0, 0), 10 * MIB);
    gc__pace_init(&pace, MIB, 50, 0);
    size_t without = budget_after(20 * MIB, 0, 0);
    gc__pace_init(&pace, MIB, 50, 10 * MIB);
    cr_assert_eq(budget_after(20 * MIB, 0, 0), without);
}

Test(budget, starts_over_with_each_collection)
{
    gc__pace_note_allocated(&pace, 5 * MIB);
    cr_assert(gc__pace_is_due(&pace, 1));
    budget_after(0, 0, 0);
    gc__pace_note_allocated(&pace, 1);
    cr_assert_not(gc__pace_is_due(&pace, MIB - 1));
    cr_assert(gc__pace_is_due(&pace, MIB));
}

Test(budget, is_never_below_the_floor)
{
    cr_assert_eq(budget_after(0, 0, 0), MIB);
    cr_assert_geq(budget_after(KIB, KIB, KIB), MIB);
    cr_assert_geq(budget_after(KIB, 0, MIB), MIB);
}

Test(budget, has_the_share_of_what_is_live_at_least)
{
    for (size_t live = MIB; live <= 64 * GIB; live *= 2)
        cr_assert_geq(budget_after(live, live, live), live / 2);
}

Test(budget, of_a_large_heap_is_hardly_more_than_the_share)
{
    cr_assert_leq(budget_after(10 * GIB, 10 * GIB, 10 * GIB), 5 * GIB + GIB / 2);
    gc__pace_init(&pace, MIB, 5, 0);
    cr_assert_leq(budget_after(10 * GIB, 10 * GIB, 10 * GIB), GIB);
}

Test(budget, grows_with_what_is_live)
{
    size_t last = 0;

    for (size_t live = 0; live < 200 * MIB; live += MIB / 3) {
        size_t budget = budget_after(live, live, live);

        cr_assert_geq(budget, last);
        last = budget;
    }
}

Test(budget, grows_with_the_percentage)
{
    size_t last = 0;

    for (size_t percent = 5; percent <= 1000; percent += 5) {
        size_t budget;

        gc__pace_init(&pace, MIB, percent, 0);
        budget = budget_after(100 * MIB, 100 * MIB, 100 * MIB);
        cr_assert_gt(budget, last);
        last = budget;
    }
    cr_assert_geq(last, 1000 * MIB);
}

Test(budget, counts_what_is_not_scanned_for_less)
{
    cr_assert_lt(budget_after(GIB, 0, GIB), budget_after(GIB, GIB / 2, GIB));
    cr_assert_lt(budget_after(GIB, GIB / 2, GIB), budget_after(GIB, GIB, GIB));
    cr_assert_gt(budget_after(GIB, 0, GIB), MIB, "but not for nothing");
}

Test(budget, counts_what_was_never_touched_for_what_it_takes_to_ask)
{
    size_t without = budget_after(10 * MIB, 10 * MIB, 10 * MIB);

    pace.untouched_bytes = 10 * GIB;
    cr_assert_gt(budget_after(10 * MIB, 10 * MIB, 10 * MIB), without + 10 * MIB);
    cr_assert_lt(budget_after(10 * MIB, 10 * MIB, 10 * MIB), without + 100 * MIB);
}

Test(budget, makes_use_of_memory_that_is_held_anyway)
{
    cr_assert_gt(budget_after(100 * MIB, 100 * MIB, 300 * MIB), budget_after(100 * MIB, 100 * MIB, 100 * MIB));
    cr_assert_lt(budget_after(100 * MIB, 100 * MIB, 300 * MIB), 200 * MIB, "but not of all, or the heap never shrinks");
}

Test(budget, of_a_small_rest_has_a_part_of_what_is_held)
{
    size_t floor = budget_after(0, 0, 0);

    cr_assert_gt(budget_after(KIB, KIB, 40 * MIB), 5 * floor);
    cr_assert_lt(budget_after(KIB, KIB, 40 * MIB), 20 * MIB);
    cr_assert_eq(budget_after(KIB, KIB, 2 * MIB), floor);
}

Test(budget, does_not_mind_that_less_is_held_than_live)
{
    cr_assert_eq(budget_after(100 * MIB, 100 * MIB, 50 * MIB), budget_after(100 * MIB, 100 * MIB, 100 * MIB));
}

Test(budget, does_not_overflow)
{
    static const size_t percents[] = {5, 50, 100, 1000};

    for (unsigned i = 0; i < 4; i++) {
        gc__pace_init(&pace, MIB, percents[i], 0);
        for (unsigned shift = 40; shift < 64; shift++) {
            size_t live = (size_t)1 << shift;

            cr_assert_geq(budget_after(live, live, live), (size_t)1 << 34);
            cr_assert_geq(budget_after(live, live, SIZE_MAX), (size_t)1 << 34);
        }
    }
}

/* ---- Minor cycles ------------------------------------------------------------------------ */

static void full_cycle(size_t live)
{
    gc__pace_begin_again(&pace, live, live, live, 1);
}

TestSuite(minor, .init = init);

Test(minor, is_preferred_where_what_is_young_dies)
{
    full_cycle(100 * MIB);
    gc__pace_note_allocated(&pace, 50 * MIB);
    full_cycle(100 * MIB);
    cr_assert(gc__pace_prefers_minor(&pace));
}

Test(minor, is_not_preferred_where_the_heap_grows)
{
    full_cycle(100 * MIB);
    gc__pace_note_allocated(&pace, 50 * MIB);
    full_cycle(140 * MIB);
    cr_assert_not(gc__pace_prefers_minor(&pace));
}

Test(minor, leaves_the_heap_no_larger_than_full_ones_would)
{
    size_t most;

    full_cycle(100 * MIB);
    gc__pace_note_allocated(&pace, 50 * MIB);
    full_cycle(100 * MIB);
    most = 100 * MIB + pace.budget_bytes;
    for (size_t live = 100 * MIB; gc__pace_prefers_minor(&pace); live += 3 * MIB) {
        gc__pace_note_allocated(&pace, pace.budget_bytes);
        gc__pace_go_on(&pace, live);
        cr_assert_leq(live + pace.budget_bytes, most);
    }
    cr_assert_geq(pace.budget_bytes, (most - 100 * MIB) / 2 - 10 * MIB);
}

Test(minor, keeps_the_floor_for_several_mutators)
{
    gc__pace_begin_again(&pace, 0, 0, 0, 4);
    gc__pace_go_on(&pace, 100 * MIB);
    cr_assert_geq(pace.budget_bytes, pace.floor_bytes);
}
