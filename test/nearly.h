/* nearly.h - what must be reclaimed is counted: nearly all. A stray word may hold a
 * few. */
#ifndef TEST_NEARLY_H
#define TEST_NEARLY_H

#include <criterion/criterion.h>
#include <stddef.h>

static inline void check_nearly(size_t count, size_t of)
{
    cr_assert(count <= of && count >= of - of / 20 - 1, "%zu of %zu", count, of);
}

#endif
