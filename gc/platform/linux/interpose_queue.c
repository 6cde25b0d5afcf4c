/* interpose_queue.c - mq_notify. What it is given for a new thread (SIGEV_THREAD), or with
 * a signal, is held by the kernel alone, as is the C library's copy of the thread's
 * attributes: the value is kept, and the copy is made in memory that is a root. In the
 * library broom-malloc alone.
 *
 * A value stays until the queue is given something else: not when it has been notified,
 * or closed. Of each queue one object at most is kept too long. */

#define _GNU_SOURCE
#include "gc/platform/linux/kept.h"
#include "gc/platform/linux/real.h"
#include "gc/platform/platform.h"

#include <mqueue.h>
#include <signal.h>
#include <stddef.h>

/* Its allocations are no business of the heap's. */
static int notify(mqd_t queue, const struct sigevent *event)
{
    uintptr_t busy_at = gc__thread_busy_at;
    int result;

    gc__thread_busy_at = (uintptr_t)__builtin_dwarf_cfa();
    result = GC_REAL(mq_notify)(queue, event);
    gc__thread_busy_at = busy_at;
    return result;
}

/* Kept before a message may come. */
__attribute__((visibility("default"))) int mq_notify(mqd_t queue, const struct sigevent *event)
{
    uint64_t key = gc__kept_key(GC_KEPT_QUEUE, queue, 0);
    struct gc__kept kept = {NULL, 0};
    int result;

    if (event != NULL)
        kept = gc__keep(key, (uintptr_t)event->sigev_value.sival_ptr);
    result = notify(queue, event);
    if (result != 0)
        gc__keep_as_before(kept);
    else if (event == NULL)
        gc__forget_kept(key);
    return result;
}
