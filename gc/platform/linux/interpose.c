/* interpose.c - the C library's calls that this library has, too: those that
 * make, end and join threads, so that every thread is known from its beginning
 * to its end; and those that block signals, so that the one that stops threads
 * gets through. Each does what it is named for, by the real one. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/platform/linux/exec.h"
#include "gc/platform/linux/loader.h"
#include "gc/platform/linux/real.h"
#include "gc/platform/linux/stack.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

GC_OWN_STATE static struct {
    _Atomic(const struct gc__thread_watcher *) watcher; /* NULL: nobody wants to know */
    pthread_key_t end; /* its value: which round of destructors it is, from one on; out of range: there is none */
    _Atomic uintptr_t forking; /* the thread that holds the heap for a fork */
    bool registered;
} threads = {.end = PTHREAD_KEYS_MAX};

/* ---- Ends ------------------------------------------------------------------------- */

/* Destructors may allocate, and set values again (POSIX, pthread_key_create): ours
 * sets its own in all rounds but the last two. In the last one sanitizers take
 * away what they know of a thread. */
static void destructors_run(void *round)
{
    uintptr_t number = (uintptr_t)round;

    if (number < PTHREAD_DESTRUCTOR_ITERATIONS - 1)
        pthread_setspecific(threads.end, (void *)(number + 1));
    else
        threads.watcher->ended();
}

void gc__os_tell_when_ended(void)
{
    pthread_setspecific(threads.end, (void *)1);
}

/* ---- Forks ------------------------------------------------------------------------- */

/* The thread forks in the middle of our code, where it cannot wait for who has the heap. */
static _Thread_local bool has_no_heap;

static void before_fork(void)
{
    const struct gc__thread_watcher *watcher = threads.watcher;

    gc__stack_note_fork();
    if (watcher == NULL)
        return;
    has_no_heap = !watcher->before_fork();
    if (!has_no_heap)
        threads.forking = gc__os_thread_handle(); /* the child's thread has the same */
}

/* Another thread may have started the heap since: this one does not hold it then. */
static bool holds_the_heap(void)
{
    return threads.forking == gc__os_thread_handle();
}

static void in_parent(void)
{
    if (!holds_the_heap())
        return;
    threads.forking = 0;
    threads.watcher->in_parent();
}

static void in_child(void)
{
    gc__exec_note_process();
    gc__stack_note_child();
    gc__loader_note_child();
    if (!holds_the_heap() && !has_no_heap)
        return;
    threads.forking = 0;
    threads.watcher->in_child(!has_no_heap);
    has_no_heap = false;
}

/* Before the program does anything of the sort. What was registered first is called
 * last before a fork: handlers of the program that take locks have them then, under
 * which others may allocate; and keys may run out. */
static __attribute__((constructor(101))) void be_first(void)
{
    if (threads.registered)
        return;
    threads.registered = true;
    gc__exec_note_process();
    gc__loader_find_lock();
    pthread_atfork(before_fork, in_parent, in_child);
    if (pthread_key_create(&threads.end, destructors_run) != 0)
        threads.end = PTHREAD_KEYS_MAX;
}

/* Constructors of others may use the heap before ours has run. */
void gc__os_watch_threads(const struct gc__thread_watcher *watcher)
{
    be_first();
    threads.watcher = watcher;
}

/* ---- Making and ending threads ------------------------------------------------------ */

static void *run(void *ticket)
{
    const struct gc__thread_watcher *watcher = threads.watcher;
    struct gc__start start = watcher->begun(ticket);
    void *result = start.function(start.argument);

    watcher->returning(result);
    return result;
}

/* A thread that the watcher was not told of: only its end is. */
static void *run_unwatched(void *argument)
{
    struct gc__start start = *(struct gc__start *)argument;
    const struct gc__thread_watcher *watcher;
    void *result;

    free(argument);
    result = start.function(start.argument);
    watcher = threads.watcher;
    if (watcher != NULL)
        watcher->returning(result);
    return result;
}

static int create_unwatched(pthread_t *thread, const pthread_attr_t *attributes, struct gc__start start)
{
    struct gc__start *copy = malloc(sizeof *copy);
    int error;

    if (copy == NULL)
        return EAGAIN;
    *copy = start;
    error = GC_REAL(pthread_create)(thread, attributes, run_unwatched, copy);
    if (error != 0)
        free(copy);
    return error;
}

static bool will_be_detached(const pthread_attr_t *attributes)
{
    int state = PTHREAD_CREATE_JOINABLE;

    return attributes != NULL && pthread_attr_getdetachstate(attributes, &state) == 0 &&
           state == PTHREAD_CREATE_DETACHED;
}

/* glibc would read /proc for the process's first thread, which nobody detaches
 * before it knows of it. */
bool gc__os_thread_is_detached(void)
{
    pthread_attr_t attributes;
    bool is_detached;

    if (gettid() == getpid() || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    is_detached = will_be_detached(&attributes);
    pthread_attr_destroy(&attributes);
    return is_detached;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                          void *argument)
{
    const struct gc__thread_watcher *watcher = threads.watcher;
    struct gc__start start = {function, argument};
    uint64_t serial;
    void *ticket;
    int error;

    if (watcher == NULL)
        return create_unwatched(thread, attributes, start);
    if (!watcher->starting(start, will_be_detached(attributes), &ticket, &serial))
        return EAGAIN;
    if (ticket == NULL)
        return create_unwatched(thread, attributes, start);
    error = GC_REAL(pthread_create)(thread, attributes, run, ticket);
    if (error != 0)
        watcher->not_started(ticket);
    else
        watcher->started(ticket, serial, (const uintptr_t *)thread);
    return error;
}

EXPORT void pthread_exit(void *result)
{
    const struct gc__thread_watcher *watcher = threads.watcher;

    if (watcher != NULL)
        watcher->returning(result);
    GC_REAL(pthread_exit)(result);
    __builtin_unreachable();
}

/* ---- Joining them -------------------------------------------------------------------- */

/* Calls a function of the join family, and tells when it succeeded. */
#define JOIN(call, thread)                                                                                             \
    ({                                                                                                                 \
        const struct gc__thread_watcher *watcher = threads.watcher;                                                    \
        uint64_t serial = watcher != NULL ? watcher->joining((uintptr_t)(thread)) : 0;                                 \
        int error = call;                                                                                              \
        if (error == 0 && watcher != NULL)                                                                             \
            watcher->joined((uintptr_t)(thread), serial);                                                              \
        error;                                                                                                         \
    })

EXPORT int pthread_join(pthread_t thread, void **result)
{
    return JOIN(GC_REAL(pthread_join)(thread, result), thread);
}

EXPORT int pthread_tryjoin_np(pthread_t thread, void **result)
{
    return JOIN(GC_REAL(pthread_tryjoin_np)(thread, result), thread);
}

EXPORT int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *until)
{
    return JOIN(GC_REAL(pthread_timedjoin_np)(thread, result, until), thread);
}

EXPORT int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock, const struct timespec *until)
{
    return JOIN(GC_REAL(pthread_clockjoin_np)(thread, result, clock, until), thread);
}

EXPORT int pthread_detach(pthread_t thread)
{
    const struct gc__thread_watcher *watcher = threads.watcher;

    if (watcher != NULL)
        watcher->detached((uintptr_t)thread);
    return GC_REAL(pthread_detach)(thread);
}

/* ---- Signals ------------------------------------------------------------------------- */

/* `set` without the signal that stops threads. */
static const sigset_t *without_ours(const sigset_t *set, sigset_t *rest)
{
    if (set == NULL || sigismember(set, gc__os_stop_signal()) != 1)
        return set;
    *rest = *set;
    sigdelset(rest, gc__os_stop_signal());
    return rest;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t rest;

    return GC_REAL(pthread_sigmask)(how, how == SIG_UNBLOCK ? set : without_ours(set, &rest), old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    sigset_t rest;

    return GC_REAL(sigprocmask)(how, how == SIG_UNBLOCK ? set : without_ours(set, &rest), old);
}

/* Ours is treated as the C library treats those that it keeps for itself. */
EXPORT int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    struct sigaction filtered;
    sigset_t rest;

    if (threads.watcher != NULL && signal == gc__os_stop_signal()) {
        errno = EINVAL;
        return -1;
    }
    if (action == NULL)
        return GC_REAL(sigaction)(signal, action, old);
    filtered = *action;
    filtered.sa_mask = *without_ours(&action->sa_mask, &rest);
    return GC_REAL(sigaction)(signal, &filtered, old);
}
