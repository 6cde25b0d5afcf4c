/* finalizer.h - how finalizers come to run: outside of our code, without a lock.
 *
 * Threads: a collection in any thread may find something; whoever leaves our code
 * next, after an allocation that was not of the fast path, or a collection, sees to
 * it. */
#ifndef GC_API_FINALIZER_H
#define GC_API_FINALIZER_H

#include "gc/api/events.h"
#include "gc/base/check.h"
#include "gc/cycle/heap.h"

/* Runs the finalizers of queues that are served at allocation, and wakes the thread
 * for the others. */
void gc__finalizers_attend(void);

/* In the child of a fork. */
void gc__finalizers_forget_thread(void);

/* Before a call returns `result`, which is held meanwhile: the program is told of what
 * has happened. */
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
