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

/* An object's addresses before and after. Those of the last moves are kept, for whoever
 * has a table by address of objects that something is attached to. */
struct move {
    uintptr_t from, to;
};

struct attached {
    _Atomic bool any; /* something was ever attached */
    struct attachments links;
    struct attachments ephemerons;
    struct finalizers finalizers;
    _Atomic uint64_t moves; /* ever; the last of them: */
    struct move moved[GC_MOVES_KEPT];
};

void gc__attached_init(struct attached *attached);

/* The object is going to be freed: links to it are cleared, and those in it end; its
 * ephemerons are broken, its finalizers dropped. */
void gc__attached_forget(struct attached *attached, const struct region *region, const struct object *object);

/* The object, which had so many bytes, has moved, and all that is attached to it moves
 * with it. Links in it end. */
void gc__attached_move(struct attached *attached, const void *from, const void *to, size_t bytes);

/* While the world stands. What is a root of these tables; and, when nothing is grey,
 * what follows from what is white. In a minor cycle: for what is young. */
void gc__attached_mark_roots(const struct attached *attached, struct marker *marker, bool minor);
void gc__attached_process(struct attached *attached, struct marker *marker, bool minor);

size_t gc__attached_metadata_bytes(const struct attached *attached);
void gc__attached_audit(const struct attached *attached, const struct region *region);

#endif
