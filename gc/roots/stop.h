/* stop.h - what the two parts of stopping the world have in common: stop.c, as it goes as a
 * rule, and hindered.c, for those who do not come.
 *
 * Threads: the collector's, under the heap's lock. */
#ifndef GC_ROOTS_STOP_H
#define GC_ROOTS_STOP_H

#include "gc/roots/world.h"

#define NS_PER_SECOND 1000000000u

/* And has not stopped yet. Any thread. */
static inline bool gc__stop_is_asked(const struct mutator *mutator)
{
    return atomic_load_explicit(&mutator->state, memory_order_acquire) == MUTATOR_ASKED;
}

void gc__stop_send_signal(struct world *world, struct mutator *mutator);

/* A thread that ended without a word is no longer asked. */
void gc__stop_give_up(struct world *world, struct mutator *mutator);

/* After so long a wait: finds out what keeps those who are asked, says so, asks again, or
 * does without them. */
void gc__stop_look_after(struct world *world, uint64_t waited_ns);

/* Those that were left alone: before a stop, whether they take the signal by now; and once
 * all others stand, where they are. */
void gc__stop_ask_the_deaf_again(struct world *world);
void gc__stop_look_at_the_deaf(struct world *world);

#endif
