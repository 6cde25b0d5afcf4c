/* enter.h - how a public call reaches the heap. */
#ifndef GC_API_ENTER_H
#define GC_API_ENTER_H

#include "gc/cycle/heap.h"

/* Starts the heap if it has not been, and makes sure that the calling thread
 * is a mutator. `call` is the public function's name, for the message when it
 * is not and cannot be. */
struct mutator *gc__enter(const char *call);

/* The live object that starts at `address`; anything else is a misuse of
 * `call`. */
struct object gc__enter_object(const char *call, const void *address);

#endif
