#include "gc/mark/watch.h"

#include "gc/base/bitmap.h"
#include "gc/heap/large.h"

/* ---- Ranges ------------------------------------------------------------------------ */

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

/* Upwards. What lies between two ranges, up to `gap` pages, is watched with them: it is
 * never wrong to watch a page, and a call takes longer than some faults. */
static void add(struct batch *batch, const struct region *region, size_t first_page, size_t pages, size_t gap)
{
    uintptr_t start = (uintptr_t)gc__page_address(region, first_page);
    uintptr_t end = start + (pages << GC_PAGE_SHIFT);

    if (batch->count > 0 && start - batch->range[batch->count - 1].end <= gap << GC_PAGE_SHIFT) {
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

/* ---- Between cycles ------------------------------------------------------------------- */

static void watch_block(struct batch *batch, const struct region *region, struct block *block)
{
    size_t page = gc__block_unit(region, block) * GC_PAGES_PER_UNIT, pages = block->units * GC_PAGES_PER_UNIT;

    if (block->restless > 0)
        block->restless--;
    if (holds_this_stack(region, page, pages) || !gc__kind_is_watched(block->kind))
        block->restless = 1;
    if (block->restless == 0)
        add(batch, region, page, pages, 0);
}

static void watch_large(struct batch *batch, const struct region *region, size_t head)
{
    uint32_t *flags = gc__large_flags(region, head);

    *flags &= ~GC_LARGE_WATCHED;
    if (*flags >= GC_LARGE_RESTLESS)
        *flags -= GC_LARGE_RESTLESS;
    if (*flags >= GC_LARGE_RESTLESS || !gc__kind_is_watched(gc__large_kind(region, head)) ||
        holds_this_stack(region, head, gc__large_pages(region, head)))
        return;
    *flags |= GC_LARGE_WATCHED;
    add(batch, region, head, gc__large_pages(region, head), 0);
}

bool gc__watch_restful(struct region *region)
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

/* ---- For a cycle beside the mutators --------------------------------------------------- */

/* Cells of a page that are taken: those allocated, or, before they are swept, marked.
 * The bits of a page are four words. */
static size_t taken_bytes(const struct region *region, size_t page, const struct block *head, bool swept)
{
    size_t granule = page << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);
    size_t end = granule + (GC_PAGE_BYTES >> GC_GRANULE_SHIFT), cells = 0;

    for (; granule < end; granule += GC_WORD_BITS) {
        const struct bits *bits = gc__bits_of(region, granule);

        cells += gc__count_bits(gc__bits_get(swept ? &bits->allocated : &bits->mark));
    }
    return cells * head->cell_granules << GC_GRANULE_SHIFT;
}

/* Whether mutators are likely to claim cells of this page of a block, and write it. Of
 * large cells it is not told where they end. */
static bool is_to_be_claimed(const struct region *region, size_t page, bool swept)
{
    const struct block *head = gc__block_head(&region->blocks[page / GC_PAGES_PER_UNIT]);

    return (size_t)head->cell_granules << GC_GRANULE_SHIFT <= GC_PAGE_BYTES / 4 &&
           taken_bytes(region, page, head, swept) < GC_PAGE_BYTES / 2;
}

static void watch_used_pages(struct batch *batch, const struct region *region, const struct block *block, bool all)
{
    size_t page = gc__block_unit(region, block) * GC_PAGES_PER_UNIT, end = page + block->units * GC_PAGES_PER_UNIT;

    for (; page < end; page++)
        if (!is_to_be_claimed(region, page, all))
            add(batch, region, page, 1, GC_WATCHED_GAP_PAGES);
}

bool gc__watch_chunk(struct region *region, size_t c, bool all)
{
    struct block *blocks = &region->blocks[c * GC_UNITS_PER_CHUNK];
    struct batch batch = {.count = 0};
    size_t head, page = 0;

    for (size_t i = 0; i < GC_UNITS_PER_CHUNK; i++)
        if (gc__block_is_head(&blocks[i]) && gc__kind_is_watched(blocks[i].kind))
            watch_used_pages(&batch, region, &blocks[i], all);
    for (; gc__large_next_in_chunk(region, c, page, &head); page = head + gc__large_pages(region, head))
        if (gc__kind_is_watched(gc__large_kind(region, head)) &&
            (all || gc__bits_of(region, gc__large_granule(head))->mark != 0))
            add(&batch, region, head, gc__large_pages(region, head), 0);
    region->chunk[c].watched = region->chunk[c].watched || batch.count > 0;
    send(&batch);
    return !batch.failed;
}

static bool will_be_written(const struct region *region, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT];

    if (block->form != FORM_BLOCK)
        return !gc__bitmap_test(region->used, page);
    return gc__kinds[block->kind].scanned && is_to_be_claimed(region, page, false);
}

static void unwatch(const struct region *region, size_t first_page, size_t end)
{
    gc__os_unwatch_writes(
        (struct gc__range){(uintptr_t)gc__page_address(region, first_page), (uintptr_t)gc__page_address(region, end)});
}

void gc__watch_no_more(const struct region *region, struct gc__range range)
{
    range = gc__pages_in_heap(region, range);
    if (range.start < range.end)
        gc__os_unwatch_writes(range);
}

static size_t count_to_be_written(const struct region *region, size_t page, size_t end)
{
    size_t count = 0;

    for (; page < end; page++)
        count += will_be_written(region, page);
    return count;
}

/* A call takes longer than some faults: one for all of a chunk, if it is mostly free. */
void gc__watch_no_free_cells(struct region *region, size_t c)
{
    size_t page = c * GC_PAGES_PER_CHUNK, end = page + GC_PAGES_PER_CHUNK;

    if (!region->chunk[c].watched)
        return;
    if (count_to_be_written(region, page, end) > GC_PAGES_PER_CHUNK / 2) {
        unwatch(region, page, end);
        region->chunk[c].watched = false;
        return;
    }
    for (; page < end; page++) {
        size_t first = page;

        while (page < end && will_be_written(region, page))
            page++;
        if (page - first >= GC_UNWATCHED_PAGES)
            unwatch(region, first, page);
    }
}
