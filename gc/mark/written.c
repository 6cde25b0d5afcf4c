#include "gc/mark/written.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/mark/rescan.h"
#include "gc/mark/watch.h"

/* ---- Which pages -------------------------------------------------------------------- */

static uint64_t pages_of_large(const struct region *region, size_t first)
{
    uint64_t pages = 0;

    if (region->chunk[first / GC_PAGES_PER_CHUNK].purpose != CHUNK_PAGES)
        return 0;
    for (size_t page = first; page < first + GC_WORD_BITS; page += GC_PAGES_PER_UNIT)
        if (region->blocks[page / GC_PAGES_PER_UNIT].form == FORM_LARGE)
            pages |= gc__word_mask(page - first, page - first + GC_PAGES_PER_UNIT);
    return pages;
}

/* Of the 64 pages from `first`, those that may hold something marked. */
static uint64_t may_hold_marked(const struct region *region, size_t first)
{
    uint64_t before = first > 0 ? region->marked_pages[first / GC_WORD_BITS - 1] : 0;
    uint64_t marked = region->marked_pages[first / GC_WORD_BITS];

    return marked | marked << 1 | before >> (GC_WORD_BITS - 1) | pages_of_large(region, first);
}

/* The first page from `page` on that was written and may hold something marked. */
static size_t next_page(const struct region *region, size_t page, size_t end)
{
    for (; page < end; page = gc__next_word(page)) {
        size_t first = gc__align_down(page, GC_WORD_BITS);
        uint64_t written = region->written[first / GC_WORD_BITS] & gc__word_mask(page, end);

        if (written != 0 && (written &= may_hold_marked(region, first)) != 0)
            return first + (size_t)__builtin_ctzll(written);
    }
    return end;
}

static bool holds_marked(const struct region *region, const struct block *head, size_t page)
{
    size_t granule = gc__rescan_first_granule(head, gc__block_first_granule(region, head), page);
    size_t end = (page + 1) << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);

    for (; granule < end; granule = gc__next_word(granule))
        if ((gc__bits_get(&gc__bits_of(region, granule)->mark) & gc__word_mask(granule, end)) != 0)
            return true;
    return false;
}

/* ---- Taking them -------------------------------------------------------------------- */

/* Pages of cells, nothing of which is marked, so that nothing is missed if they are
 * watched, too; and that are in use, so that they will not be written at once. */
static bool can_be_watched(const struct region *region, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT], *head = block - block->units_to_head;
    size_t granule = page << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);
    uint64_t allocated = 0;

    if (block->form != FORM_BLOCK || gc__block_state(head) == BLOCK_CURRENT || !gc__kind_is_watched(head->kind) ||
        holds_marked(region, head, page))
        return false;
    for (size_t end = granule + (GC_PAGE_BYTES >> GC_GRANULE_SHIFT); granule < end; granule += GC_WORD_BITS)
        allocated |= gc__bits_get(&gc__bits_of(region, granule)->allocated);
    return allocated != 0;
}

static bool can_be_joined(const struct region *region, size_t page, size_t end)
{
    if (end - page > GC_JOIN_PAGES)
        return false;
    while (page < end && can_be_watched(region, page))
        page++;
    return page == end;
}

/* The system takes a call for each range. */
static void watch(const struct region *region, struct written *written, size_t page)
{
    struct page_range *last = &written->to_watch[written->to_watch_count];

    if (written->to_watch_count > 0 && can_be_joined(region, last[-1].end, page))
        last[-1].end = page + 1;
    else
        written->to_watch[written->to_watch_count++] = (struct page_range){page, page + 1};
}

static void take_page_of_cells(const struct region *region, struct written *written, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT], *head = block - block->units_to_head;

    if (!gc__kinds[head->kind].scanned || !holds_marked(region, head, page))
        return;
    if (gc__kind_is_watched(head->kind) && gc__block_state(head) != BLOCK_CURRENT)
        watch(region, written, page);
    written->pages[written->count++] = (struct written_page){page, gc__block_first_granule(region, head), *head};
}

static void take_page_of_large(const struct region *region, struct written *written, size_t page)
{
    size_t head;

    if (!gc__large_find(region, page, &head) || !gc__kinds[gc__large_kind(region, head)].scanned ||
        (gc__bits_get(&gc__bits_of(region, gc__large_granule(head))->mark) & 1) == 0)
        return;
    if (gc__kind_is_watched(gc__large_kind(region, head)))
        watch(region, written, page);
    written->pages[written->count++] = (struct written_page){page, 0, region->blocks[page / GC_PAGES_PER_UNIT]};
}

static void take(const struct region *region, struct written *written, size_t page)
{
    switch (region->blocks[page / GC_PAGES_PER_UNIT].form) {
    case FORM_BLOCK: take_page_of_cells(region, written, page); break;
    case FORM_LARGE: take_page_of_large(region, written, page); break;
    default: break;
    }
}

bool gc__written_take(const struct region *region, struct written *written)
{
    size_t end = region->accessible * GC_PAGES_PER_CHUNK;
    size_t page = written->next;

    written->count = written->to_watch_count = 0;
    for (unsigned looks = 0; looks < GC_WRITTEN_LOOKS && written->count < GC_WRITTEN_PAGES; looks++) {
        page = next_page(region, page, end);
        if (page == end)
            break;
        take(region, written, page++);
    }
    written->next = page;
    return page < end || written->count > 0;
}

/* ---- Watching and scanning them ----------------------------------------------------- */

bool gc__written_watch(const struct region *region, const struct written *written)
{
    return gc__watch_page_ranges(region, written->to_watch, written->to_watch_count);
}

void gc__written_scan(struct marker *marker, struct written *written)
{
    for (size_t i = 0; i < written->count; i++)
        gc__rescan_page(marker, &written->pages[i].block, written->pages[i].first, written->pages[i].page);
}
