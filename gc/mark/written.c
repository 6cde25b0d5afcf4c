#include "gc/mark/written.h"

#include "gc/mark/rescan.h"
#include "gc/mark/watch.h"

/* The first page behind what is not scanned; or `page` itself, which is in a block or
 * a large object that is. */
static size_t pass_over(const struct region *region, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT];
    size_t head;

    if (block->form == FORM_BLOCK && gc__kinds[block->kind].scanned)
        return page;
    if (block->form != FORM_LARGE)
        return (page / GC_PAGES_PER_UNIT + 1) * GC_PAGES_PER_UNIT;
    if (!gc__large_find(region, page, &head))
        return page + 1;
    return gc__kinds[gc__large_kind(region, head)].scanned ? page : head + gc__large_pages(region, head);
}

static bool large_is_marked(const struct region *region, size_t page)
{
    return (gc__bits_get(&gc__bits_of(region, gc__large_granule(page - region->large_pages[page].to_head))->mark) &
            1) != 0;
}

static void take(const struct region *region, struct written *written, size_t page)
{
    const struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT];
    const struct block *head = block - block->units_to_head;
    bool is_cells = block->form == FORM_BLOCK;
    unsigned kind = is_cells ? head->kind : gc__large_kind(region, page - region->large_pages[page].to_head);

    if (gc__kind_is_watched(kind) && !(is_cells && gc__block_state(head) == BLOCK_CURRENT))
        written->to_watch[written->to_watch_count++] = page;
    if (is_cells || large_is_marked(region, page))
        written->pages[written->count++] =
            (struct written_page){page, is_cells ? gc__block_first_granule(region, head) : 0, *head};
}

bool gc__written_take(const struct region *region, struct written *written)
{
    size_t end = region->accessible * GC_PAGES_PER_CHUNK;
    size_t page = written->next;

    written->count = written->to_watch_count = 0;
    while (written->to_watch_count < GC_WRITTEN_PAGES && written->count < GC_WRITTEN_PAGES) {
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
    return written->count + written->to_watch_count > 0;
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
