/* built_heap.h - a heap built by hand: blocks and objects in a region, without
 * the allocator and the collector above them. */
#ifndef TEST_BUILT_HEAP_H
#define TEST_BUILT_HEAP_H

#include "gc/heap/resolve.h"

#include <criterion/criterion.h>
#include <string.h>

struct built_heap {
    struct region region;
    struct block *current[GC_KIND_COUNT][GC_CLASS_COUNT];
};

static struct built_heap built;

static inline void build_heap_of(size_t chunks)
{
    gc__sizeclass_init(false);
    built = (struct built_heap){0};
    cr_assert(gc__region_init(&built.region, chunks * GC_CHUNK_BYTES, SIZE_MAX));
}

static inline void build_heap(void)
{
    build_heap_of(16);
}

static inline void audit_built_heap(void)
{
    gc__region_audit(&built.region);
    gc__large_audit(&built.region);
    for (size_t unit = 0; unit < built.region.accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&built.region.blocks[unit]))
            gc__block_audit(&built.region, &built.region.blocks[unit]);
}

static inline void drop_heap(void)
{
    audit_built_heap();
    gc__region_destroy(&built.region);
}

/* As drop_heap, after a cycle whose marks were not published. */
static inline void drop_marked_heap(void)
{
    for (size_t unit = 0; unit < built.region.accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&built.region.blocks[unit]))
            gc__block_note_mark(&built.region.blocks[unit]);
    drop_heap();
}

static inline struct block *build_block(unsigned class_index, enum gc__kind kind)
{
    size_t unit;
    bool fresh;

    cr_assert(gc__region_take_units(&built.region, gc__sizeclass(class_index)->units, &unit, &fresh));
    return gc__block_create(&built.region, unit, class_index, kind, fresh);
}

/* The next run of a block, ready for use. */
static inline bool claim_run(struct region *region, struct block *block, struct run *run, size_t max_bytes)
{
    bool dirty;

    if (!gc__block_claim(region, block, run, max_bytes, &dirty))
        return false;
    gc__block_open_run(run, (enum gc__kind)block->kind, dirty);
    return true;
}

/* A white cell. */
static inline void *build_cell(enum gc__kind kind, size_t bytes)
{
    unsigned c = gc__sizeclass_of(bytes);
    struct block **block = &built.current[kind][c];
    struct run run;

    while (*block == NULL || !claim_run(&built.region, *block, &run, 0))
        *block = build_block(c, kind);
    return run.cur;
}

/* A white large object. */
static inline void *build_large(enum gc__kind kind, size_t pages)
{
    size_t head;

    cr_assert(gc__large_create(&built.region, pages, 1, kind, false, &head));
    gc__large_open(&built.region, head, 0, pages);
    return gc__page_address(&built.region, head);
}

static inline void *build_object(enum gc__kind kind, size_t bytes)
{
    if (bytes <= GC_SMALL_MAX_BYTES)
        return build_cell(kind, bytes);
    return build_large(kind, gc__large_pages_for(bytes));
}

static inline struct object object_at(const void *address)
{
    struct object object = {0, NULL};

    cr_assert(gc__resolve(&built.region, gc__ambiguous(address), &object), "no object at %p", address);
    return object;
}

static inline size_t head_of(const void *address)
{
    struct object object = object_at(address);

    return gc__object_head(&object);
}

/* The two bits of the granule at `address`. */
static inline bool is_allocated(const void *address)
{
    size_t granule = gc__granule_of(&built.region, address);

    return (gc__bits_of(&built.region, granule)->allocated & gc__bit_of(granule)) != 0;
}

static inline bool is_marked(const void *address)
{
    size_t granule = gc__granule_of(&built.region, address);

    return (gc__bits_of(&built.region, granule)->mark & gc__bit_of(granule)) != 0;
}

static inline void set_allocated(const void *address, bool value)
{
    size_t granule = gc__granule_of(&built.region, address);
    struct bits *bits = gc__bits_of(&built.region, granule);

    bits->allocated = value ? bits->allocated | gc__bit_of(granule) : bits->allocated & ~gc__bit_of(granule);
}

static inline void set_marked(const void *address, bool value)
{
    size_t granule = gc__granule_of(&built.region, address);
    struct bits *bits = gc__bits_of(&built.region, granule);
    struct block *block = &built.region.blocks[granule / GC_UNIT_GRANULES];

    if (block->form == FORM_BLOCK)
        gc__block_note_mark(gc__block_head(block));
    bits->mark = value ? bits->mark | gc__bit_of(granule) : bits->mark & ~gc__bit_of(granule);
}

static inline bool bytes_are(const void *start, size_t bytes, char value)
{
    const char *at = start;

    for (size_t i = 0; i < bytes; i++)
        if (at[i] != value)
            return false;
    return true;
}

#endif
