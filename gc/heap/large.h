/* large.h - objects of their own page runs.
 *
 * A large object starts at a page and owns whole pages, at least two. Each of
 * its pages knows the distance to the first, so an interior pointer finds its
 * object in one step however long it is.
 *
 * Threads: creating, destroying and resizing want the heap's lock; finding is
 * for anyone who holds the object.
 *
 * Invariants (checked by gc__large_audit):
 *  1. a used page in a unit of FORM_LARGE belongs to exactly one large object
 *  2. its allocated bit is set at its first granule, and no other bit of its
 *     pages is ever set but the mark bit there */
#ifndef GC_HEAP_LARGE_H
#define GC_HEAP_LARGE_H

#include "gc/base/bitmap.h"
#include "gc/heap/block.h"

struct large_page {
    uint32_t to_head; /* pages back to the object's first */
    uint32_t value;   /* of the first page: the object's pages; of the second: its kind and flags; of the third
                         of each span: how many pages of the span nobody has touched, as far as is known */
};

#define GC_LARGE_MIN_PAGES 2
#define GC_LARGE_KIND_MASK 0xfffu
#define GC_LARGE_MOVED 0x1000u     /* its mapping is one of its own, see gc__large_move */
#define GC_LARGE_RESCAN 0x2000u    /* did not fit into the worklist */
#define GC_LARGE_WATCHED 0x4000u   /* all of its pages are, see gc/mark/rescan.h... */
#define GC_LARGE_SLACK 0x8000u     /* it has pages that nobody has asked for yet, as it will grow again */
#define GC_LARGE_RESTLESS 0x10000u /* ...and in the upper half for how many cycles they are not to be */

/* The object's first page, or false: no large object is at `page`. */
static inline bool gc__large_find(const struct region *region, size_t page, size_t *head)
{
    if (!gc__bitmap_test(region->used, page))
        return false;
    *head = page - region->large_pages[page].to_head;
    return true;
}

static inline size_t gc__large_pages(const struct region *region, size_t head)
{
    return region->large_pages[head].value;
}

static inline size_t gc__large_bytes(const struct region *region, size_t head)
{
    return gc__large_pages(region, head) << GC_PAGE_SHIFT;
}

static inline uint32_t *gc__large_flags(const struct region *region, size_t head)
{
    return &region->large_pages[head + 1].value;
}

static inline unsigned gc__large_kind(const struct region *region, size_t head)
{
    return (*gc__large_flags(region, head) & GC_LARGE_KIND_MASK);
}

static inline size_t gc__large_granule(size_t head)
{
    return head << (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);
}

/* Pages that `bytes` bytes need, and a spare word, so that their end is inside; 0
 * when that overflows. */
size_t gc__large_pages_for(size_t bytes);

/* Takes pages for an object. They are still to be opened: see
 * gc__large_open. */
bool gc__large_create(struct region *region, size_t pages, size_t page_alignment, unsigned kind, bool black,
                      size_t *head);
void gc__large_destroy(struct region *region, size_t head);

/* Readies pages [from, to) of a new object for being written, zeroed if its
 * kind wants that. */
void gc__large_open(struct region *region, size_t head, size_t from, size_t to);

/* Changes the size without moving the object: gives pages back at its end, or
 * takes the free ones behind it. */
void gc__large_shrink(struct region *region, size_t head, size_t pages);
bool gc__large_grow_in_place(struct region *region, size_t head, size_t pages);

/* Moves the contents of `from` to the start of `to`, which is as large at
 * least and not opened there, by moving page tables. False when that cannot be
 * had: nothing has changed then. */
bool gc__large_move(struct region *region, size_t to, size_t from);

/* It is no object any more, but its pages are, until somebody destroys it: when the
 * marks are published. */
static inline void gc__large_condemn(struct region *region, size_t head)
{
    gc__bits_clear(region, &gc__bits_of(region, gc__large_granule(head))->allocated, 1);
}

static inline bool gc__large_is_condemned(const struct region *region, size_t head)
{
    return (gc__bits_get(&gc__bits_of(region, gc__large_granule(head))->allocated) & 1) == 0;
}

/* Of a span of GC_SPAN_MAX_PIECES pages, or the last one, from `page` on: so many of them were
 * never touched. Any marker. */
static inline void gc__large_note_untouched(struct region *region, size_t page, size_t untouched)
{
    __atomic_store_n(&region->large_pages[page + 2].value, (uint32_t)untouched, __ATOMIC_RELAXED);
}

/* How many bytes of it, as far as a marker has asked, take no memory. */
size_t gc__large_untouched_bytes(const struct region *region, size_t head);

/* Steps through the large objects by address: the first at or behind `page`. */
bool gc__large_next(const struct region *region, size_t page, size_t *head);

/* The same, through those that begin in chunk `c`. */
bool gc__large_next_in_chunk(const struct region *region, size_t c, size_t page, size_t *head);

void gc__large_audit(const struct region *region);

#endif
