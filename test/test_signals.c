/* test_signals.c - handlers of signals that come at any moment, also while a collection
 * works, read and write objects. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/hidden.h"

#include <broom.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { ITEMS = 64, LISTED = 100000, ALLOCATORS = 6, CARRIED = 100, CARRYING = 3000000 };

struct item {
    uint64_t number;
    uint64_t sum; /* number, complemented */
    uint64_t touched;
};

/* Each item is in one place; the handler moves them about. */
struct box {
    struct item *place[ITEMS];
    struct item *moving;
};

static struct box *volatile box;
static void *volatile list; /* something to mark */
static volatile size_t handled;

/* For a moment an item stands in a register of the handler, or in a word that was scanned
 * already. */
static void move_items(int signal_number)
{
    size_t from = handled * 7 % ITEMS, to = handled * 13 % ITEMS;
    struct item *item = box->place[from];

    (void)signal_number;
    box->place[from] = NULL;
    box->moving = item;
    item->touched++;
    item = box->place[to];
    box->place[to] = box->moving;
    if (from != to)
        box->place[from] = item;
    box->moving = NULL;
    handled++;
}

static void *send_signals(void *receiver)
{
    for (size_t sent = 0; sent < effort(3000); sent++) {
        pthread_kill(*(pthread_t *)receiver, SIGUSR1);
        while (handled == sent)
            sched_yield();
    }
    return NULL;
}

static void fill_box(void)
{
    box = gc_malloc(sizeof *box);
    for (size_t i = 0; i < ITEMS; i++) {
        box->place[i] = gc_malloc(sizeof(struct item));
        *box->place[i] = (struct item){i, ~i, 0};
    }
}

static void check_box(void)
{
    bool seen[ITEMS] = {false};

    for (size_t i = 0; i < ITEMS; i++) {
        const struct item *item = box->place[i];

        cr_assert(gc_base(item) == item && item->sum == ~item->number && item->number < ITEMS);
        cr_assert_not(seen[item->number]);
        seen[item->number] = true;
    }
}

static void fill_list(void)
{
    for (size_t i = 0; i < effort(LISTED); i++) {
        void **node = gc_malloc(4 * sizeof *node);

        *node = list;
        list = node;
    }
}

static void make_garbage(void)
{
    for (size_t i = 0; i < 1000; i++)
        memset(gc_malloc(16 + i % 10 * 16), 0x55, 16);
}

/* One mutator, which is interrupted within the collector, too. */
Test(signals, handlers_read_and_write_objects)
{
    struct sigaction action = {.sa_handler = move_items, .sa_flags = SA_RESTART};
    pthread_t sender, self = pthread_self();
    uint64_t touched = 0;

    fill_box();
    fill_list();
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(pthread_create(&sender, NULL, send_signals, &self), 0);
    for (size_t round = 0; handled < effort(3000); round++) {
        make_garbage();
        if (round % 16 == 0)
            gc_collect();
    }
    pthread_join(sender, NULL);
    gc_collect();
    check_box();
    for (size_t i = 0; i < ITEMS; i++)
        touched += box->place[i]->touched;
    cr_assert_eq(touched, effort(3000));
}

static atomic_uint collections;
static atomic_bool enough;

/* The same during a whole collection, if one comes: also in a thread that was about to stop, or
 * waits for the lock. */
static void carry_item(int signal_number)
{
    size_t from = handled * 7 % ITEMS;
    struct item *item = box->place[from];
    unsigned before = collections;

    (void)signal_number;
    box->place[from] = NULL;
    for (volatile unsigned i = 0; i < CARRYING && collections - before < 2; i++)
        continue;
    item->touched++;
    for (size_t to = handled * 13 % ITEMS;; to = (to + 1) % ITEMS)
        if (box->place[to] == NULL) {
            box->place[to] = item;
            break;
        }
    handled++;
}

/* Of a size that takes the long way each time, and seldom stops elsewhere. */
static void *allocate_until_enough(void *unused)
{
    while (!enough)
        cr_assert_not_null(gc_malloc(20000));
    return unused;
}

static void *send_to_each(void *thread)
{
    for (size_t sent = 0; sent < effort(CARRIED); sent++) {
        pthread_kill(((pthread_t *)thread)[sent % ALLOCATORS], SIGUSR1);
        while (handled == sent)
            sched_yield();
    }
    enough = true;
    return NULL;
}

/* Then nothing is to run there until the world goes on. */
Test(signals, handlers_in_threads_that_stop_themselves)
{
    struct sigaction action = {.sa_handler = carry_item, .sa_flags = SA_RESTART};
    pthread_t sender, thread[ALLOCATORS];

    fill_box();
    fill_list();
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    for (size_t i = 0; i < ALLOCATORS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, allocate_until_enough, NULL), 0);
    cr_assert_eq(pthread_create(&sender, NULL, send_to_each, thread), 0);
    while (!enough) {
        gc_collect();
        collections++;
    }
    pthread_join(sender, NULL);
    for (size_t i = 0; i < ALLOCATORS; i++)
        pthread_join(thread[i], NULL);
    check_box();
}

/* ---- What is needed longest ---------------------------------------------------------- */

static __attribute__((noinline)) void *make_object(struct hidden *hidden)
{
    void *object = gc_malloc(64);

    *hidden = hide(object);
    return object;
}

Test(keeping, an_object_lives_until_it_is_not_needed)
{
    for (size_t i = 0; i < 200; i++) {
        struct hidden hidden;
        void *object = make_object(&hidden);

        collect_with_clear_stack();
        cr_assert(is_alive(hidden));
        gc_keep_alive(object);
    }
}
