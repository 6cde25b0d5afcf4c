/* broom/limit.h - how much memory the heap may take, and when it collects.
 *
 * struct gc_options sets this before the heap starts; these functions change it later. */
#ifndef BROOM_LIMIT_H
#define BROOM_LIMIT_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The soft limit, in bytes; 0: none. It covers all memory that the collector holds, plus
 * the sum of gc_note_external. Near it collections become more frequent, and free memory
 * goes back to the OS at once. They are not made so frequent that they take more than
 * about half of the time: a program that needs more memory than the limit, or allocates
 * faster than that allows, gets it, and runs slower. (One that does nothing but allocate
 * may spend more than half of its time in collections even without a limit: see
 * gc_set_growth_percent.)
 * Without this call the limit is BROOM_MEMORY_LIMIT, or 80 % of what the control groups of
 * the process allow before the first collection (a container's limit, of either version).
 * Beyond 90 % of that the heap does not grow as long as collections free enough, however
 * much time they take, and whatever is set here: the kernel would end the process.
 * Returns the limit before; 0: there was none.
 * collects: never. */
GC__EXPORT size_t gc_set_memory_limit(size_t bytes);

/* The hard limit, in bytes of the heap alone; 0: none. The heap never grows beyond it,
 * however much time collections take. An allocation that would exceed it is a case of
 * exhaustion: there is a full collection, then the out-of-memory handler is called, then
 * the allocation fails. If the heap holds more already, what is free of it is given back.
 * The limit cannot exceed what was reserved at the start (see max_heap in struct
 * gc_options). Under RLIMIT_AS that is about half of the address space that was left then,
 * so RLIMIT_AS acts as a hard limit, and so does RLIMIT_DATA.
 * Returns 0, or EINVAL for less than 4 MiB.
 * collects: never. */
GC__EXPORT int gc_set_hard_limit(size_t bytes);

/* The percentage of the live, pointer-bearing bytes that may be allocated before the next
 * collection: 100 by default. Less saves memory, more saves time. Takes effect with the
 * next collection.
 * Returns 0, or EINVAL for a value that is not from 5 to 1000.
 * collects: never. */
GC__EXPORT int gc_set_growth_percent(unsigned percent);

/* Chooses between short pauses and throughput: a collection that would stop the program
 * for longer than this many microseconds runs concurrently. (For four times as long, where
 * threads allocate faster than it would end, and twelve times where they also keep all
 * processors busy; and longer in proportion where the system takes more than a microsecond
 * to tell that a page is written.) 0: every collection stops the program, which costs the
 * least time in total. Without this call the target is BROOM_PAUSE_TARGET_US, or 1000.
 * Takes effect with the next collection.
 * Returns 0, or EINVAL for a value that is negative or above INT32_MAX.
 * collects: never. */
GC__EXPORT int gc_set_pause_target(long microseconds);

/* To be called when the program has nothing to do for `time_ns` nanoseconds. Helps a
 * concurrent collection that is under way; starts a collection if a quarter of what may be
 * allocated before the next one is used up, and the last pause was no longer than
 * `time_ns`; gives memory back to the OS that has been free for long enough.
 * Returns whether a collection was started.
 * collects: may. */
GC__EXPORT bool gc_step(uint64_t time_ns);

/* Reports that objects of the heap hold `bytes` more bytes of memory outside it (a
 * picture, a mapped file), or, if negative, fewer. This counts as allocated, so that
 * garbage which holds much outside memory is collected soon, and it counts towards the
 * soft limit. The sum is in struct gc_stats; it does not fall below 0.
 * collects: may. */
GC__EXPORT void gc_note_external(ptrdiff_t bytes);

#ifdef __cplusplus
}
#endif

#endif
