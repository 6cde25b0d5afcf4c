#include "gc/api/threads.h"

#include "gc/alloc/allocate.h"
#include "gc/alloc/small.h"
#include "gc/api/enter.h"
#include "gc/api/events.h"
#include "gc/api/finalizer.h"
#include "gc/base/check.h"
#include "gc/cycle/collect.h"

#include <errno.h>

/* ---- Entering and leaving --------------------------------------------------------- */

/* The C library allocates for it, and holds the lock of the thread's descriptor: a handler
 * that ends the thread would come here again. */
static struct gc__range own_stack(void)
{
    uint64_t blocked = gc__os_hold_signals();
    uintptr_t busy_at = gc__thread_busy_at;
    struct gc__range stack;

    gc__thread_busy_at = UINTPTR_MAX;
    stack = gc__os_own_stack();
    gc__thread_busy_at = busy_at;
    gc__os_release_signals(blocked);
    return stack;
}

/* The same goes for this. Others may have that lock, and wait for the heap's. */
static bool is_detached(void)
{
    uint64_t blocked = gc__os_hold_signals();
    uintptr_t busy_at = gc__thread_busy_at;
    bool detached;

    gc__thread_busy_at = UINTPTR_MAX;
    detached = gc__os_thread_is_detached();
    gc__thread_busy_at = busy_at;
    gc__os_release_signals(blocked);
    return detached;
}

bool gc__threads_enter(void)
{
    struct gc__range stack = own_stack();
    struct mutator *mutator;

    gc__os_unblock_stop_signal();
    gc__world_lock(&gc__heap.world);
    mutator = gc__world_enter(&gc__heap.world, stack);
    if (mutator != NULL)
        gc__events_put(&gc__heap, GC_EVENT_THREAD_BEGIN, 0, 0);
    gc__world_unlock(&gc__heap.world);
    if (mutator == NULL)
        return false;
    gc__become_threaded(&gc__heap);
    gc__os_tell_when_ended();
    return true;
}

/* A handler ends the thread in the middle of our code, which will not be gone on with. (That is
 * not where it waits as one that is safe.) */
static void leave_middle(void)
{
    struct mutator *mutator = gc__mutator;

    if (gc__mutator_exists(mutator) && !gc__mutator_is_safe(mutator) && (mutator->inside || gc__thread_busy_at != 0))
        gc__abandon_call(&gc__heap, mutator);
}

/* What it holds goes to the others. It remains a mutator until the system knows
 * it no more: whose destructors run after ours is not for us to say. */
static void leave(void)
{
    struct mutator *mutator = gc__mutator;

    if (!gc__mutator_exists(mutator))
        return;
    gc__world_begin(mutator);
    gc__world_lock(&gc__heap.world);
    gc__small_give_back_all(&gc__heap, mutator);
    gc__pace_note_freed(&gc__heap.pace, mutator->allowance);
    mutator->allowance = 0;
    if (!mutator->leaving) /* it may have been unregistered */
        gc__events_put(&gc__heap, GC_EVENT_THREAD_END, 0, 0);
    mutator->leaving = true;
    mutator->left_ns = gc__os_boot_ns();
    gc__world_unlock(&gc__heap.world);
    gc__world_end(&gc__heap.world, mutator);
}

/* ---- What pthread_create and its like tell ------------------------------------------- */

/* These may be called by a signal's handler in the middle of our code, and the heap be another's
 * then that waits for this thread to stop. Nothing is noted in that case: a thread becomes known
 * as a stranger does, and a result that will not be fetched stays a root. */

static bool starting(struct gc__start start, bool detached, void **ticket, uint64_t *serial)
{
    struct mutator *mutator;

    *ticket = NULL;
    gc__enter("pthread_create");
    if (!gc__world_lock_in_middle(&gc__heap.world))
        return true;
    *ticket = mutator = gc__world_expect(&gc__heap.world, start, detached);
    *serial = mutator != NULL ? mutator->serial : 0;
    gc__world_unlock(&gc__heap.world);
    return mutator != NULL;
}

/* It may have begun, and given back what `handle` lies in; or be over already, and
 * its record another's. */
static void started(void *ticket, uint64_t serial, const uintptr_t *handle)
{
    struct mutator *mutator = ticket;

    if (!gc__world_lock_in_middle(&gc__heap.world))
        return;
    if (mutator->serial == serial && mutator->thread_id == 0)
        mutator->handle = *handle;
    gc__world_unlock(&gc__heap.world);
}

static void not_started(void *mutator)
{
    if (!gc__world_lock_in_middle(&gc__heap.world))
        return;
    gc__world_expect_no_longer(&gc__heap.world, mutator);
    gc__world_unlock(&gc__heap.world);
}

static struct gc__start begun(void *ticket)
{
    struct gc__range stack = own_stack();
    struct mutator *mutator = ticket;
    struct gc__start start = mutator->start;

    gc__os_unblock_stop_signal();
    gc__world_lock(&gc__heap.world);
    gc__world_arrive(&gc__heap.world, mutator, stack);
    gc__events_put(&gc__heap, GC_EVENT_THREAD_BEGIN, 0, 0);
    gc__world_unlock(&gc__heap.world);
    gc__become_threaded(&gc__heap);
    gc__os_tell_when_ended();
    return start;
}

/* Of any thread that pthread_create made, or pthread_exit ends: those that are
 * older than the heap too, those that only a stop has found, and those that were
 * unregistered. */
static void returning(void *result)
{
    bool detached;

    leave_middle();
    if (result == NULL || (!gc__mutator_exists(gc__mutator) && !gc__threads_enter()))
        return;
    gc__os_tell_when_ended();
    detached = is_detached();
    gc__world_lock(&gc__heap.world);
    gc__world_return(&gc__heap.world, gc__mutator, result, detached);
    gc__world_unlock(&gc__heap.world);
}

static uint64_t joining(uintptr_t handle)
{
    uint64_t serial;

    if (!gc__world_lock_in_middle(&gc__heap.world))
        return 0;
    serial = gc__world_serial_of(&gc__heap.world, handle);
    gc__world_unlock(&gc__heap.world);
    return serial;
}

static void joined(uintptr_t handle, uint64_t serial)
{
    if (!gc__world_lock_in_middle(&gc__heap.world))
        return;
    gc__world_forget_result(&gc__heap.world, handle, serial);
    gc__world_unlock(&gc__heap.world);
}

static void detached(uintptr_t handle)
{
    if (!gc__world_lock_in_middle(&gc__heap.world))
        return;
    gc__world_detach(&gc__heap.world, handle);
    gc__world_unlock(&gc__heap.world);
}

/* ---- Forks ------------------------------------------------------------------------------ */

/* The forking thread holds the lock, so that the child finds the heap whole. In the middle of
 * our code it may be the collector's, that waits for this thread, and changes nothing yet. */
static bool before_fork(void)
{
    if (!gc__mutator_exists(gc__mutator))
        gc__threads_enter(); /* other handlers may allocate, under this lock */
    gc__os_lock_streams();
    if (!gc__world_lock_in_middle(&gc__heap.world)) {
        gc__os_unlock_streams();
        return false;
    }
    gc__concurrent_hold(&gc__heap); /* a step may be in the loader */
    return true;
}

static void in_parent(void)
{
    gc__concurrent_release(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    gc__os_unlock_streams();
}

static void in_child(bool has_heap)
{
    if (!has_heap) {
        gc__world_take_lock_over(&gc__heap.world);
        gc__heap.collecting = gc__heap.full = gc__heap.hard = false;
    }
    gc__world_keep_only(&gc__heap.world, gc__mutator);
    gc__gang_forget_helpers(&gc__heap.gang);
    gc__background_forget(&gc__heap.background);
    gc__concurrent_forget(&gc__heap);
    gc__events_forget_teller();
    gc__finalizers_forget_thread();
    gc__heap.process = gc__os_process_id();
    gc__os_know_process();
    gc__world_unlock(&gc__heap.world);
    if (has_heap)
        gc__os_free_streams();
}

static void ended(void)
{
    leave_middle();
    if (gc__mutator_exists(gc__mutator) && gc__mutator->telling_sp != 0)
        gc__events_tell_no_more(gc__mutator); /* it was cancelled in a callback */
    leave();
    if (gc__mutator_exists(gc__mutator))
        gc__mutator->over = true;
}

static const struct gc__thread_watcher watcher = {
    .starting = starting,
    .started = started,
    .not_started = not_started,
    .begun = begun,
    .returning = returning,
    .ended = ended,
    .joining = joining,
    .joined = joined,
    .detached = detached,
    .before_fork = before_fork,
    .in_parent = in_parent,
    .in_child = in_child,
};

void gc__threads_watch(void)
{
    gc__os_watch_threads(&watcher);
    gc__os_tell_when_ended();
}

/* ---- The explicit way ---------------------------------------------------------------------- */

int gc_thread_register(void)
{
    gc__enter("gc_thread_register");
    return 0;
}

void gc_thread_unregister(void)
{
    leave();
}

/* The function returned, or the thread is cancelled in it. */
static void end_blocking(void *argument)
{
    struct mutator *mutator = argument;

    gc__world_end_safe(&gc__heap.world, mutator);
    gc__world_end(&gc__heap.world, mutator);
    mutator->held[0] = mutator->held[1] = NULL;
    mutator->sp = 0;
}

static void *block_spilled(uintptr_t sp, const char *call, uintptr_t function, uintptr_t argument)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);
    void *result;

    gc__world_begin(mutator);
    mutator->held[1] = (void *)argument; /* it counts as stopped from then on */
    gc__world_begin_safe(&gc__heap.world, mutator, sp);
    result = gc__os_run_cancellable((void *(*)(void *))function, (void *)argument, end_blocking, mutator);
    mutator->held[0] = result;
    end_blocking(mutator);
    return result;
}

void *gc_thread_blocking(void *(*function)(void *argument), void *argument)
{
    return gc__os_spill_registers(block_spilled, "gc_thread_blocking", (uintptr_t)function, (uintptr_t)argument);
}
