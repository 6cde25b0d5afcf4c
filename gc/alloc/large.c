#include "gc/alloc/large.h"

#include "gc/base/align.h"
#include "gc/cycle/collect.h"

static void note_claimed(struct heap *heap, struct mutator *mutator, size_t pages)
{
    mutator->claimed_bytes += pages << GC_PAGE_SHIFT;
    gc__pace_note_allocated(&heap->pace, pages << GC_PAGE_SHIFT);
}

static void note_freed(struct heap *heap, struct mutator *mutator, size_t pages)
{
    mutator->freed_bytes += pages << GC_PAGE_SHIFT;
    gc__pace_note_freed(&heap->pace, pages << GC_PAGE_SHIFT);
}

void *gc__large_allocate(struct heap *heap, struct mutator *mutator, enum gc__kind kind, size_t bytes,
                         size_t page_alignment)
{
    size_t pages = gc__large_pages_for(bytes);
    size_t head;

    if (pages == 0)
        return NULL;
    gc__collect_if_due(heap, bytes);
    gc__return_memory(heap);
    if (!gc__large_create(&heap->region, pages, page_alignment, kind, gc__heap_births_are_black(heap), &head))
        return NULL;
    gc__large_open(&heap->region, head, 0, pages);
    note_claimed(heap, mutator, pages);
    return gc__page_address(&heap->region, head);
}

void gc__large_free(struct heap *heap, struct mutator *mutator, struct object object)
{
    size_t head = gc__object_head(&object);

    note_freed(heap, mutator, gc__large_pages(&heap->region, head));
    heap->region.now_ns = gc__os_clock_ns();
    gc__large_destroy(&heap->region, head);
}

/* Into other pages, by page tables. */
static void *move(struct heap *heap, struct mutator *mutator, size_t head, size_t pages)
{
    struct region *region = &heap->region;
    size_t old_pages = gc__large_pages(region, head);
    size_t to;

    if (old_pages << GC_PAGE_SHIFT < GC_MOVE_MIN_BYTES)
        return NULL;
    gc__collect_if_due(heap, pages << GC_PAGE_SHIFT);
    if (!gc__large_create(region, pages, 1, gc__large_kind(region, head), gc__heap_births_are_black(heap), &to))
        return NULL;
    if (!gc__large_move(region, to, head)) {
        gc__large_destroy(region, to);
        return NULL;
    }
    gc__large_open(region, to, old_pages, pages);
    note_claimed(heap, mutator, pages);
    gc__large_free(heap, mutator, (struct object){gc__large_granule(head), NULL});
    return gc__page_address(region, to);
}

void *gc__large_resize(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes)
{
    struct region *region = &heap->region;
    size_t head = gc__object_head(&object);
    size_t old_pages = gc__large_pages(region, head);
    size_t pages = gc__large_pages_for(bytes);

    if (pages == 0 || bytes <= GC_SMALL_MAX_BYTES)
        return NULL;
    if (pages < old_pages) {
        gc__large_shrink(region, head, pages);
        note_freed(heap, mutator, old_pages - pages);
    } else if (pages > old_pages) {
        if (!gc__large_grow_in_place(region, head, pages))
            return move(heap, mutator, head, pages);
        note_claimed(heap, mutator, pages - old_pages);
    }
    return gc__page_address(region, head);
}
