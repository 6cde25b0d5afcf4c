/* background.h - the thread of ours that makes the steps of a concurrent cycle.
 *
 * It is started when the first cycle begins, and sleeps between cycles. It is no
 * mutator, and has all signals blocked.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_BACKGROUND_H
#define GC_CYCLE_BACKGROUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct heap;

struct background {
    bool started;
    _Atomic uint32_t calls; /* it sleeps on this */
};

/* Before a cycle begins. False: the system refuses a thread. */
bool gc__background_start(struct heap *heap);

/* A cycle has begun. */
void gc__background_call(struct background *background);

/* In the child of a fork: it is gone. */
void gc__background_forget(struct background *background);

#endif
