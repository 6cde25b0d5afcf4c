/* test_threads.c - many threads on one heap: what they build, hand over, free
 * for each other, and what they find when memory ends. */
#define _GNU_SOURCE
#include "test/thread_work.h"

#include "gc/cycle/heap.h"

/* ---- Handing over ------------------------------------------------------------------------ */

enum { QUEUE = 64, WORKERS = 8 };

static struct {
    pthread_mutex_t lock;
    struct tree *tree[QUEUE];
    unsigned count;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Puts a tree in the place of another, or takes one out. NULL: there was none. */
static struct tree *exchange(struct tree *tree)
{
    unsigned i;

    pthread_mutex_lock(&queue.lock);
    if (tree != NULL && queue.count < QUEUE) {
        queue.tree[queue.count++] = tree;
        tree = NULL;
    } else if (queue.count > 0) {
        struct tree *other;
        i = (unsigned)thread_random_below(queue.count);
        other = queue.tree[i];
        queue.tree[i] = tree != NULL ? tree : queue.tree[--queue.count];
        tree = other;
    }
    pthread_mutex_unlock(&queue.lock);
    return tree;
}

static size_t trees_for_each_worker = 40;

/* Its argument is known to nobody else, nor its result. */
static void *work(void *first)
{
    struct tree *tree = first;

    for (size_t i = 0; i < trees_for_each_worker; i++) {
        if (tree != NULL)
            consume_tree(tree);
        tree = exchange(thread_random_below(2) == 0 ? build_tree((unsigned)thread_random_below(5)) : NULL);
        if (thread_random_below(500) == 0)
            gc_collect();
    }
    if (tree != NULL)
        consume_tree(tree);
    return build_tree(2);
}

/* Threads end and begin all the time. */
static void hand_over(void)
{
    pthread_t thread[WORKERS];
    size_t generations = effort(60);

    die_after(300);
    for (size_t i = 0; i < (generations + 1) * WORKERS; i++) {
        if (i >= WORKERS)
            consume_tree(end_thread(thread[i % WORKERS]));
        if (i < generations * WORKERS)
            thread[i % WORKERS] = begin_thread(work, build_tree(2));
    }
    while (queue.count > 0)
        consume_tree(exchange(NULL));
    gc_collect();
    gc__heap_audit(&gc__heap);
}

Test(threads, trees_are_handed_over)
{
    check_child(hand_over);
}

/* Nobody joins, nor calls us before it has something that we should know of. */
static void hand_over_for_long(void)
{
    pthread_t thread[WORKERS];

    die_after(300);
    trees_for_each_worker = effort(3000);
    for (unsigned i = 0; i < WORKERS; i++)
        thread[i] = begin_thread(work, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        consume_tree(end_thread(thread[i]));
}

Test(threads, trees_are_handed_over_for_long)
{
    check_child(hand_over_for_long);
}

/* ---- One allocates, another frees ----------------------------------------------------------- */

static struct {
    _Atomic(uint64_t *) slot[256];
    size_t rounds;
} exchanged;

static size_t bytes_of_slot(size_t slot)
{
    return 16 + slot * slot;
}

static void *produce(void *unused)
{
    for (size_t i = 0; i < exchanged.rounds; i++)
        for (size_t slot = 0; slot < 256; slot++) {
            size_t bytes = bytes_of_slot(slot);
            uint64_t *object;
            while (exchanged.slot[slot] != NULL)
                sched_yield();
            object = slot % 3 == 0 ? gc_malloc_uncollectable(bytes) : gc_malloc(bytes);
            REQUIRE(object != NULL);
            require_zero(object, bytes / 8 * 8);
            fill_words(object, bytes, i ^ slot);
            exchanged.slot[slot] = object;
        }
    return unused;
}

static void *free_produced(void *unused)
{
    for (size_t i = 0; i < exchanged.rounds; i++)
        for (size_t slot = 0; slot < 256; slot++) {
            uint64_t *object;
            while ((object = exchanged.slot[slot]) == NULL)
                sched_yield();
            exchanged.slot[slot] = NULL;
            check_words(object, bytes_of_slot(slot), i ^ slot);
            gc_free(object);
        }
    return unused;
}

static void free_for_another(void)
{
    pthread_t producer, consumer;
    struct gc_stats stats;

    die_after(300);
    exchanged.rounds = effort(300);
    producer = begin_thread(produce, NULL);
    consumer = begin_thread(free_produced, NULL);
    end_thread(producer);
    end_thread(consumer);
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.heap_peak_bytes < (uint64_t)48 * MIB);
    REQUIRE(stats.bytes_freed <= stats.bytes_allocated);
}

Test(threads, objects_are_freed_by_another)
{
    check_child(free_for_another);
}

/* ---- Many that hold little ---------------------------------------------------------------------- */

enum { MANY = 200, FEW_OBJECTS = 3, SIZES = 20 };

static struct {
    pthread_barrier_t filled, measured;
    _Atomic uint64_t bytes;
} holders;

static void *hold_a_little(void *unused)
{
    uint64_t *object[SIZES][FEW_OBJECTS];
    size_t bytes = 16;

    for (unsigned size = 0; size < SIZES; size++, bytes = bytes * 4 / 3 + 16)
        for (unsigned i = 0; i < FEW_OBJECTS; i++) {
            object[size][i] = gc_malloc(bytes);
            REQUIRE(object[size][i] != NULL);
            fill_words(object[size][i], bytes, (uintptr_t)object[size][i] * 3);
            holders.bytes += gc_usable_size(object[size][i]);
        }
    pthread_barrier_wait(&holders.filled);
    pthread_barrier_wait(&holders.measured);
    bytes = 16;
    for (unsigned size = 0; size < SIZES; size++, bytes = bytes * 4 / 3 + 16)
        for (unsigned i = 0; i < FEW_OBJECTS; i++)
            check_words(object[size][i], bytes, (uintptr_t)object[size][i] * 3);
    return unused;
}

static void hold_a_little_each(void)
{
    pthread_t thread[MANY];
    pthread_attr_t attributes;
    struct gc_stats stats;

    die_after(300);
    pthread_barrier_init(&holders.filled, NULL, MANY + 1);
    pthread_barrier_init(&holders.measured, NULL, MANY + 1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    for (unsigned i = 0; i < MANY; i++)
        REQUIRE(pthread_create(&thread[i], &attributes, hold_a_little, NULL) == 0);
    pthread_barrier_wait(&holders.filled);
    for (unsigned i = 0; i < 3; i++) {
        gc_get_stats(&stats, sizeof stats);
        REQUIRE(stats.heap_bytes <= holders.bytes + (uint64_t)64 * MIB);
        gc_collect();
    }
    pthread_barrier_wait(&holders.measured);
    for (unsigned i = 0; i < MANY; i++)
        end_thread(thread[i]);
}

Test(threads, many_hold_little)
{
    check_child(hold_a_little_each);
}

/* ---- Starting ------------------------------------------------------------------------------------- */

static pthread_key_t others_key;
static pthread_barrier_t start_line;
static void (*first_call)(void);

static void *call_first(void *unused)
{
    void *object;

    REQUIRE(pthread_setspecific(others_key, &others_key) == 0);
    pthread_barrier_wait(&start_line);
    first_call();
    object = gc_malloc(100);
    REQUIRE(object != NULL && gc_base(object) == object);
    REQUIRE(pthread_getspecific(others_key) == &others_key);
    return unused;
}

static void do_nothing_to(void *value)
{
    REQUIRE(value == &others_key);
}

/* The heap starts in the middle of that. */
static void start_at_once(void)
{
    pthread_t thread[3];
    struct gc_stats stats;

    die_after(60);
    REQUIRE(pthread_key_create(&others_key, do_nothing_to) == 0);
    pthread_barrier_init(&start_line, NULL, 3);
    for (unsigned i = 0; i < 3; i++)
        thread[i] = begin_thread(call_first, NULL);
    for (unsigned i = 0; i < 3; i++)
        end_thread(thread[i]);
    gc_collect();
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.collections > 0);
    end_thread(begin_thread(hold_a_little, NULL));
}

static void start_by_malloc(void)
{
    REQUIRE(gc_malloc(10) != NULL);
}

static void start_by_options(void)
{
    struct gc_options options = {.max_heap = 100 << 20};
    int error = gc_init_options(&options, sizeof options);

    REQUIRE(error == 0 || error == EALREADY);
}

static void start_many_times(void)
{
    static void (*const calls[])(void) = {gc_init, start_by_malloc, start_by_options, gc_collect, gc_disable};

    pthread_barrier_init(&holders.filled, NULL, 1);
    pthread_barrier_init(&holders.measured, NULL, 1);
    for (size_t i = 0; i < effort(300); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            first_call = calls[i % (sizeof calls / sizeof calls[0])];
            start_at_once();
            _exit(0);
        }
        REQUIRE(waitpid(pid, &status, 0) == pid);
        if (status != 0)
            fprintf(stderr, "round %zu status %d\n", i, status);
    }
}

Test(threads, several_start_the_heap)
{
    check_child(start_many_times);
}

/* ---- Steering and asking ------------------------------------------------------------------------------ */

enum { ROOT_WORDS = 32 };

static void *steer(void *unused)
{
    uint64_t **words = calloc(ROOT_WORDS, sizeof *words);
    struct gc_stats before, stats;

    for (size_t round = 0; round < effort(150); round++) {
        gc_get_stats(&before, sizeof before);
        REQUIRE(gc_add_roots(words, words + ROOT_WORDS) == 0);
        gc_disable();
        for (unsigned i = 0; i < ROOT_WORDS; i++) {
            words[i] = gc_malloc(64 + 100 * i);
            fill_words(words[i], 64, round + i);
        }
        gc_enable();
        if (round % 16 == 0)
            gc_collect();
        for (unsigned i = 0; i < 20; i++)
            REQUIRE(gc_malloc(10000) != NULL);
        for (unsigned i = 0; i < ROOT_WORDS; i++)
            check_words(words[i], 64, round + i);
        REQUIRE(gc_remove_roots(words, words + ROOT_WORDS) == 0);
        gc_get_stats(&stats, sizeof stats);
        REQUIRE(stats.collections >= before.collections && stats.bytes_allocated >= before.bytes_allocated);
        REQUIRE(stats.heap_bytes <= stats.heap_peak_bytes && stats.heap_peak_bytes <= stats.reserved_bytes);
        REQUIRE(stats.pause_last_ns <= stats.pause_max_ns && stats.pause_max_ns <= stats.pause_total_ns);
    }
    free(words);
    return unused;
}

static void steer_all(void)
{
    pthread_t thread[WORKERS];
    struct gc_stats before, stats;

    die_after(300);
    for (unsigned i = 0; i < WORKERS; i++)
        thread[i] = begin_thread(steer, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        end_thread(thread[i]);
    gc_get_stats(&before, sizeof before);
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(gc_malloc(MIB) != NULL);
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.collections > before.collections);
}

Test(threads, several_steer_and_ask)
{
    check_child(steer_all);
}

/* ---- Memory ends ------------------------------------------------------------------------------------------ */

/* A list that only its thread knows. */
static _Thread_local struct node *own_list;
static _Atomic unsigned asked;

static void drop_own_list(void)
{
    while (own_list != NULL) {
        struct node *next = own_list->next;
        REQUIRE(node_is_intact(own_list));
        own_list->next = NULL;
        own_list = next;
    }
}

static bool add_to_own_list(size_t bytes)
{
    struct node *node;

    errno = 0;
    node = gc_malloc(bytes);
    if (node == NULL) {
        REQUIRE(errno == ENOMEM);
        return false;
    }
    REQUIRE(errno == 0);
    node->bytes = bytes;
    node->fill = (unsigned char)thread_random_below(256);
    fill_node(node);
    node->next = own_list;
    own_list = node;
    return true;
}

static void *exhaust(void *unused)
{
    static const size_t sizes[] = {48, 300, 5000, 20000, 100000, 32, 700000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        while (add_to_own_list(sizes[i]))
            ;
        drop_own_list();
    }
    return unused;
}

static void *exhaust_with_handler(void *unused)
{
    unsigned before = asked;

    for (size_t i = 0; asked < before + 20 && i < 2000000; i++)
        REQUIRE(add_to_own_list(1000 + thread_random_below(20000)));
    drop_own_list();
    return unused;
}

static bool drop_ones_own(size_t bytes, void *data)
{
    REQUIRE(bytes >= 1000 && data == &asked);
    asked++;
    if (own_list == NULL) /* others hold it all */
        sched_yield();
    drop_own_list();
    clear_stack();
    return true;
}

static void exhaust_together(void *(*function)(void *argument))
{
    pthread_t thread[4];
    struct gc_stats stats;

    for (unsigned i = 0; i < 4; i++)
        thread[i] = begin_thread(function, NULL);
    for (unsigned i = 0; i < 4; i++)
        end_thread(thread[i]);
    gc_collect();
    gc__heap_audit(&gc__heap);
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.heap_peak_bytes <= 16 * MIB);
    REQUIRE(stats.live_bytes < 2 * MIB);
}

static void exhaust_all(void)
{
    die_after(300);
    unsetenv("BROOM_STRESS");
    setenv("BROOM_MAX_HEAP", "16m", 1);
    exhaust_together(exhaust);
    gc_set_oom_handler(drop_ones_own, &asked);
    exhaust_together(exhaust_with_handler);
    REQUIRE(asked >= 20);
    gc_set_oom_handler(NULL, NULL);
    exhaust_together(exhaust);
    for (unsigned i = 0; i < 130; i++)
        REQUIRE(add_to_own_list(100000));
    drop_own_list();
}

Test(threads, several_exhaust_the_heap)
{
    check_child(exhaust_all);
}
