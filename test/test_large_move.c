/* test_large_move.c - large objects that take the pages of others, and all that is done with
 * them, at random. */
#include "gc/platform/platform.h"
#include "test/built_large.h"
#include "test/random.h"

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
