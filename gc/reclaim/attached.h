/* attached.h - weak links, ephemerons and finalizers of a heap, and what a
 * collection does about them: the order in which is what their meaning is.
 *
 * A program that uses none of them pays a look at three counts for each collection.
 *
 * Threads: under the heap's lock. */
#ifndef GC_RECLAIM_ATTACHED_H
#define GC_RECLAIM_ATTACHED_H

#include "gc/reclaim/finalizer.h"
#include "gc/reclaim/weak.h"

struct attached {
    _Atomic bool any; /* something was ever attached */
    struct attachments links;
    struct attachments ephemerons;
    struct finalizers finalizers;
};

/* The object at `start` is going to be freed: its links are cleared, its
 * ephemerons broken, its finalizers dropped. */
void gc__attached_forget(struct attached *attached, const struct region *region, const struct object *object);

/* The object has moved, and all that is attached to it moves with it. */
void gc__attached_move(struct attached *attached, const void *from, const void *to);

/* While the world stands. What is a root of these tables; and, when nothing is grey,
 * what follows from what is white. In a minor cycle: for what is young. */
void gc__attached_mark_roots(const struct attached *attached, struct marker *marker, bool minor);
void gc__attached_process(struct attached *attached, struct marker *marker, bool minor);

size_t gc__attached_metadata_bytes(const struct attached *attached);
void gc__attached_audit(const struct attached *attached, const struct region *region);

#endif
