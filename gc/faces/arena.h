/* arena.h - memory for calls of malloc that the heap cannot serve.
 *
 * These are the loader's, before the C library is ready; those of the C library on
 * behalf of the collector, which asks it for a thread, say, or of the kernel, which alone
 * holds what is allocated; and those of a signal's handler that came in the middle of an
 * allocation. They are few. What is freed is used again by the next.
 *
 * It is mapped when it is first needed, and a root where all mappings are. Static data would be
 * one of the segments that a program's own collector scans, all of it.
 *
 * Threads, signals: any; no locks. A child of fork finds it as it was. */
#ifndef GC_FACES_ARENA_H
#define GC_FACES_ARENA_H

#include "gc/platform/platform.h"

#include <stdbool.h>
#include <stddef.h>

/* Zeroed. NULL: it is used up, or `bytes` are more than it has. `alignment` is a power
 * of two. */
void *gc__arena_allocate(size_t bytes, size_t alignment);

/* All of it; empty: there is no memory for it. For who has to scan it where segments are the
 * roots. */
struct gc__range gc__arena_range(void);

bool gc__arena_owns(const void *address);

/* Of what gc__arena_allocate returned. To free it twice is harmless, until it is used
 * again. */
size_t gc__arena_usable_bytes(const void *address);
void gc__arena_free(void *address);

#endif
