#include "gc/alloc/large.h"

#include "gc/base/align.h"
#include "gc/cycle/allowance.h"
#include "gc/cycle/collect.h"

#include <string.h>

static void note_claimed(struct heap *heap, struct mutator *mutator, size_t pages)
{
    gc__note_claimed(heap, mutator, pages << GC_PAGE_SHIFT);
}

static void note_freed(struct heap *heap, struct mutator *mutator, size_t pages)
{
    gc__note_freed(heap, mutator, pages << GC_PAGE_SHIFT);
}

struct pages {
    size_t head;
    size_t first_dirty, dirty_end; /* still to be zeroed */
    bool may_be_watched;
};

/* Of what is being watched just now it does not matter: that costs a fault. */
static bool may_be_watched(const struct region *region, size_t head, size_t count)
{
    size_t last = (head + count - 1) / GC_PAGES_PER_CHUNK;
    bool watched = false;

    for (size_t c = head / GC_PAGES_PER_CHUNK; !watched && c <= last; c++)
        watched = __atomic_load_n(&region->chunk[c].watched, __ATOMIC_RELAXED);
    return watched;
}

static bool take_pages(struct heap *heap, unsigned kind, size_t count, size_t alignment, struct pages *pages)
{
    bool taken;

    gc__world_lock(&heap->world);
    gc__return_memory(heap);
    taken = gc__large_create(&heap->region, count, alignment, kind, gc__concurrent_is_publishing(&heap->concurrent),
                             &pages->head);
    if (taken) {
        pages->may_be_watched = may_be_watched(&heap->region, pages->head, count);
        gc__region_open_dirty(&heap->region, pages->head, count, &pages->first_dirty, &pages->dirty_end);
    }
    gc__world_unlock(&heap->world);
    return taken;
}

/* Their last owner may have given them back since the last cycle: they are written now, and
 * each page that is watched would take a fault. */
static void unwatch(const struct heap *heap, const struct pages *pages, size_t count)
{
    uintptr_t start = (uintptr_t)gc__page_address(&heap->region, pages->head);

    if (pages->may_be_watched && count >= GC_UNWATCHED_PAGES)
        gc__os_unwatch_writes((struct gc__range){start, start + (count << GC_PAGE_SHIFT)});
}

/* Zeroes without the lock, which may take long. The world does not stop before
 * that is done. */
void *gc__large_allocate(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes, size_t page_alignment)
{
    size_t count = gc__large_pages_for(bytes);
    struct pages pages;

    if (count == 0 || (bytes >= GC_ASK_SYSTEM_BYTES && !gc__os_would_give(bytes)))
        return NULL;
    gc__collect_if_due(heap, mutator, bytes);
    if (!take_pages(heap, kind, count, page_alignment, &pages))
        return NULL;
    unwatch(heap, &pages, count);
    if (gc__kinds[kind].zeroed)
        memset(gc__page_address(&heap->region, pages.first_dirty), 0,
               (pages.dirty_end - pages.first_dirty) << GC_PAGE_SHIFT);
    note_claimed(heap, mutator, count);
    return gc__page_address(&heap->region, pages.head);
}

void gc__large_free(struct heap *heap, struct mutator *mutator, struct object object)
{
    size_t head = gc__object_head(&object);

    gc__world_lock(&heap->world);
    if (gc__concurrent_is_marking(&heap->concurrent)) {
        gc__large_condemn(&heap->region, head); /* a marker may be at it */
    } else {
        note_freed(heap, mutator, gc__large_pages(&heap->region, head));
        heap->region.now_ns = gc__os_clock_ns();
        gc__large_destroy(&heap->region, head);
    }
    gc__world_unlock(&heap->world);
}

/* ---- Resizing ------------------------------------------------------------------------- */

/* What grows by so little will grow again: then it need not move. What doubles sees to that
 * itself. Nothing where memory is scarce. Under the lock. */
static size_t slack_pages(const struct heap *heap, size_t old_pages, size_t pages)
{
    size_t slack = pages / GC_SLACK_SHARE;
    bool scarce = heap->limit.near || heap->region.used_pages > heap->region.max_pages / 2;

    return pages - old_pages <= slack && !scarce ? slack : 0;
}

static void note_slack(struct region *region, size_t head)
{
    __atomic_fetch_or(gc__large_flags(region, head), GC_LARGE_SLACK, __ATOMIC_RELAXED);
}

static void forget_slack(struct region *region, size_t head)
{
    __atomic_fetch_and(gc__large_flags(region, head), ~GC_LARGE_SLACK, __ATOMIC_RELAXED);
}

/* Its pages are as many as it wants, but for slack. */
static bool fits(const struct region *region, size_t head, size_t pages)
{
    size_t old_pages = gc__large_pages(region, head);
    uint32_t flags = __atomic_load_n(gc__large_flags(region, head), __ATOMIC_RELAXED);

    return pages == old_pages ||
           ((flags & GC_LARGE_SLACK) != 0 && pages < old_pages && pages >= old_pages - old_pages / GC_SLACK_SHARE);
}

void *gc__large_allocate_with_slack(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes)
{
    struct region *region = &heap->region;
    size_t head = gc__object_head(&object), slack;
    void *larger = NULL;

    gc__world_lock(&heap->world);
    slack = slack_pages(heap, gc__large_pages(region, head), gc__large_pages_for(bytes));
    gc__world_unlock(&heap->world);
    if (slack > 0)
        larger = gc__large_allocate(heap, mutator, gc__large_kind(region, head), bytes + (slack << GC_PAGE_SHIFT), 1);
    if (larger != NULL)
        note_slack(region, gc__region_offset(region, (uintptr_t)larger) >> GC_PAGE_SHIFT);
    return larger;
}

static bool create(struct heap *heap, unsigned kind, size_t pages, size_t *head)
{
    return gc__large_create(&heap->region, pages, 1, kind, gc__concurrent_is_publishing(&heap->concurrent), head);
}

/* For an object that moves; with slack, if it can be had. */
static bool create_to_grow(struct heap *heap, size_t old, size_t pages, size_t *head)
{
    unsigned kind = gc__large_kind(&heap->region, old);
    size_t slack = slack_pages(heap, gc__large_pages(&heap->region, old), pages);

    if (slack == 0 || !create(heap, kind, pages + slack, head))
        return create(heap, kind, pages, head);
    note_slack(&heap->region, *head);
    return true;
}

/* What moves leaves pages behind that take a fault when they are used again, and so
 * do those it takes the place of: where there is memory already, a copy is faster. */
static bool is_better_copied(const struct region *region, size_t to, size_t pages)
{
    return gc__bitmap_count(region->dirty, to, to + pages) > pages / 2;
}

/* Into other pages, by page tables; not where all those faults are dear. */
static void *move(struct heap *heap, struct mutator *mutator, size_t head, size_t pages)
{
    struct region *region = &heap->region;
    size_t old_pages = gc__large_pages(region, head);
    size_t to;

    if (old_pages << GC_PAGE_SHIFT < GC_MOVE_MIN_BYTES || heap->minor.write_ns > GC_DEAR_FAULT_NS)
        return NULL;
    if (!create_to_grow(heap, head, pages, &to))
        return NULL;
    pages = gc__large_pages(region, to);
    if (is_better_copied(region, to, old_pages) || !gc__large_move(region, to, head)) {
        gc__large_destroy(region, to);
        return NULL;
    }
    gc__large_open(region, to, old_pages, pages);
    note_claimed(heap, mutator, pages);
    if (heap->attached.any)
        gc__attached_move(&heap->attached, gc__page_address(region, head), gc__page_address(region, to),
                          old_pages << GC_PAGE_SHIFT);
    gc__large_free(heap, mutator, (struct object){gc__large_granule(head), NULL});
    return gc__page_address(region, to);
}

/* When the object was larger once, its spare word was in use. */
static void clear_spare_word(const struct region *region, const struct object *object)
{
    if (gc__kinds[gc__object_kind(region, object)].zeroed)
        memset(gc__object_start(region, object) + gc__object_usable_bytes(region, object), 0, GC_WORD_BYTES);
}

/* Also here with slack: what lies behind is soon another's. */
static bool grow_in_place(struct heap *heap, size_t head, size_t pages)
{
    size_t slack = slack_pages(heap, gc__large_pages(&heap->region, head), pages);

    forget_slack(&heap->region, head);
    if (slack == 0 || !gc__large_grow_in_place(&heap->region, head, pages + slack))
        return gc__large_grow_in_place(&heap->region, head, pages);
    note_slack(&heap->region, head);
    return true;
}

static void *resize(struct heap *heap, struct mutator *mutator, struct object object, size_t pages, bool may_move)
{
    struct region *region = &heap->region;
    size_t head = gc__object_head(&object);
    size_t old_pages = gc__large_pages(region, head);

    if (pages < old_pages && !gc__concurrent_is_marking(&heap->concurrent)) {
        gc__large_shrink(region, head, pages);
        forget_slack(region, head);
        note_freed(heap, mutator, old_pages - pages);
    } else if (pages > old_pages) {
        clear_spare_word(region, &object);
        if (!grow_in_place(heap, head, pages))
            return may_move ? move(heap, mutator, head, pages) : NULL;
        note_claimed(heap, mutator, gc__large_pages(region, head) - old_pages);
    }
    return gc__page_address(region, head);
}

void *gc__large_resize(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes, bool may_move)
{
    size_t usable = gc__object_usable_bytes(&heap->region, &object);
    size_t pages = gc__large_pages_for(bytes);
    void *resized;

    if (pages == 0 || bytes <= GC_SMALL_MAX_BYTES)
        return NULL;
    /* Most steps of a text that grows by a few bytes at a time: nothing is to be done. */
    if (fits(&heap->region, gc__object_head(&object), pages))
        return gc__object_start(&heap->region, &object);
    if (bytes > usable)
        gc__collect_if_due(heap, mutator, bytes - usable);
    gc__world_lock(&heap->world);
    resized = resize(heap, mutator, object, pages, may_move);
    gc__world_unlock(&heap->world);
    return resized;
}
