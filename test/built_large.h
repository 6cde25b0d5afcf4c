/* built_large.h - large objects in a heap built by hand. */
#ifndef TEST_BUILT_LARGE_H
#define TEST_BUILT_LARGE_H

#include "gc/heap/large.h"
#include "test/built_heap.h"

static struct region *const region = &built.region;

static inline size_t create(size_t pages, enum gc__kind kind)
{
    size_t head;

    cr_assert(gc__large_create(region, pages, 1, kind, false, &head));
    gc__large_open(region, head, 0, pages);
    return head;
}

static inline char *start_of(size_t head)
{
    return gc__page_address(region, head);
}

static inline void fill(size_t head, char value)
{
    memset(start_of(head), value, gc__large_bytes(region, head));
}

/* Every page of the object leads to its first. */
static inline void assert_found(size_t head, size_t pages)
{
    size_t found;

    cr_assert_eq(gc__large_pages(region, head), pages);
    for (size_t page = head; page < head + pages; page++) {
        cr_assert(gc__large_find(region, page, &found));
        cr_assert_eq(found, head);
        cr_assert_eq(region->blocks[page / GC_PAGES_PER_UNIT].form, FORM_LARGE);
    }
}

static inline void assert_not_found(size_t first, size_t pages)
{
    for (size_t page = first; page < first + pages; page++)
        cr_assert_not(gc__large_find(region, page, &(size_t){0}));
}

#endif
