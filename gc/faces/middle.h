/* middle.h - a call of malloc in the middle of another one on the same thread: from a signal's
 * handler, between any two instructions, or from the C library, which we ask for something.
 * Then the heap may be halfway through a change, and may not be used.
 *
 * Threads, signals: any. */
#ifndef GC_FACES_MIDDLE_H
#define GC_FACES_MIDDLE_H

#include "gc/roots/mutator.h"

#include <stdatomic.h>

/* Of the function that it stands in. */
#define GC_CALLER_SP ((uintptr_t)__builtin_dwarf_cfa())

/* Around what may not be interrupted by the same. A mutator's `inside` says as much of
 * slow paths, which are not only reached from here. */
static inline __attribute__((always_inline)) void gc__begin_call(void)
{
    gc__thread_busy_at = GC_CALLER_SP;
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void gc__end_call(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    gc__thread_busy_at = 0;
}

/* Whether the heap may not be used. Most of it, the lock aside, is asked for by the fast paths. */
static inline bool gc__in_fast_middle(const struct mutator *mutator)
{
    return (gc__thread_busy_at | (uintptr_t)mutator->inside) != 0; /* one jump for both */
}

/* `sp`: as in gc__begin_call of the call that asks. What a handler has left by longjmp is no
 * longer in the middle, and is put in order here. */
bool gc__in_middle(uintptr_t sp);

/* Before, there is no thread to speak of. To be asked once when it has: a program may take its
 * environment away later. */
bool gc__c_library_has_begun(void);

#endif
