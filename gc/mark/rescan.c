#include "gc/mark/rescan.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/mark/by_kind.h"
#include "gc/mark/entry.h"

static void drain(struct marker *marker)
{
    gc__marker_drain_some(marker, SIZE_MAX);
}

static void scan_object(struct marker *marker, struct object object)
{
    struct traced traced = gc__traced(marker->region, &object);

    gc__by_kind_scan_part(marker, &traced, (struct gc__range){traced.start, traced.start + traced.bytes});
}

/* `bytes` bytes of a large object. */
static void scan_piece(struct marker *marker, size_t head, uintptr_t start, size_t bytes)
{
    struct object object = {gc__large_granule(head), NULL};
    struct traced traced = gc__traced(marker->region, &object);

    gc__by_kind_scan_part(marker, &traced, (struct gc__range){start, start + bytes});
}

/* What a callback tells of may lie outside of the heap, where nobody looks whether
 * it was written: all of it is scanned each time, and at once. */
static bool has_callback(unsigned kind)
{
    return gc__kinds[kind].form == KIND_CALLBACK;
}

/* The marked objects among those that start at the 64 granules from `granule`,
 * and are in `mask`. */
static void scan_marked(struct marker *marker, struct block *block, size_t granule, uint64_t mask)
{
    const struct bits *bits = gc__bits_of(marker->region, granule);

    for (uint64_t marked = bits->allocated & bits->mark & mask; marked != 0; marked &= marked - 1)
        scan_object(marker, (struct object){granule + (size_t)__builtin_ctzll(marked), block});
}

/* ---- Overflow ----------------------------------------------------------------------- */

/* Scans every marked object of a block again: those that are grey are among
 * them. The block may overflow again while it is at it. */
static void rescan_block(struct marker *marker, struct block *block)
{
    size_t first = gc__block_first_granule(marker->region, block);
    size_t end = first + block->units * GC_UNIT_GRANULES;

    block->rescan = false;
    for (size_t granule = first; granule < end; granule += 64) {
        scan_marked(marker, block, granule, ~(uint64_t)0);
        drain(marker);
    }
}

static void rescan_large(struct marker *marker, size_t head)
{
    uintptr_t start = (uintptr_t)gc__page_address(marker->region, head);
    uintptr_t end = start + gc__large_bytes(marker->region, head);
    size_t step = has_callback(gc__large_kind(marker->region, head)) ? end - start : GC_SCAN_PIECE_BYTES;

    *gc__large_flags(marker->region, head) &= ~GC_LARGE_RESCAN;
    for (; start < end; start += step) {
        scan_piece(marker, head, start, step);
        drain(marker);
    }
}

static void rescan_all(struct marker *marker)
{
    struct region *region = marker->region;
    size_t units = region->accessible * GC_UNITS_PER_CHUNK;
    size_t head, page = 0;

    for (size_t unit = 0; unit < units; unit++)
        if (region->blocks[unit].rescan)
            rescan_block(marker, &region->blocks[unit]);
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (*gc__large_flags(region, head) & GC_LARGE_RESCAN)
            rescan_large(marker, head);
}

/* Terminates: an object is flagged only when it turns from white to grey, or a
 * piece of it could not be kept, and each round scans all that was flagged. */
void gc__marker_drain(struct marker *marker)
{
    drain(marker);
    while (marker->overflowed) {
        marker->overflowed = false;
        rescan_all(marker);
    }
}

/* ---- What was written ---------------------------------------------------------------- */

static void note_written(struct gc__range written, void *argument)
{
    struct region *region = argument;

    gc__bitmap_set(region->written, (written.start - region->base) >> GC_PAGE_SHIFT,
                   (written.end - region->base) >> GC_PAGE_SHIFT);
}

bool gc__rescan_find_written(struct region *region)
{
    struct gc__range range = {region->base, region->base + gc__region_span(region)};

    gc__bitmap_clear(region->written, 0, region->accessible * GC_PAGES_PER_CHUNK);
    return gc__os_each_written(range, note_written, region);
}

/* The marked objects that lie in a page of the block, or begin before it. */
static void rescan_page(struct marker *marker, struct block *block, size_t page)
{
    size_t first = gc__block_first_granule(marker->region, block);
    size_t from = (page << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT)) - first;
    size_t to = from + (GC_PAGE_BYTES >> GC_GRANULE_SHIFT);

    from = (from * block->reciprocal >> GC_RECIPROCAL_SHIFT) * block->cell_granules;
    for (size_t granule = from; granule < to; granule = gc__align_down(granule, 64) + 64)
        scan_marked(marker, block, first + gc__align_down(granule, 64), gc__word_mask(granule, to));
}

/* What the program's first write to a watched page cost, in bytes scanned. */
#define FAULT_BYTES GC_PAGE_BYTES

/* How much was scanned. */
static size_t rescan_written_of_block(struct marker *marker, struct block *block)
{
    const uint64_t *written = marker->region->written;
    size_t page = gc__block_unit(marker->region, block) * GC_PAGES_PER_UNIT;
    size_t end = page + block->units * GC_PAGES_PER_UNIT;
    size_t bytes = 0, faults = 0;

    if (block->restless != 0)
        gc__bitmap_set(marker->region->written, page, end);
    else
        faults = gc__bitmap_count(written, page, end);
    if (faults * GC_RESTLESS_SHARE > end - page)
        block->restless = GC_RESTLESS_CYCLES;
    for (; (page = gc__bitmap_find(written, page, end, true)) < end; bytes += GC_PAGE_BYTES)
        rescan_page(marker, block, page++);
    return bytes + faults * FAULT_BYTES;
}

static size_t rescan_written_of_large(struct marker *marker, size_t head)
{
    const struct region *region = marker->region;
    size_t page = head, end = head + gc__large_pages(region, head);
    size_t bytes = 0;

    if (has_callback(gc__large_kind(region, head))) {
        scan_piece(marker, head, 0, 0);
        return gc__large_bytes(region, head);
    }
    if ((*gc__large_flags(region, head) & GC_LARGE_WATCHED) == 0) {
        uintptr_t entry = gc__entry_span((uintptr_t)gc__page_address(region, head), 0);

        gc__marker_accept(marker, &entry, 1);
        return gc__large_bytes(region, head);
    }
    if (gc__bitmap_count(region->written, page, end) * GC_RESTLESS_SHARE > end - page)
        *gc__large_flags(region, head) += GC_RESTLESS_CYCLES * GC_LARGE_RESTLESS;
    for (; (page = gc__bitmap_find(region->written, page, end, true)) < end; bytes += FAULT_BYTES + GC_PAGE_BYTES)
        scan_piece(marker, head, (uintptr_t)gc__page_address(region, page++), GC_PAGE_BYTES);
    return bytes;
}

size_t gc__rescan_written(struct marker *marker)
{
    struct region *region = marker->region;
    size_t bytes = 0, head, page = 0;

    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++) {
        struct block *block = &region->blocks[unit];

        if (gc__block_is_head(block) && block->marked && gc__kinds[block->kind].scanned)
            bytes += rescan_written_of_block(marker, block);
    }
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (gc__bits_of(region, gc__large_granule(head))->mark != 0 && gc__kinds[gc__large_kind(region, head)].scanned)
            bytes += rescan_written_of_large(marker, head);
    return bytes;
}

/* ---- Watching -------------------------------------------------------------------------- */

/* Ranges that are to be watched, on their way to the system: some at once, and joined. */
struct batch {
    struct gc__range range[64];
    size_t count;
    bool failed;
};

static void send(struct batch *batch)
{
    batch->failed = batch->failed || !gc__os_watch_writes(batch->range, batch->count);
    batch->count = 0;
}

static void add(struct batch *batch, const struct region *region, size_t first_page, size_t pages)
{
    uintptr_t start = (uintptr_t)gc__page_address(region, first_page);
    uintptr_t end = start + (pages << GC_PAGE_SHIFT);

    if (batch->count > 0 && batch->range[batch->count - 1].end == start) {
        batch->range[batch->count - 1].end = end;
        return;
    }
    if (batch->count == sizeof batch->range / sizeof *batch->range)
        send(batch);
    batch->range[batch->count++] = (struct gc__range){start, end};
}

/* A coroutine's stack may be an object, and the collector run on it: its own frames
 * have changed since they were scanned. */
static bool holds_this_stack(const struct region *region, size_t first_page, size_t pages)
{
    return (uintptr_t)__builtin_frame_address(0) - (uintptr_t)gc__page_address(region, first_page) <
           pages << GC_PAGE_SHIFT;
}

static void watch_block(struct batch *batch, const struct region *region, struct block *block)
{
    size_t page = gc__block_unit(region, block) * GC_PAGES_PER_UNIT, pages = block->units * GC_PAGES_PER_UNIT;

    if (block->restless > 0)
        block->restless--;
    if (holds_this_stack(region, page, pages) || has_callback(block->kind))
        block->restless = 1;
    if (block->restless == 0)
        add(batch, region, page, pages);
}

static void watch_large(struct batch *batch, const struct region *region, size_t head)
{
    uint32_t *flags = gc__large_flags(region, head);

    *flags &= ~GC_LARGE_WATCHED;
    if (*flags >= GC_LARGE_RESTLESS)
        *flags -= GC_LARGE_RESTLESS;
    if (*flags >= GC_LARGE_RESTLESS || has_callback(gc__large_kind(region, head)) ||
        holds_this_stack(region, head, gc__large_pages(region, head)))
        return;
    *flags |= GC_LARGE_WATCHED;
    add(batch, region, head, gc__large_pages(region, head));
}

bool gc__rescan_watch(struct region *region)
{
    struct batch batch = {.count = 0};
    size_t head, page = 0;

    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++) {
        struct block *block = &region->blocks[unit];

        if (gc__block_is_head(block) && block->marked && gc__kinds[block->kind].scanned)
            watch_block(&batch, region, block);
    }
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (gc__kinds[gc__large_kind(region, head)].scanned)
            watch_large(&batch, region, head);
    send(&batch);
    return !batch.failed;
}
