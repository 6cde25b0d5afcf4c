#include "gc/mark/written.h"

#include "gc/mark/rescan.h"
#include "gc/mark/watch.h"

/* No cell is larger than a unit, but one may begin in the unit before. */
static bool unit_holds_marked(const struct region *region, size_t unit)
{
    return region->holds_marked[unit] || (region->blocks[unit].units_to_head > 0 && region->holds_marked[unit - 1]);
}

/* The first page behind what is not scanned, or not marked; or `page` itself, which is
 * in a block or a large object that is. */
static size_t pass_over(const struct region *region, size_t page)
{
    size_t unit = page / GC_PAGES_PER_UNIT, head;
    const struct block *block = &region->blocks[unit];

    if (block->form == FORM_BLOCK && gc__kinds[block->kind].scanned && unit_holds_marked(region, unit))
        return page;
    if (block->form != FORM_LARGE)
        return (unit + 1) * GC_PAGES_PER_UNIT;
    if (!gc__large_find(region, page, &head))
        return page + 1;
    if (!gc__kinds[gc__large_kind(region, head)].scanned ||
        (gc__bits_get(&gc__bits_of(region, gc__large_granule(head))->mark) & 1) == 0)
        return head + gc__large_pages(region, head);
    return page;
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

static void take_page_of_cells(const struct region *region, struct written *written, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT], *head = block - block->units_to_head;

    if (!holds_marked(region, head, page))
        return;
    if (gc__kind_is_watched(head->kind) && gc__block_state(head) != BLOCK_CURRENT)
        written->to_watch[written->to_watch_count++] = page;
    written->pages[written->count++] = (struct written_page){page, gc__block_first_granule(region, head), *head};
}

static void take_page_of_large(const struct region *region, struct written *written, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT];

    if (gc__kind_is_watched(gc__large_kind(region, page - region->large_pages[page].to_head)))
        written->to_watch[written->to_watch_count++] = page;
    written->pages[written->count++] = (struct written_page){page, 0, *block};
}

static void take(const struct region *region, struct written *written, size_t page)
{
    if (region->blocks[page / GC_PAGES_PER_UNIT].form == FORM_BLOCK)
        take_page_of_cells(region, written, page);
    else
        take_page_of_large(region, written, page);
}

bool gc__written_take(const struct region *region, struct written *written)
{
    size_t end = region->accessible * GC_PAGES_PER_CHUNK;
    size_t page = written->next;

    written->count = written->to_watch_count = 0;
    for (unsigned looks = 0; looks < GC_WRITTEN_LOOKS && written->count < GC_WRITTEN_PAGES; looks++) {
        size_t passed;

        page = gc__bitmap_find(region->written, page, end, true);
        if (page == end)
            break;
        passed = pass_over(region, page);
        if (passed == page)
            take(region, written, page++);
        else
            page = passed;
    }
    written->next = page;
    return page < end || written->count > 0;
}

bool gc__written_watch(const struct region *region, const struct written *written)
{
    return gc__watch_pages(region, written->to_watch, written->to_watch_count);
}

void gc__written_scan(struct marker *marker, struct written *written)
{
    for (size_t i = 0; i < written->count; i++)
        gc__rescan_page(marker, &written->pages[i].block, written->pages[i].first, written->pages[i].page);
}
