/* test_region_held.c - how much a region holds at most, and what it gives back. */
#include "gc/base/bitmap.h"
#include "test/built_region.h"

/* ---- Limits ----------------------------------------------------------------------------------- */

Test(limit, holds_for_pages_and_units_together)
{
    cr_assert(gc__region_init(&region, CHUNKS * GC_CHUNK_BYTES, 100 * GC_PAGE_BYTES + 1));
    take(60);
    cr_assert_not(gc__region_take_pages(&region, 41, 1, &(size_t){0}));
    take_units(2);
    cr_assert_not(gc__region_take_units(&region, 1, &(size_t){0}, &(bool){false}));
    cr_assert_not(gc__region_take_pages_at(&region, 60, 9));
    cr_assert(gc__region_take_pages_at(&region, 60, 8));
    cr_assert_eq(region.held_pages, 100);
    drop_region();
}

Test(limit, counts_free_memory_that_was_not_given_back)
{
    cr_assert(gc__region_init(&region, CHUNKS * GC_CHUNK_BYTES, 100 * GC_PAGE_BYTES));
    open_and_fill(take(90), 90, 1);
    gc__region_give_pages(&region, 10, 80);
    cr_assert_eq(region.held_pages, 90);
    take_units(3); /* elsewhere: what is free must go to make room */
    cr_assert_leq(region.held_pages, 100);
    cr_assert_eq(region.held_pages_peak, 90);
    drop_region();
}

/* ---- Giving memory back ---------------------------------------------------------------------------- */

TestSuite(decommit, .init = make_region, .fini = drop_region);

/* One chunk of pages that was freed at `ns`, and a page that keeps it. */
static size_t chunk_freed_at(uint64_t ns)
{
    size_t first = take(GC_PAGES_PER_CHUNK);

    open_and_fill(first, GC_PAGES_PER_CHUNK, 1);
    region.now_ns = ns;
    gc__region_give_pages(&region, first + 1, GC_PAGES_PER_CHUNK - 1);
    cr_assert(gc__region_take_pages_at(&region, first + 1, 1));
    return first;
}

Test(decommit, takes_what_was_free_for_long_and_leaves_the_rest)
{
    size_t old = chunk_freed_at(1000), young;

    cr_assert(gc__region_take_pages(&region, GC_PAGES_PER_CHUNK, GC_PAGES_PER_CHUNK, &young));
    open_and_fill(young, GC_PAGES_PER_CHUNK, 1);
    region.now_ns = 3000;
    gc__region_give_pages(&region, young, GC_PAGES_PER_CHUNK);
    gc__region_decommit(&region, 999);
    cr_assert_eq(region.held_pages, 2 * GC_PAGES_PER_CHUNK);
    gc__region_decommit(&region, 2000);
    cr_assert_eq(region.held_pages, GC_PAGES_PER_CHUNK + 2);
    cr_assert_not(pages_are_zero(old, 1), "what is used stays");
    cr_assert(pages_are_zero(old + 2, GC_PAGES_PER_CHUNK - 2));
    cr_assert_not(pages_are_zero(young, 1));
    gc__region_decommit(&region, 3000);
    cr_assert_eq(region.held_pages, 2);
    cr_assert(pages_are_zero(young, GC_PAGES_PER_CHUNK));
}

Test(decommit, goes_on_where_it_left_off_part_by_part)
{
    size_t chunks = 4 * GC_DECOMMIT_PAGES / GC_PAGES_PER_CHUNK + 1, calls = 1, held;

    for (size_t i = 0; i < chunks; i++)
        chunk_freed_at(1000);
    for (held = region.held_pages; !gc__region_decommit_some(&region, 2000); held = region.held_pages, calls++) {
        cr_assert_geq(held - region.held_pages, GC_DECOMMIT_PAGES);
        cr_assert_leq(held - region.held_pages, GC_DECOMMIT_PAGES + GC_PAGES_PER_CHUNK);
    }
    cr_assert_geq(calls, 2);
    cr_assert_eq(region.held_pages, region.used_pages);
    cr_assert(gc__region_decommit_some(&region, 2000), "there is nothing left");
}

Test(decommit, comes_back_to_what_was_freed_behind_it)
{
    size_t chunks = 4 * GC_DECOMMIT_PAGES / GC_PAGES_PER_CHUNK + 1, behind = GC_PAGES_PER_CHUNK - 1;

    for (size_t i = 0; i < chunks; i++)
        chunk_freed_at(1000);
    cr_assert_not(gc__region_decommit_some(&region, 2000));
    cr_assert(gc__region_take_pages_at(&region, behind, 1));
    open_and_fill(behind, 1, 1);
    gc__region_give_pages(&region, behind, 1);
    for (size_t i = 0; i < 2; i++)
        while (!gc__region_decommit_some(&region, 2000))
            continue;
    cr_assert_eq(region.held_pages, region.used_pages);
}

Test(decommit, leaves_nothing_dirty_to_be_zeroed)
{
    size_t first = chunk_freed_at(1);

    gc__region_decommit(&region, UINT64_MAX);
    cr_assert_eq(gc__bitmap_count(region.dirty, first, first + GC_PAGES_PER_CHUNK), 2, "the two that are used");
}

Test(decommit, keeps_the_peak)
{
    chunk_freed_at(1);
    gc__region_decommit(&region, UINT64_MAX);
    cr_assert_eq(region.held_pages_peak, GC_PAGES_PER_CHUNK);
}

Test(decommit, of_a_free_chunk_gives_back_its_bits_too)
{
    size_t before = gc__region_metadata_bytes(&region), with_bits;

    open_and_fill(take(GC_PAGES_PER_CHUNK), GC_PAGES_PER_CHUNK, 1);
    with_bits = gc__region_metadata_bytes(&region);
    cr_assert_gt(with_bits, before);
    gc__region_give_pages(&region, 0, GC_PAGES_PER_CHUNK);
    gc__region_decommit(&region, UINT64_MAX);
    cr_assert_eq(with_bits - gc__region_metadata_bytes(&region), GC_CHUNK_BYTES / GC_GRANULE_BYTES / 4,
                 "two bits a granule");
    cr_assert_eq(take(1), 0);
    cr_assert_eq(gc__region_metadata_bytes(&region), with_bits);
}
