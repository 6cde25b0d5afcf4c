/* enter.h - how a public call reaches the heap. */
#ifndef GC_API_ENTER_H
#define GC_API_ENTER_H

#include "gc/cycle/heap.h"

/* Starts the heap if it has not been, and makes sure that the calling thread
 * is a mutator. `call` is the public function's name, for the message when it
 * is not and cannot be. */
struct mutator *gc__enter(const char *call);

/* The same for a call that may collect: it comes through
 * gc__os_spill_registers, and what the stack holds below `sp` is no root. */
struct mutator *gc__enter_spilled(const char *call, uintptr_t sp);

/* The live object that starts at `address`; anything else is a misuse of
 * `call`. */
struct object gc__enter_object(const char *call, const void *address);

#endif
