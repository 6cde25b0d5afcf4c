#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "test/random.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- Rounding -------------------------------------------------------------- */

Test(align, powers_of_two_have_one_bit)
{
    cr_assert_not(gc__is_power_of_two(0));
    for (unsigned shift = 0; shift < 64; shift++)
        cr_assert(gc__is_power_of_two((size_t)1 << shift));
    for (unsigned shift = 2; shift < 64; shift++) {
        cr_assert_not(gc__is_power_of_two(((size_t)1 << shift) - 1));
        cr_assert_not(gc__is_power_of_two(((size_t)1 << shift) + 1));
    }
    cr_assert_not(gc__is_power_of_two(SIZE_MAX));
}

Test(align, powers_of_two_that_hold_a_number)
{
    cr_assert_eq(gc__power_of_two_for(0), 1);
    for (unsigned shift = 0; shift < 64; shift++)
        cr_assert_eq(gc__power_of_two_for((size_t)1 << shift), (size_t)1 << shift);
    for (unsigned shift = 1; shift < 63; shift++) {
        cr_assert_eq(gc__power_of_two_for(((size_t)1 << shift) + 1), (size_t)2 << shift);
        cr_assert_eq(gc__power_of_two_for(((size_t)2 << shift) - 1), (size_t)2 << shift);
    }
    cr_assert_eq(gc__power_of_two_for(((size_t)1 << 63) + 1), 0);
    cr_assert_eq(gc__power_of_two_for(SIZE_MAX), 0);
}

Test(align, rounds_to_the_nearest_multiple)
{
    for (size_t to = 1; to <= 64; to *= 2)
        for (size_t n = 0; n < 300; n++) {
            cr_assert_eq(gc__align_down(n, to), n / to * to);
            cr_assert_eq(gc__align_up(n, to), (n + to - 1) / to * to);
        }
}

Test(align, rounds_large_numbers)
{
    cr_assert_eq(gc__align_up(SIZE_MAX - 4096, 4096), SIZE_MAX - 4095);
    cr_assert_eq(gc__align_down(SIZE_MAX, 4096), SIZE_MAX - 4095);
    cr_assert_eq(gc__align_up(((size_t)1 << 40) + 1, (size_t)1 << 21), ((size_t)1 << 40) + ((size_t)1 << 21));
}

Test(align, dividing_up_does_not_overflow)
{
    for (size_t by = 1; by < 20; by++)
        for (size_t n = 0; n < 200; n++)
            cr_assert_eq(gc__divide_up(n, by), (n + by - 1) / by);
    cr_assert_eq(gc__divide_up(SIZE_MAX, 1), SIZE_MAX);
    cr_assert_eq(gc__divide_up(SIZE_MAX, 2), SIZE_MAX / 2 + 1);
    cr_assert_eq(gc__divide_up(SIZE_MAX, SIZE_MAX), 1);
}

Test(align, min_and_max)
{
    cr_assert_eq(gc__min(1, 2), 1);
    cr_assert_eq(gc__min(2, 1), 1);
    cr_assert_eq(gc__max(0, SIZE_MAX), SIZE_MAX);
    cr_assert_eq(gc__max(3, 3), 3);
}

/* ---- Bitmaps ----------------------------------------------------------------- */

#define WORDS 4
#define BITS (WORDS * GC_WORD_BITS)

/* The same bits, one a byte. */
struct oracle {
    bool bit[BITS];
};

static struct oracle oracle_of(const uint64_t *words)
{
    struct oracle oracle;

    for (size_t i = 0; i < BITS; i++)
        oracle.bit[i] = (words[i / 64] >> (i % 64) & 1) != 0;
    return oracle;
}

static size_t oracle_count(const struct oracle *oracle, size_t from, size_t to)
{
    size_t count = 0;

    for (size_t i = from; i < to; i++)
        count += oracle->bit[i];
    return count;
}

static size_t oracle_find(const struct oracle *oracle, size_t from, size_t to, bool value)
{
    while (from < to && oracle->bit[from] != value)
        from++;
    return from;
}

static void fill_at_random(uint64_t *words)
{
    for (size_t i = 0; i < WORDS; i++)
        words[i] = random_next() & (random_once_in(2) ? random_next() : ~(uint64_t)0);
}

Test(bitmap, masks_cover_what_of_a_range_is_in_the_first_word)
{
    for (size_t from = 0; from < 128; from++)
        for (size_t to = from + 1; to <= 192; to++) {
            uint64_t mask = gc__word_mask(from, to);

            for (size_t bit = 0; bit < 64; bit++) {
                size_t i = from / 64 * 64 + bit;
                cr_assert_eq(mask >> bit & 1, i >= from && i < to, "[%zu, %zu): bit %zu", from, to, bit);
            }
        }
}

Test(bitmap, sets_and_clears_exactly_the_range)
{
    for (size_t from = 0; from <= BITS; from += 1 + from % 5)
        for (size_t to = from; to <= BITS; to++) {
            uint64_t set[WORDS] = {0}, cleared[WORDS];

            memset(cleared, 0xff, sizeof cleared);
            gc__bitmap_set(set, from, to);
            gc__bitmap_clear(cleared, from, to);
            for (size_t i = 0; i < WORDS; i++)
                cr_assert_eq(set[i], ~cleared[i], "[%zu, %zu)", from, to);
            for (size_t i = 0; i < BITS; i++)
                if (gc__bitmap_test(set, i) != (i >= from && i < to))
                    cr_assert_fail("[%zu, %zu): bit %zu", from, to, i);
        }
}

Test(bitmap, leaves_the_other_bits_of_the_words_alone)
{
    uint64_t words[WORDS];

    random_begin("bitmap");
    for (int round = 0; round < 2000; round++) {
        struct oracle before, after;
        size_t to = random_below(BITS + 1), from = random_below(to + 1);
        bool value = random_once_in(2);

        fill_at_random(words);
        before = oracle_of(words);
        (value ? gc__bitmap_set : gc__bitmap_clear)(words, from, to);
        after = oracle_of(words);
        for (size_t i = 0; i < BITS; i++)
            if (after.bit[i] != (i >= from && i < to ? value : before.bit[i]))
                cr_assert_fail("[%zu, %zu): bit %zu", from, to, i);
    }
}

Test(bitmap, counts_and_finds_like_a_loop)
{
    uint64_t words[WORDS];

    random_begin("bitmap");
    for (int round = 0; round < 2000; round++) {
        struct oracle oracle;
        size_t to = random_below(BITS + 1), from = random_below(to + 1);

        fill_at_random(words);
        if (random_once_in(3)) /* long rows */
            gc__bitmap_set(words, random_below(from + 1), to);
        oracle = oracle_of(words);
        cr_assert_eq(gc__bitmap_count(words, from, to), oracle_count(&oracle, from, to));
        cr_assert_eq(gc__bitmap_find(words, from, to, true), oracle_find(&oracle, from, to, true));
        cr_assert_eq(gc__bitmap_find(words, from, to, false), oracle_find(&oracle, from, to, false));
    }
}

Test(bitmap, finding_nothing_gives_the_end)
{
    uint64_t words[WORDS] = {0};

    for (size_t to = 0; to <= BITS; to++)
        cr_assert_eq(gc__bitmap_find(words, 0, to, true), to);
    memset(words, 0xff, sizeof words);
    for (size_t to = 0; to <= BITS; to++)
        cr_assert_eq(gc__bitmap_find(words, 0, to, false), to);
}

Test(bitmap, a_bit_behind_the_range_is_not_found)
{
    uint64_t words[WORDS] = {0};

    gc__bitmap_set(words, 100, 101);
    cr_assert_eq(gc__bitmap_find(words, 0, 100, true), 100);
    cr_assert_eq(gc__bitmap_find(words, 101, BITS, true), BITS);
    cr_assert_eq(gc__bitmap_find(words, 64, 101, true), 100);
}

Test(bitmap, empty_ranges_read_nothing)
{
    cr_assert_eq(gc__bitmap_count(NULL, 64, 64), 0);
    cr_assert_eq(gc__bitmap_find(NULL, 64, 64, true), 64);
    gc__bitmap_set(NULL, 7, 7);
    gc__bitmap_clear(NULL, 64, 64);
}
