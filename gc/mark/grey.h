/* grey.h - the grey objects that a marker holds, beyond the loop that pushes and pops
 * them (gc/mark/marker.c): what has no room, what is large, what goes to others.
 *
 * Threads: the marker's. */
#ifndef GC_MARK_GREY_H
#define GC_MARK_GREY_H

#include "gc/mark/marker.h"

/* Pushes an entry for the object at `granule`, or has its block scanned again. */
void gc__grey_push(struct marker *marker, uintptr_t entry, size_t granule);

/* Halves a span until its first piece is left, which is returned. Of a large one, what
 * was touched is pushed first, and nothing returned. */
struct gc__range gc__grey_split(struct marker *marker, uintptr_t entry);

/* Gives entries away, if somebody waits for some. */
bool gc__grey_offer(struct marker *marker);

#endif
