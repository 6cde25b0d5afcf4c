/* arena.h - memory for calls of malloc that the heap cannot serve.
 *
 * These are the loader's, before the C library is ready; those of the C library on
 * behalf of the collector, which asks it for a thread, say, or of the kernel, which alone
 * holds what is allocated; and those of a signal's handler that came in the middle of an
 * allocation. They are few. The arena is
 * static data, and so a root; what is freed is used again by the next.
 *
 * Threads, signals: any; no locks. A child of fork finds it as it was. */
#ifndef GC_FACES_ARENA_H
#define GC_FACES_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed. NULL: it is used up, or `bytes` are more than it has. `alignment` is a power
 * of two. */
void *gc__arena_allocate(size_t bytes, size_t alignment);

bool gc__arena_owns(const void *address);

/* Of what gc__arena_allocate returned. To free it twice is harmless, until it is used
 * again. */
size_t gc__arena_usable_bytes(const void *address);
void gc__arena_free(void *address);

#endif
