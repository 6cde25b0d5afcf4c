/* region_audit.c - the invariants of region.h, checked. */

#include "gc/heap/region.h"

#include "gc/base/bitmap.h"
#include "gc/base/check.h"

static void audit_clear_bits(const struct region *region, size_t page)
{
    size_t first = page << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);

    for (size_t granule = first; granule < first + (GC_PAGE_BYTES >> GC_GRANULE_SHIFT); granule += 64) {
        GC_AUDIT(gc__bits_of(region, granule)->mark == 0);
        GC_AUDIT(gc__bits_of(region, granule)->allocated == 0);
    }
}

static void audit_chunk(const struct region *region, size_t c)
{
    const struct chunk *chunk = &region->chunk[c];
    size_t start = c * GC_PAGES_PER_CHUNK;
    size_t end = start + GC_PAGES_PER_CHUNK;
    size_t used = gc__bitmap_count(region->used, start, end);

    GC_AUDIT((chunk->purpose == CHUNK_FREE) == (used == 0));
    GC_AUDIT(chunk->purpose != CHUNK_BLOCKS || chunk->bits_touched);
    if (chunk->purpose == CHUNK_BLOCKS) {
        GC_AUDIT(GC_UNITS_PER_CHUNK - gc__count_bits(chunk->free_units) == used / GC_PAGES_PER_UNIT);
        GC_AUDIT(chunk->free_units == 0 || region->first_free_block_chunk <= c);
    } else {
        GC_AUDIT(chunk->prefix == gc__bitmap_find(region->used, start, end, true) - start);
        GC_AUDIT(chunk->longest >= chunk->prefix && chunk->longest >= chunk->suffix);
    }
    for (size_t page = start; chunk->bits_touched && page < end; page++)
        if (!gc__bitmap_test(region->used, page))
            audit_clear_bits(region, page);
}

static void audit_clean_page(const struct region *region, size_t page)
{
    const uint64_t *word = (const void *)gc__page_address(region, page);

    for (size_t i = 0; i < GC_PAGE_BYTES / sizeof *word; i++)
        GC_AUDIT(word[i] == 0);
}

void gc__region_audit(const struct region *region)
{
    size_t pages = region->accessible * GC_PAGES_PER_CHUNK;
    size_t dirty_free = 0;

    for (size_t c = 0; c < region->accessible; c++)
        audit_chunk(region, c);
    for (size_t page = 0; page < pages; page++) {
        if (gc__bitmap_test(region->used, page))
            continue;
        if (gc__bitmap_test(region->dirty, page))
            dirty_free++;
        else if (page % GC_PAGES_PER_CHUNK == 0) /* a sample: reading all would make it resident */
            audit_clean_page(region, page);
    }
    GC_AUDIT(gc__bitmap_count(region->used, 0, pages) == region->used_pages);
    GC_AUDIT(region->used_pages + dirty_free == region->held_pages);
}
