/* collect.h - what a collection is. */
#ifndef GC_CYCLE_COLLECT_H
#define GC_CYCLE_COLLECT_H

#include "gc/cycle/heap.h"

/* A full collection, now. Nested calls do nothing. For a mutator that spilled its
 * registers (`sp`), as the others here. */
void gc__collect(struct heap *heap);

/* Before `bytes` are allocated in a slow path: a collection if the pace, or the
 * stress option, wants one and none is forbidden. */
void gc__collect_if_due(struct heap *heap, struct mutator *mutator, size_t bytes);

/* A collection if one is due though nothing is to be allocated. */
void gc__collect_if_over(struct heap *heap);

/* A collection if a good part of the budget is used, and the last one took no longer
 * than `time_ns`. Whether there was one. */
bool gc__collect_early(struct heap *heap, uint64_t time_ns);

/* There may be several mutators now: from its return on all know. The others
 * stop for it once in the life of the process. */
void gc__become_threaded(struct heap *heap);

/* Under the lock: gives memory back to the OS that has stayed free for the delay; looks at it a
 * few times in each delay. For collections, and for mutators now and then: a
 * program may collect once after its peak, and not for a long time again. */
void gc__return_memory(struct heap *heap);

/* For want of memory: a collection, and all that is free goes back to the OS
 * or to whoever can use it. */
void gc__collect_hard(struct heap *heap);

#endif
