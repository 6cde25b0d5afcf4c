#include "gc/heap/resolve.h"

bool gc__resolve(const struct region *region, struct ambiguous word, struct object *object)
{
    uintptr_t offset = gc__region_offset(region, word.word);

    if (offset >= gc__region_span(region))
        return false;
    if (!gc__resolve_cell(region->blocks, offset, object) && !gc__resolve_large(region, offset, object))
        return false;
    return (gc__bits_get(&gc__bits_of(region, object->granule)->allocated) & gc__bit_of(object->granule)) != 0;
}

/* The state comes first: of a block that is not unswept, swept bits are seen. */
bool gc__object_is_live(const struct region *region, const struct object *object)
{
    const struct bits *bits = gc__bits_of(region, object->granule);
    bool unswept = object->block != NULL && gc__block_is_unswept(object->block);
    uint64_t allocated = gc__bits_get(&bits->allocated);

    return ((unswept ? allocated & gc__bits_get(&bits->mark) : allocated) & gc__bit_of(object->granule)) != 0;
}
