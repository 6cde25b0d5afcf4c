/* races.c - threads that build, hand over, check and free objects while others
 * collect: for ThreadSanitizer, which then sees each edge by which a stop orders
 * what came before it and what comes after. A program of its own, as Criterion
 * does not run under that. Linked with stop_by_asking.c.
 *
 * All threads have begun before the first of them collects, and who waits does so
 * in gc_thread_blocking: there is no signal that could stop it elsewhere. */
#include <broom.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 4, ROUNDS = 60, DEPTH = 9, NODES = (2 << DEPTH) - 1 };

struct node {
    struct node *left, *right;
    size_t depth;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct node *shelf[THREADS];
static _Atomic unsigned begun, finished;

static void fail(const char *what)
{
    fprintf(stderr, "races: %s\n", what);
    exit(1);
}

static struct node *build(size_t depth)
{
    struct node *node = gc_malloc(sizeof *node);

    if (node == NULL)
        fail("no memory");
    node->depth = depth;
    if (depth > 0) {
        node->left = build(depth - 1);
        node->right = build(depth - 1);
    }
    return node;
}

static size_t count(const struct node *node, size_t depth)
{
    if (node == NULL)
        return 0;
    if (node->depth != depth)
        fail("an object was lost");
    return 1 + count(node->left, depth - 1) + count(node->right, depth - 1);
}

static void free_all(struct node *node)
{
    if (node == NULL)
        return;
    free_all(node->left);
    free_all(node->right);
    gc_free(node);
}

/* Puts a tree in the place of another, which it returns. */
static struct node *exchange(size_t place, struct node *tree)
{
    struct node *other;

    pthread_mutex_lock(&mutex);
    other = shelf[place];
    shelf[place] = tree;
    pthread_mutex_unlock(&mutex);
    return other;
}

static void *wait_for_all(void *argument)
{
    _Atomic unsigned *arrived = argument;

    ++*arrived;
    while (*arrived < THREADS)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return NULL;
}

static void do_round(size_t thread, size_t round)
{
    struct node *other = exchange((thread + round) % THREADS, build(DEPTH));
    char *large = gc_malloc(100000 + 1000 * round);

    if (large == NULL || large[50000] != 0)
        fail("a large object is not zero");
    if (other != NULL && count(other, DEPTH) != NODES)
        fail("a tree was lost");
    if (round % 3 == 0)
        free_all(other); /* which another thread built */
    if (round % 10 == thread)
        gc_collect();
}

static void *work(void *thread)
{
    gc_thread_register();
    wait_for_all(&begun);
    for (size_t round = 0; round < ROUNDS; round++)
        do_round((size_t)(uintptr_t)thread, round);
    return gc_thread_blocking(wait_for_all, &finished);
}

static void *join_all(void *threads)
{
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(((pthread_t *)threads)[i], NULL);
    return NULL;
}

int main(void)
{
    pthread_t thread[THREADS];
    struct gc_stats stats;

    gc_init();
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i) != 0)
            fail("a thread cannot be made");
    gc_thread_blocking(join_all, thread);
    gc_get_stats(&stats, sizeof stats);
    if (stats.collections < ROUNDS * THREADS / 10)
        fail("too little was collected");
    printf("races: %llu collections\n", (unsigned long long)stats.collections);
}
