/* large.h - objects above GC_SMALL_MAX_BYTES, and those whose alignment wants
 * pages of their own. */
#ifndef GC_ALLOC_LARGE_H
#define GC_ALLOC_LARGE_H

#include "gc/cycle/heap.h"

/* The start of the object, or NULL when there is no memory without a
 * collection. May collect where that is due anyway. `alignment` is a power of
 * two, of pages. */
void *gc__large_allocate(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes,
                         size_t page_alignment);

void gc__large_free(struct heap *heap, struct mutator *mutator, struct object object);

/* The same object, resized without being copied: in place, or, if it may, with its page
 * tables moved (the old object is gone then). NULL: it has to be copied;
 * nothing has changed. */
void *gc__large_resize(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes, bool may_move);

/* For a large object that grows to `bytes` and has to be copied: another that is larger than
 * that. NULL: it is not to be, or there is no memory for so much. */
void *gc__large_allocate_with_slack(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes);

#endif
