/* built_marker.h - a marker over a built heap, and what it marked. */
#ifndef TEST_BUILT_MARKER_H
#define TEST_BUILT_MARKER_H

#include "gc/mark/marker.h"
#include "test/built_heap.h"

#include <criterion/criterion.h>

static struct region *const region = &built.region;
static struct marker marker;

static inline void build_heap_and_marker(void)
{
    build_heap_of(64);
    gc__marker_init(&marker, region);
}

static inline void begin(void)
{
    gc__marker_begin(&marker);
}

static inline struct gc__range range_of(const void *start, size_t words)
{
    return (struct gc__range){(uintptr_t)start, (uintptr_t)start + words * sizeof(uintptr_t)};
}

/* A cycle with `count` words as its roots. */
static inline void mark_from(const void *roots, size_t count, enum past_end past_end)
{
    begin();
    gc__marker_scan_roots(&marker, range_of(roots, count), past_end);
    gc__marker_drain(&marker);
    cr_assert(gc__worklist_is_empty(&marker.worklist));
}

static inline void mark_from_one(const void *root)
{
    mark_from(&root, 1, PAST_END_IGNORED);
}

struct count {
    size_t objects;
    size_t granules;
};

/* What the marks say. */
static inline struct count count_marked(void)
{
    struct count count = {0, 0};

    for (size_t word = 0; word < region->accessible << (GC_CHUNK_SHIFT - GC_GRANULE_SHIFT); word += 64) {
        const struct bits *bits = gc__bits_of(region, word);

        for (uint64_t marked = bits->allocated & bits->mark; marked != 0; marked &= marked - 1) {
            size_t granule = word + (size_t)__builtin_ctzll(marked);
            struct object object;

            cr_assert(gc__resolve(region, gc__ambiguous(gc__granule_address(region, granule)), &object));
            count.objects++;
            count.granules += gc__object_bytes(region, &object) >> GC_GRANULE_SHIFT;
        }
    }
    return count;
}

static inline void **words_of(void *object)
{
    return object;
}

static inline void *new_cell(size_t bytes)
{
    return build_cell(GC_KIND_CONSERVATIVE, bytes);
}

#endif
