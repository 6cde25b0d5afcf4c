/* enter.h - how a public call reaches the heap, and how it leaves. */
#ifndef GC_API_ENTER_H
#define GC_API_ENTER_H

#include "gc/api/events.h"
#include "gc/api/finalizer.h"
#include "gc/base/check.h"
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

/* Before a call returns `result`, which is held meanwhile: callbacks are called for what
 * has happened, and finalizers for what has died. */
static inline void *gc__attended(void *result)
{
    if (GC_UNLIKELY(atomic_load_explicit(&gc__heap.events.news, memory_order_relaxed)))
        gc__events_tell();
    if (GC_UNLIKELY(atomic_load_explicit(&gc__heap.attached.finalizers.news, memory_order_relaxed)))
        gc__finalizers_attend();
    GC_HOLD_UNTIL_HERE(result);
    return result;
}

#endif
