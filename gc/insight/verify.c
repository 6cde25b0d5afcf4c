#include "gc/insight/verify.h"

#include "gc/base/check.h"

static bool is_marked(const struct region *region, const struct object *object)
{
    return (gc__bits_of(region, object->granule)->mark & gc__bit_of(object->granule)) != 0;
}

/* A coroutine's stack may be an object, and the collector may be running on
 * it: its own frames there have changed since they were scanned. */
static bool holds_this_stack(const struct region *region, const struct object *object)
{
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    uintptr_t start = (uintptr_t)gc__object_start(region, object);

    return sp >= start && sp < start + gc__object_bytes(region, object);
}

static GC_SCANS_ANYTHING void verify_object(const struct region *region, const struct object *object)
{
    const uintptr_t *word = (const void *)gc__object_start(region, object);
    size_t words = gc__object_bytes(region, object) / sizeof *word;

    if (!gc__kinds[gc__object_kind(region, object)].scanned || holds_this_stack(region, object))
        return;
    for (size_t i = 0; i < words; i++) {
        struct object target;

        if (!gc__resolve(region, (struct ambiguous){word[i]}, &target) || is_marked(region, &target))
            continue;
        gc__fatal("a bug in Broom: the object at %p (%zu bytes) is marked, but the one at %p that its word %zu "
                  "(%#zx) points at is not",
                  (const void *)word, words * sizeof *word, (void *)gc__object_start(region, &target), i,
                  (size_t)word[i]);
    }
}

static void verify_block(const struct region *region, struct block *block)
{
    size_t first = gc__block_first_granule(region, block);

    for (size_t granule = first; granule < first + block->units * GC_UNIT_GRANULES; granule += 64) {
        const struct bits *bits = gc__bits_of(region, granule);

        for (uint64_t marked = bits->mark & bits->allocated; marked != 0; marked &= marked - 1) {
            struct object object = {granule + (size_t)__builtin_ctzll(marked), block};
            verify_object(region, &object);
        }
    }
}

void gc__verify_no_black_to_white(const struct heap *heap)
{
    const struct region *region = &heap->region;
    size_t head, page = 0;

    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&region->blocks[unit]))
            verify_block(region, &region->blocks[unit]);
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head)) {
        struct object object = {gc__large_granule(head), NULL};
        if (is_marked(region, &object))
            verify_object(region, &object);
    }
}
