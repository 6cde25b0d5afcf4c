/* bitmap.h - ranges of bits in arrays of 64-bit words. Bit i is bit i % 64 of
 * word i / 64. No atomics: one thread or a lock. */
#ifndef GC_BASE_BITMAP_H
#define GC_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GC_WORD_BITS 64

/* The bits of [from, to) that lie in the word that `from` is in. */
static inline uint64_t gc__word_mask(size_t from, size_t to)
{
    size_t word_end = (from | (GC_WORD_BITS - 1)) + 1;
    uint64_t mask = ~(uint64_t)0 << (from % GC_WORD_BITS);

    return to >= word_end ? mask : mask & ~(~(uint64_t)0 << (to % GC_WORD_BITS));
}

/* The number of set bits, in twelve operations: x86-64 as such has no
 * instruction for it (H. Warren, "Hacker's Delight", 2nd ed., section 5-1). */
static inline size_t gc__count_bits(uint64_t word)
{
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return word * UINT64_C(0x0101010101010101) >> 56;
}

static inline size_t gc__next_word(size_t bit)
{
    return (bit | (GC_WORD_BITS - 1)) + 1;
}

static inline void gc__bitmap_set(uint64_t *words, size_t from, size_t to)
{
    for (size_t i = from; i < to; i = gc__next_word(i))
        words[i / GC_WORD_BITS] |= gc__word_mask(i, to);
}

static inline void gc__bitmap_clear(uint64_t *words, size_t from, size_t to)
{
    for (size_t i = from; i < to; i = gc__next_word(i))
        words[i / GC_WORD_BITS] &= ~gc__word_mask(i, to);
}

static inline size_t gc__bitmap_count(const uint64_t *words, size_t from, size_t to)
{
    size_t count = 0;

    for (size_t i = from; i < to; i = gc__next_word(i))
        count += gc__count_bits(words[i / GC_WORD_BITS] & gc__word_mask(i, to));
    return count;
}

static inline bool gc__bitmap_test(const uint64_t *words, size_t bit)
{
    return (words[bit / GC_WORD_BITS] >> (bit % GC_WORD_BITS) & 1) != 0;
}

/* The first bit of [from, to) that equals `value`; `to` if there is none. */
static inline size_t gc__bitmap_find(const uint64_t *words, size_t from, size_t to, bool value)
{
    for (size_t i = from; i < to; i = gc__next_word(i)) {
        uint64_t word = words[i / GC_WORD_BITS];
        uint64_t found = (value ? word : ~word) & gc__word_mask(i, to);

        if (found != 0)
            return i / GC_WORD_BITS * GC_WORD_BITS + (size_t)__builtin_ctzll(found);
    }
    return to;
}

#endif
