/* allocate.h - allocation behind the fast path, and what follows when memory
 * is exhausted: collect, collect hard, ask the handler, give up. */
#ifndef GC_ALLOC_ALLOCATE_H
#define GC_ALLOC_ALLOCATE_H

#include "gc/cycle/heap.h"

/* An object, or NULL with errno = ENOMEM. `alignment` is a power of two up to
 * GC_CHUNK_BYTES. errno is kept on success. The handler is called with nothing
 * half done and nothing held: it may leave by longjmp. */
void *gc__allocate(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes, size_t alignment);

/* `object`, which is at `address`, resized, moved if it must be; NULL with errno =
 * ENOMEM, and the object as it was. Where it moves the old one is freed, or stays as it
 * was. */
void *gc__reallocate(struct heap *heap, struct mutator *mutator, struct object object, const void *address,
                     size_t bytes, bool frees_old);

/* The call that the mutator is in will not be gone on with, as a signal's handler has left it by
 * a jump, or ends the thread. It was halfway through a change of its runs, perhaps: what they
 * have is lost until a collection finds it. */
void gc__abandon_call(struct heap *heap, struct mutator *mutator);

/* Takes a live object back, which is at `address`. */
void gc__free(struct heap *heap, struct mutator *mutator, struct object object, const void *address);

#endif
