/* broom/finalizer.h - finalizers: a function of yours that is called once an object
 * cannot be reached any more, to close a file, say.
 *
 * A collection only finds out which objects these are, and puts them into a queue.
 * Their finalizers run later, in ordinary code: with no lock of Broom's held, so
 * they may allocate, collect, bring the object back to life by storing it
 * somewhere, give it a finalizer again, start threads, end the one they run in, or
 * leave by longjmp or an exception. Who runs them, and when, depends on the queue:
 *
 *   GC_FINALIZE_ON_DEMAND      gc_run_finalizers, in a thread and at a time that you
 *                              choose: the right thing for a runtime, which has safe
 *                              points of its own
 *   GC_FINALIZE_AT_ALLOCATION  any thread that allocates, before the allocation
 *                              returns: simple, but a finalizer must not take a lock
 *                              that the program holds while it allocates
 *   GC_FINALIZE_IN_THREAD      a thread of Broom's, in which nobody catches an exception
 *
 * A queue belongs to whoever made it: a library runs its own finalizers, and nobody
 * else's. NULL stands for the queue of the program, which begins as one of
 * GC_FINALIZE_AT_ALLOCATION. While a thread runs finalizers of any queue, or the
 * callback of an event, its own allocations run no others.
 *
 * Order. An *ordered* finalizer runs before those of all other objects that its
 * object leads to, and so finds them as they were. (A chain of n of them takes n
 * collections.) An *unordered* one may find them finalized; it waits for the ordered
 * ones that lead to its object, and holds up nobody.
 *
 * An object with an ordered finalizer must not lead back to itself by way of other
 * objects, as the head of a ring does, or two objects that point at each other: there
 * is no first one, so none of them is ever finalized, nor what they lead to. That is
 * reported (gc_set_finalizer_cycle_report). Words of the object itself that point at
 * it, or into it, do not matter.
 *
 * No promise can be made as to when a conservative collector finds out that an object
 * is dead: a stale word may keep it. Release what is scarce by calling a function, and
 * let the finalizer be the safety net. It may also find out *too soon*: an object is
 * dead once its address is not needed any more, even if a function of yours is still
 * at work with what it held, a file's number, say. gc_keep_alive (broom.h) prevents
 * that.
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

/* Has finalizer(object, data) called when the object is dead: ordered, in the queue of
 * the program. `data` is a root until then, so it must not lead to the object. Replaces
 * the finalizer that the object has there, even one that is ready; NULL as finalizer
 * only removes that. Returns 0, or ENOMEM.
 * An address that is not the start of a living object: misuse.
 * collects: never. */
GC__EXPORT int gc_set_finalizer(void *object, gc_finalizer finalizer, void *data);

/* As that, in a queue of your choice; `order` is an enum gc_finalizer_order (EINVAL for
 * another value). An object has at most one finalizer in each queue.
 * collects: never. */
GC__EXPORT int gc_set_finalizer_in(gc_finalizer_queue *queue, void *object, gc_finalizer finalizer, void *data,
                                   uint32_t order);

/* The finalizer that the object has in a queue, and its data; each of the pointers may
 * be NULL. False: it has none.
 * collects: never. */
GC__EXPORT bool gc_get_finalizer(gc_finalizer_queue *queue, const void *object, gc_finalizer *finalizer, void **data);

/* ---- Queues -------------------------------------------------------------------- */

/* A new queue, which lasts as long as the process; `mode` is an enum gc_finalizer_mode.
 * NULL with errno = EINVAL for another value, ENOMEM when there are 255 already (the queue
 * of the program does not count).
 * collects: never. */
GC__EXPORT gc_finalizer_queue *gc_finalizer_queue_new(uint32_t mode);

/* Gives a queue another mode, from now on. Returns 0; EINVAL: there is no such mode.
 * collects: never. */
GC__EXPORT int gc_set_finalizer_mode(gc_finalizer_queue *queue, uint32_t mode);

/* How many finalizers of a queue are ready to run, and cycles to be reported.
 * collects: never. */
GC__EXPORT size_t gc_finalizers_ready(gc_finalizer_queue *queue);

/* ---- Running ------------------------------------------------------------------- */

/* Runs the finalizers of a queue that are ready now, `max` of them at most, those that
 * have waited longest first. Returns how many it ran.
 * collects: may (in the finalizers). */
GC__EXPORT size_t gc_run_finalizers(gc_finalizer_queue *queue, size_t max);

/* Takes the one that has waited longest out of the queue without running it, for a
 * runtime that does that in its own way. Each of the pointers may be NULL. False: none
 * is ready.
 * collects: never. */
GC__EXPORT bool gc_take_finalizable(gc_finalizer_queue *queue, void **object, gc_finalizer *finalizer, void **data);

/* Collects and runs what is ready in the queue, whatever its mode, again and again until
 * nothing is (a thousand times at most, as finalizers may register again). Cycles are
 * reported, and what that breaks is run, too. Returns how many it ran; those that another
 * thread runs meanwhile do not count.
 * collects: always. */
GC__EXPORT size_t gc_collect_and_finalize(gc_finalizer_queue *queue);

/* Runs all finalizers of a queue, whether their objects are dead or not, in no
 * particular order: before exit. Returns how many.
 * collects: may (in the finalizers). */
GC__EXPORT size_t gc_finalize_all(gc_finalizer_queue *queue);

/* ---- Cycles -------------------------------------------------------------------- */

/* Sets the function that is called when an object with an ordered finalizer leads back to
 * itself by way of others. It is called once for each such cycle, with one object of it;
 * for a cycle that another one leads to, only when that other one is gone. It runs where
 * the finalizers of the queue run, may do what these may, and may break the cycle or remove
 * the finalizer. NULL,
 * the initial value: a message on stderr, about the first such object only. Returns the
 * previous function.
 * collects: never. */
typedef void (*gc_finalizer_cycle_report)(void *object);
GC__EXPORT gc_finalizer_cycle_report gc_set_finalizer_cycle_report(gc_finalizer_cycle_report report);

#ifdef __cplusplus
}
#endif

#endif
