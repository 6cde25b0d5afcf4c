/* test_thread_life.c - what must survive a collection while threads begin and
 * end: arguments of those that have not run yet, results that nobody has
 * fetched; and that a process may lose its first thread. */
#define _GNU_SOURCE
#include "gc/cycle/heap.h"
#include "test/child.h"
#include "test/effort.h"
#include "test/keeper.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { THREADS = WORDS };

/* Threads are counted here: no helpers of the collector's among them. */
static void have_one_marker(void)
{
    setenv("BROOM_MARKERS", "1", 1);
}

TestSuite(thread_life, .init = have_one_marker, .timeout = 2 * KEEPER_SECONDS);

/* ---- Arguments ------------------------------------------------------------------------- */

static atomic_bool done;
static atomic_uint damaged;

static void *collect_until_done(void *argument)
{
    (void)argument;
    while (!done) {
        gc_collect();
        overwrite_free_memory();
    }
    return NULL;
}

/* Both know only of the object's parts: its child, and the number there. */
static void *check_argument(void *argument)
{
    struct node *node = argument;
    struct node *child = gc_base(node->child);

    damaged += child == NULL || child->id != ~node->id;
    return new_node(node->id + 1);
}

static __attribute__((noinline)) void start(pthread_t *thread, size_t id)
{
    cr_assert(pthread_create(thread, NULL, check_argument, new_node(id)) == 0);
}

static __attribute__((noinline)) void join_and_check(pthread_t thread, size_t id)
{
    void *result;

    cr_assert(pthread_join(thread, &result) == 0);
    cr_assert(node_is_intact(hide(result), id + 1), "the result of thread %zu is lost", id);
}

Test(thread_life, arguments_and_results)
{
    pthread_t collector, thread[8];
    size_t count = sizeof thread / sizeof thread[0];

    cr_assert(pthread_create(&collector, NULL, collect_until_done, NULL) == 0);
    for (size_t round = 0; round < effort(90); round++) {
        for (size_t i = 0; i < count; i++)
            start(&thread[i], round + i);
        for (size_t i = 0; i < count; i++)
            join_and_check(thread[i], round + i);
    }
    done = true;
    pthread_join(collector, NULL);
    cr_assert(damaged == 0, "%u arguments are lost", damaged);
}

/* ---- Results ------------------------------------------------------------------------------ */

static struct hidden result[THREADS]; /* of the threads, as made by themselves */

static void *return_result(void *number)
{
    struct node *node = new_node((uintptr_t)number);

    result[(uintptr_t)number] = hide(node);
    return node;
}

static void *exit_with_result(void *number)
{
    pthread_exit(return_result(number));
}

static void *return_result_when_unregistered(void *number)
{
    void *node = return_result(number);

    gc_thread_unregister();
    return node;
}

static __attribute__((noinline)) void make_values(const pthread_key_t *key)
{
    pthread_setspecific(*key, new_node(0));
}

static pthread_key_t late;

static void allocate_late(void *value)
{
    (void)value;
    overwrite_free_memory();
}

/* Allocates in a destructor, too. */
static void *return_result_with_destructors(void *number)
{
    make_values(&late);
    return return_result(number);
}

static size_t count_threads(void)
{
    struct stat status;

    cr_assert(stat("/proc/self/task", &status) == 0);
    return status.st_nlink - gc__heap.world.helpers; /* the collector's own may come at any time */
}

/* A thread has ended when the system has forgotten it. */
static void await_end_of_threads(size_t count_before)
{
    struct timespec time = {.tv_nsec = 1000000};

    for (unsigned i = 0; count_threads() > count_before; i++) {
        cr_assert(i < KEEPER_SECONDS * 1000, "the threads do not end");
        nanosleep(&time, NULL);
    }
}

static void start_all(pthread_t thread[THREADS], void *(*function)(void *number), const pthread_attr_t *attributes)
{
    size_t count = count_threads();

    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], attributes, function, (void *)i) == 0);
    await_end_of_threads(count);
}

static struct place results(void)
{
    struct place place = {.count = THREADS};

    memcpy(place.object, result, sizeof result);
    return place;
}

typedef int join_function(pthread_t thread, void **result);

static int join_timed(pthread_t thread, void **value)
{
    struct timespec until = {.tv_sec = time(NULL) + KEEPER_SECONDS};

    return pthread_timedjoin_np(thread, value, &until);
}

static int join_clock(pthread_t thread, void **value)
{
    struct timespec until = {.tv_sec = time(NULL) + KEEPER_SECONDS};

    return pthread_clockjoin_np(thread, value, CLOCK_REALTIME, &until);
}

static int detach(pthread_t thread, void **value)
{
    *value = NULL;
    return pthread_detach(thread);
}

static __attribute__((noinline)) void join_all(pthread_t thread[THREADS], join_function *join)
{
    for (size_t i = 0; i < THREADS; i++) {
        void *value;
        cr_assert(join(thread[i], &value) == 0);
        cr_assert(value == NULL || value == reveal(result[i]));
    }
}

static void check_results(void *(*function)(void *number), join_function *join)
{
    pthread_t thread[THREADS];
    struct place place;

    gc_init();
    start_all(thread, function, NULL);
    place = results();
    check_kept(&place);
    join_all(thread, join);
    collect_and_check_gone(&place);
}

Test(thread_life, results_returned)
{
    check_results(return_result, pthread_join);
}

Test(thread_life, results_of_pthread_exit)
{
    check_results(exit_with_result, pthread_join);
}

Test(thread_life, results_of_threads_with_destructors)
{
    cr_assert(pthread_key_create(&late, allocate_late) == 0);
    check_results(return_result_with_destructors, pthread_join);
}

Test(thread_life, results_of_unregistered_threads)
{
    check_results(return_result_when_unregistered, pthread_join);
}

Test(thread_life, results_joined_in_other_ways)
{
    check_results(return_result, pthread_tryjoin_np);
    check_results(return_result, join_timed);
    check_results(exit_with_result, join_clock);
}

Test(thread_life, results_of_threads_that_are_detached_after_their_end)
{
    check_results(return_result, detach);
}

Test(thread_life, results_of_detached_threads)
{
    pthread_t thread[THREADS];
    pthread_attr_t attributes;
    struct place place;

    gc_init();
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    start_all(thread, return_result, &attributes);
    place = results();
    collect_and_check_gone(&place);
    pthread_attr_destroy(&attributes);
}

/* ---- The first call ----------------------------------------------------------------------------- */

enum { FIRST_CALLERS = 4 };

static pthread_barrier_t barrier;

static void *call_first(void *argument)
{
    (void)argument;
    pthread_barrier_wait(&barrier);
    return new_node(1);
}

static void call_all_at_once(void)
{
    pthread_t thread[FIRST_CALLERS];
    void *value;

    alarm(KEEPER_SECONDS);
    pthread_barrier_init(&barrier, NULL, FIRST_CALLERS);
    for (size_t i = 0; i < FIRST_CALLERS; i++)
        pthread_create(&thread[i], NULL, call_first, NULL);
    for (size_t i = 0; i < FIRST_CALLERS; i++) {
        pthread_join(thread[i], &value);
        if (!node_is_intact(hide(value), 1))
            _exit(1);
    }
}

/* Those who come second find all in place. */
Test(thread_life, many_call_first)
{
    for (size_t i = 0; i < effort(100); i++) {
        struct child child = child_run(call_all_at_once);
        cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    }
}

/* ---- Threads that are older than the heap ----------------------------------------------------- */

static atomic_bool may_begin;

static void *return_result_when_told(void *number)
{
    await(&may_begin);
    return return_result(number);
}

static void *exit_with_result_when_told(void *number)
{
    await(&may_begin);
    pthread_exit(return_result(number));
}

static void check_results_of_older_threads(void *(*function)(void *number))
{
    size_t count = count_threads();
    pthread_t thread[THREADS];
    struct place place;

    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, function, (void *)i) == 0);
    gc_init();
    may_begin = true;
    await_end_of_threads(count);
    place = results();
    check_kept(&place);
    join_all(thread, pthread_join);
    collect_and_check_gone(&place);
}

Test(thread_life, results_of_threads_older_than_the_heap)
{
    check_results_of_older_threads(return_result_when_told);
}

Test(thread_life, results_of_pthread_exit_of_threads_older_than_the_heap)
{
    check_results_of_older_threads(exit_with_result_when_told);
}

/* ---- A process without its first thread -------------------------------------------------------------- */

/* Of place.h, but without assertions. */
static bool all_intact(const struct place *place)
{
    for (size_t i = 0; i < place->count; i++)
        if (!node_is_intact(place->object[i], i))
            return false;
    return true;
}

static void *collect_alone(void *argument)
{
    struct keeper *keeper = argument;
    uintptr_t words[WORDS];
    struct place own = {.words = hide(words), .count = WORDS};

    await(&keeper->filled);
    usleep(50000);
    fill(&own);
    for (unsigned i = 0; i < 20; i++) {
        collect_with_clear_stack();
        overwrite_free_memory();
        if (!all_intact(&own) || !all_intact(&keeper->place))
            _exit(1);
    }
    exit(0);
}

static void lose_first_thread(void)
{
    struct keeper *keeper = new_keeper(NULL);
    pthread_t thread;

    alarm(KEEPER_SECONDS);
    pthread_create(&thread, NULL, collect_alone, keeper);
    pthread_create(&thread, NULL, keep_on_stack, keeper);
    pthread_exit(NULL);
}

Test(thread_life, first_thread_exits)
{
    struct child child = child_run(lose_first_thread);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
}

static void lose_first_thread_after_start(void)
{
    gc_collect();
    lose_first_thread();
}

Test(thread_life, first_thread_exits_that_has_started_the_heap)
{
    struct child child = child_run(lose_first_thread_after_start);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
}

/* Its result is one as any other's. */
static pthread_t first_thread;

static void *join_first_thread(void *argument)
{
    void *value = NULL;

    (void)argument;
    usleep(50000);
    for (unsigned i = 0; i < 20; i++)
        collect_and_overwrite();
    if (pthread_join(first_thread, &value) != 0 || !node_is_intact(hide(value), 3))
        _exit(1);
    exit(0);
}

static void leave_result_of_first_thread(void)
{
    pthread_t thread;

    alarm(KEEPER_SECONDS);
    first_thread = pthread_self();
    gc_init();
    pthread_create(&thread, NULL, join_first_thread, NULL);
    pthread_exit(new_node(3));
}

Test(thread_life, result_of_the_first_thread)
{
    struct child child = child_run(leave_result_of_first_thread);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
}
