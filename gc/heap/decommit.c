/* decommit.c - giving free memory of the region back to the OS: page by page,
 * with MADV_DONTNEED or its like, so that the mapping stays one. */

#include "gc/heap/region.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/platform/platform.h"

/* The free dirty pages of [page, end) go, in whole pages of the OS. */
static bool decommit_pages(struct region *region, size_t page, size_t end)
{
    size_t step = gc__max(gc__os_page_bytes() >> GC_PAGE_SHIFT, 1);
    size_t from = gc__align_up(page, step);
    size_t to = gc__align_down(end, step);

    if (from >= to)
        return true;
    if (!gc__os_decommit(gc__page_address(region, from), (to - from) << GC_PAGE_SHIFT))
        return false;
    region->held_pages -= gc__bitmap_count(region->dirty, from, to);
    gc__bitmap_clear(region->dirty, from, to);
    return true;
}

static bool decommit_chunk(struct region *region, size_t c)
{
    size_t end = (c + 1) * GC_PAGES_PER_CHUNK;
    size_t page = c * GC_PAGES_PER_CHUNK;

    while ((page = gc__bitmap_find(region->used, page, end, false)) < end) {
        size_t used = gc__bitmap_find(region->used, page, end, true);
        if (gc__bitmap_find(region->dirty, page, used, true) < used && !decommit_pages(region, page, used))
            return false;
        page = used;
    }
    return true;
}

/* The bits of a free chunk are zero; they need no memory to be so. */
static void decommit_bits(struct region *region, size_t c)
{
    char *bits = (char *)region->bits + c * GC_BITS_BYTES_PER_CHUNK;

    if (GC_BITS_BYTES_PER_CHUNK % gc__os_page_bytes() != 0 || !gc__os_decommit(bits, GC_BITS_BYTES_PER_CHUNK))
        return;
    region->chunk[c].bits_touched = false;
    region->chunks_with_bits--;
}

/* From chunk `*c` on, about so many pages. False: there may be more. */
static bool decommit_from(struct region *region, size_t *c, size_t pages, uint64_t before_ns)
{
    size_t least = region->held_pages - gc__min(pages, region->held_pages);

    for (; *c < region->accessible && region->held_pages > region->used_pages; ++*c) {
        struct chunk *chunk = &region->chunk[*c];

        if (region->held_pages < least)
            return false;
        if (chunk->freed_ns > before_ns)
            continue;
        if (!decommit_chunk(region, *c))
            break;
        if (chunk->purpose == CHUNK_FREE && chunk->bits_touched)
            decommit_bits(region, *c);
    }
    *c = 0;
    return true;
}

void gc__region_decommit(struct region *region, uint64_t before_ns)
{
    size_t c = 0;

    decommit_from(region, &c, SIZE_MAX, before_ns);
}

bool gc__region_decommit_some(struct region *region, uint64_t before_ns)
{
    return decommit_from(region, &region->decommit_next, GC_DECOMMIT_PAGES, before_ns);
}
