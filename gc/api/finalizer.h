/* finalizer.h - how finalizers come to run: outside of our code, without a lock.
 *
 * Threads: a collection in any thread may find something; whoever leaves our code
 * next, after an allocation that was not of the fast path, or a collection, sees to
 * it. */
#ifndef GC_API_FINALIZER_H
#define GC_API_FINALIZER_H

/* Runs the finalizers of queues that are served at allocation, and wakes the thread
 * for the others. */
void gc__finalizers_attend(void);

/* In the child of a fork. */
void gc__finalizers_forget_thread(void);

#endif
