#include "gc/heap/large.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <string.h>

size_t gc__large_pages_for(size_t bytes)
{
    if (bytes > SIZE_MAX - 2 * GC_PAGE_BYTES)
        return 0;
    return gc__max(gc__divide_up(bytes + GC_WORD_BYTES, GC_PAGE_BYTES), GC_LARGE_MIN_PAGES);
}

/* Pages [from, to) of the object learn where they belong, and count as touched. */
static void link_pages(struct region *region, size_t head, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        region->large_pages[head + i] = (struct large_page){.to_head = (uint32_t)i};
    for (size_t unit = (head + from) / GC_PAGES_PER_UNIT; unit <= (head + to - 1) / GC_PAGES_PER_UNIT; unit++)
        if (region->blocks[unit].form != FORM_LARGE) /* others may be reading it */
            region->blocks[unit] = (struct block){.form = FORM_LARGE, .scanned_granules = GC_SCANNED_LARGE};
}

bool gc__large_create(struct region *region, size_t pages, size_t page_alignment, unsigned kind, bool black,
                      size_t *head)
{
    struct bits *bits;

    if (!gc__region_take_pages(region, pages, page_alignment, head))
        return false;
    link_pages(region, *head, 0, pages);
    region->large_pages[*head].value = (uint32_t)pages;
    *gc__large_flags(region, *head) = kind;
    bits = gc__bits_of(region, gc__large_granule(*head));
    if (black)
        gc__bits_set(region, &bits->mark, 1);
    gc__bits_set(region, &bits->allocated, 1);
    return true;
}

void gc__large_open(struct region *region, size_t head, size_t from, size_t to)
{
    gc__region_open_pages(region, head + from, to - from, gc__kinds[gc__large_kind(region, head)].zeroed);
}

/* Pages leave an object whose mapping may be one of its own. */
static void give(struct region *region, size_t head, size_t first_page, size_t pages)
{
    if (*gc__large_flags(region, head) & GC_LARGE_MOVED)
        gc__region_renew(region, first_page, pages);
    gc__region_give_pages(region, first_page, pages);
}

void gc__large_destroy(struct region *region, size_t head)
{
    struct bits *bits = gc__bits_of(region, gc__large_granule(head));

    gc__bits_clear(region, &bits->allocated, 1);
    gc__bits_clear(region, &bits->mark, 1);
    give(region, head, head, gc__large_pages(region, head));
    if (*gc__large_flags(region, head) & GC_LARGE_MOVED)
        region->moved_objects--;
}

void gc__large_shrink(struct region *region, size_t head, size_t pages)
{
    size_t old = gc__large_pages(region, head);

    GC_ASSERT(pages >= GC_LARGE_MIN_PAGES && pages < old);
    region->large_pages[head].value = (uint32_t)pages;
    give(region, head, head + pages, old - pages);
}

bool gc__large_grow_in_place(struct region *region, size_t head, size_t pages)
{
    size_t old = gc__large_pages(region, head);

    if (!gc__region_take_pages_at(region, head + old, pages - old))
        return false;
    gc__large_open(region, head, old, pages);
    link_pages(region, head, old, pages);
    region->large_pages[head].value = (uint32_t)pages;
    __atomic_fetch_and(gc__large_flags(region, head), ~GC_LARGE_WATCHED, __ATOMIC_RELAXED); /* see gc/mark/grey.c */
    return true;
}

bool gc__large_move(struct region *region, size_t to, size_t from)
{
    size_t pages = gc__large_pages(region, from);

    if (region->moved_objects >= GC_MOVE_MAX_OBJECTS)
        return false;
    if (!gc__os_move(gc__page_address(region, to), gc__page_address(region, from), pages << GC_PAGE_SHIFT))
        return false;
    gc__region_note_zero(region, from, pages);
    gc__region_open_pages(region, to, pages, false);
    *gc__large_flags(region, to) |= GC_LARGE_MOVED;
    region->moved_objects++;
    return true;
}

/* A span that was cut since may have had more. */
size_t gc__large_untouched_bytes(const struct region *region, size_t head)
{
    size_t pages = gc__large_pages(region, head), untouched = 0;

    for (size_t span = 0; span + GC_SPARSE_MIN_PIECES <= pages; span += GC_SPAN_MAX_PIECES)
        untouched += gc__min(region->large_pages[head + span + 2].value, gc__min(pages - span, GC_SPAN_MAX_PIECES));
    return untouched << GC_PAGE_SHIFT;
}

/* A used page of such a chunk belongs to a large object unless its unit is a
 * block's. */
static bool find_in_chunk(const struct region *region, size_t page, size_t end, size_t *head)
{
    while ((page = gc__bitmap_find(region->used, page, end, true)) < end) {
        if (region->blocks[page / GC_PAGES_PER_UNIT].form == FORM_LARGE) {
            *head = page;
            return true;
        }
        page = (page / GC_PAGES_PER_UNIT + 1) * GC_PAGES_PER_UNIT;
    }
    return false;
}

static bool find_used(const struct region *region, size_t page, size_t end, size_t *found)
{
    while (page < end) {
        size_t c = page / GC_PAGES_PER_CHUNK;
        size_t chunk_end = (c + 1) * GC_PAGES_PER_CHUNK;

        if (region->chunk[c].purpose == CHUNK_PAGES && find_in_chunk(region, page, chunk_end, found))
            return true;
        page = chunk_end;
    }
    return false;
}

bool gc__large_next(const struct region *region, size_t page, size_t *head)
{
    return find_used(region, page, region->accessible * GC_PAGES_PER_CHUNK, head);
}

bool gc__large_next_in_chunk(const struct region *region, size_t c, size_t page, size_t *head)
{
    size_t start = c * GC_PAGES_PER_CHUNK, end = start + GC_PAGES_PER_CHUNK;

    while (find_used(region, gc__max(page, start), end, head)) {
        *head -= region->large_pages[*head].to_head;
        if (*head >= start)
            return true;
        page = *head + gc__large_pages(region, *head); /* it began in a chunk before this one */
    }
    return false;
}

static void audit_object(const struct region *region, size_t head)
{
    size_t pages = gc__large_pages(region, head);
    size_t granule = gc__large_granule(head);

    GC_AUDIT(pages >= GC_LARGE_MIN_PAGES);
    GC_AUDIT(gc__bitmap_count(region->used, head, head + pages) == pages);
    for (size_t i = 0; i < pages; i++) {
        GC_AUDIT(region->large_pages[head + i].to_head == i);
        GC_AUDIT(region->blocks[(head + i) / GC_PAGES_PER_UNIT].form == FORM_LARGE);
    }
    GC_AUDIT(gc__bits_of(region, granule)->allocated == 1);
    GC_AUDIT((gc__bits_of(region, granule)->mark & ~(uint64_t)1) == 0);
    for (size_t i = 64; i < pages << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT); i += 64)
        GC_AUDIT((gc__bits_of(region, granule + i)->allocated | gc__bits_of(region, granule + i)->mark) == 0);
}

void gc__large_audit(const struct region *region)
{
    size_t head, page = 0;

    while (gc__large_next(region, page, &head)) {
        GC_AUDIT(region->large_pages[head].to_head == 0);
        audit_object(region, head);
        page = head + gc__large_pages(region, head);
    }
}
