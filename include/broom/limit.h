/* broom/limit.h - how much memory the heap may take, and when it collects.
 *
 * What can be said before the heap starts is in struct gc_options. This is for the
 * time after that. */
#ifndef BROOM_LIMIT_H
#define BROOM_LIMIT_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The soft limit, in bytes; 0: none. It is for all that the collector holds, and
 * what gc_note_external says: near it collections become more frequent, and free
 * memory goes back to the OS at once. Collections never take more than about half
 * of the time for that: a program that needs more memory than the limit gets it,
 * and runs slower. (One that does nothing but allocate may spend more than that,
 * limit or not: see gc_set_growth_percent.) Without this call the limit is 80 % of
 * what the control groups of the process allow when the heap starts (a container's
 * limit, of either version), or BROOM_MEMORY_LIMIT.
 * Returns the limit before; 0: there was none.
 * collects: never. */
GC__EXPORT size_t gc_set_memory_limit(size_t bytes);

/* The hard limit, in bytes of the heap alone; 0: none. It is kept, whatever part of
 * the time collections take for that. What would go beyond it fails as exhaustion:
 * after a full collection, and the out-of-memory handler. A heap that holds more
 * already gives back what is free. It cannot be more than what was
 * reserved at the start (see max_heap in struct gc_options).
 * Returns 0, or EINVAL for less than 4 MiB.
 * collects: never. */
GC__EXPORT int gc_set_hard_limit(size_t bytes);

/* How much is allocated between two collections, as a share of the live bytes that
 * are scanned: 100 by default. Less saves memory, more saves time; from the next
 * collection on.
 * Returns 0, or EINVAL for what is not from 5 to 1000.
 * collects: never. */
GC__EXPORT int gc_set_growth_percent(unsigned percent);

/* Whether pauses or throughput matter more: a collection that would stop the program for
 * longer than so many microseconds runs beside it. 0: the program always stops, which
 * takes the least time in all. Without this call it is BROOM_PAUSE_TARGET_US, or 1000.
 * From the next collection on.
 * Returns 0, or EINVAL for what is negative, or above INT32_MAX.
 * collects: never. */
GC__EXPORT int gc_set_pause_target(long microseconds);

/* For when the program has nothing to do for `time_ns` nanoseconds: collects if a
 * quarter of what may be allocated before the next collection is used up, and the
 * last collection took no longer than that; helps one that runs beside the program;
 * gives memory back to the OS that is due.
 * Returns whether there was a collection.
 * collects: may. */
GC__EXPORT bool gc_step(uint64_t time_ns);

/* Objects of the heap have come to hold `bytes` bytes of memory elsewhere (a
 * picture, a file that is mapped), or, if negative, have given them back. It counts
 * as allocated, so that collections come while much hangs on garbage, and towards
 * the soft limit. The sum is in struct gc_stats; it does not fall below 0.
 * collects: may. */
GC__EXPORT void gc_note_external(ptrdiff_t bytes);

#ifdef __cplusplus
}
#endif

#endif
