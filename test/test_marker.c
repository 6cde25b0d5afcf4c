#include "test/built_marker.h"
#include "test/random.h"

/* ---- Roots --------------------------------------------------------------------------- */

TestSuite(roots, .init = build_heap_and_marker, .fini = drop_marked_heap);

Test(roots, mark_what_they_point_at_and_nothing_else)
{
    char *reached = new_cell(48), *not_reached = new_cell(48);

    mark_from_one(reached);
    cr_assert(is_marked(reached));
    cr_assert_not(is_marked(not_reached));
    cr_assert_eq(count_marked().objects, 1);
    cr_assert_eq(count_marked().granules, 3);
}

Test(roots, may_point_at_any_byte)
{
    for (size_t i = 0; i < 48; i++) {
        char *object = new_cell(48);

        mark_from_one(object + i);
        cr_assert(is_marked(object));
    }
}

Test(roots, that_are_no_pointers_mark_nothing)
{
    char *object = new_cell(48), *dead = new_cell(48), *kept = new_cell(48);
    const void *roots[] = {NULL,
                           (void *)1,
                           &marker,
                           (char *)region->base - 1,
                           (char *)region->base + gc__region_span(region),
                           (void *)UINTPTR_MAX,
                           dead,
                           kept,
                           kept + 48,                                     /* not handed out */
                           (char *)(uintptr_t)object + GC_UNIT_BYTES - 8, /* the block's tail */
                           (char *)(uintptr_t)object + GC_UNIT_BYTES};    /* a free unit */

    set_allocated(dead, false);
    set_allocated(kept, false);
    set_marked(kept, true);
    mark_from(roots, sizeof roots / sizeof roots[0], PAST_END_IGNORED);
    cr_assert_eq(count_marked().objects, 0);
    cr_assert_not(is_marked(dead));
}

Test(roots, are_the_aligned_words_of_a_range)
{
    char *objects[5];
    char *words[5] = {NULL};

    for (size_t i = 0; i < 5; i++)
        words[i] = objects[i] = new_cell(32);
    begin();
    gc__marker_scan_roots(&marker, (struct gc__range){(uintptr_t)words + 1, (uintptr_t)words + 4 * 8 - 1},
                          PAST_END_IGNORED);
    gc__marker_drain(&marker);
    cr_assert_not(is_marked(objects[0]), "cut by the start");
    cr_assert(is_marked(objects[1]) && is_marked(objects[2]));
    cr_assert_not(is_marked(objects[3]), "cut by the end");
    cr_assert_not(is_marked(objects[4]));
}

Test(roots, in_unaligned_words_do_not_count)
{
    char *object = new_cell(32);
    char words[4 * sizeof(uintptr_t)] __attribute__((aligned(8))) = {0};

    memcpy(words + 4, &object, sizeof object);
    mark_from(words, 4, PAST_END_IGNORED);
    cr_assert_not(is_marked(object));
}

Test(roots, of_empty_ranges_are_none)
{
    char *object = new_cell(32);

    begin();
    gc__marker_scan_roots(&marker, range_of(&object, 0), PAST_END_COUNTS);
    gc__marker_drain(&marker);
    cr_assert_not(is_marked(object));
}

/* Words that are no pointers into the heap, some of them nearly. */
static void fill_with_noise(uintptr_t *words, size_t count)
{
    const uintptr_t noise[] = {0,
                               42,
                               UINTPTR_MAX,
                               (uintptr_t)words,
                               region->base - 1,
                               region->base + gc__region_span(region) + 64,
                               region->base << 32,
                               region->base >> 32,
                               region->base ^ (uintptr_t)1 << 63};

    for (size_t i = 0; i < count; i++)
        words[i] = noise[random_below(sizeof noise / sizeof noise[0])];
}

/* In ranges of any length and alignment. */
static void assert_found_among_noise(const char *pointer, const void *object)
{
    uintptr_t words[32];

    for (size_t length = 1; length < 20; length++)
        for (size_t at = 0; at < length; at++) {
            size_t start = random_below(8);

            fill_with_noise(words, 32);
            words[start + at] = (uintptr_t)pointer;
            mark_from(words + start, length, random_once_in(2) ? PAST_END_COUNTS : PAST_END_IGNORED);
            cr_assert(is_marked(object), "word %zu of %zu", at, length);
            cr_assert_eq(count_marked().objects, 1);
            set_marked(object, false);
        }
}

Test(roots, are_found_at_any_place_among_other_words)
{
    char *object = new_cell(48);

    random_begin("roots");
    assert_found_among_noise(object, object);
    assert_found_among_noise(object + 47, object);
}

/* Not audited afterwards: that takes long. */
Test(large_heap, pointers_differ_in_their_upper_halves)
{
    size_t chunks = ((size_t)9 << 30) / GC_CHUNK_BYTES;
    char *first, *huge, *last;

    random_begin("large_heap");
    build_heap_of(chunks + 8);
    gc__marker_init(&marker, region);
    first = new_cell(48);
    cr_assert(gc__large_create(region, (chunks - 2) * GC_PAGES_PER_CHUNK, 1, GC_KIND_ATOMIC, false, &(size_t){0}));
    huge = first + GC_CHUNK_BYTES;
    last = build_large(GC_KIND_ATOMIC, GC_PAGES_PER_CHUNK);
    cr_assert_gt((uintptr_t)last >> 32, ((uintptr_t)first >> 32) + 1);
    assert_found_among_noise(first, first);
    assert_found_among_noise(huge + ((size_t)5 << 30), huge);
    assert_found_among_noise(last + GC_CHUNK_BYTES - 1, last);
}

Test(roots, come_in_any_number)
{
    static char *objects[3000];

    for (size_t i = 0; i < 3000; i++)
        objects[i] = new_cell(16);
    mark_from(objects, 3000, PAST_END_IGNORED);
    cr_assert_eq(count_marked().objects, 3000);
}

Test(roots, are_the_objects_of_root_kinds_with_what_they_reach)
{
    void **small = build_cell(GC_KIND_UNCOLLECTABLE, 64), **large = build_large(GC_KIND_UNCOLLECTABLE, 9);
    char *from_small = new_cell(16), *from_large = new_cell(16), *not_reached = new_cell(16);

    build_cell(GC_KIND_ATOMIC, 64);
    build_large(GC_KIND_CONSERVATIVE, 9);
    small[7] = from_small;
    large[4000] = from_large;
    begin();
    gc__marker_mark_root_kinds(&marker);
    gc__marker_drain(&marker);
    cr_assert(is_marked(small) && is_marked(large) && is_marked(from_small) && is_marked(from_large));
    cr_assert_not(is_marked(not_reached));
    cr_assert_eq(count_marked().objects, 4);
}

Test(roots, may_be_given_one_by_one)
{
    void **object = new_cell(64);
    char *text = build_cell(GC_KIND_ATOMIC, 64), *reached = new_cell(16), *not_reached = new_cell(16);

    object[3] = reached;
    memcpy(text, &not_reached, sizeof not_reached);
    begin();
    gc__marker_mark(&marker, object_at(object));
    gc__marker_mark(&marker, object_at(text));
    gc__marker_mark(&marker, object_at(text));
    gc__marker_drain(&marker);
    cr_assert(is_marked(object) && is_marked(text) && is_marked(reached));
    cr_assert_not(is_marked(not_reached));
    cr_assert_eq(count_marked().objects, 3);
}

/* ---- One past the end ------------------------------------------------------------------- */

TestSuite(past_end, .init = build_heap_and_marker, .fini = drop_marked_heap);

static void assert_past_end(const void *root, const void *object, enum past_end past_end, bool expected)
{
    mark_from(&root, 1, past_end);
    cr_assert_eq(is_marked(object), expected);
    set_marked(object, false);
}

Test(past_end, of_a_full_cell_counts_if_asked_for)
{
    for (size_t bytes = 16; bytes <= 128; bytes += 16) {
        char *object = new_cell(bytes);

        assert_past_end(object + bytes, object, PAST_END_IGNORED, false);
        assert_past_end(object + bytes, object, PAST_END_COUNTS, true);
    }
}

Test(past_end, of_larger_objects_is_inside_them)
{
    for (size_t bytes = 136; bytes <= 16 * GC_PAGE_BYTES; bytes += bytes < 200 ? 8 : bytes / 16 * 8) {
        char *object = build_object(GC_KIND_CONSERVATIVE, bytes);

        assert_past_end(object + bytes, object, PAST_END_IGNORED, true);
    }
}

Test(past_end, keeps_the_next_cell_too)
{
    char *first = new_cell(64), *second = new_cell(64);

    assert_past_end(first + 64, second, PAST_END_COUNTS, true);
    assert_past_end(first + 64, second, PAST_END_IGNORED, true);
}

Test(past_end, of_a_cell_with_spare_bytes_is_inside_it)
{
    char *object = new_cell(24);

    assert_past_end(object + 24, object, PAST_END_IGNORED, true);
    assert_past_end(object + 32, object, PAST_END_COUNTS, false);
}

Test(past_end, of_a_block_s_last_cell)
{
    char *object, *last = NULL;

    for (unsigned i = 0; i < GC_UNIT_BYTES / 128; i++) {
        object = new_cell(128);
        last = last == NULL || object > last ? object : last;
    }
    cr_assert_eq((uintptr_t)(last + 128) % GC_UNIT_BYTES, 0);
    assert_past_end(last + 128, last, PAST_END_COUNTS, true);
    assert_past_end(last + 128, last, PAST_END_IGNORED, false);
}

Test(past_end, of_a_large_object)
{
    char *object = build_large(GC_KIND_ATOMIC, 11);

    assert_past_end(object + 11 * GC_PAGE_BYTES - GC_WORD_BYTES, object, PAST_END_IGNORED, true);
    assert_past_end(object + 11 * GC_PAGE_BYTES, object, PAST_END_COUNTS, false);
}

Test(past_end, of_the_accessible_part)
{
    char *object = build_large(GC_KIND_ATOMIC, GC_PAGES_PER_CHUNK);

    cr_assert_eq((uintptr_t)object + GC_CHUNK_BYTES, region->base + gc__region_span(region));
    assert_past_end(object + GC_CHUNK_BYTES, object, PAST_END_COUNTS, false);
    assert_past_end(object + GC_CHUNK_BYTES, object, PAST_END_IGNORED, false);
}

Test(past_end, inside_objects_does_not_count)
{
    void **holder = new_cell(64), **large_holder = build_large(GC_KIND_CONSERVATIVE, 9);
    char *first = new_cell(32), *second = build_cell(GC_KIND_ATOMIC, 32);
    const void *roots[] = {holder, large_holder};

    holder[1] = first + 32;
    large_holder[4000] = second + 32;
    mark_from(roots, 2, PAST_END_COUNTS);
    cr_assert_not(is_marked(first) || is_marked(second));
}

Test(past_end, is_inside_all_objects_where_all_have_spare_bytes)
{
    gc__sizeclass_init(true);
    for (size_t bytes = 8; bytes <= 256; bytes += 8) {
        char *object = new_cell(bytes), *next = new_cell(bytes);
        void **holder = new_cell(64);

        holder[1] = object + bytes;
        assert_past_end(object + bytes, object, PAST_END_IGNORED, true);
        assert_past_end(holder, object, PAST_END_IGNORED, true);
        cr_assert_not(is_marked(next));
        set_marked(holder, false);
    }
}

/* ---- Edges ---------------------------------------------------------------------------------- */

TestSuite(edges, .init = build_heap_and_marker, .fini = drop_marked_heap);

Test(edges, are_the_aligned_words_of_whole_cells)
{
    for (size_t bytes = 8; bytes <= 4096; bytes = bytes * 2 + 8) {
        void **object = new_cell(bytes);
        size_t words = bytes / 8, before = count_marked().objects;

        for (size_t i = 0; i < words; i++)
            object[i] = new_cell(16);
        mark_from_one(object);
        cr_assert_eq(count_marked().objects, before + words + 1);
        for (size_t i = 0; i < words; i++)
            cr_assert(is_marked(object[i]));
    }
}

Test(edges, in_atomic_objects_do_not_count)
{
    void **text = build_cell(GC_KIND_ATOMIC, 64), **large_text = build_large(GC_KIND_ATOMIC, 10);
    char *object = new_cell(16);
    const void *roots[] = {text, large_text};

    text[0] = large_text[0] = object;
    mark_from(roots, 2, PAST_END_IGNORED);
    cr_assert(is_marked(text) && is_marked(large_text));
    cr_assert_not(is_marked(object));
}

Test(edges, in_rings_end)
{
    void **first = new_cell(32), **second = new_cell(64), **self = new_cell(16);
    const void *roots[] = {second, self};

    first[0] = second;
    second[7] = (char *)first + 31;
    self[0] = self;
    self[1] = self;
    mark_from(roots, 2, PAST_END_IGNORED);
    cr_assert_eq(count_marked().objects, 3);
}

Test(edges, to_marked_objects_are_not_followed_again)
{
    void **object = new_cell(16);

    object[0] = new_cell(16);
    set_marked(object, true);
    mark_from_one(object);
    cr_assert_eq(count_marked().objects, 1);
    cr_assert_not(is_marked(object[0]));
}

Test(edges, in_large_objects_are_found_from_the_first_word_to_the_last)
{
    size_t pages = 3 * GC_PAGES_PER_CHUNK + 1, words = pages * GC_PAGE_BYTES / sizeof(void *);
    void **object = build_large(GC_KIND_CONSERVATIVE, pages);
    size_t count = 0;

    for (size_t i = 0; i < words; i = i * 3 / 2 + 1, count++)
        object[i] = new_cell(16);
    object[words - 1] = new_cell(32);
    mark_from_one((char *)object + pages * GC_PAGE_BYTES - 1);
    cr_assert(is_marked(object[0]) && is_marked(object[words - 1]));
    cr_assert_eq(count_marked().objects, count + 2);
    cr_assert_eq(count_marked().granules, pages * GC_PAGE_BYTES / 16 + count + 2);
}

Test(edges, make_long_lists)
{
    void **list = NULL;

    for (size_t i = 0; i < 100000; i++) {
        void **node = new_cell(16);
        node[1] = list;
        list = node;
    }
    mark_from_one(list);
    cr_assert_eq(count_marked().objects, 100000);
}

/* ---- What a cycle leaves behind ---------------------------------------------------------------- */

TestSuite(cycle, .init = build_heap_and_marker, .fini = drop_marked_heap);

Test(cycle, sees_what_the_region_has_grown_by)
{
    char *small = new_cell(16), *large;

    mark_from_one(small);
    large = build_large(GC_KIND_ATOMIC, 5 * GC_PAGES_PER_CHUNK);
    mark_from_one(large + 5 * GC_CHUNK_BYTES - 1);
    cr_assert(is_marked(large));
}
