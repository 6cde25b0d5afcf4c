/* test_thread_churn.c - threads that come and go, or block, while others collect. */
#define _GNU_SOURCE
#include "gc/cycle/heap.h"
#include "test/thread_work.h"

#include <broom.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

enum { SPAWNERS = 4, CHILDREN = 8, RESULT_BYTES = 40000, STAMP = 0x77 };

static _Atomic bool done;

static void *collect_until_done(void *unused)
{
    while (!done) {
        gc_collect();
        for (unsigned i = 0; i < 20; i++)
            memset(gc_malloc(RESULT_BYTES), 0xbb, sizeof(uintptr_t));
    }
    return unused;
}

static void run_beside_collections(void *(*spawn)(void *unused))
{
    pthread_t collector, spawner[SPAWNERS];

    die_after(120);
    gc_init();
    collector = begin_thread(collect_until_done, NULL);
    for (unsigned i = 0; i < SPAWNERS; i++)
        spawner[i] = begin_thread(spawn, NULL);
    for (unsigned i = 0; i < SPAWNERS; i++)
        end_thread(spawner[i]);
    done = true;
    end_thread(collector);
    while (gc__os_thread_count() > 1 + gc__heap.world.helpers) /* detached ones may still run */
        sleep_ms(1);
    gc__heap_audit(&gc__heap);
}

/* ---- Churn -------------------------------------------------------------------------------------- */

static void *return_nothing(void *unused)
{
    return unused;
}

static void *detach_oneself(void *unused)
{
    REQUIRE(pthread_detach(pthread_self()) == 0);
    return unused;
}

/* A thread that is over may wait for a lock of the C library's that a stopped one
 * holds. (Nobody detaches another that may be ending: glibc 2.36 looks whether it has ended after
 * that, when the descriptor may be the next thread's, and frees that one's.) */
static void *join_and_detach(void *unused)
{
    for (size_t i = 0; i < effort(200); i++) {
        pthread_t thread[CHILDREN];

        for (unsigned j = 0; j < CHILDREN; j++)
            thread[j] = begin_thread(j % 2 == 0 ? return_nothing : detach_oneself, NULL);
        for (unsigned j = 0; j < CHILDREN; j += 2)
            end_thread(thread[j]);
    }
    return unused;
}

static void churn(void)
{
    run_beside_collections(join_and_detach);
}

Test(thread_churn, threads_that_are_over_are_not_waited_for)
{
    check_child(churn);
}

static void *return_stamp(void *unused)
{
    uintptr_t *result = gc_malloc(RESULT_BYTES);

    (void)unused;
    REQUIRE(result != NULL);
    *result = STAMP;
    return result;
}

/* Some are joined before they have begun, and their handles soon are others'. */
static void *join_stamped(void *unused)
{
    for (size_t i = 0; i < effort(1500); i++) {
        pthread_t thread = begin_thread(return_stamp, NULL);

        if (i % 3 == 0)
            sched_yield();
        REQUIRE(*(uintptr_t *)end_thread(thread) == STAMP);
    }
    return unused;
}

static void join_many(void)
{
    run_beside_collections(join_stamped);
}

Test(thread_churn, results_are_not_mixed_up)
{
    check_child(join_many);
}

static void *detach_stamped(void *unused)
{
    for (size_t i = 0; i < effort(500); i++) {
        while (gc__os_thread_count() > 40) /* on a busy machine they would become ever more */
            sched_yield();
        REQUIRE(pthread_detach(begin_thread(return_stamp, NULL)) == 0);
    }
    return unused;
}

static void detach_many(void)
{
    run_beside_collections(detach_stamped);
    for (unsigned i = 0; gc__os_thread_count() > 1 + gc__heap.world.helpers; i++) {
        REQUIRE(i < 10000);
        sleep_ms(1);
    }
    gc_collect();
    REQUIRE(gc__heap.world.ended == NULL && gc__heap.world.starting == NULL);
}

Test(thread_churn, detached_before_they_begin)
{
    check_child(detach_many);
}

/* ---- In gc_thread_blocking ------------------------------------------------------------------------ */

static void *make_threads(void *unused)
{
    for (unsigned i = 0; i < 20; i++)
        end_thread(begin_thread(return_nothing, NULL));
    return unused;
}

static void *fork_once(void *unused)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(0);
    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    return unused;
}

static void *block(void *unused)
{
    for (size_t i = 0; i < effort(50); i++) {
        gc_thread_blocking(make_threads, NULL);
        gc_thread_blocking(fork_once, NULL);
    }
    return unused;
}

static void block_beside_collections(void)
{
    run_beside_collections(block);
}

Test(thread_churn, blocking_calls_may_make_threads_and_fork)
{
    check_child(block_beside_collections);
}

static _Atomic bool is_blocking, may_return;

static void *await_and_look(void *argument)
{
    volatile uintptr_t *words = argument;

    is_blocking = true;
    while (!may_return)
        sleep_ms(1);
    REQUIRE(words[100] == STAMP);
    return NULL;
}

/* Nobody but the call knows the object. */
static void *block_with_argument(void *unused)
{
    uintptr_t *words = gc_malloc(RESULT_BYTES);

    words[100] = STAMP;
    gc_thread_blocking(await_and_look, words);
    return unused;
}

static void collect_beside_a_blocking_call(void)
{
    pthread_t thread;

    die_after(60);
    thread = begin_thread(block_with_argument, NULL);
    while (!is_blocking)
        sleep_ms(1);
    gc_collect();
    for (unsigned i = 0; i < 1000; i++)
        memset(gc_malloc(RESULT_BYTES), 0xbb, RESULT_BYTES);
    may_return = true;
    end_thread(thread);
}

Test(thread_churn, the_argument_of_a_blocking_call_is_a_root)
{
    check_child(collect_beside_a_blocking_call);
}

/* ---- Strangers that took no signals ---------------------------------------------------------------- */

static int wake_ends[2];
static uintptr_t *volatile kept; /* its complement, while the thread has it */
static _Atomic bool holds, may_look;

static void block_all(int how)
{
    uint64_t all = ~(uint64_t)0;

    syscall(SYS_rt_sigprocmask, how, &all, NULL, sizeof all);
}

/* Its only pointer stands where the next collection finds it if it stops the thread. */
static int sleep_then_hold(void *unused)
{
    uintptr_t *object;
    char byte;

    (void)unused;
    block_all(SIG_BLOCK);
    REQUIRE(read(wake_ends[0], &byte, 1) == 1);
    block_all(SIG_UNBLOCK);
    object = (uintptr_t *)~(uintptr_t)kept;
    holds = true;
    while (!may_look)
        __asm__ volatile("" : "+r"(object));
    REQUIRE(object[7] == STAMP);
    return 0;
}

static __attribute__((noinline)) void make_kept(void)
{
    uintptr_t *object = gc_malloc(64);

    object[7] = STAMP;
    kept = (uintptr_t *)~(uintptr_t)object;
}

static void collect_beside_a_deaf_thread(void)
{
    thrd_t thread;

    die_after(60);
    gc_init();
    REQUIRE(pipe(wake_ends) == 0 && thrd_create(&thread, sleep_then_hold, NULL) == thrd_success);
    sleep_ms(50);
    gc_collect(); /* leaves it alone, and need not say so */
    gc_disable();
    make_kept();
    REQUIRE(write(wake_ends[1], "", 1) == 1);
    while (!holds)
        sleep_ms(1);
    gc_enable();
    clear_stack();
    gc_collect();
    for (unsigned i = 0; i < 10000; i++)
        memset(gc_malloc(64), 0xbb, 64);
    may_look = true;
    REQUIRE(thrd_join(thread, NULL) == thrd_success);
}

Test(thread_churn, one_that_took_no_signals_is_stopped_when_it_does)
{
    struct child child = child_run(collect_beside_a_deaf_thread);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    cr_assert_not(child_wrote(&child, "it blocks the signal"), "%s", child.text);
}
