/* keeper.h - a thread that is the only one to know of objects, while another
 * collects.
 *
 * As in place.h each place is tried twice: with pointers in it, and with their
 * complements. The one who collects writes these, for the thread may wait in any
 * way. Criterion's assertions are for the test's first thread. */
#ifndef TEST_KEEPER_H
#define TEST_KEEPER_H

#include "test/place.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEEPER_SECONDS = 60, KEEPER_ROUNDS = 3 };

struct keeper {
    struct place place;
    void (*wait)(struct keeper *keeper); /* until it is released */
    atomic_bool filled, released;
    int pipe_ends[2];
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    struct hidden other_stack; /* for `wait` to use */
};

/* ---- Ways to wait --------------------------------------------------------------- */

static inline void wait_in_read(struct keeper *keeper)
{
    char byte;

    while (!keeper->released)
        if (read(keeper->pipe_ends[0], &byte, 1) == 1)
            break;
}

static inline void wait_in_loop(struct keeper *keeper)
{
    while (!keeper->released)
        continue;
}

/* ---- The thread ------------------------------------------------------------------- */

/* The words are the only place that knows the objects from here on. */
static __attribute__((noinline, unused)) void keep(struct keeper *keeper, uintptr_t words[WORDS])
{
    keeper->place.words = hide(words);
    keeper->place.count = WORDS;
    fill(&keeper->place);
    clear_stack();
    keeper->filled = true;
    keeper->wait(keeper);
}

static inline void *keep_on_stack(void *argument)
{
    uintptr_t words[WORDS];

    keep(argument, words);
    __asm__ volatile("" : : "r"(words) : "memory");
    return NULL;
}

/* ---- The one who collects ------------------------------------------------------------ */

/* In memory where the collector does not look. */
static inline struct keeper *new_keeper(void (*wait)(struct keeper *keeper))
{
    struct keeper *keeper = calloc(1, sizeof *keeper);

    cr_assert(keeper != NULL && pipe(keeper->pipe_ends) == 0);
    keeper->wait = wait != NULL ? wait : wait_in_read;
    pthread_mutex_init(&keeper->mutex, NULL);
    pthread_cond_init(&keeper->condition, NULL);
    return keeper;
}

static inline void await(const atomic_bool *flag)
{
    for (unsigned i = 0; !*flag; i++) {
        cr_assert(i < KEEPER_SECONDS * 10000, "the thread does not come");
        usleep(100);
    }
}

static inline void check_kept(const struct place *place)
{
    for (unsigned i = 0; i < KEEPER_ROUNDS; i++)
        collect_and_check_intact(place);
}

static inline void check_kept_then_gone(const struct place *place)
{
    check_kept(place);
    complement(place);
    collect_and_check_gone(place);
}

static inline void release(struct keeper *keeper)
{
    char byte = 0;

    pthread_mutex_lock(&keeper->mutex);
    keeper->released = true;
    pthread_cond_broadcast(&keeper->condition);
    pthread_mutex_unlock(&keeper->mutex);
    cr_assert(write(keeper->pipe_ends[1], &byte, 1) == 1);
}

static inline void delete_keeper(struct keeper *keeper)
{
    close(keeper->pipe_ends[0]);
    close(keeper->pipe_ends[1]);
    free(keeper);
}

/* Of a thread that was made for it. */
static inline void check_keeper(struct keeper *keeper, pthread_t thread)
{
    await(&keeper->filled);
    check_kept_then_gone(&keeper->place);
    release(keeper);
    cr_assert(pthread_join(thread, NULL) == 0);
    delete_keeper(keeper);
}

static inline void check_thread(void *(*function)(void *keeper), const pthread_attr_t *attributes,
                                void (*wait)(struct keeper *keeper))
{
    struct keeper *keeper = new_keeper(wait);
    pthread_t thread;

    cr_assert(pthread_create(&thread, attributes, function, keeper) == 0);
    check_keeper(keeper, thread);
}

#endif
