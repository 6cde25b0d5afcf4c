/* thread_work.h - what tests of threads share: trees that threads build and
 * check, and children that end by themselves. Wants _GNU_SOURCE. */
#ifndef TEST_THREAD_WORK_H
#define TEST_THREAD_WORK_H

#include "test/effort.h"
#include "test/exhaustion.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* ---- Children ------------------------------------------------------------------------ */

/* A child that hangs is killed. Not by alarm: SIGALRM is a test's own. */
static inline void die_after(time_t seconds)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec time = {.it_value.tv_sec = seconds};
    timer_t timer;

    if (number_from_environment("TEST_NO_LIMIT", 0) != 0) /* to look at it with a debugger */
        return;
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    REQUIRE(timer_settime(timer, 0, &time, NULL) == 0);
}

/* ---- Threads -------------------------------------------------------------------------- */

static inline pthread_t begin_thread(void *(*function)(void *argument), void *argument)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, function, argument) == 0);
    return thread;
}

static inline void *end_thread(pthread_t thread)
{
    void *result;

    REQUIRE(pthread_join(thread, &result) == 0);
    return result;
}

static inline uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    while (nanosleep(&left, &left) != 0)
        ;
}

/* Each thread has random numbers of its own (xorshift64*, Vigna, "An
 * experimental exploration of Marsaglia's xorshift generators", 2016). */
static _Thread_local uint64_t thread_random;

static inline size_t thread_random_below(size_t limit)
{
    static _Atomic uint64_t seeds = 20250309;

    if (thread_random == 0)
        thread_random = ++seeds * UINT64_C(0x9e3779b97f4a7c15);
    thread_random ^= thread_random >> 12;
    thread_random ^= thread_random << 25;
    thread_random ^= thread_random >> 27;
    return (thread_random * UINT64_C(0x2545f4914f6cdd1d) >> 33) % limit;
}

/* ---- Contents --------------------------------------------------------------------------- */

/* No two fillings are alike: a cell that was handed out twice shows. */
static inline uint64_t new_stamp(void)
{
    static _Atomic uint64_t stamps;

    return ++stamps * UINT64_C(0x9e3779b97f4a7c15);
}

static inline void fill_words(uint64_t *word, size_t bytes, uint64_t stamp)
{
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        word[i] = stamp + i;
}

static inline void check_words(const uint64_t *word, size_t bytes, uint64_t stamp)
{
    for (size_t i = 0; i < bytes / sizeof *word; i++)
        REQUIRE(word[i] == stamp + i);
    __asm__ volatile("" : : "r"(word)); /* or only an address far from it might be kept until here */
}

static inline void require_zero(const void *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += sizeof(uint64_t))
        REQUIRE(*(const uint64_t *)((const char *)start + i) == 0);
}

/* ---- Trees -------------------------------------------------------------------------------- */

/* A node holds two trees, an atomic object, and a filling of its own. */
struct tree {
    struct tree *child[2];
    uint64_t *text;
    size_t text_bytes;
    uint64_t text_stamp;
    size_t bytes;
    uint64_t stamp;
    bool uncollectable;
};

static inline size_t random_tree_bytes(void)
{
    size_t n = thread_random_below(1000);

    if (n < 800)
        return thread_random_below(200);
    return n < 990 ? thread_random_below(4 << 10) : thread_random_below(100 << 10);
}

static inline void fill_tree_node(struct tree *node, size_t bytes)
{
    node->bytes = bytes;
    node->stamp = new_stamp();
    fill_words((uint64_t *)(node + 1), bytes, node->stamp);
}

static inline struct tree *new_tree_node(void)
{
    size_t bytes = random_tree_bytes(), n = thread_random_below(100), alignment;
    struct tree *node;

    if (n < 10) {
        node = gc_malloc_uncollectable(sizeof *node + bytes);
    } else if (n < 20) {
        alignment = (size_t)16 << thread_random_below(n == 10 ? 13 : 7);
        node = gc_aligned_alloc(alignment, sizeof *node + bytes);
        REQUIRE((uintptr_t)node % alignment == 0);
    } else {
        node = gc_malloc(sizeof *node + bytes);
    }
    REQUIRE(node != NULL);
    require_zero(node, sizeof *node + bytes / 8 * 8);
    node->uncollectable = n < 10;
    fill_tree_node(node, bytes);
    return node;
}

/* Also with objects on the way that are dropped, resized and freed at once. */
static inline struct tree *build_tree(unsigned depth)
{
    struct tree *node = new_tree_node();

    for (unsigned i = 0; i < 2 && depth > 0; i++)
        node->child[i] = build_tree(depth - 1);
    node->text_bytes = random_tree_bytes();
    node->text_stamp = new_stamp();
    node->text = gc_malloc_atomic(node->text_bytes);
    REQUIRE(node->text != NULL);
    fill_words(node->text, node->text_bytes, node->text_stamp);
    if (thread_random_below(4) == 0)
        gc_free(gc_malloc(random_tree_bytes()));
    return node;
}

static inline void check_tree(const struct tree *node)
{
    check_words((const uint64_t *)(node + 1), node->bytes, node->stamp);
    check_words(node->text, node->text_bytes, node->text_stamp);
    for (unsigned i = 0; i < 2; i++)
        if (node->child[i] != NULL)
            check_tree(node->child[i]);
}

/* Resizes texts of the tree, and checks them. */
static inline void resize_tree(struct tree *node)
{
    size_t bytes = random_tree_bytes(), kept = bytes < node->text_bytes ? bytes : node->text_bytes;

    node->text = gc_realloc(node->text, bytes);
    REQUIRE(node->text != NULL);
    check_words(node->text, kept, node->text_stamp);
    node->text_bytes = bytes;
    node->text_stamp = new_stamp();
    fill_words(node->text, bytes, node->text_stamp);
    for (unsigned i = 0; i < 2; i++)
        if (node->child[i] != NULL)
            resize_tree(node->child[i]);
}

/* Frees it, or what would not go by itself. */
static inline void free_tree(struct tree *node, bool whole)
{
    for (unsigned i = 0; i < 2; i++)
        if (node->child[i] != NULL)
            free_tree(node->child[i], whole);
    if (whole)
        gc_free(node->text);
    node->child[0] = node->child[1] = NULL;
    if (whole || node->uncollectable)
        gc_free(node);
}

/* A tree that somebody has built: what becomes of it. */
static inline void consume_tree(struct tree *tree)
{
    check_tree(tree);
    if (thread_random_below(2) == 0) {
        resize_tree(tree);
        check_tree(tree);
    }
    free_tree(tree, thread_random_below(2) == 0);
}

/* ---- Company --------------------------------------------------------------------------------- */

/* Threads that allocate until they are told to end. */
static struct {
    pthread_t thread[8];
    unsigned count;
    _Atomic unsigned begun;
    _Atomic bool ends;
    _Atomic size_t trees;
} company;

static inline void *keep_company(void *first)
{
    struct tree *tree = first;

    company.begun++;
    while (!company.ends) {
        consume_tree(tree);
        tree = build_tree((unsigned)thread_random_below(4));
        company.trees++;
    }
    return tree;
}

/* They run when it returns: while a thread starts it may hold a lock of
 * AddressSanitizer's, which the child of a fork would inherit. */
static inline void begin_company(unsigned count)
{
    company.begun = 0;
    company.ends = false;
    company.count = count;
    for (unsigned i = 0; i < count; i++)
        company.thread[i] = begin_thread(keep_company, build_tree(2));
    while (company.begun != count)
        sleep_ms(1);
}

static inline void end_company(void)
{
    company.ends = true;
    for (unsigned i = 0; i < company.count; i++)
        consume_tree(end_thread(company.thread[i]));
}

#endif
