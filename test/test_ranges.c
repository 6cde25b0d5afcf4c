#include "gc/roots/ranges.h"
#include "test/random.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static struct ranges ranges;

static void add(uintptr_t start, uintptr_t end)
{
    cr_assert(gc__ranges_add(&ranges, (struct gc__range){start, end}));
    gc__ranges_audit(&ranges);
}

static void remove_range(uintptr_t start, uintptr_t end)
{
    cr_assert(gc__ranges_remove(&ranges, (struct gc__range){start, end}));
    gc__ranges_audit(&ranges);
}

static void assert_range(size_t i, uintptr_t start, uintptr_t end)
{
    cr_assert_lt(i, ranges.count);
    cr_assert_eq(ranges.range[i].start, start);
    cr_assert_eq(ranges.range[i].end, end);
}

/* ---- Adding ------------------------------------------------------------------- */

Test(add, keeps_ranges_sorted)
{
    add(100, 200);
    add(20, 30);
    add(50, 60);
    cr_assert_eq(ranges.count, 3);
    assert_range(0, 20, 30);
    assert_range(1, 50, 60);
    assert_range(2, 100, 200);
}

Test(add, joins_what_overlaps_or_touches)
{
    add(100, 200);
    add(200, 300);
    add(50, 100);
    cr_assert_eq(ranges.count, 1);
    assert_range(0, 50, 300);
    add(400, 500);
    add(600, 700);
    add(250, 650);
    cr_assert_eq(ranges.count, 1);
    assert_range(0, 50, 700);
}

Test(add, of_a_part_changes_nothing)
{
    add(100, 200);
    add(100, 200);
    add(120, 130);
    add(100, 101);
    add(199, 200);
    cr_assert_eq(ranges.count, 1);
    assert_range(0, 100, 200);
}

Test(add, of_an_empty_range_changes_nothing)
{
    add(100, 100);
    add(100, 50);
    cr_assert_eq(ranges.count, 0);
    add(10, 20);
    add(20, 20);
    add(15, 5);
    cr_assert_eq(ranges.count, 1);
}

Test(add, takes_the_ends_of_the_address_space)
{
    add(UINTPTR_MAX - 8, UINTPTR_MAX);
    add(0, 8);
    cr_assert_eq(ranges.count, 2);
    add(0, UINTPTR_MAX);
    cr_assert_eq(ranges.count, 1);
    assert_range(0, 0, UINTPTR_MAX);
}

Test(add, has_no_limit_to_their_number)
{
    for (uintptr_t i = 0; i < 5000; i++)
        cr_assert(gc__ranges_add(&ranges, (struct gc__range){i * 7919 % 5000 * 16, i * 7919 % 5000 * 16 + 8}));
    gc__ranges_audit(&ranges);
    cr_assert_eq(ranges.count, 5000);
    for (size_t i = 0; i < 5000; i++)
        assert_range(i, i * 16, i * 16 + 8);
    add(0, 80000);
    cr_assert_eq(ranges.count, 1);
}

/* ---- Removing -------------------------------------------------------------------- */

Test(remove, cuts_out_exactly_the_range)
{
    add(100, 200);
    remove_range(150, 160);
    cr_assert_eq(ranges.count, 2);
    assert_range(0, 100, 150);
    assert_range(1, 160, 200);
    remove_range(90, 110);
    remove_range(190, 1000);
    cr_assert_eq(ranges.count, 2);
    assert_range(0, 110, 150);
    assert_range(1, 160, 190);
}

Test(remove, takes_several_and_parts_of_the_outer_ones)
{
    for (uintptr_t i = 0; i < 10; i++)
        add(i * 100, i * 100 + 50);
    remove_range(225, 725);
    cr_assert_eq(ranges.count, 6);
    assert_range(2, 200, 225);
    assert_range(3, 725, 750);
}

Test(remove, of_what_is_not_there_changes_nothing)
{
    remove_range(0, 1000);
    add(100, 200);
    remove_range(0, 100);
    remove_range(200, 300);
    cr_assert_eq(ranges.count, 1);
    assert_range(0, 100, 200);
}

Test(remove, of_an_empty_range_changes_nothing)
{
    add(100, 200);
    remove_range(150, 150);
    remove_range(180, 120);
    cr_assert_eq(ranges.count, 1);
    assert_range(0, 100, 200);
}

Test(remove, of_all_leaves_nothing)
{
    for (uintptr_t i = 1; i < 300; i++)
        add(i * 16, i * 16 + 8);
    remove_range(0, UINTPTR_MAX);
    cr_assert_eq(ranges.count, 0);
    add(1, 2);
    cr_assert_eq(ranges.count, 1);
}

/* A range in the middle of the last one that memory was there for. */
Test(remove, may_make_one_range_more_than_there_was_room_for)
{
    while (ranges.count == 0 || ranges.count < ranges.capacity)
        add(ranges.count * 100, ranges.count * 100 + 50);
    remove_range(10, 20);
    assert_range(0, 0, 10);
    assert_range(1, 20, 50);
    assert_range(ranges.count - 1, (ranges.count - 2) * 100, (ranges.count - 2) * 100 + 50);
}

/* ---- At random, next to a bitmap ------------------------------------------------------ */

#define ADDRESSES 700

static bool is_root[ADDRESSES];

static void compare(void)
{
    static bool found[ADDRESSES];

    memset(found, 0, sizeof found);
    for (size_t i = 0; i < ranges.count; i++)
        for (uintptr_t address = ranges.range[i].start; address < ranges.range[i].end; address++)
            found[address] = true;
    for (size_t address = 0; address < ADDRESSES; address++)
        if (found[address] != is_root[address])
            cr_assert_fail("address %zu", address);
}

static void random_step(bool adds)
{
    uintptr_t start = random_below(ADDRESSES), end = start + random_below(random_once_in(10) ? 200 : 8);

    end = end < ADDRESSES ? end : ADDRESSES;
    if (adds)
        add(start, end);
    else
        remove_range(start, end);
    for (uintptr_t address = start; address < end; address++)
        is_root[address] = adds;
}

Test(random, does_as_the_bitmap)
{
    random_begin("ranges");
    for (unsigned step = 0; step < 6000; step++) {
        /* Sometimes they get many, sometimes few. */
        random_step(random_below(8) < (step / 500 % 2 == 0 ? 5 : 3));
        compare();
    }
}

/* ---- The rest --------------------------------------------------------------------------- */

Test(ranges, say_how_much_memory_they_take)
{
    size_t before;

    cr_assert_eq(gc__ranges_metadata_bytes(&ranges), 0);
    add(1, 2);
    before = gc__ranges_metadata_bytes(&ranges);
    cr_assert_geq(before, sizeof(struct gc__range));
    for (uintptr_t i = 0; i < 1000; i++)
        add(i * 4, i * 4 + 1);
    cr_assert_geq(gc__ranges_metadata_bytes(&ranges), 1000 * sizeof(struct gc__range));
    cr_assert_eq(gc__ranges_metadata_bytes(&ranges) % gc__os_page_bytes(), 0);
}

Test(ranges, audit_finds_ranges_that_touch, .signal = SIGABRT)
{
    add(1, 2);
    add(3, 4);
    ranges.range[0].end = 3;
    gc__ranges_audit(&ranges);
}

Test(ranges, audit_finds_an_empty_range, .signal = SIGABRT)
{
    add(1, 2);
    ranges.range[0].end = 1;
    gc__ranges_audit(&ranges);
}

Test(ranges, audit_finds_more_than_there_is_room_for, .signal = SIGABRT)
{
    ranges.count = 1;
    gc__ranges_audit(&ranges);
}
