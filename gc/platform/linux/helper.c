#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/align.h"
#include "gc/platform/linux/raw.h"
#include "gc/platform/linux/real.h"
#include "gc/platform/linux/thread_area.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

/* A helper's frames are few and small; its stack also holds the thread-local
 * storage of all libraries. It is our own memory, and so no root: old words there would
 * keep objects. */
static size_t stack_bytes(void)
{
    return ((size_t)256 << 10) + gc__align_up(gc__thread_area_static_bytes(), gc__os_page_bytes());
}

/* On the starter's stack, until the helper has told its id. */
struct start {
    void (*main)(void *);
    void *argument;
    _Atomic uint32_t thread_id; /* 0: not known yet */
};

static void *begin(void *argument)
{
    struct start *start = argument;
    void (*main)(void *) = start->main;
    void *main_argument = start->argument;

    /* The starter may go on, and its frame be gone, once the id is stored: the
     * wake-up may then hit a stranger's word, which futexes allow for. */
    atomic_store_explicit(&start->thread_id, (uint32_t)gc__os_thread_id(), memory_order_release);
    gc__os_wake(&start->thread_id, 1);
    main(main_argument);
    return NULL;
}

/* Our own memory, with a page below it that nobody can touch. */
static char *take_stack(void)
{
    size_t guard = gc__os_page_bytes();
    char *stack = gc__os_reserve(guard + stack_bytes(), guard, 0);

    if (stack == NULL || gc__os_commit(stack + guard, stack_bytes()))
        return stack;
    gc__os_release(stack, guard + stack_bytes());
    return NULL;
}

/* `stack`: NULL for one of the C library's. */
static bool create_detached(struct start *start, char *stack)
{
    pthread_attr_t attributes;
    pthread_t thread;
    bool created;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    created = (stack == NULL || pthread_attr_setstack(&attributes, stack + gc__os_page_bytes(), stack_bytes()) == 0) &&
              pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
              GC_REAL(pthread_create)(&thread, &attributes, begin, start) == 0; /* ours makes mutators */
    pthread_attr_destroy(&attributes);
    return created;
}

static bool create_on_own_stack(struct start *start)
{
    char *stack = take_stack();

    if (stack == NULL || create_detached(start, stack))
        return stack != NULL;
    gc__os_release(stack, gc__os_page_bytes() + stack_bytes());
    return false;
}

static long wait_for_id(struct start *start)
{
    uint32_t thread_id;

    while ((thread_id = atomic_load_explicit(&start->thread_id, memory_order_acquire)) == 0)
        gc__os_wait(&start->thread_id, 0, UINT64_MAX);
    return (long)thread_id;
}

/* The mask is inherited: there is no time at which the helper could be asked
 * to run a handler of the program's. A static executable without threads may have nothing
 * to create one with. */
bool gc__os_start_helper(void (*main)(void *), void *argument, long *thread_id)
{
    struct start start = {main, argument, 0};
    int saved_errno = errno;
    sigset_t all, before;
    bool created;

    sigfillset(&all);
    if (!gc__real_exists("pthread_create") || GC_REAL(pthread_sigmask)(SIG_SETMASK, &all, &before) != 0)
        return false;
    created = create_on_own_stack(&start) || create_detached(&start, NULL);
    GC_REAL(pthread_sigmask)(SIG_SETMASK, &before, NULL);
    if (created)
        *thread_id = wait_for_id(&start);
    errno = saved_errno;
    return created;
}

/* By the interposed calls: the thread becomes a mutator, and takes our signal. */
bool gc__os_start_thread(void *(*main)(void *), void *argument)
{
    int saved_errno = errno;
    sigset_t all, before;
    pthread_t thread;
    bool created;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    created = pthread_create(&thread, NULL, main, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (created)
        pthread_detach(thread);
    errno = saved_errno;
    return created;
}

void *gc__os_run_cancellable(void *(*function)(void *argument), void *argument, void (*cleanup)(void *argument),
                             void *cleanup_argument)
{
    void *result;

    pthread_cleanup_push(cleanup, cleanup_argument);
    result = function(argument);
    pthread_cleanup_pop(0);
    return result;
}

/* Leaves errno alone, as a stranger in the handler that stops it does (stop.c). */
void gc__os_yield(void)
{
    gc__raw_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

/* Once in so many times. On a busy machine another thread has the CPU for milliseconds
 * then, and each allocation under stress comes by some of these points. */
#define STAGGER_YIELDS 64
#define STAGGER_SLEEPS 1024

_Atomic bool gc__os_staggers;

/* One number for all: a handler may interrupt its thread here, and the thread-local
 * variables of a stranger are not there. */
void gc__os_stagger(void)
{
    static _Atomic uint32_t turns, nothing;
    uint32_t random;

    if (!atomic_load_explicit(&gc__os_staggers, memory_order_relaxed))
        return;
    random = atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed) * 0x9E3779B1u;
    random ^= random >> 15;
    if (random % STAGGER_SLEEPS == 0)
        gc__os_wait(&nothing, 0, random >> 16);
    else if (random % STAGGER_YIELDS == 0)
        gc__os_yield();
}

void gc__os_relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}
