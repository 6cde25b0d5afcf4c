/* test_stack_threads.c - stacks of coroutines in programs of several threads. */
#include "test/coroutine.h"
#include "test/registers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* ---- Threads that run each other's coroutines ------------------------------------------------ */

/* Each is taken by whoever comes first. */
enum { CROWD = 40, THREADS = 4, ROUNDS = 300 };

static struct {
    struct coroutine *coroutine[CROWD];
    bool taken[CROWD];
    size_t left;
    pthread_mutex_t lock;
    _Atomic bool failed;
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __attribute__((noinline)) void wander(struct coroutine *self)
{
    uintptr_t *volatile keep[8] = {NULL};

    for (size_t round = 0; round < effort(ROUNDS); round++) {
        uintptr_t *volatile *slot = &keep[(round * 7 + self->value) % 8];

        if (*slot != NULL && **slot != self->value)
            crowd.failed = true;
        *slot = new_number(self->value);
        for (unsigned i = 0; i < 50; i++)
            *new_number(0) = ~(uintptr_t)0;
        yield(self);
    }
}

static struct coroutine *take(unsigned *random, size_t *which)
{
    struct coroutine *coroutine = NULL;

    pthread_mutex_lock(&crowd.lock);
    *which = (*random = *random * 1103515245 + 12345) / 65536 % CROWD;
    if (!crowd.taken[*which] && !crowd.coroutine[*which]->done) {
        coroutine = crowd.coroutine[*which];
        crowd.taken[*which] = true;
    }
    pthread_mutex_unlock(&crowd.lock);
    return coroutine;
}

static bool put_back(size_t which)
{
    bool all_done;

    pthread_mutex_lock(&crowd.lock);
    crowd.taken[which] = false;
    crowd.left -= crowd.coroutine[which]->done;
    all_done = crowd.left == 0;
    pthread_mutex_unlock(&crowd.lock);
    return all_done;
}

static void *work(void *argument)
{
    unsigned random = (unsigned)(uintptr_t)argument;
    bool over = false;

    while (!over) {
        size_t which;
        struct coroutine *coroutine = take(&random, &which);

        if (coroutine != NULL) {
            resume(coroutine);
            over = put_back(which);
        } else {
            pthread_mutex_lock(&crowd.lock);
            over = crowd.left == 0;
            pthread_mutex_unlock(&crowd.lock);
        }
    }
    return NULL;
}

/* NULL: on stacks of ours. */
static void run_crowd(void *(*new_memory)(void))
{
    pthread_t thread[THREADS];

    crowd.left = CROWD;
    for (size_t i = 0; i < CROWD; i++) {
        crowd.coroutine[i] = new_memory != NULL ? new_coroutine(wander, new_memory()) : coroutine_on_new_stack(wander);
        crowd.coroutine[i]->value = i + 1;
    }
    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, work, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    cr_assert(!crowd.failed);
}

static void *new_mapped(void)
{
    return map(STACK_BYTES);
}

static void *new_atomic(void)
{
    return gc_malloc_atomic(STACK_BYTES);
}

static void *new_conservative(void)
{
    return gc_malloc(STACK_BYTES);
}

Test(stack_threads, run_each_others_coroutines)
{
    run_crowd(new_mapped);
}

Test(stack_threads, run_coroutines_on_atomic_objects)
{
    run_crowd(new_atomic);
}

Test(stack_threads, run_coroutines_on_conservative_objects)
{
    run_crowd(new_conservative);
}

Test(stack_threads, run_coroutines_on_new_stacks)
{
    run_crowd(NULL);
}

Test(stack_threads, run_each_others_coroutines_by_hand)
{
    by_hand = true;
    run_crowd(new_mapped);
}

Test(stack_threads, run_each_others_coroutines_on_new_stacks_by_hand)
{
    by_hand = true;
    run_crowd(NULL);
}

/* ---- A thread that blocks ------------------------------------------------------------------------ */

/* While a thread is in gc_thread_blocking its frames change as they like, also those
 * on a stack that is an object: the check of marked objects must not look at them. */
static struct {
    _Atomic uintptr_t dead; /* hidden */
    _Atomic bool ready, over;
} blocking;

static __attribute__((noinline)) void forget_one(void)
{
    blocking.dead = hide(new_number(1)).bits;
}

static void *hold_dead(void *argument)
{
    void *volatile place = NULL;

    (void)argument;
    blocking.ready = true;
    while (!blocking.over)
        place = place == NULL ? reveal((struct hidden){blocking.dead}) : NULL;
    return NULL;
}

static void block(struct coroutine *self)
{
    (void)self;
    gc_thread_blocking(hold_dead, NULL);
}

static void *run_blocking(void *argument)
{
    resume(argument);
    return NULL;
}

Test(stack_threads, frames_of_a_blocking_thread_on_an_object_are_not_verified)
{
    struct gc_options options = {.stress = 1000};
    void *memory;
    pthread_t thread;

    gc_init_options(&options, sizeof options);
    memory = gc_malloc(STACK_BYTES);
    forget_one();
    cr_assert(pthread_create(&thread, NULL, run_blocking, new_coroutine(block, memory)) == 0);
    while (!blocking.ready)
        sched_yield();
    for (unsigned i = 0; i < 200; i++) {
        forget_one();
        collect_with_clear_stack();
    }
    blocking.over = true;
    pthread_join(thread, NULL);
}

/* ---- A thread at the end of a small stack ------------------------------------------------------- */

enum { SMALL_BYTES = 8 << 10, LEFT_BYTES = 768, ALTERNATE_BYTES = 64 << 10 };

static _Atomic bool is_low, may_rise;

static void spin_low(void)
{
    is_low = true;
    while (!may_rise)
        continue;
}

/* Less is left than the frame of a signal takes. */
static void *run_low(void *guard)
{
    stack_t alternate = {.ss_sp = map(ALTERNATE_BYTES), .ss_size = ALTERNATE_BYTES};

    cr_assert_eq(sigaltstack(&alternate, NULL), 0);
    run_on_stack(hide((char *)guard + SMALL_BYTES + LEFT_BYTES), spin_low);
    return NULL;
}

/* Who has an alternate stack for its signals is stopped there. */
Test(stack_threads, at_the_end_of_a_stack_the_signal_goes_to_the_alternate_one)
{
    char *guard = map(2 * SMALL_BYTES);
    pthread_t thread;

    gc_init();
    cr_assert_eq(mprotect(guard, SMALL_BYTES, PROT_NONE), 0);
    cr_assert_eq(pthread_create(&thread, NULL, run_low, guard), 0);
    while (!is_low)
        sched_yield();
    for (unsigned i = 0; i < 10; i++)
        gc_collect();
    may_rise = true;
    cr_assert_eq(pthread_join(thread, NULL), 0);
}
