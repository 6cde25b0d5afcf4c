#define _GNU_SOURCE
#include "gc/base/bitmap.h"
#include "gc/platform/platform.h"
#include "test/built_region.h"
#include "test/child.h"

#include <stdio.h>
#include <sys/resource.h>

/* ---- Making one ------------------------------------------------------------------ */

Test(region, starts_empty, .init = make_region, .fini = drop_region)
{
    cr_assert_eq(region.chunks, CHUNKS);
    cr_assert_eq(gc__region_span(&region), 0);
    cr_assert_eq(region.used_pages, 0);
    cr_assert_eq(region.held_pages, 0);
    cr_assert_eq(region.base % GC_CHUNK_BYTES, 0);
    cr_assert_eq(region.base, (uintptr_t)region.reservation);
}

Test(region, sizes_are_rounded_up_to_chunks_and_to_the_least)
{
    static const size_t bytes[] = {0, 1, GC_RESERVE_MIN_BYTES, GC_RESERVE_MIN_BYTES + 1, 5 * GC_CHUNK_BYTES - 1};
    static const size_t chunks[] = {2, 2, 2, 3, 5};

    for (unsigned i = 0; i < 5; i++) {
        cr_assert(gc__region_init(&region, bytes[i], SIZE_MAX));
        cr_assert_eq(region.chunks, chunks[i]);
        drop_region();
    }
}

Test(region, has_room_for_its_tables_and_the_mark_stack_behind_the_heap)
{
    char *end;

    make_region();
    end = region.reservation + region.reservation_bytes;
    cr_assert_geq((char *)region.bits, region.reservation + CHUNKS * GC_CHUNK_BYTES);
    cr_assert_eq(region.mark_stack + region.mark_stack_bytes, end);
    cr_assert_geq(region.mark_stack_bytes, GC_MARK_STACK_STEP_BYTES);
    while (gc__region_take_pages(&region, GC_PAGES_PER_CHUNK, 1, &(size_t){0}))
        ;
    /* All of the tables is accessible now, and all different. */
    memset(region.bits, 0, sizeof *region.bits * (PAGES << GC_PAGE_SHIFT >> GC_GRANULE_SHIFT) / 64);
    drop_region();
}

/* In a child, as a limit cannot be taken back. */
static void make_under_a_limit(void)
{
    struct rlimit limit = {0, RLIM_INFINITY};
    size_t left;

    limit.rlim_cur = 1 << 30;
    setrlimit(RLIMIT_AS, &limit);
    left = gc__os_address_space_left();
    if (!gc__region_init(&region, GC_RESERVE_BYTES, SIZE_MAX))
        fputs("not even a small one\n", stderr);
    else if (region.reservation_bytes > left / 2)
        fputs("more than a half is taken\n", stderr);
    else if (region.reservation_bytes < left / 4)
        fputs("less is taken than could be\n", stderr);
    limit.rlim_cur = gc__os_address_space_left() < MIB ? 0 : (left - gc__os_address_space_left()) + MIB;
    setrlimit(RLIMIT_AS, &limit);
    if (gc__region_init(&region, GC_RESERVE_BYTES, SIZE_MAX))
        fputs("there cannot be one\n", stderr);
}

Test(region, takes_less_where_the_address_space_is_limited)
{
    if (!gc__os_address_is_free())
        cr_skip_test("a sanitizer needs the address space");

    struct child child = child_run(make_under_a_limit);
    cr_assert_str_eq(child.text, "");
    cr_assert(child_returned(&child));
}

/* ---- Pages -------------------------------------------------------------------------- */

TestSuite(pages, .init = make_region, .fini = drop_region);

Test(pages, come_from_the_low_end_first)
{
    cr_assert_eq(take(3), 0);
    cr_assert_eq(take(1), 3);
    cr_assert_eq(take(600), 4);
    gc__region_give_pages(&region, 0, 3);
    cr_assert_eq(take(4), 604);
    cr_assert_eq(take(2), 0);
    cr_assert_eq(take(1), 2);
}

Test(pages, never_used_before_are_zero)
{
    size_t first = take(20);

    gc__region_open_pages(&region, first, 20, false);
    cr_assert(pages_are_zero(first, 20));
}

Test(pages, are_zeroed_when_that_is_wanted)
{
    open_and_fill(take(20), 20, 'x');
    gc__region_give_pages(&region, 0, 20);
    cr_assert_eq(take(20), 0);
    gc__region_open_pages(&region, 5, 10, true);
    cr_assert(pages_are_zero(5, 10));
    cr_assert_not(pages_are_zero(4, 1), "only those that were opened");
    cr_assert_not(pages_are_zero(15, 1), "only those that were opened");
}

Test(pages, that_were_noted_as_zero_are_not_zeroed_again)
{
    open_and_fill(take(4), 4, 'x');
    gc__region_note_zero(&region, 1, 2);
    gc__region_open_pages(&region, 0, 4, true);
    cr_assert(pages_are_zero(0, 1));
    cr_assert_not(pages_are_zero(1, 1), "the promise was believed");
    cr_assert(pages_are_zero(3, 1));
}

Test(pages, are_aligned_as_asked)
{
    size_t first;

    take(1);
    for (size_t alignment = 1; alignment <= GC_PAGES_PER_CHUNK; alignment *= 2) {
        cr_assert(gc__region_take_pages(&region, 3, alignment, &first));
        cr_assert_eq(first % alignment, 0);
        cr_assert_eq(gc__bitmap_count(region.used, first, first + 3), 3);
    }
}

Test(pages, may_span_chunks)
{
    size_t first = take(3 * GC_PAGES_PER_CHUNK + 7);

    cr_assert_eq(first, 0);
    open_and_fill(first, 3 * GC_PAGES_PER_CHUNK + 7, 1);
    cr_assert_eq(take(GC_PAGES_PER_CHUNK), 3 * GC_PAGES_PER_CHUNK + 7);
}

Test(pages, are_refused_when_there_are_no_more)
{
    size_t first;

    cr_assert_not(gc__region_take_pages(&region, PAGES + 1, 1, &first));
    cr_assert_not(gc__region_take_pages(&region, SIZE_MAX / GC_PAGE_BYTES, 1, &first));
    cr_assert_eq(take(PAGES), 0);
    cr_assert_not(gc__region_take_pages(&region, 1, 1, &first));
    gc__region_give_pages(&region, 1000, 1);
    cr_assert_eq(take(1), 1000);
}

Test(pages, given_back_in_pieces_join)
{
    take(100);
    take(1);
    for (size_t i = 0; i < 100; i++)
        gc__region_give_pages(&region, i * 37 % 100, 1);
    cr_assert_eq(take(100), 0);
}

Test(pages, free_ones_before_a_chunk_s_end_join_with_those_behind_it)
{
    take(500);
    take(12 + 30);
    take(1);
    gc__region_give_pages(&region, 500, 42);
    cr_assert_eq(take(42), 500);
}

Test(pages, with_a_hole_of_exactly_the_size_and_alignment_are_found)
{
    size_t first;

    cr_assert_eq(take(PAGES), 0);
    gc__region_give_pages(&region, 3 * GC_PAGES_PER_CHUNK, GC_PAGES_PER_CHUNK);
    cr_assert(gc__region_take_pages(&region, GC_PAGES_PER_CHUNK, GC_PAGES_PER_CHUNK, &first));
    cr_assert_eq(first, 3 * GC_PAGES_PER_CHUNK);
}

Test(pages, keep_their_contents_while_others_come_and_go)
{
    size_t first = take(10);

    open_and_fill(first, 10, 'k');
    take(10);
    gc__region_give_pages(&region, 10, 10);
    gc__region_decommit(&region, UINT64_MAX);
    take(3 * GC_PAGES_PER_CHUNK);
    for (size_t i = 0; i < 10 * GC_PAGE_BYTES; i++)
        cr_assert_eq(gc__page_address(&region, first)[i], 'k');
}

/* ---- Pages at a place -------------------------------------------------------------------- */

TestSuite(pages_at, .init = make_region, .fini = drop_region);

Test(pages_at, are_given_when_free)
{
    take(10);
    cr_assert(gc__region_take_pages_at(&region, 10, 5));
    cr_assert_eq(take(1), 15);
}

Test(pages_at, are_refused_when_one_is_used)
{
    take(10);
    cr_assert(gc__region_take_pages_at(&region, 20, 1));
    cr_assert_not(gc__region_take_pages_at(&region, 10, 11));
    cr_assert_not(gc__region_take_pages_at(&region, 9, 2));
    cr_assert_eq(region.used_pages, 11);
    cr_assert(gc__region_take_pages_at(&region, 10, 10));
}

Test(pages_at, are_refused_where_blocks_are_kept)
{
    take(GC_PAGES_PER_CHUNK);
    cr_assert_eq(take_units(1), GC_UNITS_PER_CHUNK);
    cr_assert_not(gc__region_take_pages_at(&region, GC_PAGES_PER_CHUNK + 100, 5));
    gc__region_give_pages(&region, 500, 12);
    cr_assert_not(gc__region_take_pages_at(&region, 500, 20));
    cr_assert(gc__region_take_pages_at(&region, 500, 12));
}

Test(pages_at, behind_the_accessible_part_make_it_grow)
{
    size_t accessible;

    take(GC_PAGES_PER_CHUNK);
    accessible = region.accessible;
    cr_assert(gc__region_take_pages_at(&region, GC_PAGES_PER_CHUNK, 2 * GC_PAGES_PER_CHUNK));
    cr_assert_gt(region.accessible, accessible);
    open_and_fill(GC_PAGES_PER_CHUNK, 2 * GC_PAGES_PER_CHUNK, 1);
}

Test(pages_at, behind_the_range_are_refused)
{
    cr_assert_eq(take(PAGES - 1), 0);
    cr_assert_not(gc__region_take_pages_at(&region, PAGES - 1, 2));
    cr_assert(gc__region_take_pages_at(&region, PAGES - 1, 1));
    cr_assert_not(gc__region_take_pages_at(&region, PAGES, 1));
}

/* ---- Units ---------------------------------------------------------------------------------- */

TestSuite(units, .init = make_region, .fini = drop_region);

Test(units, come_from_the_low_end_first)
{
    cr_assert_eq(take_units(1), 0);
    cr_assert_eq(take_units(3), 1);
    cr_assert_eq(take_units(1), 4);
    gc__region_give_units(&region, 1, 3);
    cr_assert_eq(take_units(4), 5);
    cr_assert_eq(take_units(2), 1);
    cr_assert_eq(take_units(2), 9);
    cr_assert_eq(take_units(1), 3);
}

Test(units, of_one_taking_lie_in_one_chunk)
{
    for (size_t i = 0; i < 40; i++) {
        size_t unit = take_units(3);
        cr_assert_eq(unit / GC_UNITS_PER_CHUNK, (unit + 2) / GC_UNITS_PER_CHUNK);
    }
}

Test(units, fill_every_chunk_to_the_last)
{
    for (size_t i = 0; i < CHUNKS * GC_UNITS_PER_CHUNK; i++)
        cr_assert_eq(take_units(1), i);
    cr_assert_not(gc__region_take_units(&region, 1, &(size_t){0}, &(bool){false}));
    gc__region_give_units(&region, 100, 1);
    cr_assert_not(gc__region_take_units(&region, 2, &(size_t){0}, &(bool){false}));
    cr_assert_eq(take_units(1), 100);
}

static size_t take_unit_at_home(struct homes *homes, size_t may_have)
{
    size_t unit;
    bool fresh;

    cr_assert(gc__region_take_units_at_home(&region, homes, may_have, 1, &unit, &fresh));
    return unit / GC_UNITS_PER_CHUNK;
}

Test(units, at_home_come_from_chunks_of_one_s_own)
{
    struct homes first = {{0}}, second = {{0}};
    size_t chunk = take_unit_at_home(&first, 2), other = take_unit_at_home(&second, 2);

    cr_assert_neq(chunk, other);
    for (size_t i = 1; i < GC_UNITS_PER_CHUNK; i++) {
        cr_assert_eq(take_unit_at_home(&first, 2), chunk);
        cr_assert_eq(take_unit_at_home(&second, 2), other);
    }
    cr_assert_neq(take_unit_at_home(&first, 2), other, "a second home");
    gc__region_give_units(&region, chunk * GC_UNITS_PER_CHUNK + 7, 1);
    cr_assert_eq(take_unit_at_home(&first, 2), chunk, "a unit that was given back");
    gc__region_leave_homes(&region, &first);
    cr_assert_eq(first.chunk[0], 0);
}

/* As at a collection, when one of two mutators is no more. */
Test(units, of_forgotten_homes_are_anybody_s)
{
    struct homes gone = {{0}}, kept = {{0}};
    size_t chunk = take_unit_at_home(&gone, 1), other = take_unit_at_home(&kept, 1);

    region.threaded = true;
    gc__region_give_units(&region, chunk * GC_UNITS_PER_CHUNK, 1);
    gc__region_give_units(&region, other * GC_UNITS_PER_CHUNK, 1);
    gc__region_forget_homes(&region);
    gc__region_keep_homes(&region, &kept);
    cr_assert_not(region.chunk[chunk].is_home);
    cr_assert(region.chunk[other].is_home);
    cr_assert_eq(take_unit_at_home(&(struct homes){{0}}, 1), chunk);
}

Test(units, at_home_come_from_elsewhere_when_all_is_full)
{
    struct homes homes = {{0}};

    for (size_t i = 0; i < CHUNKS * GC_UNITS_PER_CHUNK; i++)
        take_unit_at_home(&homes, 1);
    cr_assert_not(gc__region_take_units_at_home(&region, &homes, 1, 1, &(size_t){0}, &(bool){false}));
}

Test(units, are_fresh_once_and_again_when_they_came_from_the_os_anew)
{
    size_t unit;
    bool fresh;

    take_units(1); /* keeps the chunk */
    cr_assert(gc__region_take_units(&region, 2, &unit, &fresh));
    cr_assert(fresh);
    cr_assert(pages_are_zero(unit * GC_PAGES_PER_UNIT, 2 * GC_PAGES_PER_UNIT));
    gc__region_give_units(&region, unit, 2);
    cr_assert(gc__region_take_units(&region, 3, &unit, &fresh));
    cr_assert_not(fresh, "two of the three were used");
    memset(gc__page_address(&region, unit * GC_PAGES_PER_UNIT), 1, 3 * GC_UNIT_BYTES);
    gc__region_give_units(&region, unit, 3);
    gc__region_decommit(&region, UINT64_MAX);
    cr_assert(gc__region_take_units(&region, 3, &unit, &fresh));
    cr_assert(fresh);
    cr_assert(pages_are_zero(unit * GC_PAGES_PER_UNIT, 3 * GC_PAGES_PER_UNIT));
}

Test(units, and_large_pages_do_not_share_chunks)
{
    size_t page = take(1), unit = take_units(1);

    cr_assert_eq(page / GC_PAGES_PER_CHUNK, 0);
    cr_assert_eq(unit / GC_UNITS_PER_CHUNK, 1);
    cr_assert_eq(take(GC_PAGES_PER_CHUNK) / GC_PAGES_PER_CHUNK, 2, "not in the rest of the chunk of blocks");
    cr_assert_eq(take_units(2) / GC_UNITS_PER_CHUNK, 1);
}

Test(units, and_large_pages_take_over_each_other_s_chunks_when_these_are_free)
{
    size_t unit = take_units(4);

    take(1);
    memset(gc__page_address(&region, unit * GC_PAGES_PER_UNIT), 1, 4 * GC_UNIT_BYTES);
    gc__region_give_units(&region, unit, 4);
    cr_assert_eq(take(GC_PAGES_PER_CHUNK - 10), 0);
    gc__region_open_pages(&region, 0, GC_PAGES_PER_CHUNK - 10, true);
    cr_assert(pages_are_zero(0, GC_PAGES_PER_CHUNK - 10));
    gc__region_give_pages(&region, 0, GC_PAGES_PER_CHUNK - 10);
    cr_assert_eq(take_units(4), 0);
}

TestSuite(mixed, .init = make_region, .fini = drop_region);

/* Units in the first chunk, pages in all others. */
static void use_up(void)
{
    take_units(2);
    take((CHUNKS - 1) * GC_PAGES_PER_CHUNK);
}

Test(mixed, chunks_give_pages_when_there_are_no_others)
{
    use_up();
    cr_assert_eq(take(100), 2 * GC_PAGES_PER_UNIT, "behind the two units");
    gc__region_audit(&region);
    gc__region_give_units(&region, 1, 1);
    cr_assert_eq(take(1), 1 * GC_PAGES_PER_UNIT);
    gc__region_give_units(&region, 0, 1);
    cr_assert_eq(take(GC_PAGES_PER_UNIT), 0);
}

Test(mixed, chunks_give_units_when_there_are_no_others)
{
    use_up();
    take(GC_PAGES_PER_CHUNK - 2 * GC_PAGES_PER_UNIT); /* the rest of the chunk of blocks */
    cr_assert_not(gc__region_take_units(&region, 1, &(size_t){0}, &(bool){false}));
    gc__region_give_pages(&region, 5 * GC_PAGES_PER_CHUNK + 3, 2 * GC_PAGES_PER_UNIT + 5);
    cr_assert_not(gc__region_take_units(&region, 3, &(size_t){0}, &(bool){false}), "units are aligned");
    cr_assert_eq(take_units(1), 5 * GC_UNITS_PER_CHUNK + 1);
    gc__region_audit(&region);
    cr_assert_not(gc__region_take_units(&region, 1, &(size_t){0}, &(bool){false}));
    gc__region_give_units(&region, 5 * GC_UNITS_PER_CHUNK + 1, 1);
    cr_assert_eq(take(2 * GC_PAGES_PER_UNIT + 5), 5 * GC_PAGES_PER_CHUNK + 3);
}

Test(mixed, chunks_that_become_free_are_like_new)
{
    use_up();
    take(100);
    gc__region_give_units(&region, 0, 2);
    gc__region_give_pages(&region, 2 * GC_PAGES_PER_UNIT, 100);
    cr_assert_eq(take_units(4), 0);
    cr_assert_eq(take_units(1), 4);
    cr_assert_not(gc__region_take_pages_at(&region, 100, 1), "blocks have it for themselves again");
}

/* ---- The audit sees what is wrong ---------------------------------------------------------------------- */

TestSuite(region_audit, .init = make_region);

Test(region_audit, finds_a_wrong_count_of_used_pages, .signal = SIGABRT)
{
    take(3);
    region.used_pages++;
    region.held_pages++;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_wrong_count_of_held_pages, .signal = SIGABRT)
{
    take(3);
    region.held_pages--;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_wrong_summary, .signal = SIGABRT)
{
    take(3);
    region.chunk[0].prefix = 1;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_wrong_summary_of_units, .signal = SIGABRT)
{
    take_units(3);
    region.chunk[0].free_units |= 1;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_free_chunk_with_a_purpose, .signal = SIGABRT)
{
    take(3);
    region.chunk[0].purpose = CHUNK_FREE;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_page_that_should_be_zero, .signal = SIGABRT)
{
    take(1);
    take(GC_PAGES_PER_CHUNK);
    gc__region_give_pages(&region, 0, 1);
    gc__page_address(&region, 0)[17] = 1;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_bit_of_a_page_that_is_free, .signal = SIGABRT)
{
    take(3);
    gc__bits_of(&region, 5 * GC_PAGE_BYTES / GC_GRANULE_BYTES)->allocated = 1;
    gc__region_audit(&region);
}

Test(region_audit, finds_a_mark_of_a_page_that_is_free, .signal = SIGABRT)
{
    take(3);
    gc__bits_of(&region, 5 * GC_PAGE_BYTES / GC_GRANULE_BYTES)->mark = 1;
    gc__region_audit(&region);
}

Test(region_audit, finds_free_units_that_will_not_be_looked_for, .signal = SIGABRT)
{
    take_units(3);
    region.first_free_block_chunk = 1;
    gc__region_audit(&region);
}
