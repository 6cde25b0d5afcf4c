/* test_reclaim.c - what must be reclaimed, and that memory stays bounded.
 *
 * Objects are held by the words of a range that is a root by gc_add_roots, and
 * from nowhere else; what is dropped there must be gone after a collection,
 * but for the few that a stack word holds by chance. */
#include "test/effort.h"
#include "test/hidden.h"
#include "test/random.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROOTS = 4096, MANY = 1000 };

static uintptr_t *roots; /* complemented: not even these are found by it */

static uintptr_t *root_words(void)
{
    return reveal((struct hidden){(uintptr_t)roots});
}

static void make_roots(void)
{
    uintptr_t *words = mmap(NULL, ROOTS * sizeof *words, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(words != MAP_FAILED && gc_add_roots(words, words + ROOTS) == 0);
    roots = (uintptr_t *)hide(words).bits;
}

static void make_roots_without_stress(void)
{
    without_stress();
    make_roots();
}

static void drop_roots(void)
{
    for (size_t i = 0; i < ROOTS; i++)
        root_words()[i] = 0;
}

static struct gc_stats stats_now(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

/* All are alive while the roots hold them; when these are dropped, no more
 * than `chance` percent are. */
static void check_reclaimed(const struct hidden *object, size_t count, size_t chance)
{
    size_t alive;

    collect_with_clear_stack();
    alive = count_alive(object, count);
    cr_assert(alive == count, "%zu of %zu were reclaimed too early", count - alive, count);
    drop_roots();
    collect_with_clear_stack();
    alive = count_alive(object, count);
    cr_assert(alive * 100 <= count * chance, "%zu of %zu were not reclaimed", alive, count);
}

/* ---- Shapes --------------------------------------------------------------------- */

struct node {
    struct node *next;
    struct node *before;
    uint64_t number;
};

static __attribute__((noinline)) struct hidden new_ring(size_t nodes)
{
    struct node *first = gc_malloc(sizeof *first), *last = first;

    for (size_t i = 1; i < nodes; i++) {
        last->next = gc_malloc(sizeof *last);
        last->next->before = last;
        last = last->next;
    }
    last->next = first;
    first->before = last;
    return hide(first);
}

static __attribute__((noinline)) void make_rings(struct hidden *ring, size_t count, size_t nodes)
{
    for (size_t i = 0; i < count; i++) {
        ring[i] = new_ring(nodes);
        root_words()[i] = (uintptr_t)reveal(ring[i]) + i % sizeof(struct node);
    }
}

Test(reclaim, rings, .init = make_roots)
{
    struct hidden ring[MANY];

    make_rings(ring, MANY, 1);
    check_reclaimed(ring, MANY, 2);
    make_rings(ring, MANY, 2);
    check_reclaimed(ring, MANY, 2);
    make_rings(ring, MANY, 30);
    check_reclaimed(ring, MANY, 2);
}

static __attribute__((noinline)) void make_lists(struct hidden *end, size_t count, size_t nodes)
{
    for (size_t i = 0; i < count; i++) {
        struct node *list = gc_malloc(sizeof *list);
        end[i] = hide(list);
        for (size_t j = 1; j < nodes; j++) {
            struct node *node = gc_malloc(sizeof *node);
            node->next = list;
            list = node;
        }
        root_words()[i] = (uintptr_t)list;
    }
}

/* A word by chance holds a list from there to its end, which is looked at. */
Test(reclaim, long_lists, .init = make_roots)
{
    struct hidden end[200];

    make_lists(end, 200, effort(5000));
    check_reclaimed(end, 200, 4);
}

static __attribute__((noinline)) void make_large(struct hidden *object, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        object[i] = hide(gc_malloc((33 << 10) + i * 7777));
        root_words()[i] = (uintptr_t)reveal(object[i]) + (33 << 10);
    }
}

Test(reclaim, large_objects, .init = make_roots)
{
    struct hidden object[300];

    make_large(object, 300);
    check_reclaimed(object, 300, 2);
    cr_assert(stats_now().live_bytes < 20 << 20);
}

/* The first half of the words are no roots any more. */
Test(reclaim, removed_roots, .init = make_roots)
{
    struct hidden object[MANY];
    size_t alive;

    make_rings(object, MANY, 1);
    cr_assert(gc_remove_roots(root_words(), root_words() + MANY / 2) == 0);
    collect_with_clear_stack();
    alive = count_alive(object, MANY / 2);
    cr_assert(alive <= MANY / 50, "%zu are alive", alive);
    cr_assert(count_alive(object + MANY / 2, MANY / 2) == MANY / 2);

    cr_assert(gc_remove_roots(root_words(), root_words() + ROOTS) == 0);
    collect_with_clear_stack();
    alive = count_alive(object, MANY);
    cr_assert(alive <= MANY / 50, "%zu are alive", alive);
}

/* ---- Words that are no roots ------------------------------------------------------- */

static __attribute__((noinline)) void fill(uintptr_t *words, struct hidden *object, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *new = gc_malloc(sizeof(struct node));
        object[i] = hide(new);
        words[i] = (uintptr_t) new;
    }
}

static void check_no_roots(const struct hidden *object, size_t count)
{
    size_t alive;

    collect_with_clear_stack();
    alive = count_alive(object, count);
    cr_assert(alive <= count / 50, "%zu of %zu are alive", alive, count);
}

Test(reclaim, malloc_memory_is_no_root)
{
    struct hidden object[MANY];
    uintptr_t *words = calloc(MANY, sizeof *words);

    fill(words, object, MANY);
    check_no_roots(object, MANY);
    free(words);
}

static __attribute__((noinline)) void fill_atomic(struct hidden *object, size_t bytes)
{
    uintptr_t *words = gc_malloc_atomic(bytes);

    root_words()[0] = (uintptr_t)words;
    fill(words, object, MANY);
}

Test(reclaim, contents_of_atomic_objects, .init = make_roots)
{
    struct hidden object[MANY];

    fill_atomic(object, MANY * sizeof(uintptr_t)); /* small */
    check_no_roots(object, MANY);
    fill_atomic(object, 100000); /* large */
    check_no_roots(object, MANY);
    root_words()[0] = (uintptr_t)gc_realloc((void *)root_words()[0], 3000000); /* of the kind still */
    fill((uintptr_t *)root_words()[0], object, MANY);
    check_no_roots(object, MANY);
    root_words()[0] = (uintptr_t)gc_realloc((void *)root_words()[0], MANY * sizeof(uintptr_t));
    fill((uintptr_t *)root_words()[0], object, MANY);
    check_no_roots(object, MANY);
}

static __attribute__((noinline)) struct hidden fill_uncollectable(struct hidden *object, size_t bytes)
{
    uintptr_t *words = gc_malloc_uncollectable(bytes);

    fill(words, object, MANY);
    return hide(words);
}

Test(reclaim, contents_of_freed_uncollectable_objects)
{
    struct hidden object[MANY], holder;

    for (size_t bytes = MANY * sizeof(uintptr_t); bytes < 100000; bytes += 50000) {
        holder = fill_uncollectable(object, bytes);
        collect_with_clear_stack();
        cr_assert(count_alive(object, MANY) == MANY);
        gc_free(reveal(holder));
        check_no_roots(object, MANY);
    }
}

/* ---- The collector's own state is no root -------------------------------------------- */

enum { SIZES = 400 };

/* Every size class, and large objects. */
static size_t size_number(size_t i)
{
    return i < 256 ? i * 8 : (i - 255) * 1024;
}

static void *new_of_kind(unsigned kind, size_t bytes)
{
    return kind == 0 ? gc_malloc(bytes) : gc_malloc_atomic(bytes);
}

static __attribute__((noinline)) void make_sizes(struct hidden *object, unsigned kind)
{
    for (size_t i = 0; i < SIZES; i++)
        object[i] = hide(new_of_kind(kind, size_number(i)));
}

/* The newest object of each class and kind, next to what is handed out next. */
Test(reclaim, newest_objects)
{
    struct hidden object[SIZES];

    for (unsigned kind = 0; kind < 2; kind++) {
        make_sizes(object, kind);
        check_no_roots(object, SIZES);
    }
}

/* Objects whose memory was freed explicitly before: the collector may have
 * noted the addresses. */
static __attribute__((noinline)) void make_from_freed(struct hidden *object, unsigned kind)
{
    gc_disable(); /* nothing else holds them */
    for (unsigned round = 0; round < 8; round++) {
        make_sizes(object, kind);
        for (size_t i = 0; round < 7 && i < SIZES; i++)
            gc_free(reveal(object[i]));
    }
    gc_enable();
}

Test(reclaim, objects_in_freed_memory)
{
    struct hidden object[SIZES];

    for (unsigned kind = 0; kind < 2; kind++) {
        make_from_freed(object, kind);
        check_no_roots(object, SIZES);
    }
}

static bool refuse(size_t bytes, void *data)
{
    return bytes == 0 && data != NULL;
}

/* The handler's data is held, but not for ever. */
Test(reclaim, data_of_the_last_handler)
{
    struct hidden object[100];
    uintptr_t words[100];

    fill(words, object, 100);
    for (size_t i = 0; i < 100; i++) {
        gc_set_oom_handler(refuse, reveal(object[i]));
        words[i] = 0;
    }
    check_no_roots(object, 99);
    cr_assert(is_alive(object[99]));
    gc_set_oom_handler(NULL, NULL);
}

/* ---- Explicit freeing ------------------------------------------------------------------ */

/* Much more than there may be at a time, while nothing is collected. */
static void free_at_once(size_t bytes, size_t at_a_time)
{
    size_t rounds = effort(bytes < 4096 ? 200000 : ((size_t)1 << 30) / bytes) / at_a_time;
    void **object = calloc(at_a_time, sizeof *object);

    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < at_a_time; i++)
            object[i] = round % 3 == 0 ? gc_malloc_atomic(bytes) : gc_malloc(bytes);
        for (size_t i = 0; i < at_a_time; i++)
            gc_free(object[round % 2 == 0 ? i : at_a_time - 1 - i]);
    }
    free(object);
}

Test(reclaim, freed_memory_is_reused_at_once)
{
    struct gc_stats stats;

    gc_disable();
    for (size_t bytes = 8; bytes < 3 << 20; bytes = bytes * 3 + 40) {
        free_at_once(bytes, 1);
        free_at_once(bytes, 5);
    }
    free_at_once(48, 3000);
    gc_enable();
    stats = stats_now();
    cr_assert(stats.collections == 0, "%llu collections", (unsigned long long)stats.collections);
    cr_assert(stats.heap_peak_bytes < 48 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
    cr_assert(stats.bytes_freed == stats.bytes_allocated);
}

/* What gc_realloc leaves behind is free at once, too. */
Test(reclaim, resized_memory_is_reused_at_once)
{
    struct gc_stats stats;

    gc_disable();
    for (size_t round = 0; round < effort(300); round++) {
        void *object = NULL;
        for (size_t bytes = 10; bytes < 2 << 20; bytes = bytes * 3 / 2)
            object = gc_realloc(object, bytes);
        for (size_t bytes = 2 << 20; bytes > 10; bytes = bytes / 3)
            object = gc_realloc(object, bytes);
        gc_free(object);
    }
    gc_enable();
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 32 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
    cr_assert(stats.bytes_freed == stats.bytes_allocated);
}

/* ---- Structures that one stale word turns into a leak ----------------------------------- */

/* H. Boehm, "Bounding space usage of conservative garbage collectors", POPL 2002. */

/* Leaves the node in some dead frames. */
static __attribute__((noinline)) uint64_t look(struct node *volatile node, unsigned depth)
{
    struct node *volatile stale[4] = {node, node, node, node};

    return depth == 0 ? stale[0]->number : look(stale[3], depth - 1) + (stale[1] != stale[2]);
}

/* A queue: what was taken out still points at the next. */
static __attribute__((noinline)) void run_queue(size_t steps)
{
    struct node *first = gc_malloc(sizeof *first), *last = first;

    for (size_t i = 1; i < steps; i++) {
        last->next = gc_malloc(sizeof *last);
        last = last->next;
        last->number = i;
        if (i < MANY)
            continue;
        first = first->next;
        if (i % 10000 == 0)
            cr_assert(look(first, 40) == i - MANY + 1);
    }
}

Test(reclaim, queue)
{
    struct gc_stats stats;

    run_queue(effort(5000000)); /* 160 MB */
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 32 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

static __attribute__((noinline)) struct node *new_list(size_t nodes)
{
    struct node *list = NULL;

    for (size_t i = 0; i < nodes; i++) {
        struct node *node = gc_malloc(sizeof *node);
        node->next = list;
        node->number = i;
        list = node;
    }
    return list;
}

/* A list of which each node once had a long list behind it. */
static __attribute__((noinline)) void run_list(size_t nodes, size_t dead)
{
    struct node *list = NULL;

    for (size_t i = 0; i < nodes; i++) {
        struct node *node = gc_malloc(sizeof *node);
        node->next = new_list(dead);
        node->before = list;
        cr_assert(look(node->next, 40) == dead - 1);
        node->next = NULL;
        list = node;
    }
    for (size_t i = 0; i < nodes; i++)
        list = list->before;
    cr_assert(list == NULL);
}

Test(reclaim, list_that_was_longer)
{
    struct gc_stats stats;

    without_stress();
    run_list(is_sanitized() ? 5 : 15, 1000000); /* 32 MB each */
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 160 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* ---- Bounded memory ---------------------------------------------------------------------- */

/* Keeps `keep` objects of random sizes up to `most` alive. Returns the most
 * bytes that were. */
static size_t churn(size_t objects, size_t keep, size_t least, size_t most)
{
    size_t *bytes = calloc(keep, sizeof *bytes);
    size_t alive = 0, most_alive = 0;

    for (size_t i = 0; i < objects; i++) {
        size_t at = random_below(keep), new = random_between(least, most);
        alive += new - bytes[at];
        bytes[at] = new;
        root_words()[at] = 0;
        root_words()[at] = (uintptr_t)(random_once_in(3) ? gc_malloc_atomic(new) : gc_malloc(new));
        most_alive = alive > most_alive ? alive : most_alive;
    }
    free(bytes);
    return most_alive;
}

static void check_bound(size_t alive)
{
    uint64_t peak = stats_now().heap_peak_bytes;

    cr_assert(peak <= 3 * alive + (8 << 20), "%llu KiB for %zu KiB", (unsigned long long)peak >> 10, alive >> 10);
}

Test(reclaim, churn_of_small_objects, .init = make_roots)
{
    random_begin("churn_of_small_objects");
    check_bound(churn(effort(3000000), ROOTS, 1, 128));
}

Test(reclaim, churn_of_medium_objects, .init = make_roots)
{
    random_begin("churn_of_medium_objects");
    check_bound(churn(effort(200000), ROOTS, 1, 33 << 10));
}

Test(reclaim, churn_of_large_objects, .init = make_roots)
{
    random_begin("churn_of_large_objects");
    check_bound(churn(effort(4000), 50, 32 << 10, 3 << 20));
}

static __attribute__((noinline)) void make_list_of(size_t bytes, size_t total)
{
    struct node *list = NULL;

    for (size_t used = 0; used < total; used += bytes) {
        struct node *node = gc_malloc(bytes);
        node->next = list;
        list = node;
    }
    root_words()[0] = (uintptr_t)list;
}

/* Memory that one size does not need any more serves any other. */
Test(reclaim, one_size_after_the_other, .init = make_roots_without_stress)
{
    size_t total = effort((size_t)48 << 20);
    struct gc_stats stats;

    for (size_t bytes = sizeof(struct node); bytes < 8 << 20; bytes = bytes * 5 / 2) {
        make_list_of(bytes, total);
        drop_roots();
        collect_with_clear_stack();
    }
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 5 * total / 2, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* Aligned objects do not leave holes for ever. */
Test(reclaim, aligned_objects)
{
    struct gc_stats stats;

    for (size_t i = 0; i < effort(3000); i++) {
        size_t alignment = (size_t)1 << i % 22;
        char *object = gc_aligned_alloc(alignment, 1 + i % 5000);
        cr_assert((uintptr_t)object % alignment == 0);
        object[0] = 1;
    }
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 32 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* ---- Back to the operating system ------------------------------------------------------- */

static size_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void start_with_delay(int32_t ms)
{
    struct gc_options options = {.decommit_delay_ms = ms};

    unsetenv("BROOM_DECOMMIT_DELAY_MS");
    without_stress(); /* a collection at another time is another clock */
    cr_assert(gc_init_options(&options, sizeof options) == 0);
    make_roots();
}

/* Takes and drops 100 MB: lists of small objects, and large ones. */
static __attribute__((noinline)) void take_and_drop(void)
{
    root_words()[0] = (uintptr_t)new_list(1500000);
    for (size_t i = 1; i < 50; i++) {
        char *object = gc_malloc_atomic(1 << 20);
        memset(object, 1, 1 << 20);
        root_words()[i] = (uintptr_t)object;
    }
    drop_roots();
}

Test(reclaim, memory_goes_back)
{
    uint64_t held;
    size_t resident;

    start_with_delay(1);
    take_and_drop();
    resident = resident_bytes();
    held = stats_now().heap_bytes;
    cr_assert(held > 90 << 20);
    for (unsigned i = 0; i < 10000 && stats_now().heap_bytes > 8 << 20; i++) {
        sleep_ms(2);
        collect_with_clear_stack();
    }
    cr_assert(stats_now().heap_bytes <= 8 << 20, "%llu KiB", (unsigned long long)stats_now().heap_bytes >> 10);
    if (resident != 0)
        cr_assert(resident - resident_bytes() > 80 << 20, "%zu KiB, then %zu KiB", resident >> 10,
                  resident_bytes() >> 10);
    cr_assert(stats_now().heap_peak_bytes >= held);
}

Test(reclaim, memory_never_goes_back)
{
    uint64_t held;

    start_with_delay(-1);
    take_and_drop();
    collect_with_clear_stack();
    held = stats_now().heap_bytes;
    for (unsigned i = 0; i < 5; i++) {
        sleep_ms(2);
        collect_with_clear_stack();
    }
    cr_assert(stats_now().heap_bytes == held);
}

/* ---- What the collector needs itself ------------------------------------------------------ */

static void check_metadata(const char *what)
{
    struct gc_stats stats;

    gc_collect();
    stats = stats_now();
    cr_assert(stats.heap_bytes >= 100 << 20);
    cr_assert(stats.metadata_bytes * 1000 <= stats.heap_bytes * 25, "%s: %llu KiB for %llu KiB", what,
              (unsigned long long)stats.metadata_bytes >> 10, (unsigned long long)stats.heap_bytes >> 10);
}

/* At most 2.5 percent. */
Test(reclaim, metadata, .init = make_roots_without_stress)
{
    root_words()[0] = (uintptr_t)new_list(3500000);
    check_metadata("small objects");
    drop_roots();
    for (size_t i = 0; i < 2000; i++)
        root_words()[i] = (uintptr_t)gc_malloc_atomic(66000);
    check_metadata("large objects");
}
