#include "test/built_large.h"
#include "test/random.h"

#include <signal.h>

/* ---- Sizes -------------------------------------------------------------------------- */

Test(large, sizes_in_pages)
{
    cr_assert_eq(gc__large_pages_for(0), 2);
    cr_assert_eq(gc__large_pages_for(1), 2);
    cr_assert_eq(gc__large_pages_for(8184), 2);
    cr_assert_eq(gc__large_pages_for(8185), 3, "a word is spare");
    cr_assert_eq(gc__large_pages_for(GC_SMALL_MAX_BYTES + 1), 9);
    cr_assert_eq(gc__large_pages_for((size_t)1 << 40), ((size_t)1 << 28) + 1);
}

Test(large, sizes_that_overflow_have_no_pages)
{
    cr_assert_eq(gc__large_pages_for(SIZE_MAX), 0);
    cr_assert_eq(gc__large_pages_for(SIZE_MAX - 2 * GC_PAGE_BYTES + 1), 0);
    cr_assert_eq(gc__large_pages_for(SIZE_MAX - 2 * GC_PAGE_BYTES), SIZE_MAX / GC_PAGE_BYTES);
}

/* ---- Creating and destroying ----------------------------------------------------------- */

TestSuite(large, .init = build_heap, .fini = drop_heap);

Test(large, knows_its_size_and_kind_and_is_found_from_each_page)
{
    for (size_t pages = 2; pages < 600; pages = pages * 3 / 2 + 1)
        for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++) {
            size_t head = create(pages, (enum gc__kind)kind);

            assert_found(head, pages);
            cr_assert_eq(gc__large_kind(region, head), kind);
            cr_assert_eq(gc__large_bytes(region, head), pages * GC_PAGE_BYTES);
        }
}

Test(large, is_born_white_or_black)
{
    size_t white, black;

    cr_assert(gc__large_create(region, 2, 1, GC_KIND_ATOMIC, false, &white));
    cr_assert(gc__large_create(region, 2, 1, GC_KIND_ATOMIC, true, &black));
    cr_assert(is_allocated(start_of(white)) && !is_marked(start_of(white)));
    cr_assert(is_allocated(start_of(black)) && is_marked(start_of(black)));
}

Test(large, is_aligned_as_asked)
{
    size_t head;

    for (size_t alignment = 1; alignment <= GC_PAGES_PER_CHUNK; alignment *= 2) {
        cr_assert(gc__large_create(region, 3, alignment, GC_KIND_CONSERVATIVE, false, &head));
        cr_assert_eq((uintptr_t)start_of(head) % (alignment * GC_PAGE_BYTES), 0);
    }
}

Test(large, is_zero_when_opened_if_its_kind_wants_that)
{
    size_t head = create(50, GC_KIND_ATOMIC);

    fill(head, 'x');
    gc__large_destroy(region, head);
    cr_assert_eq(create(50, GC_KIND_CONSERVATIVE), head);
    cr_assert(bytes_are(start_of(head), 50 * GC_PAGE_BYTES, 0));
    fill(head, 'x');
    gc__large_destroy(region, head);
    cr_assert_eq(create(50, GC_KIND_UNCOLLECTABLE), head);
    cr_assert(bytes_are(start_of(head), 50 * GC_PAGE_BYTES, 0));
}

Test(large, of_the_atomic_kind_is_not_zeroed)
{
    size_t head = create(50, GC_KIND_ATOMIC);

    fill(head, 'x');
    gc__large_destroy(region, head);
    cr_assert_eq(create(50, GC_KIND_ATOMIC), head);
    cr_assert(bytes_are(start_of(head), 50 * GC_PAGE_BYTES, 'x'));
}

Test(large, that_is_destroyed_is_not_found_and_its_pages_are_free)
{
    size_t keeps = create(2, GC_KIND_ATOMIC), head = create(40, GC_KIND_ATOMIC);

    set_marked(start_of(head), true);
    gc__large_destroy(region, head);
    assert_not_found(head, 40);
    cr_assert_not(is_allocated(start_of(head)));
    cr_assert_not(is_marked(start_of(head)));
    cr_assert_eq(region->used_pages, 2);
    assert_found(keeps, 2);
}

Test(large, cannot_be_created_without_memory)
{
    size_t head;

    cr_assert_not(gc__large_create(region, 17 * GC_PAGES_PER_CHUNK, 1, GC_KIND_ATOMIC, false, &head));
    cr_assert_eq(region->used_pages, 0);
}

/* ---- In place ------------------------------------------------------------------------------ */

TestSuite(in_place, .init = build_heap, .fini = drop_heap);

Test(in_place, shrinking_gives_the_end_back)
{
    size_t head = create(40, GC_KIND_CONSERVATIVE);

    fill(head, 'x');
    gc__large_shrink(region, head, 3);
    assert_found(head, 3);
    assert_not_found(head + 3, 37);
    cr_assert(bytes_are(start_of(head), 3 * GC_PAGE_BYTES, 'x'));
    cr_assert_eq(region->used_pages, 3);
    cr_assert_eq(create(37, GC_KIND_CONSERVATIVE), head + 3);
    cr_assert(bytes_are(start_of(head + 3), 37 * GC_PAGE_BYTES, 0));
}

Test(in_place, growing_takes_the_pages_behind)
{
    size_t head = create(3, GC_KIND_CONSERVATIVE);

    fill(head, 'x');
    cr_assert(gc__large_grow_in_place(region, head, 2000));
    assert_found(head, 2000);
    cr_assert_eq(gc__large_kind(region, head), GC_KIND_CONSERVATIVE);
    cr_assert(bytes_are(start_of(head), 3 * GC_PAGE_BYTES, 'x'));
    cr_assert(bytes_are(start_of(head + 3), 1997 * GC_PAGE_BYTES, 0));
    fill(head, 'y');
}

Test(in_place, growing_zeroes_used_pages)
{
    size_t head = create(40, GC_KIND_CONSERVATIVE);

    fill(head, 'x');
    gc__large_shrink(region, head, 10);
    cr_assert(gc__large_grow_in_place(region, head, 30));
    cr_assert(bytes_are(start_of(head + 10), 20 * GC_PAGE_BYTES, 0));
    cr_assert(bytes_are(start_of(head), 10 * GC_PAGE_BYTES, 'x'));
}

Test(in_place, growing_stops_before_another_object)
{
    size_t head = create(10, GC_KIND_CONSERVATIVE), other = create(5, GC_KIND_CONSERVATIVE);

    cr_assert_not(gc__large_grow_in_place(region, head, 11));
    assert_found(head, 10);
    assert_found(other, 5);
    gc__large_destroy(region, other);
    cr_assert(gc__large_grow_in_place(region, head, 15));
    assert_found(head, 15);
}

Test(in_place, growing_stops_before_blocks)
{
    size_t head = create(GC_PAGES_PER_CHUNK - 1, GC_KIND_CONSERVATIVE);

    build_cell(GC_KIND_CONSERVATIVE, 16);
    cr_assert(gc__large_grow_in_place(region, head, GC_PAGES_PER_CHUNK));
    cr_assert_not(gc__large_grow_in_place(region, head, GC_PAGES_PER_CHUNK + 1));
    assert_found(head, GC_PAGES_PER_CHUNK);
}

Test(in_place, resizing_keeps_the_mark)
{
    size_t head = create(10, GC_KIND_ATOMIC);

    set_marked(start_of(head), true);
    cr_assert(gc__large_grow_in_place(region, head, 20));
    gc__large_shrink(region, head, 5);
    cr_assert(is_allocated(start_of(head)) && is_marked(start_of(head)));
}

/* ---- Stepping through -------------------------------------------------------------------------------- */

TestSuite(walk, .init = build_heap, .fini = drop_heap);

Test(walk, of_nothing_finds_nothing)
{
    size_t head;

    cr_assert_not(gc__large_next(region, 0, &head));
    build_cell(GC_KIND_CONSERVATIVE, 100);
    cr_assert_not(gc__large_next(region, 0, &head), "cells are not large objects");
}

static int compare_numbers(const void *a, const void *b)
{
    const size_t *first = a, *second = b;

    return (*first > *second) - (*first < *second);
}

Test(walk, finds_all_by_address)
{
    size_t heads[60], head, page = 0, count = 0;

    random_begin("walk");
    for (size_t i = 0; i < 60; i++) {
        heads[i] = create(random_between(2, i % 10 == 0 ? 1100 : 60), GC_KIND_ATOMIC);
        if (i % 15 == 0)
            build_block(0, GC_KIND_CONSERVATIVE);
    }
    for (size_t i = 0; i < 60; i++)
        if (i == 0 || random_once_in(3)) {
            gc__large_destroy(region, heads[i]);
            heads[i] = 0;
        }
    qsort(heads, 60, sizeof heads[0], compare_numbers);
    while (gc__large_next(region, page, &head)) {
        while (count < 60 && heads[count] == 0)
            count++;
        cr_assert_lt(count, 60);
        cr_assert_eq(head, heads[count++]);
        page = head + gc__large_pages(region, head);
    }
    while (count < 60 && heads[count] == 0)
        count++;
    cr_assert_eq(count, 60);
}

Test(walk, goes_on_behind_an_object_that_was_just_destroyed)
{
    size_t head, page = 0, count = 0;

    for (size_t i = 0; i < 10; i++)
        create(300, GC_KIND_ATOMIC);
    while (gc__large_next(region, page, &head)) {
        page = head + gc__large_pages(region, head);
        gc__large_destroy(region, head);
        count++;
    }
    cr_assert_eq(count, 10);
    cr_assert_eq(region->used_pages, 0);
}

Test(mixed_chunks, are_walked_without_their_blocks, .fini = drop_heap)
{
    size_t expected[] = {GC_PAGES_PER_UNIT, 4 * GC_PAGES_PER_UNIT, GC_PAGES_PER_CHUNK}, head, page = 0;

    build_heap_of(2);
    build_cell(GC_KIND_CONSERVATIVE, 16);
    cr_assert_eq(create(GC_PAGES_PER_CHUNK, GC_KIND_ATOMIC), expected[2], "all of the other chunk");
    cr_assert_eq(create(20, GC_KIND_ATOMIC), expected[0], "behind the block");
    build_cell(GC_KIND_CONSERVATIVE, 32);
    cr_assert_eq(create(30, GC_KIND_ATOMIC), expected[1], "behind the other block");
    for (size_t i = 0; i < 3; i++) {
        cr_assert(gc__large_next(region, page, &head));
        cr_assert_eq(head, expected[i]);
        page = head + gc__large_pages(region, head);
    }
    cr_assert_not(gc__large_next(region, page, &head));
}

/* ---- The audit sees what is wrong ------------------------------------------------------------------------ */

TestSuite(large_audit, .init = build_heap);

Test(large_audit, finds_a_page_that_leads_elsewhere, .signal = SIGABRT)
{
    region->large_pages[create(10, GC_KIND_ATOMIC) + 7].to_head = 6;
    gc__large_audit(region);
}

Test(large_audit, finds_a_wrong_size, .signal = SIGABRT)
{
    region->large_pages[create(10, GC_KIND_ATOMIC)].value = 11;
    gc__large_audit(region);
}

Test(large_audit, finds_pages_that_belong_to_no_object, .signal = SIGABRT)
{
    region->large_pages[create(10, GC_KIND_ATOMIC)].value = 9;
    gc__large_audit(region);
}

Test(large_audit, finds_an_object_that_is_not_allocated, .signal = SIGABRT)
{
    set_allocated(start_of(create(10, GC_KIND_ATOMIC)), false);
    gc__large_audit(region);
}

Test(large_audit, finds_a_mark_inside_an_object, .signal = SIGABRT)
{
    set_marked(start_of(create(10, GC_KIND_ATOMIC)) + 5000 * GC_GRANULE_BYTES / 10, true);
    gc__large_audit(region);
}
