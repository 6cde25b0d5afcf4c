/* resolve.h - from an ambiguous word to an object, or to nothing (ambiguous
 * pointers: GC Handbook, 2nd ed., section 11.2).
 *
 * An ambiguous word may be a pointer or an integer that looks like one. Only
 * the functions here turn one into a `struct object`, and every pointer into
 * an object counts, wherever it points.
 *
 * Threads: any, while no one destroys the block. */
#ifndef GC_HEAP_RESOLVE_H
#define GC_HEAP_RESOLVE_H

#include "gc/heap/block.h"
#include "gc/heap/large.h"

/* A word as it was found. */
struct ambiguous {
    uintptr_t word;
};

/* An allocated cell or large object. */
struct object {
    size_t granule;      /* its first */
    struct block *block; /* the head of its block; NULL: a large object */
};

static inline struct ambiguous gc__ambiguous(const void *pointer)
{
    return (struct ambiguous){(uintptr_t)pointer};
}

/* The cell that `offset` (below the region's span) lies in, if it lies in a
 * cell of a block at all: allocated or not. */
static inline bool gc__resolve_cell(struct block *blocks, uintptr_t offset, struct object *object)
{
    struct block *block = &blocks[offset >> GC_UNIT_SHIFT];
    size_t in_block = (offset & (GC_UNIT_BYTES - 1)) + ((size_t)block->units_to_head << GC_UNIT_SHIFT);
    uint64_t index = (in_block >> GC_GRANULE_SHIFT) * block->reciprocal >> GC_RECIPROCAL_SHIFT;

    if (index >= block->cells) /* behind the last cell, or no block */
        return false;
    object->block = block - block->units_to_head;
    object->granule = ((offset - in_block) >> GC_GRANULE_SHIFT) + index * block->cell_granules;
    return true;
}

/* The large object that `offset` lies in. */
static inline bool gc__resolve_large(const struct region *region, uintptr_t offset, struct object *object)
{
    size_t head;

    if (region->blocks[offset >> GC_UNIT_SHIFT].form != FORM_LARGE)
        return false;
    if (!gc__large_find(region, offset >> GC_PAGE_SHIFT, &head))
        return false;
    *object = (struct object){gc__large_granule(head), NULL};
    return true;
}

/* The allocated cell or large object that a word points at or into. In an
 * unswept block it may be dead: see gc__object_is_live. */
bool gc__resolve(const struct region *region, struct ambiguous word, struct object *object);

/* Whether it is allocated, and more than a dead cell not swept yet. The state comes
 * first: of a block that is not unswept, swept bits are seen. */
static inline bool gc__object_is_live(const struct region *region, const struct object *object)
{
    const struct bits *bits = gc__bits_of(region, object->granule);
    bool unswept = object->block != NULL && gc__block_is_unswept(object->block);
    uint64_t allocated = gc__bits_get(&bits->allocated);

    return ((unswept ? allocated & gc__bits_get(&bits->mark) : allocated) & gc__bit_of(object->granule)) != 0;
}

static inline size_t gc__object_head(const struct object *object)
{
    return object->granule >> (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);
}

static inline char *gc__object_start(const struct region *region, const struct object *object)
{
    return gc__granule_address(region, object->granule);
}

/* Of its cell or pages: all that is scanned. */
static inline size_t gc__object_bytes(const struct region *region, const struct object *object)
{
    if (object->block != NULL)
        return (size_t)object->block->cell_granules << GC_GRANULE_SHIFT;
    return gc__large_bytes(region, gc__object_head(object));
}

/* Of it, what the program may use. */
static inline size_t gc__object_usable_bytes(const struct region *region, const struct object *object)
{
    if (object->block != NULL)
        return gc__sizeclass(object->block->class_index)->usable_bytes;
    return gc__large_bytes(region, gc__object_head(object)) - GC_WORD_BYTES;
}

static inline unsigned gc__object_kind(const struct region *region, const struct object *object)
{
    if (object->block != NULL)
        return object->block->kind;
    return gc__large_kind(region, gc__object_head(object));
}

#endif
