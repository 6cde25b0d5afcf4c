/* threads.h - several threads that do the same work.
 *
 * No allocator is told of a thread: bdwgc has its own pthread_create, Broom and
 * malloc take in a thread that calls.
 */
#ifndef BENCH_THREADS_H
#define BENCH_THREADS_H

#include <pthread.h>

#include "program.h"

/* Returns whether the thread's result is right. */
typedef bool bench_work(uint64_t *result);

struct bench_thread {
    pthread_t id;
    bench_work *work;
    uint64_t result;
    bool correct;
};

struct bench_threads {
    struct bench_thread *all;
    size_t count;
};

static inline void *bench_thread_main(void *argument)
{
    struct bench_thread *thread = argument;
    thread->correct = thread->work(&thread->result);
    return NULL;
}

static inline struct bench_threads bench_start_threads(size_t count, bench_work *work)
{
    /* Out of the collectors' sight, and there is nothing of theirs in it. */
    struct bench_threads threads = {bench_checked(calloc(count + 1, sizeof *threads.all)), count};
    for (size_t i = 0; i < count; i++) {
        threads.all[i].work = work;
        if (pthread_create(&threads.all[i].id, NULL, bench_thread_main, &threads.all[i]) != 0) {
            fprintf(stderr, "only %zu of %zu threads could be started\n", i, count);
            abort();
        }
    }
    return threads;
}

/* Adds the results to *sum. Returns whether all are right. */
static inline bool bench_join_threads(struct bench_threads threads, uint64_t *sum)
{
    bool correct = true;
    for (size_t i = 0; i < threads.count; i++) {
        pthread_join(threads.all[i].id, NULL);
        correct &= threads.all[i].correct;
        *sum += threads.all[i].result;
    }
    free(threads.all);
    return correct;
}

/* Has the work done `count` times at once. The calling thread is one of them, so
 * one thread is a program without others. Sets *sum to the sum of the results;
 * returns whether all are right. */
static inline bool bench_in_threads(size_t count, bench_work *work, uint64_t *sum)
{
    struct bench_threads others = bench_start_threads(count - 1, work);
    bool correct = work(sum);
    return bench_join_threads(others, sum) & correct;
}

/* For programs with one number after the scale: how many threads. */
static inline size_t bench_start_threaded(int argc, char **argv)
{
    size_t threads = 2;
    bench_start_with(argc, argv, " [threads, 2 by default]", &threads, 1);
    return threads;
}

#endif
