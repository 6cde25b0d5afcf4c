/* pages.c - who holds which pages: page runs, and units in chunks of their own. */
#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/base/check.h"
#include "gc/heap/region.h"
#include "gc/platform/platform.h"

#include <string.h>

#define ALL_UNITS_FREE UINT32_MAX

_Static_assert(GC_UNITS_PER_CHUNK == 32, "free_units has 32 bits");

/* ---- Chunks -------------------------------------------------------------- */

/* Says in the summary what `used` says. */
static void summarize(struct region *region, size_t c)
{
    struct chunk *chunk = &region->chunk[c];
    size_t start = c * GC_PAGES_PER_CHUNK;
    size_t end = start + GC_PAGES_PER_CHUNK;
    size_t longest = 0;
    size_t free = start, used;

    chunk->prefix = (uint16_t)(gc__bitmap_find(region->used, start, end, true) - start);
    chunk->suffix = 0;
    while ((free = gc__bitmap_find(region->used, free, end, false)) < end) {
        used = gc__bitmap_find(region->used, free, end, true);
        longest = gc__max(longest, used - free);
        if (used == end)
            chunk->suffix = (uint16_t)(end - free);
        free = used;
    }
    chunk->longest = (uint16_t)longest;
    if (longest == GC_PAGES_PER_CHUNK)
        chunk->purpose = CHUNK_FREE;
}

static void summarize_range(struct region *region, size_t first_page, size_t count)
{
    size_t last = (first_page + count - 1) / GC_PAGES_PER_CHUNK;

    for (size_t c = first_page / GC_PAGES_PER_CHUNK; c <= last; c++)
        summarize(region, c);
}

/* Bits will be set for something that starts in the chunk. */
static void touch_bits(struct region *region, size_t c)
{
    if (region->chunk[c].bits_touched)
        return;
    region->chunk[c].bits_touched = true;
    if (region->chunks_with_bits++ > 0) /* the first one's may do for all that there is */
        gc__os_populate(region->table_start[TABLE_BITS] + c * GC_BITS_BYTES_PER_CHUNK, GC_BITS_BYTES_PER_CHUNK);
}

/* Accounts for pages on their way out. `used` was checked to be clear. */
static void hold_pages(struct region *region, size_t first_page, size_t count)
{
    size_t end = first_page + count;

    region->used_pages += count;
    region->held_pages += count - gc__bitmap_count(region->dirty, first_page, end);
    region->held_pages_peak = gc__max(region->held_pages_peak, region->held_pages);
    gc__bitmap_set(region->used, first_page, end);
}

/* Whether the limit lets `count` more pages be used. Free memory that is still
 * held goes back first if it stands in the way. */
static bool limit_allows(struct region *region, size_t count)
{
    if (count > region->max_pages || region->used_pages > region->max_pages - count)
        return false;
    if (region->held_pages > region->max_pages - count)
        gc__region_decommit(region, UINT64_MAX);
    return true;
}

/* ---- Pages for large objects ---------------------------------------------- */

static void take(struct region *region, size_t first_page, size_t count)
{
    size_t last = (first_page + count - 1) / GC_PAGES_PER_CHUNK;

    hold_pages(region, first_page, count);
    for (size_t c = first_page / GC_PAGES_PER_CHUNK; c <= last; c++) {
        region->chunk[c].purpose = CHUNK_PAGES;
        summarize(region, c);
    }
    touch_bits(region, first_page / GC_PAGES_PER_CHUNK);
}

/* The first run of `count` free pages inside chunk c; there is one. */
static size_t find_in_chunk(const struct region *region, size_t c, size_t count)
{
    size_t page = c * GC_PAGES_PER_CHUNK;
    size_t end = page + GC_PAGES_PER_CHUNK;

    for (;;) {
        size_t used;
        page = gc__bitmap_find(region->used, page, end, false);
        used = gc__bitmap_find(region->used, page, end, true);
        if (used - page >= count)
            return page;
        GC_ASSERT(used < end);
        page = used;
    }
}

/* The first run of `count` free pages. Where there is none, the run that
 * growing would make long enough: it ends where the accessible part ends. */
static size_t find_pages(const struct region *region, size_t count)
{
    size_t run = 0; /* free pages right before chunk c */

    for (size_t c = 0; c < region->accessible; c++) {
        const struct chunk *chunk = &region->chunk[c];

        if (chunk->purpose == CHUNK_BLOCKS) {
            run = 0;
            continue;
        }
        if (run + chunk->prefix >= count)
            return c * GC_PAGES_PER_CHUNK - run;
        if (chunk->longest >= count)
            return find_in_chunk(region, c, count);
        run = chunk->prefix == GC_PAGES_PER_CHUNK ? run + GC_PAGES_PER_CHUNK : chunk->suffix;
    }
    return region->accessible * GC_PAGES_PER_CHUNK - run;
}

/* Lets the chunks of blocks serve large objects, too: the range is used up.
 * True if that makes a difference. */
static bool mix_chunks(struct region *region)
{
    bool mixed = false;

    for (size_t c = 0; c < region->accessible; c++) {
        struct chunk *chunk = &region->chunk[c];

        if (chunk->purpose != CHUNK_BLOCKS || chunk->free_units == 0)
            continue;
        chunk->purpose = CHUNK_PAGES;
        summarize(region, c);
        mixed = true;
    }
    return mixed;
}

static bool find_or_grow(struct region *region, size_t count, size_t alignment, size_t *first_page)
{
    size_t accessible = region->accessible * GC_PAGES_PER_CHUNK;
    size_t first = gc__align_up(find_pages(region, count + alignment - 1), alignment);
    size_t end = first + count;

    *first_page = first;
    return end <= accessible || gc__region_grow(region, gc__divide_up(end - accessible, GC_PAGES_PER_CHUNK));
}

/* Whether the pages are free, or not accessible yet, and not kept for blocks. */
static bool pages_are_free(const struct region *region, size_t first_page, size_t end)
{
    end = gc__min(end, region->accessible * GC_PAGES_PER_CHUNK);
    for (size_t page = first_page; page < end; page = (page / GC_PAGES_PER_CHUNK + 1) * GC_PAGES_PER_CHUNK)
        if (region->chunk[page / GC_PAGES_PER_CHUNK].purpose == CHUNK_BLOCKS)
            return false;
    return first_page >= end || gc__bitmap_find(region->used, first_page, end, true) == end;
}

bool gc__region_take_pages_at(struct region *region, size_t first_page, size_t count)
{
    size_t end = first_page + count;
    size_t accessible = region->accessible * GC_PAGES_PER_CHUNK;

    if (end > region->chunks * GC_PAGES_PER_CHUNK || !pages_are_free(region, first_page, end))
        return false;
    if (!limit_allows(region, count))
        return false;
    if (end > accessible && !gc__region_grow(region, gc__divide_up(end - accessible, GC_PAGES_PER_CHUNK)))
        return false;
    take(region, first_page, count);
    return true;
}

/* The first page from `page` on at which `count` free ones may start, as far
 * as the summary of its chunk tells. */
static size_t skip_chunk(const struct region *region, size_t page, size_t count)
{
    const struct chunk *chunk = &region->chunk[page / GC_PAGES_PER_CHUNK];
    size_t end = gc__align_down(page, GC_PAGES_PER_CHUNK) + GC_PAGES_PER_CHUNK;

    if (chunk->purpose == CHUNK_BLOCKS)
        return end;
    return chunk->longest >= count ? page : gc__max(page, end - chunk->suffix);
}

/* Looks at aligned places alone: find_pages asks for more than is needed, and
 * so overlooks a hole that just fits. */
static bool find_aligned_hole(const struct region *region, size_t count, size_t alignment, size_t *first_page)
{
    size_t end = region->accessible * GC_PAGES_PER_CHUNK;

    for (size_t page = 0; page + count <= end; page += alignment) {
        page = gc__align_up(skip_chunk(region, page, count), alignment);
        if (page + count <= end && pages_are_free(region, page, page + count)) {
            *first_page = page;
            return true;
        }
    }
    return false;
}

bool gc__region_take_pages(struct region *region, size_t count, size_t alignment, size_t *first_page)
{
    if (count > region->chunks * GC_PAGES_PER_CHUNK || !limit_allows(region, count))
        return false;
    if (!(alignment > 1 && find_aligned_hole(region, count, alignment, first_page)) &&
        !find_or_grow(region, count, alignment, first_page) &&
        !(mix_chunks(region) && find_or_grow(region, count, alignment, first_page)))
        return false;
    take(region, *first_page, count);
    return true;
}

/* ---- Units for blocks ------------------------------------------------------ */

/* The bits at which `count` set bits in a row start. */
static uint32_t starts_of_runs(uint32_t bits, unsigned count)
{
    uint32_t starts = bits;

    for (unsigned i = 1; i < count; i++)
        starts &= bits >> i;
    return starts;
}

static bool find_units(struct region *region, unsigned count, size_t *chunk_found)
{
    for (size_t c = region->first_free_block_chunk; c < region->accessible; c++) {
        const struct chunk *chunk = &region->chunk[c];

        if (chunk->purpose == CHUNK_BLOCKS && starts_of_runs(chunk->free_units, count) != 0) {
            if (count == 1)
                region->first_free_block_chunk = c;
            *chunk_found = c;
            return true;
        }
    }
    return false;
}

static void serve_blocks(struct region *region, size_t c)
{
    region->chunk[c].purpose = CHUNK_BLOCKS;
    region->chunk[c].free_units = ALL_UNITS_FREE;
    region->first_free_block_chunk = gc__min(region->first_free_block_chunk, c);
}

/* Lets a free chunk serve blocks: nobody's home, if there is a choice. */
static bool open_block_chunk(struct region *region, size_t *opened)
{
    size_t c = 0, home = region->accessible;

    for (; c < region->accessible && (region->chunk[c].purpose != CHUNK_FREE || region->chunk[c].is_home); c++)
        if (region->chunk[c].purpose == CHUNK_FREE)
            home = gc__min(home, c);
    if (c == region->accessible && !gc__region_grow(region, 1)) {
        c = home;
        if (c == region->accessible)
            return false;
    }
    serve_blocks(region, c);
    *opened = c;
    return true;
}

/* Whole free units in a chunk that serves large objects. */
static bool find_units_among_pages(const struct region *region, unsigned count, size_t *first_unit)
{
    size_t pages = count * GC_PAGES_PER_UNIT;

    for (size_t c = 0; c < region->accessible; c++) {
        size_t unit = c * GC_UNITS_PER_CHUNK;

        if (region->chunk[c].purpose != CHUNK_PAGES || region->chunk[c].longest < pages)
            continue;
        for (size_t end = unit + GC_UNITS_PER_CHUNK - count; unit <= end; unit++) {
            size_t page = unit * GC_PAGES_PER_UNIT;
            if (gc__bitmap_find(region->used, page, page + pages, true) == page + pages) {
                *first_unit = unit;
                return true;
            }
        }
    }
    return false;
}

/* The first such units of a chunk that has some. */
static size_t pick_units(struct region *region, size_t c, unsigned count)
{
    struct chunk *chunk = &region->chunk[c];
    unsigned unit = (unsigned)__builtin_ctz(starts_of_runs(chunk->free_units, count));

    chunk->free_units &= ~(((UINT32_C(1) << count) - 1) << unit);
    return c * GC_UNITS_PER_CHUNK + unit;
}

/* In a chunk for blocks; where there is none and none can be had, elsewhere. */
static bool find_units_anywhere(struct region *region, unsigned count, size_t *first_unit)
{
    size_t c;

    if (!find_units(region, count, &c) && !open_block_chunk(region, &c))
        return find_units_among_pages(region, count, first_unit);
    *first_unit = pick_units(region, c, count);
    return true;
}

/* In one of the homes; a chunk that was found free becomes one. */
static bool find_units_at_home(struct region *region, struct homes *homes, size_t may_have, unsigned count,
                               size_t *first_unit)
{
    for (size_t i = 0; i < may_have; i++) {
        size_t c = homes->chunk[i] - 1;

        if (homes->chunk[i] == 0) {
            if (!open_block_chunk(region, &c))
                return false;
            homes->chunk[i] = (uint32_t)c + 1;
            region->chunk[c].is_home = true;
        }
        if (region->chunk[c].purpose == CHUNK_FREE)
            serve_blocks(region, c);
        if (region->chunk[c].purpose == CHUNK_BLOCKS && starts_of_runs(region->chunk[c].free_units, count) != 0) {
            *first_unit = pick_units(region, c, count);
            return true;
        }
    }
    return false;
}

static bool take_units(struct region *region, struct homes *homes, size_t may_have, unsigned count, size_t *first_unit,
                       bool *fresh)
{
    size_t first, end;

    if (!limit_allows(region, count * GC_PAGES_PER_UNIT))
        return false;
    if (!(homes != NULL && find_units_at_home(region, homes, may_have, count, first_unit)) &&
        !find_units_anywhere(region, count, first_unit))
        return false;
    first = *first_unit * GC_PAGES_PER_UNIT;
    end = first + count * GC_PAGES_PER_UNIT;
    *fresh = gc__bitmap_count(region->dirty, first, end) == 0;
    hold_pages(region, first, end - first);
    gc__bitmap_set(region->dirty, first, end);
    touch_bits(region, first / GC_PAGES_PER_CHUNK);
    if (region->chunk[first / GC_PAGES_PER_CHUNK].purpose == CHUNK_PAGES)
        summarize(region, first / GC_PAGES_PER_CHUNK);
    return true;
}

bool gc__region_take_units(struct region *region, unsigned count, size_t *first_unit, bool *fresh)
{
    return take_units(region, NULL, 0, count, first_unit, fresh);
}

bool gc__region_take_units_at_home(struct region *region, struct homes *homes, size_t may_have, unsigned count,
                                   size_t *first_unit, bool *fresh)
{
    return take_units(region, homes, gc__min(may_have, GC_HOME_CHUNKS / 2), count, first_unit, fresh);
}

/* ---- Giving back ------------------------------------------------------------ */

/* held_pages: a page that is not dirty is held only while it is used. */
static void let_go(struct region *region, size_t first_page, size_t count)
{
    size_t end = first_page + count;

    region->used_pages -= count;
    region->held_pages -= count - gc__bitmap_count(region->dirty, first_page, end);
    gc__bitmap_clear(region->used, first_page, end);
}

void gc__region_give_pages(struct region *region, size_t first_page, size_t count)
{
    size_t last = (first_page + count - 1) / GC_PAGES_PER_CHUNK;

    let_go(region, first_page, count);
    summarize_range(region, first_page, count);
    for (size_t c = first_page / GC_PAGES_PER_CHUNK; c <= last; c++)
        region->chunk[c].freed_ns = region->now_ns;
}

void gc__region_give_units(struct region *region, size_t first_unit, unsigned count)
{
    size_t c = first_unit / GC_UNITS_PER_CHUNK;
    struct chunk *chunk = &region->chunk[c];
    size_t first_page = first_unit * GC_PAGES_PER_UNIT;
    size_t pages = count * GC_PAGES_PER_UNIT;

    if (chunk->purpose == CHUNK_PAGES) {
        gc__region_give_pages(region, first_page, pages);
        return;
    }
    let_go(region, first_page, pages);
    chunk->free_units |= ((UINT32_C(1) << count) - 1) << (first_unit % GC_UNITS_PER_CHUNK);
    chunk->freed_ns = region->now_ns;
    region->first_free_block_chunk = gc__min(region->first_free_block_chunk, c);
    if (chunk->free_units == ALL_UNITS_FREE)
        summarize(region, c);
}

static void zero_dirty_pages(struct region *region, size_t page, size_t end)
{
    while ((page = gc__bitmap_find(region->dirty, page, end, true)) < end) {
        size_t clean = gc__bitmap_find(region->dirty, page, end, false);
        memset(gc__page_address(region, page), 0, (clean - page) << GC_PAGE_SHIFT);
        page = clean;
    }
}

void gc__region_open_pages(struct region *region, size_t first_page, size_t count, bool zero)
{
    if (zero)
        zero_dirty_pages(region, first_page, first_page + count);
    gc__bitmap_set(region->dirty, first_page, first_page + count);
}

void gc__region_open_dirty(struct region *region, size_t first_page, size_t count, size_t *first_dirty,
                           size_t *dirty_end)
{
    size_t end = first_page + count;

    *first_dirty = gc__bitmap_find(region->dirty, first_page, end, true);
    while (end > *first_dirty && !gc__bitmap_test(region->dirty, end - 1))
        end--;
    *dirty_end = end;
    gc__bitmap_set(region->dirty, first_page, first_page + count);
}

void gc__region_note_zero(struct region *region, size_t first_page, size_t count)
{
    gc__bitmap_clear(region->dirty, first_page, first_page + count);
}

void gc__region_renew(struct region *region, size_t first_page, size_t count)
{
    if (gc__os_renew(gc__page_address(region, first_page), count << GC_PAGE_SHIFT))
        gc__region_note_zero(region, first_page, count);
}
