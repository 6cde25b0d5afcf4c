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
