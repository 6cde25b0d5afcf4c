/* steps.h - who makes the steps of a cycle beside the mutators: whoever calls
 * gc__concurrent_step, which is the collector's own thread (gc/cycle/background.h), or a
 * mutator that helps (gc/cycle/assist.h). And how such a cycle is brought to an end, or
 * held up, by others.
 *
 * Threads: the phase and what belongs to it change under `hands`, which whoever makes a
 * step holds; first the heap's lock, if the step wants it, then `hands`. So who has the
 * heap's lock can finish the cycle or give it up after a step's time. */
#ifndef GC_CYCLE_STEPS_H
#define GC_CYCLE_STEPS_H

#include <stdbool.h>

struct heap;

/* Makes a step; false: no cycle is under way. Not under the lock, and not by a mutator
 * while there are other threads: it would not stop. */
bool gc__concurrent_step(struct heap *heap);

/* The same, unless another is making a step without the lock: false, if so. */
bool gc__concurrent_try_step(struct heap *heap);

/* Both under the lock while a cycle is under way; it comes to its end now. In a pause
 * that may be long, and all is published; false: it had not begun to mark, or could
 * not, and was given up. Or it is given up in any case, unless marking has ended. */
bool gc__concurrent_finish(struct heap *heap);
void gc__concurrent_give_up(struct heap *heap);

/* Under the lock: waits until no step is under way, and none is until the release. For
 * who stops the world or forks, but in a step of the cycle's own: a mutator that makes
 * a step does not stop before that is done, and may be waiting for the loader; whose
 * lock a child would find taken. */
void gc__concurrent_hold(struct heap *heap);
void gc__concurrent_release(struct heap *heap);

/* In the child of a fork, where nobody makes a step any more: gives the cycle up. */
void gc__concurrent_forget(struct heap *heap);

#endif
