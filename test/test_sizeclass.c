#include "gc/base/align.h"
#include "gc/heap/sizeclass.h"

#include <criterion/criterion.h>
#include <signal.h>

static size_t cell_for(size_t bytes)
{
    return gc__sizeclass(gc__sizeclass_of(bytes))->cell_bytes;
}

static size_t usable_for(size_t bytes)
{
    return gc__sizeclass(gc__sizeclass_of(bytes))->usable_bytes;
}

static void make_tight(void)
{
    gc__sizeclass_init(false);
}

static void make_spare(void)
{
    gc__sizeclass_init(true);
}

TestSuite(sizeclass, .init = make_tight);
TestSuite(spare, .init = make_spare);

Test(sizeclass, passes_its_audit)
{
    gc__sizeclass_audit();
}

Test(spare, passes_its_audit)
{
    gc__sizeclass_audit();
}

/* ---- What a size costs ------------------------------------------------------------ */

Test(sizeclass, keeps_the_promised_sizes)
{
    cr_assert_eq(cell_for(16), 16);
    cr_assert_eq(cell_for(1016), 1024);
    cr_assert_eq(cell_for(1024), 1040);
    cr_assert_eq(cell_for(1032), 1040);
    cr_assert_eq(cell_for(1033), 1152);
}

Test(sizeclass, powers_of_two_take_a_granule_more)
{
    for (size_t bytes = 128; bytes < GC_SMALL_MAX_BYTES; bytes *= 2)
        cr_assert_eq(cell_for(bytes), bytes + (bytes > 128 ? GC_GRANULE_BYTES : 0));
}

Test(sizeclass, small_multiples_of_16_lose_nothing)
{
    for (size_t bytes = 16; bytes <= 128; bytes += 16)
        cr_assert_eq(cell_for(bytes), bytes);
}

Test(sizeclass, above_128_bytes_a_word_is_spare)
{
    for (size_t bytes = 129; bytes <= GC_SMALL_MAX_BYTES; bytes++)
        cr_assert(cell_for(bytes) > bytes);
}

Test(sizeclass, every_eight_bytes_are_told_apart_up_to_128)
{
    for (size_t bytes = 1; bytes <= 128; bytes++)
        cr_assert_eq(usable_for(bytes), (bytes + 7) / 8 * 8);
}

Test(sizeclass, nothing_gets_a_class_too)
{
    cr_assert_eq(gc__sizeclass_of(0), 0);
    cr_assert_eq(cell_for(0), 16);
}

Test(sizeclass, the_largest_class_is_the_largest_small_size)
{
    cr_assert_eq(gc__sizeclass_of(GC_SMALL_MAX_BYTES), GC_CLASS_COUNT - 1);
    cr_assert_eq(usable_for(GC_SMALL_MAX_BYTES), GC_SMALL_MAX_BYTES);
}

Test(sizeclass, a_class_is_the_smallest_that_holds_the_size)
{
    for (size_t bytes = 0; bytes <= GC_SMALL_MAX_BYTES; bytes++) {
        unsigned c = gc__sizeclass_of(bytes);

        if (gc__sizeclass(c)->usable_bytes < bytes || (c > 0 && gc__sizeclass(c - 1)->usable_bytes >= bytes))
            cr_assert_fail("%zu bytes: class %u", bytes, c);
    }
}

Test(sizeclass, above_112_bytes_an_eighth_of_the_size_and_a_word_are_lost_at_most)
{
    for (size_t bytes = 113; bytes <= GC_SMALL_MAX_BYTES; bytes++) {
        size_t cell = cell_for(bytes);

        if ((cell - bytes - GC_WORD_BYTES) * 8 > bytes && cell > bytes + GC_GRANULE_BYTES)
            cr_assert_fail("%zu bytes: a cell of %zu", bytes, cell);
    }
}

Test(sizeclass, up_to_112_bytes_less_than_a_granule_is_lost)
{
    for (size_t bytes = 1; bytes <= 112; bytes++)
        cr_assert_lt(cell_for(bytes) - bytes, GC_GRANULE_BYTES);
}

/* ---- With spare bytes in every cell ---------------------------------------------------- */

Test(spare, is_in_every_cell)
{
    for (size_t bytes = 0; bytes <= GC_SMALL_MAX_BYTES; bytes++) {
        cr_assert_gt(cell_for(bytes), usable_for(bytes));
        cr_assert_geq(usable_for(bytes), bytes);
    }
}

/* A chunk of glibc's malloc holds the request and eight bytes. */
Test(spare, costs_no_more_than_chunks_of_malloc_do)
{
    for (size_t bytes = 0; bytes <= 128; bytes++)
        cr_assert_leq(cell_for(bytes), gc__max(gc__align_up(bytes + 8, 16), 32));
}

Test(spare, costs_nothing_where_there_was_some)
{
    size_t cell[GC_SMALL_MAX_BYTES + 1];

    for (size_t bytes = 0; bytes <= GC_SMALL_MAX_BYTES; bytes++)
        cell[bytes] = cell_for(bytes);
    make_tight();
    for (size_t bytes = 0; bytes <= GC_SMALL_MAX_BYTES; bytes++)
        if (cell_for(bytes) > usable_for(bytes))
            cr_assert_eq(cell_for(bytes), cell[bytes]);
}

/* ---- Cells and blocks ---------------------------------------------------------------- */

Test(sizeclass, cells_are_whole_granules)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        const struct sizeclass *class = gc__sizeclass(c);

        cr_assert_eq(class->cell_bytes % GC_GRANULE_BYTES, 0);
        cr_assert_eq(class->cell_granules, class->cell_bytes / GC_GRANULE_BYTES);
        cr_assert_geq(class->cell_bytes, class->usable_bytes);
        cr_assert_eq(class->full, class->cell_bytes == class->usable_bytes);
    }
}

Test(sizeclass, blocks_hold_as_many_cells_as_fit_and_lose_little_behind_them)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        const struct sizeclass *class = gc__sizeclass(c);
        size_t block = class->units * GC_UNIT_BYTES;
        size_t tail = block - (size_t) class->cells * class->cell_bytes;

        cr_assert(class->units >= 1 && class->units <= GC_MAX_BLOCK_UNITS);
        cr_assert_lt(tail, class->cell_bytes);
        cr_assert_leq(tail * 16, block, "cells of %u bytes lose %zu of %zu", class->cell_bytes, tail, block);
    }
}

Test(sizeclass, the_reciprocal_divides_exactly)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        const struct sizeclass *class = gc__sizeclass(c);

        for (uint64_t offset = 0; offset < GC_MAX_BLOCK_UNITS * GC_UNIT_GRANULES; offset++)
            if (offset * class->reciprocal >> GC_RECIPROCAL_SHIFT != offset / class->cell_granules)
                cr_assert_fail("cells of %u granules, granule %llu", class->cell_granules, (unsigned long long)offset);
    }
}

Test(sizeclass, the_pattern_has_a_bit_where_a_cell_starts)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++)
        for (unsigned granule = 0; granule < 64; granule++)
            cr_assert_eq(gc__sizeclass(c)->pattern >> granule & 1, granule % gc__sizeclass(c)->cell_granules == 0);
}

/* ---- Alignment --------------------------------------------------------------------------- */

static bool class_is_aligned(unsigned c, size_t bytes, size_t alignment)
{
    return gc__sizeclass(c)->usable_bytes >= bytes && gc__sizeclass(c)->cell_bytes % alignment == 0 &&
           gc__sizeclass_is_used(c);
}

static void check_aligned_classes(void)
{
    for (size_t alignment = 1; alignment <= GC_SMALL_MAX_BYTES; alignment *= 2)
        for (size_t bytes = 0; bytes <= GC_SMALL_MAX_BYTES; bytes += 1 + bytes / 16) {
            unsigned c = gc__sizeclass_aligned(bytes, alignment);

            if (!class_is_aligned(c, bytes, alignment))
                cr_assert_fail("%zu bytes at %zu: class %u", bytes, alignment, c);
            for (unsigned smaller = 0; smaller < c; smaller++)
                if (class_is_aligned(smaller, bytes, alignment))
                    cr_assert_fail("%zu bytes at %zu: class %u where %u would do", bytes, alignment, c, smaller);
        }
}

Test(sizeclass, aligned_classes_are_the_smallest_that_are)
{
    check_aligned_classes();
}

Test(spare, aligned_classes_are_the_smallest_that_are)
{
    check_aligned_classes();
}

Test(sizeclass, the_largest_size_can_have_the_largest_alignment)
{
    unsigned c = gc__sizeclass_aligned(GC_SMALL_MAX_BYTES, GC_LARGEST_CELL_BYTES);

    cr_assert_eq(gc__sizeclass(c)->cell_bytes, GC_LARGEST_CELL_BYTES);
}

/* ---- The audit sees what is wrong ----------------------------------------------------------- */

Test(sizeclass, audit_finds_a_wrong_reciprocal, .signal = SIGABRT)
{
    gc__sizeclasses.classes[40].reciprocal--;
    gc__sizeclass_audit();
}

Test(sizeclass, audit_finds_a_wrong_table, .signal = SIGABRT)
{
    gc__sizeclasses.class_of_words[100]++;
    gc__sizeclass_audit();
}

Test(spare, audit_finds_a_class_that_is_full, .signal = SIGABRT)
{
    gc__sizeclasses.class_of_words[2]--;
    gc__sizeclass_audit();
}

Test(sizeclass, audit_finds_a_wrong_full_flag, .signal = SIGABRT)
{
    gc__sizeclasses.classes[0].full = true;
    gc__sizeclass_audit();
}

Test(sizeclass, audit_finds_too_many_cells, .signal = SIGABRT)
{
    gc__sizeclasses.classes[1].cells++;
    gc__sizeclass_audit();
}
