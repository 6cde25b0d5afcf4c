/* pause.h - something is done while the world stands.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_PAUSE_H
#define GC_CYCLE_PAUSE_H

#include "gc/cycle/heap.h"

/* Before a pause in which there will be marking, as threads may have to be started.
 * Nothing is grey. */
void gc__pause_prepare(struct heap *heap);

/* Stops the world, calls `body`, and lets the world go on. False: it cannot be
 * stopped for want of memory, and `body` was not called. */
bool gc__pause(struct heap *heap, void (*body)(struct heap *heap));

/* Runs the function while every other thread of the program stands, as far as they can
 * be found. It changes nothing, and the pause is no collection's. */
void gc__pause_to_look(struct heap *heap, void (*function)(void *argument), void *argument);

/* For its own sake: afterwards all know what had changed before. */
void gc__pause_for_nothing(struct heap *heap);

#endif
