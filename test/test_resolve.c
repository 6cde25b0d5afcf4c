#include "gc/heap/resolve.h"
#include "test/built_heap.h"
#include "test/random.h"

#include <criterion/criterion.h>

static struct region *const region = &built.region;

TestSuite(cells, .init = build_heap, .fini = drop_heap);
TestSuite(large_objects, .init = build_heap, .fini = drop_heap);
TestSuite(nothing, .init = build_heap, .fini = drop_heap);
TestSuite(unswept, .init = build_heap, .fini = drop_heap);
TestSuite(object, .init = build_heap, .fini = drop_heap);

static bool resolves(const void *address)
{
    struct object object;

    return gc__resolve(region, gc__ambiguous(address), &object);
}

static char *block_start(const struct block *block)
{
    return gc__granule_address(region, gc__block_first_granule(region, block));
}

/* ---- Cells ---------------------------------------------------------------------- */

/* What a byte of a block of `cell_bytes` cells must resolve to, if it is the
 * cells with even numbers that are allocated. */
static void check_byte(const struct block *block, size_t cell_bytes, const char *address)
{
    size_t index = (size_t)(address - block_start(block)) / cell_bytes;
    bool expected = index < block->cells && index % 2 == 0;
    struct object object;

    if (gc__resolve(region, gc__ambiguous(address), &object) != expected)
        cr_assert_fail("cells of %zu bytes, byte %zu", cell_bytes, (size_t)(address - block_start(block)));
    if (expected &&
        (object.block != block || gc__object_start(region, &object) != block_start(block) + index * cell_bytes))
        cr_assert_fail("cells of %zu bytes, byte %zu: the wrong cell", cell_bytes,
                       (size_t)(address - block_start(block)));
}

static struct block *every_other_cell_allocated(unsigned c)
{
    struct block *block = build_block(c, GC_KIND_ATOMIC);

    block->fresh = false;
    for (size_t i = 0; i < block->cells; i += 2)
        set_allocated(block_start(block) + i * gc__sizeclass(c)->cell_bytes, true);
    return block;
}

Test(cells, of_every_class_are_found_from_every_byte_and_tails_are_not)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        const struct block *block = every_other_cell_allocated(c);

        for (size_t i = 0; i < block->units * GC_UNIT_BYTES; i++)
            check_byte(block, gc__sizeclass(c)->cell_bytes, block_start(block) + i);
    }
}

Test(cells, keep_to_their_blocks)
{
    struct block *first = every_other_cell_allocated(2), *second = every_other_cell_allocated(3);

    cr_assert_eq(object_at(block_start(second)).block, second);
    cr_assert_eq(object_at(block_start(first)).block, first);
    cr_assert_eq(block_start(first) + GC_UNIT_BYTES, block_start(second));
    cr_assert_not(resolves(block_start(second) - 1), "the tail before it");
}

Test(cells, that_are_kept_in_a_magazine_are_no_objects)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 100);

    cr_assert(resolves(cell + 50));
    set_allocated(cell, false);
    set_marked(cell, true);
    cr_assert_not(resolves(cell + 50));
}

Test(cells, that_were_never_handed_out_are_no_objects)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 112);

    cr_assert(resolves(cell + 111));
    cr_assert_not(resolves(cell + 112));
}

/* ---- Nothing ------------------------------------------------------------------------ */

Test(nothing, is_outside_the_range)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 16);
    int local = 0;

    cr_assert(resolves(cell));
    cr_assert_not(resolves(NULL));
    cr_assert_not(resolves(&local));
    cr_assert_not(resolves((char *)region->base - 1));
    cr_assert_not(resolves((char *)region->base + gc__region_span(region)));
    cr_assert_not(resolves((char *)region->base + (region->chunks << GC_CHUNK_SHIFT)));
    cr_assert_not(resolves((void *)UINTPTR_MAX));
}

Test(nothing, is_in_an_empty_heap)
{
    cr_assert_not(resolves((char *)region->base));
}

Test(nothing, is_in_free_units)
{
    const struct block *block = every_other_cell_allocated(0);
    const char *end = gc__page_address(region, GC_PAGES_PER_CHUNK);

    for (const char *at = block_start(block) + GC_UNIT_BYTES; at < end; at += 8)
        if (resolves(at))
            cr_assert_fail("%p", (const void *)at);
}

Test(nothing, is_in_a_block_that_was_destroyed)
{
    struct block *block = every_other_cell_allocated(GC_CLASS_COUNT - 3);
    const char *start = block_start(block);
    size_t bytes = block->units * GC_UNIT_BYTES;

    gc__block_destroy(region, block);
    for (size_t i = 0; i < bytes; i += 8)
        cr_assert_not(resolves(start + i));
}

/* ---- Large objects ---------------------------------------------------------------------- */

/* Each byte in or next to [start, end) is one of the object's or nobody's. */
static void check_large(const char *start, size_t pages, size_t step)
{
    const char *end = start + pages * GC_PAGE_BYTES;

    for (const char *at = start; at < end; at += step) {
        struct object object = object_at(at);

        if (object.block != NULL || gc__object_start(region, &object) != start)
            cr_assert_fail("byte %zu", (size_t)(at - start));
    }
    cr_assert_eq(gc__object_start(region, &(struct object){object_at(end - 1).granule, NULL}), start);
}

Test(large_objects, are_found_from_every_byte)
{
    char *first = build_large(GC_KIND_ATOMIC, 3), *second = build_large(GC_KIND_ATOMIC, 2);

    check_large(first, 3, 1);
    check_large(second, 2, 1);
    cr_assert_not(resolves(second + 2 * GC_PAGE_BYTES));
}

Test(large_objects, over_many_chunks_are_found_from_every_page)
{
    char *object = build_large(GC_KIND_ATOMIC, 5 * GC_PAGES_PER_CHUNK + 3);

    check_large(object, 5 * GC_PAGES_PER_CHUNK + 3, GC_PAGE_BYTES / 2);
}

Test(large_objects, that_were_destroyed_are_not_found)
{
    char *first = build_large(GC_KIND_ATOMIC, 30), *second = build_large(GC_KIND_ATOMIC, 30);

    gc__large_destroy(region, head_of(first));
    for (size_t i = 0; i < 30 * GC_PAGE_BYTES; i += 512)
        cr_assert_not(resolves(first + i));
    check_large(second, 30, 512);
}

Test(large_objects, are_found_where_an_older_one_left_its_entries)
{
    char *old = build_large(GC_KIND_ATOMIC, 100), *keeps = build_large(GC_KIND_ATOMIC, 2);
    char *young[10];

    gc__large_destroy(region, head_of(old));
    for (size_t i = 0; i < 10; i++)
        young[i] = build_large(GC_KIND_ATOMIC, 2 + i);
    cr_assert_eq(young[0], old);
    for (size_t i = 0; i < 10; i++)
        check_large(young[i], 2 + i, 512);
    cr_assert_lt(young[9] + 11 * GC_PAGE_BYTES, keeps);
    for (const char *at = young[9] + 11 * GC_PAGE_BYTES; at < keeps; at += 512)
        cr_assert_not(resolves(at), "an entry of the old one is still believed");
}

Test(large_objects, that_shrank_end_earlier)
{
    char *object = build_large(GC_KIND_ATOMIC, 40);

    gc__large_shrink(region, head_of(object), 7);
    check_large(object, 7, 512);
    for (size_t i = 7 * GC_PAGE_BYTES; i < 40 * GC_PAGE_BYTES; i += 512)
        cr_assert_not(resolves(object + i));
}

Test(large_objects, that_grew_in_place_end_later)
{
    char *object = build_large(GC_KIND_ATOMIC, 7);

    cr_assert(gc__large_grow_in_place(region, head_of(object), 700));
    check_large(object, 700, 512);
}

Test(large_objects, give_way_to_cells_in_the_same_chunk)
{
    char *old = build_large(GC_KIND_ATOMIC, GC_PAGES_PER_CHUNK), *cell;

    gc__large_destroy(region, head_of(old));
    cell = build_cell(GC_KIND_CONSERVATIVE, 48);
    cr_assert_eq(cell, old);
    cr_assert_eq(object_at(cell + 47).block, built.current[GC_KIND_CONSERVATIVE][gc__sizeclass_of(48)]);
    for (size_t i = 48; i < GC_CHUNK_BYTES; i += 16)
        cr_assert_not(resolves(old + i), "a unit's entry of the old object is still believed");
}

Test(large_objects, take_the_place_of_cells_in_the_same_chunk)
{
    struct block *block = every_other_cell_allocated(0);
    const char *start = block_start(block);

    gc__block_destroy(region, block);
    cr_assert_eq(build_large(GC_KIND_ATOMIC, GC_PAGES_PER_UNIT + 1), start);
    check_large(start, GC_PAGES_PER_UNIT + 1, 64);
}

Test(mixed_chunks, hold_large_objects_and_cells, .fini = drop_heap)
{
    char *object, *cell;

    build_heap_of(2);
    cell = build_cell(GC_KIND_CONSERVATIVE, 48);
    build_large(GC_KIND_ATOMIC, GC_PAGES_PER_CHUNK);
    object = build_large(GC_KIND_ATOMIC, GC_PAGES_PER_UNIT + 1);
    cr_assert_eq(object, cell + GC_UNIT_BYTES, "the range is used up");
    check_large(object, GC_PAGES_PER_UNIT + 1, 64);
    cr_assert_not_null(object_at(cell + 47).block);
    for (size_t i = 48; i < GC_UNIT_BYTES; i += 16)
        cr_assert_not(resolves(cell + i));
    for (size_t i = (GC_PAGES_PER_UNIT + 1) * GC_PAGE_BYTES; i < 2 * GC_UNIT_BYTES; i += 512)
        cr_assert_not(resolves(object + i));
}

/* ---- Unswept blocks ----------------------------------------------------------------------- */

static bool is_live(const void *address)
{
    struct object object = object_at(address);

    return gc__object_is_live(region, &object);
}

Test(unswept, objects_are_live_only_if_marked)
{
    char *white = build_cell(GC_KIND_CONSERVATIVE, 32), *black = build_cell(GC_KIND_CONSERVATIVE, 32);
    struct block *block = object_at(white).block;

    set_marked(black, true);
    block->state = BLOCK_UNSWEPT;
    cr_assert(resolves(white), "resolving does not ask whether it is dead");
    cr_assert_not(is_live(white + 31));
    cr_assert(is_live(black + 31));
}

Test(unswept, is_not_what_a_block_is_in_another_state)
{
    static const enum block_state states[] = {BLOCK_PARTIAL, BLOCK_CURRENT, BLOCK_FULL};
    char *white = build_cell(GC_KIND_CONSERVATIVE, 32);

    for (unsigned i = 0; i < 3; i++) {
        object_at(white).block->state = (uint8_t)states[i];
        cr_assert(is_live(white));
    }
}

Test(unswept, is_no_state_of_large_objects)
{
    cr_assert(is_live(build_large(GC_KIND_CONSERVATIVE, 5)));
}

Test(unswept, sweeping_does_not_change_what_is_live)
{
    char *cells[200];
    bool live[200];
    struct block *block;

    random_begin("unswept");
    for (size_t i = 0; i < 200; i++) {
        cells[i] = build_cell(GC_KIND_CONSERVATIVE, 64);
        set_marked(cells[i], random_once_in(2));
    }
    block = object_at(cells[0]).block;
    block->state = BLOCK_UNSWEPT;
    for (size_t i = 0; i < 200; i++)
        live[i] = is_live(cells[i]);
    gc__block_sweep(region, block);
    block->state = BLOCK_PARTIAL;
    for (size_t i = 0; i < 200; i++)
        cr_assert_eq(resolves(cells[i]), live[i]);
}

/* ---- What is known of an object ------------------------------------------------------------- */

Test(object, knows_its_bytes_and_its_kind)
{
    for (size_t bytes = 0; bytes < 100000; bytes += 1 + bytes / 3)
        for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++) {
            struct object object = object_at(build_object((enum gc__kind)kind, bytes));
            size_t usable = gc__object_usable_bytes(region, &object), all = gc__object_bytes(region, &object);

            cr_assert_geq(usable, bytes);
            cr_assert_geq(all, usable);
            cr_assert_lt(all, usable + GC_GRANULE_BYTES);
            cr_assert_eq(gc__object_kind(region, &object), kind);
            cr_assert_eq(object.block == NULL, bytes > GC_SMALL_MAX_BYTES);
        }
}

Test(object, of_eight_bytes_has_eight_usable_ones_in_a_cell_of_sixteen)
{
    struct object object = object_at(build_cell(GC_KIND_ATOMIC, 8));

    cr_assert_eq(gc__object_usable_bytes(region, &object), 8);
    cr_assert_eq(gc__object_bytes(region, &object), 16);
}
