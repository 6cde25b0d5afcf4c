#include "gc/heap/large.h"
#include "gc/platform/platform.h"
#include "test/built_heap.h"
#include "test/random.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct region *const region = &built.region;

static size_t create(size_t pages, enum gc__kind kind)
{
    size_t head;

    cr_assert(gc__large_create(region, pages, 1, kind, false, &head));
    gc__large_open(region, head, 0, pages);
    return head;
}

static char *start_of(size_t head)
{
    return gc__page_address(region, head);
}

static void fill(size_t head, char value)
{
    memset(start_of(head), value, gc__large_bytes(region, head));
}

/* Every page of the object leads to its first. */
static void assert_found(size_t head, size_t pages)
{
    size_t found;

    cr_assert_eq(gc__large_pages(region, head), pages);
    for (size_t page = head; page < head + pages; page++) {
        cr_assert(gc__large_find(region, page, &found));
        cr_assert_eq(found, head);
        cr_assert_eq(region->blocks[page / GC_PAGES_PER_UNIT].form, FORM_LARGE);
    }
}

static void assert_not_found(size_t first, size_t pages)
{
    for (size_t page = first; page < first + pages; page++)
        cr_assert_not(gc__large_find(region, page, &(size_t){0}));
}

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

/* ---- Moving ------------------------------------------------------------------------------------ */

TestSuite(untouched, .init = build_heap, .fini = drop_heap);

Test(untouched, is_what_was_noted_of_each_span)
{
    size_t head = create(2 * GC_SPAN_MAX_PIECES + GC_SPARSE_MIN_PIECES, GC_KIND_CONSERVATIVE);

    cr_assert_eq(gc__large_untouched_bytes(region, head), 0);
    gc__large_note_untouched(region, head, 10);
    gc__large_note_untouched(region, head, 20); /* asked again */
    gc__large_note_untouched(region, head + GC_SPAN_MAX_PIECES, 300);
    gc__large_note_untouched(region, head + 2 * GC_SPAN_MAX_PIECES, GC_SPARSE_MIN_PIECES);
    cr_assert_eq(gc__large_untouched_bytes(region, head), (320 + GC_SPARSE_MIN_PIECES) * GC_PAGE_BYTES);
}

Test(untouched, is_no_more_than_is_left)
{
    size_t head = create(GC_SPAN_MAX_PIECES, GC_KIND_CONSERVATIVE);

    gc__large_note_untouched(region, head, GC_SPAN_MAX_PIECES - 100);
    gc__large_shrink(region, head, GC_SPAN_MAX_PIECES / 2);
    cr_assert_eq(gc__large_untouched_bytes(region, head), GC_SPAN_MAX_PIECES / 2 * GC_PAGE_BYTES);
    gc__large_shrink(region, head, 10);
    cr_assert_eq(gc__large_untouched_bytes(region, head), 0);
}

Test(untouched, is_nothing_of_what_takes_its_place)
{
    size_t head = create(GC_SPAN_MAX_PIECES, GC_KIND_CONSERVATIVE);

    gc__large_note_untouched(region, head, GC_SPAN_MAX_PIECES);
    gc__large_destroy(region, head);
    cr_assert_eq(create(GC_SPAN_MAX_PIECES, GC_KIND_CONSERVATIVE), head);
    cr_assert_eq(gc__large_untouched_bytes(region, head), 0);
}

TestSuite(move, .init = build_heap, .fini = drop_heap);

/* Byte for byte different. */
static void write_pattern(size_t head, size_t pages, unsigned seed)
{
    uint32_t *word = (void *)start_of(head);

    for (size_t i = 0; i < pages * GC_PAGE_BYTES / sizeof *word; i++)
        word[i] = (uint32_t)(i * 2654435761u + seed);
}

static bool has_pattern(size_t head, size_t pages, unsigned seed)
{
    const uint32_t *word = (const void *)start_of(head);

    for (size_t i = 0; i < pages * GC_PAGE_BYTES / sizeof *word; i++)
        if (word[i] != (uint32_t)(i * 2654435761u + seed))
            return false;
    return true;
}

/* To a new object of `pages` pages; the old one goes. */
static size_t replace(size_t head, size_t pages, bool (*transfer)(struct region *, size_t, size_t))
{
    size_t old = gc__large_pages(region, head), to;

    cr_assert(gc__large_create(region, pages, 1, gc__large_kind(region, head), false, &to));
    cr_assert(transfer(region, to, head));
    gc__large_open(region, to, old, pages);
    gc__large_destroy(region, head);
    return to;
}

static size_t move_to_new(size_t head, size_t pages)
{
    return replace(head, pages, gc__large_move);
}

/* Where the object lies in several mappings of the OS, Linux before 6.17 does
 * not move it: both places then are as they were. */
static bool move_or_copy(struct region *in, size_t to, size_t from)
{
    if (gc__large_move(in, to, from))
        return true;
    gc__large_open(in, to, 0, gc__large_pages(in, from));
    memcpy(start_of(to), start_of(from), gc__large_bytes(in, from));
    return true;
}

static size_t move_or_copy_to_new(size_t head, size_t pages)
{
    return replace(head, pages, move_or_copy);
}

Test(move, takes_the_contents_along)
{
    size_t head = create(300, GC_KIND_CONSERVATIVE), to;

    write_pattern(head, 300, 1);
    create(2, GC_KIND_ATOMIC);
    to = move_to_new(head, 700);
    cr_assert_neq(to, head);
    cr_assert_eq(gc__bitmap_count(region->dirty, to, to + 700), 700);
    cr_assert(has_pattern(to, 300, 1));
    cr_assert(bytes_are(start_of(to + 300), 400 * GC_PAGE_BYTES, 0));
    assert_found(to, 700);
    assert_not_found(head, 300);
}

Test(move, over_dirty_pages_leaves_nothing_of_what_stood_there)
{
    size_t head = create(300, GC_KIND_CONSERVATIVE), old = create(500, GC_KIND_CONSERVATIVE), to;

    write_pattern(head, 300, 2);
    fill(old, 'x');
    gc__large_destroy(region, old);
    cr_assert(gc__large_create(region, 500, 1, GC_KIND_CONSERVATIVE, false, &to));
    cr_assert_eq(to, old);
    cr_assert(gc__large_move(region, to, head));
    gc__large_open(region, to, 300, 500);
    cr_assert(has_pattern(to, 300, 2));
    cr_assert(bytes_are(start_of(to + 300), 200 * GC_PAGE_BYTES, 0));
    gc__large_destroy(region, head);
}

Test(move, leaves_zeros_behind)
{
    size_t head = create(300, GC_KIND_CONSERVATIVE);

    write_pattern(head, 300, 3);
    create(2, GC_KIND_ATOMIC);
    move_to_new(head, 301);
    cr_assert_eq(gc__bitmap_count(region->dirty, head, head + 300), 0);
    cr_assert_eq(region->held_pages, 2 + 301);
    cr_assert_eq(create(300, GC_KIND_ATOMIC), head, "the first free place");
    cr_assert(bytes_are(start_of(head), 300 * GC_PAGE_BYTES, 0));
}

Test(move, is_counted_while_the_object_lives)
{
    size_t head = create(300, GC_KIND_ATOMIC);

    cr_assert_eq(region->moved_objects, 0);
    head = move_to_new(head, 400);
    cr_assert_eq(region->moved_objects, 1);
    head = move_to_new(head, 500);
    cr_assert_eq(region->moved_objects, 1);
    gc__large_destroy(region, head);
    cr_assert_eq(region->moved_objects, 0);
}

Test(move, is_refused_when_too_many_were_moved)
{
    size_t head = create(300, GC_KIND_ATOMIC), to = create(300, GC_KIND_ATOMIC);

    write_pattern(head, 300, 4);
    write_pattern(to, 300, 5);
    region->moved_objects = GC_MOVE_MAX_OBJECTS;
    cr_assert_not(gc__large_move(region, to, head));
    cr_assert(has_pattern(head, 300, 4));
    cr_assert(has_pattern(to, 300, 5));
    region->moved_objects = GC_MOVE_MAX_OBJECTS - 1;
    cr_assert(gc__large_move(region, to, head));
}

Test(move, and_grow_in_place_and_move_again)
{
    size_t head = create(300, GC_KIND_CONSERVATIVE);

    write_pattern(head, 300, 6);
    create(2, GC_KIND_ATOMIC);
    head = move_to_new(head, 400);
    cr_assert(gc__large_grow_in_place(region, head, 900));
    write_pattern(head, 900, 7);
    create(2, GC_KIND_ATOMIC);
    /* Now the object lies in two mappings of the OS. */
    head = move_or_copy_to_new(head, 1000);
    cr_assert(has_pattern(head, 900, 7));
    cr_assert(bytes_are(start_of(head + 900), 100 * GC_PAGE_BYTES, 0));
}

Test(move, and_shrink_and_use_what_was_given_back)
{
    size_t head = create(300, GC_KIND_CONSERVATIVE), next;

    head = move_to_new(head, 400);
    write_pattern(head, 400, 8);
    gc__large_shrink(region, head, 100);
    next = create(300, GC_KIND_CONSERVATIVE);
    cr_assert(bytes_are(start_of(next), 300 * GC_PAGE_BYTES, 0));
    fill(next, 'x');
    cr_assert(has_pattern(head, 100, 8));
    gc__large_destroy(region, head);
    cr_assert(bytes_are(start_of(next), 300 * GC_PAGE_BYTES, 'x'));
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

/* ---- At random ---------------------------------------------------------------------------------------- */

#define OBJECTS 24

static struct {
    size_t head;
    size_t pages; /* 0: there is no object */
    unsigned seed;
} known[OBJECTS];

static void known_create(unsigned i)
{
    known[i].pages = random_between(2, 200);
    known[i].head = create(known[i].pages, GC_KIND_CONSERVATIVE);
    cr_assert(bytes_are(start_of(known[i].head), known[i].pages * GC_PAGE_BYTES, 0));
}

static void known_resize_in_place(unsigned i)
{
    size_t pages = random_between(2, 300), old = known[i].pages;

    if (pages < old) {
        gc__large_shrink(region, known[i].head, pages);
    } else if (pages == old || !gc__large_grow_in_place(region, known[i].head, pages)) {
        return;
    } else {
        cr_assert(bytes_are(start_of(known[i].head + old), (pages - old) * GC_PAGE_BYTES, 0));
    }
    known[i].pages = pages;
}

static void known_move(unsigned i)
{
    size_t old = known[i].pages;

    known[i].pages += random_below(40);
    known[i].head = move_or_copy_to_new(known[i].head, known[i].pages);
    cr_assert(has_pattern(known[i].head, old, known[i].seed));
    cr_assert(bytes_are(start_of(known[i].head + old), (known[i].pages - old) * GC_PAGE_BYTES, 0));
}

static void known_change(unsigned i)
{
    size_t dice = random_below(10);

    if (known[i].pages == 0)
        known_create(i);
    else if (dice < 2 || known[i].pages > 500)
        gc__large_destroy(region, known[i].head), known[i].pages = 0;
    else if (dice < 7)
        known_resize_in_place(i);
    else
        known_move(i);
    known[i].seed = (unsigned)random_next();
    if (known[i].pages != 0)
        write_pattern(known[i].head, known[i].pages, known[i].seed);
}

static void check_known(unsigned i)
{
    if (known[i].pages == 0)
        return;
    assert_found(known[i].head, known[i].pages);
    cr_assert(has_pattern(known[i].head, known[i].pages, known[i].seed));
}

Test(random, objects_keep_their_contents, .init = build_heap, .fini = drop_heap)
{
    random_begin("large");
    for (unsigned step = 0; step < 600; step++) {
        known_change((unsigned)random_below(OBJECTS));
        check_known((unsigned)random_below(OBJECTS));
        if (random_once_in(20))
            gc__region_decommit(region, UINT64_MAX);
        if (step % 16 == 0)
            audit_built_heap();
    }
    for (unsigned i = 0; i < OBJECTS; i++)
        check_known(i);
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
