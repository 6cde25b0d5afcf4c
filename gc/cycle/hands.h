/* hands.h - who makes a step of a cycle beside the mutators has the hands: a lock of the
 * same three states as the heap's (gc/roots/world.c).
 *
 * Who wants both takes the heap's lock first; and whoever makes steps without that lets
 * him go first. */
#ifndef GC_CYCLE_HANDS_H
#define GC_CYCLE_HANDS_H

#include "gc/platform/platform.h"

#include <stdatomic.h>

enum { HANDS_FREE, HANDS_TAKEN, HANDS_WAITED_FOR };

struct hands {
    _Atomic uint32_t state; /* one of these */
    _Atomic bool wanted;    /* by who has the heap's lock */
};

static inline bool gc__hands_try(struct hands *hands)
{
    uint32_t free = HANDS_FREE;

    GC_STAGGER();
    return atomic_compare_exchange_strong_explicit(&hands->state, &free, HANDS_TAKEN, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void gc__hands_take(struct hands *hands)
{
    if (gc__hands_try(hands))
        return;
    while (atomic_exchange_explicit(&hands->state, HANDS_WAITED_FOR, memory_order_acquire) != HANDS_FREE)
        gc__os_wait(&hands->state, HANDS_WAITED_FOR, UINT64_MAX);
}

/* For who has the heap's lock. */
static inline void gc__hands_take_over(struct hands *hands)
{
    atomic_store(&hands->wanted, true);
    gc__hands_take(hands);
    atomic_store(&hands->wanted, false);
}

/* All are woken: one of them may have had enough of waiting, and would leave the others
 * asleep for ever. */
static inline void gc__hands_leave(struct hands *hands)
{
    if (atomic_exchange_explicit(&hands->state, HANDS_FREE, memory_order_release) == HANDS_WAITED_FOR)
        gc__os_wake(&hands->state, UINT32_MAX);
    GC_STAGGER();
}

#endif
