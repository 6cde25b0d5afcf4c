/* observer.h - what a cycle tells those who watch.
 *
 * Watching is on a higher floor (gc/insight), so the cycle declares what it
 * calls and the watcher defines it. */
#ifndef GC_CYCLE_OBSERVER_H
#define GC_CYCLE_OBSERVER_H

#include "gc/cycle/heap.h"

/* Marking is done and the world still stands: checks, under stress, that no
 * edge leads from black to white; and then, and in debug builds, that a second mark
 * finds no more, if some of the first was made earlier. */
void gc__observe_marked(struct heap *heap);

/* An allocation of `bytes` bytes fails, after all that could be done. */
void gc__observe_exhaustion(struct heap *heap, size_t bytes);

/* All is done, and the world still stands: audits the heap, under stress. */
void gc__observe_swept(const struct heap *heap);

/* The world goes on. `heap` has the figures of the cycle. Under the lock. */
void gc__observe_cycle(const struct heap *heap);

/* By now it is known how large heaps are collected, and whether written pages are
 * watched for it; it may have changed. */
void gc__observe_way(const struct heap *heap, bool watched);

#endif
