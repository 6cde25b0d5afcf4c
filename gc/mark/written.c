#include "gc/mark/written.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/mark/rescan.h"

/* ---- Asking -------------------------------------------------------------------------- */

/* Large objects are looked up one by one. The purpose may be changing: then nothing
 * that was marked lies there yet. */
static bool chunk_may_hold_marked(const struct region *region, size_t c)
{
    const uint64_t *words = &region->marked_pages[c * GC_PAGES_PER_CHUNK / GC_WORD_BITS];
    uint64_t marked = c > 0 ? words[-1] >> (GC_WORD_BITS - 1) : 0; /* what begins there may end here */

    for (size_t i = 0; i < GC_PAGES_PER_CHUNK / GC_WORD_BITS; i++)
        marked |= words[i];
    return marked != 0 || __atomic_load_n(&region->chunk[c].purpose, __ATOMIC_RELAXED) == CHUNK_PAGES;
}

static bool ask_chunks(struct region *region, size_t from, size_t end, bool again)
{
    struct gc__range range = {region->base + (from << GC_CHUNK_SHIFT), region->base + (end << GC_CHUNK_SHIFT)};

    for (size_t c = from; again && c < end; c++)
        __atomic_store_n(&region->chunk[c].watched, true, __ATOMIC_RELAXED); /* who allocates may look */
    if (gc__os_each_written(range, again, gc__rescan_note_written, region))
        return true;
    gc__rescan_note_written(range, region);
    return false;
}

/* Chunks in a row at once. */
static bool ask_part(struct region *region, size_t from_bytes, size_t bytes, bool again)
{
    size_t c = from_bytes >> GC_CHUNK_SHIFT;
    size_t end = gc__min((from_bytes + bytes) >> GC_CHUNK_SHIFT, gc__region_span(region) >> GC_CHUNK_SHIFT);
    bool known = true;

    for (; c < end; c++) {
        size_t from = c;

        while (c < end && chunk_may_hold_marked(region, c))
            c++;
        if (c > from)
            known = ask_chunks(region, from, c, again) && known;
    }
    return known;
}

void gc__written_forget(struct region *region, struct written *written)
{
    written->count = 0;
    gc__bitmap_clear(region->written, 0, region->accessible * GC_PAGES_PER_CHUNK);
}

bool gc__written_ask(struct region *region, size_t part)
{
    return ask_part(region, part * GC_ASK_BYTES, GC_ASK_BYTES, true);
}

static bool ask_once_more(struct region *region, size_t part)
{
    return ask_part(region, part * GC_SEARCH_BYTES, GC_SEARCH_BYTES, false);
}

bool gc__written_ask_all(struct gang *gang)
{
    return gc__rescan_find_written(gang, ask_once_more);
}

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

/* Of the 64 pages from `first`, those of kinds with callbacks: what is told there may lie
 * outside of the heap. */
static uint64_t never_watched(const struct region *region, size_t first)
{
    uint64_t pages = 0;

    if (gc__kind_count == GC_KIND_COUNT)
        return 0;
    for (size_t page = first; page < first + GC_WORD_BITS; page += GC_PAGES_PER_UNIT) {
        struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT];

        if (block->form == FORM_BLOCK && !gc__kind_is_watched(gc__block_head(block)->kind))
            pages |= gc__word_mask(page - first, page - first + GC_PAGES_PER_UNIT);
    }
    return pages | pages_of_large(region, first);
}

/* The first page from `page` on that counts as written and may hold something marked.
 * It is noted no more, nor are those before it: what comes to be marked there is scanned
 * then. */
static size_t next_page(const struct region *region, size_t page, size_t end)
{
    for (; page < end; page = gc__next_word(page)) {
        uint64_t *written = &region->written[page / GC_WORD_BITS];
        uint64_t pages = may_hold_marked(region, gc__align_down(page, GC_WORD_BITS)) & gc__word_mask(page, end);

        if (pages != 0)
            pages &= *written | never_watched(region, gc__align_down(page, GC_WORD_BITS));
        if (pages != 0) {
            page = gc__align_down(page, GC_WORD_BITS) + (size_t)__builtin_ctzll(pages);
            break;
        }
        *written = 0;
    }
    return page < end ? page : end;
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

static void take_page_of_cells(const struct region *region, struct written *written, size_t page)
{
    struct block *block = &region->blocks[page / GC_PAGES_PER_UNIT], *head = gc__block_head(block);

    if (gc__kinds[head->kind].scanned && holds_marked(region, head, page))
        written->pages[written->count++] = (struct written_page){page, gc__block_first_granule(region, head), *head};
}

static void take_page_of_large(const struct region *region, struct written *written, size_t page)
{
    bool is_written = gc__bitmap_test(region->written, page);
    size_t head;

    if (!gc__large_find(region, page, &head) || !gc__kinds[gc__large_kind(region, head)].scanned ||
        (gc__bits_get(&gc__bits_of(region, gc__large_granule(head))->mark) & 1) == 0)
        return;
    if (is_written || !gc__kind_is_watched(gc__large_kind(region, head)))
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

    written->count = 0;
    for (unsigned looks = 0; looks < GC_WRITTEN_LOOKS && written->count < GC_WRITTEN_PAGES; looks++) {
        page = next_page(region, page, end);
        if (page == end)
            break;
        take(region, written, page);
        gc__bitmap_clear(region->written, page, page + 1);
        page++;
    }
    written->next = page;
    return page < end || written->count > 0;
}

void gc__written_scan(struct marker *marker, struct written *written)
{
    for (size_t i = 0; i < written->count; i++)
        gc__rescan_page(marker, &written->pages[i].block, written->pages[i].first, written->pages[i].page);
    written->count = 0;
}
