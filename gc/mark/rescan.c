#include "gc/mark/rescan.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/mark/by_kind.h"
#include "gc/mark/entry.h"
#include "gc/mark/watch.h"

#include <stdatomic.h>

static void drain(struct marker *marker)
{
    gc__marker_drain_some(marker, SIZE_MAX);
}

static void scan_words(struct marker *marker, uintptr_t start, uintptr_t end)
{
    if (start < end)
        gc__marker_scan_range(marker, start, end, gc__marker_past_end(marker));
}

/* What a part of an object says that may begin in the middle of an element, or of the
 * head. */
static void scan_part(struct marker *marker, const struct traced *object, struct gc__range part)
{
    uintptr_t elements = object->start + object->kind->head_words * GC_WORD_BYTES;
    size_t element = object->kind->element_words * GC_WORD_BYTES;

    if (object->kind->form != KIND_WORDS)
        part.start = part.start < elements + element ? object->start : part.start - element;
    gc__by_kind_scan_part(marker, object, part);
}

static const struct gc__range everywhere = {0, UINTPTR_MAX};

/* All of it is told at once: when the page is scanned that it begins in, and that
 * always is (gc__kind_is_watched). */
static bool has_callback(unsigned kind)
{
    return gc__kinds[kind].form == KIND_CALLBACK;
}

static void scan_one(struct marker *marker, struct object object, struct gc__range within)
{
    struct traced traced = gc__traced(marker->region, &object);
    uintptr_t end = traced.start + traced.bytes;

    if (traced.kind->form == KIND_CALLBACK && traced.start < within.start)
        return;
    if (traced.start < within.end && within.start < end)
        scan_part(marker, &traced, (struct gc__range){gc__max(traced.start, within.start), gc__min(end, within.end)});
}

/* Neighbours at once. */
static void scan_conservatively(struct marker *marker, size_t granule, uint64_t cells, size_t cell_bytes,
                                struct gc__range within)
{
    uintptr_t start = 0, end = 0;

    for (; cells != 0; cells &= cells - 1, end += cell_bytes) {
        uintptr_t cell = (uintptr_t)gc__granule_address(marker->region, granule + (size_t)__builtin_ctzll(cells));

        if (cell == end)
            continue;
        scan_words(marker, gc__max(start, within.start), gc__min(end, within.end));
        start = end = cell;
    }
    scan_words(marker, gc__max(start, within.start), gc__min(end, within.end));
}

/* The marked cells of a block that start at the 64 granules from `granule` and are in
 * `mask`, as far as they lie in `within`. */
static void scan_marked(struct marker *marker, struct block *block, size_t granule, uint64_t mask,
                        struct gc__range within)
{
    const struct bits *bits = gc__bits_of(marker->region, granule);
    uint64_t marked = gc__bits_get(&bits->allocated) & gc__bits_get(&bits->mark) & mask;

    if (gc__kinds[block->kind].form == KIND_WORDS) {
        scan_conservatively(marker, granule, marked, (size_t)block->cell_granules << GC_GRANULE_SHIFT, within);
        return;
    }
    for (; marked != 0; marked &= marked - 1)
        scan_one(marker, (struct object){granule + (size_t)__builtin_ctzll(marked), block}, within);
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
        scan_marked(marker, block, granule, ~(uint64_t)0, everywhere);
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
        scan_one(marker, (struct object){gc__large_granule(head), NULL}, (struct gc__range){start, start + step});
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

void gc__rescan_note_written(struct gc__range written, void *argument)
{
    struct region *region = argument;

    gc__bitmap_set(region->written, (written.start - region->base) >> GC_PAGE_SHIFT,
                   (written.end - region->base) >> GC_PAGE_SHIFT);
}

void gc__rescan_note_pinned(struct region *region, const struct ranges *pinned)
{
    for (size_t i = 0; i < pinned->count; i++) {
        struct gc__range pages = gc__pages_in_heap(region, pinned->range[i]);

        if (pages.start < pages.end)
            gc__rescan_note_written(pages, region);
    }
}

bool gc__rescan_find_in_part(struct region *region, size_t part)
{
    size_t from = part * GC_SEARCH_BYTES, bytes = gc__min(gc__region_span(region) - from, GC_SEARCH_BYTES);
    uintptr_t start = region->base + from;

    gc__bitmap_clear(region->written, from >> GC_PAGE_SHIFT, (from + bytes) >> GC_PAGE_SHIFT);
    return gc__os_each_written((struct gc__range){start, start + bytes}, false, gc__rescan_note_written, region);
}

struct search {
    struct region *region;
    gc__find_written *find;
    _Atomic bool failed;
};

/* The parts share no word of the bitmap. */
static void search_part(size_t part, void *argument)
{
    struct search *search = argument;

    if (!search->find(search->region, part))
        search->failed = true;
}

bool gc__rescan_find_written(struct gang *gang, gc__find_written *find)
{
    struct search search = {.region = gang->region, .find = find};

    gc__gang_share(gang, gc__divide_up(gc__region_span(gang->region), GC_SEARCH_BYTES), search_part, &search);
    return !search.failed;
}

void gc__rescan_page(struct marker *marker, struct block *block, size_t first, size_t page)
{
    uintptr_t start = (uintptr_t)gc__page_address(marker->region, page);
    size_t granule, end = (page + 1) << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);

    if (block->cells == 0) {
        size_t head = page - marker->region->large_pages[page].to_head;

        scan_one(marker, (struct object){gc__large_granule(head), NULL},
                 (struct gc__range){start, start + GC_PAGE_BYTES});
        return;
    }
    granule = gc__rescan_first_granule(block, first, page);
    for (; granule < end; granule = gc__next_word(granule))
        scan_marked(marker, block, gc__align_down(granule, 64), gc__word_mask(granule, end),
                    (struct gc__range){start, start + GC_PAGE_BYTES});
}

/* How much was scanned. */
static size_t rescan_written_of_block(struct marker *marker, struct block *block, size_t fault_bytes)
{
    const uint64_t *written = marker->region->written;
    size_t first = gc__block_first_granule(marker->region, block);
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
        gc__rescan_page(marker, block, first, page), page++;
    return bytes + faults * fault_bytes;
}

static size_t rescan_written_of_large(struct marker *marker, size_t head, size_t fault_bytes)
{
    const struct region *region = marker->region;
    size_t page = head, end = head + gc__large_pages(region, head);
    size_t bytes = 0;

    if (has_callback(gc__large_kind(region, head))) {
        scan_one(marker, (struct object){gc__large_granule(head), NULL}, everywhere);
        return gc__large_bytes(region, head);
    }
    if ((*gc__large_flags(region, head) & GC_LARGE_WATCHED) == 0) {
        uintptr_t entry = gc__entry_span((uintptr_t)gc__page_address(region, head), 0);

        gc__marker_accept(marker, &entry, 1);
        return gc__large_bytes(region, head);
    }
    if (gc__bitmap_count(region->written, page, end) * GC_RESTLESS_SHARE > end - page)
        *gc__large_flags(region, head) += GC_RESTLESS_CYCLES * GC_LARGE_RESTLESS;
    for (; (page = gc__bitmap_find(region->written, page, end, true)) < end; bytes += fault_bytes + GC_PAGE_BYTES)
        gc__rescan_page(marker, &region->blocks[page / GC_PAGES_PER_UNIT], 0, page), page++;
    return bytes;
}

size_t gc__rescan_written(struct marker *marker, size_t fault_bytes)
{
    struct region *region = marker->region;
    size_t bytes = 0, head, page = 0;

    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++) {
        struct block *block = &region->blocks[unit];

        if (gc__block_is_head(block) && block->marked && gc__kinds[block->kind].scanned)
            bytes += rescan_written_of_block(marker, block, fault_bytes);
    }
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (gc__bits_of(region, gc__large_granule(head))->mark != 0 && gc__kinds[gc__large_kind(region, head)].scanned)
            bytes += rescan_written_of_large(marker, head, fault_bytes);
    return bytes;
}
