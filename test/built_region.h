/* built_region.h - a region of twelve chunks, for the tests of it. */
#ifndef TEST_BUILT_REGION_H
#define TEST_BUILT_REGION_H

#include "gc/heap/region.h"

#include <criterion/criterion.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

static struct region region;

/* Twelve chunks. */
#define CHUNKS 12
#define PAGES (CHUNKS * GC_PAGES_PER_CHUNK)

static inline void make_region(void)
{
    cr_assert(gc__region_init(&region, CHUNKS * GC_CHUNK_BYTES, SIZE_MAX));
}

static inline void drop_region(void)
{
    gc__region_audit(&region);
    gc__region_destroy(&region);
}

static inline size_t take(size_t count)
{
    size_t first;

    cr_assert(gc__region_take_pages(&region, count, 1, &first));
    return first;
}

static inline size_t take_units(unsigned count)
{
    size_t unit;
    bool fresh;

    cr_assert(gc__region_take_units(&region, count, &unit, &fresh));
    return unit;
}

static inline void open_and_fill(size_t first, size_t count, char value)
{
    gc__region_open_pages(&region, first, count, false);
    memset(gc__page_address(&region, first), value, count << GC_PAGE_SHIFT);
}

static inline bool pages_are_zero(size_t first, size_t count)
{
    const char *start = gc__page_address(&region, first);

    for (size_t i = 0; i < count << GC_PAGE_SHIFT; i++)
        if (start[i] != 0)
            return false;
    return true;
}

#endif
