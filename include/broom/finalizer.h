/* broom/finalizer.h - finalizers: a function of yours that is called once an object
 * cannot be reached any more, to close a file, say.
 *
 * A collection only finds out which objects these are, and puts them into a queue.
 * Their finalizers run later, in ordinary code: with no lock of Broom's held, so
 * they may allocate, collect, bring the object back to life by storing it
 * somewhere, give it a finalizer again, start threads, end the one they run in, or
 * leave by longjmp or an exception. Who runs them, and when, is up to the queue:
 *
 *   GC_FINALIZE_ON_DEMAND      gc_run_finalizers, in a thread and at a time that you
 *                              choose: the right thing for a runtime, which has safe
 *                              points of its own
 *   GC_FINALIZE_AT_ALLOCATION  whoever allocates, before the allocation returns:
 *                              simple, but a finalizer must not take a lock that the
 *                              program holds while it allocates
 *   GC_FINALIZE_IN_THREAD      a thread of Broom's, in which nobody catches an exception
 *
 * A queue belongs to whoever made it: a library runs its own finalizers, and nobody
 * else's. NULL stands for the queue of the program, which is at first one of
 * GC_FINALIZE_AT_ALLOCATION.
 *
 * Order. A finalizer that is ordered runs before those of all objects that its
 * object leads to, so that it finds them as they were; one collection each. An
 * unordered one runs as soon as nothing but unordered ones leads to the object.
 * Objects with ordered finalizers in a cycle have no first one: none of them is ever
 * finalized, and that is reported (gc_set_finalizer_cycle_report).
 *
 * When a conservative collector finds that an object is dead cannot be promised: a
 * stale word may keep it. Give back promptly what is scarce by a function of its
 * own, and let finalizers be the safety net.
 *
 * gc_free drops the finalizers of its object, also those that are ready; gc_realloc
 * keeps them. At exit none is run, unless you ask for it: atexit, with
 * gc_finalize_all. */
#ifndef BROOM_FINALIZER_H
#define BROOM_FINALIZER_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*gc_finalizer)(void *object, void *data);
typedef struct gc_finalizer_queue gc_finalizer_queue;

enum gc_finalizer_mode { GC_FINALIZE_ON_DEMAND, GC_FINALIZE_AT_ALLOCATION, GC_FINALIZE_IN_THREAD };
enum gc_finalizer_order { GC_FINALIZE_ORDERED, GC_FINALIZE_UNORDERED };

/* ---- Setting ----------------------------------------------------------------- */

/* finalizer(object, data) is to be called: ordered, in the queue of the program.
 * `data` is a root until then, so it must not lead to the object. One that there is
 * already is dropped, ready or not; NULL as finalizer does only that. Returns 0, or
 * ENOMEM.
 * An address that is not the start of a living object: misuse.
 * collects: never. */
GC__EXPORT int gc_set_finalizer(void *object, gc_finalizer finalizer, void *data);

/* As that, in a queue, and in an enum gc_finalizer_order (EINVAL for another). An
 * object has one finalizer in each queue.
 * collects: never. */
GC__EXPORT int gc_set_finalizer_in(gc_finalizer_queue *queue, void *object, gc_finalizer finalizer, void *data,
                                   uint32_t order);

/* ---- Queues -------------------------------------------------------------------- */

/* A queue, for the rest of the process. NULL with errno = EINVAL for another mode,
 * ENOMEM when there are 256 already.
 * collects: never. */
GC__EXPORT gc_finalizer_queue *gc_finalizer_queue_new(uint32_t mode);

/* Another mode for a queue, from now on. EINVAL: there is no such mode.
 * collects: never. */
GC__EXPORT int gc_set_finalizer_mode(gc_finalizer_queue *queue, uint32_t mode);

/* How many are ready in a queue.
 * collects: never. */
GC__EXPORT size_t gc_finalizers_ready(gc_finalizer_queue *queue);

/* ---- Running ------------------------------------------------------------------- */

/* Runs the finalizers that are ready in a queue now, the oldest first, and `max` at
 * most. Returns how many.
 * collects: may (in the finalizers). */
GC__EXPORT size_t gc_run_finalizers(gc_finalizer_queue *queue, size_t max);

/* Takes the oldest out without running it: a runtime may do that in its own way.
 * Each of the pointers may be NULL. False: none is ready.
 * collects: never. */
GC__EXPORT bool gc_take_finalizable(gc_finalizer_queue *queue, void **object, gc_finalizer *finalizer, void **data);

/* Collects and runs what is ready, again and again until nothing is (a thousand
 * times at most, as finalizers may register again). Returns how many ran.
 * collects: always. */
GC__EXPORT size_t gc_collect_and_finalize(gc_finalizer_queue *queue);

/* Runs all finalizers that are registered in a queue, whether their objects live or
 * not, in no order: before exit. Returns how many.
 * collects: may (in the finalizers). */
GC__EXPORT size_t gc_finalize_all(gc_finalizer_queue *queue);

/* ---- Cycles -------------------------------------------------------------------- */

/* Is told once of an object with an ordered finalizer that leads to itself: by
 * whoever runs the finalizers of its queue. It may break the cycle, or drop the
 * finalizer. NULL: a message on stderr, as at first, about the first such object.
 * Returns the one before.
 * collects: never. */
typedef void (*gc_finalizer_cycle_report)(void *object);
GC__EXPORT gc_finalizer_cycle_report gc_set_finalizer_cycle_report(gc_finalizer_cycle_report report);

#ifdef __cplusplus
}
#endif

#endif
