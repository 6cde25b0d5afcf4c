/* assist.h - mutators that help a cycle beside them, so that it ends before memory is used
 * up ("assist", or mutator increments: GC Handbook, 2nd ed., section 16.1).
 *
 * Who has used up what there is to allocate waits for steps, or makes some, and is granted
 * a little more for it. How much was granted in all is the pace's to know.
 *
 * Threads: a mutator that spilled its registers, not under the heap's lock. */
#ifndef GC_CYCLE_ASSIST_H
#define GC_CYCLE_ASSIST_H

#include "gc/cycle/heap.h"

/* A step is made, or awaited for a while. Returns how many were made: one, too, where
 * there was none to be had, and who waits is not to wait for ever. */
uint32_t gc__assist_once(struct heap *heap, struct mutator *mutator);

/* For a mutator that wants so much while a cycle is under way: it makes some steps, and is
 * granted a part of it, or a little more. */
void gc__assist(struct heap *heap, struct mutator *mutator, size_t bytes);

#endif
