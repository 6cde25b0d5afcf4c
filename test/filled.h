/* filled.h - that memory holds the same byte all over. */
#ifndef TEST_FILLED_H
#define TEST_FILLED_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool is_filled(const void *memory, int with, size_t from, size_t to)
{
    const unsigned char *byte = memory;

    return from >= to || (byte[from] == with && memcmp(byte + from, byte + from + 1, to - from - 1) == 0);
}

static inline void check_filled(const void *memory, int with, size_t from, size_t to)
{
    cr_assert(is_filled(memory, with, from, to), "bytes %zu to %zu at %p are not all %d", from, to, memory, with);
}

#endif
