/* test_allocate.c - what the public functions promise about objects: contents,
 * sizes, alignment, identity, errno, and the figures that count them. */
#include "test/effort.h"
#include "test/filled.h"
#include "test/hidden.h"
#include "test/random.h"

#include <broom/inline.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { LARGE = 40000, KIB = 1 << 10, MIB = 1 << 20 };

static struct gc_stats stats_now(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

/* ---- Zeros ---------------------------------------------------------------------- */

/* All sizes up to a KiB, then some. */
static size_t next_size(size_t bytes)
{
    return bytes < KIB ? bytes + 1 : bytes + bytes / 37;
}

static void *new_zeroed(size_t i, size_t bytes)
{
    switch (i % 4) {
    case 0: return gc_malloc(bytes);
    case 1: return gc_calloc(bytes, 1);
    case 2: return gc_malloc_uncollectable(bytes);
    default: return gc_aligned_alloc(64, bytes);
    }
}

/* Takes, checks and dirties objects of one size and each kind. */
static void check_zeroed(size_t bytes, bool free_them)
{
    enum { OBJECTS = 12 };
    void *object[OBJECTS];

    for (size_t i = 0; i < OBJECTS; i++) {
        object[i] = new_zeroed(i, bytes);
        check_filled(object[i], 0, 0, gc_usable_size(object[i]));
        memset(object[i], 0xa5, gc_usable_size(object[i]));
    }
    for (size_t i = 0; i < OBJECTS; i++)
        if (free_them || i % 4 == 2)
            gc_free(object[i]);
}

Test(allocate, zeroed_when_freed_memory_is_reused)
{
    for (unsigned round = 0; round < 3; round++)
        for (size_t bytes = 0; bytes < 200 * KIB; bytes = next_size(bytes))
            check_zeroed(bytes, true);
}

Test(allocate, zeroed_when_reclaimed_memory_is_reused)
{
    for (unsigned round = 0; round < 3; round++) {
        for (size_t bytes = 0; bytes < 200 * KIB; bytes = next_size(bytes))
            check_zeroed(bytes, false);
        gc_collect();
    }
}

/* Cells of another size and kind lay there before, and no pointers. */
Test(allocate, zeroed_where_other_sizes_were)
{
    for (size_t bytes = 16; bytes < 4 * MIB; bytes *= 2) {
        for (size_t used = 0; used < 8 * MIB; used += bytes)
            memset(gc_malloc_atomic(bytes), 0xa5, bytes);
        gc_collect();
        for (size_t used = 0; used < 8 * MIB; used += 3 * bytes) {
            void *object = gc_malloc(3 * bytes);
            check_filled(object, 0, 0, gc_usable_size(object));
            memset(object, 0xa5, 3 * bytes);
        }
        gc_collect();
    }
}

/* ---- Inlined ---------------------------------------------------------------------- */

static void check_inlined(void)
{
    for (size_t bytes = 0; bytes <= 200; bytes++)
        for (unsigned i = 0; i < 20; i++) {
            char *object = gc_malloc_inline(bytes);
            char *atomic = gc_malloc_atomic_inline(bytes);

            cr_assert_eq(gc_usable_size(object), gc_usable_size(gc_malloc(bytes)));
            cr_assert_eq(gc_usable_size(atomic), gc_usable_size(gc_malloc_atomic(bytes)));
            cr_assert(gc_base(object) == object && gc_base(atomic) == atomic);
            check_filled(object, 0, 0, gc_usable_size(object));
            memset(object, 0xa5, gc_usable_size(object));
            memset(atomic, 0xa5, gc_usable_size(atomic));
        }
}

Test(inlined, gives_what_the_functions_give)
{
    check_inlined();
}

/* The classes that are compiled in are not all in use. */
Test(inlined, gives_what_the_functions_give_where_all_have_spare_bytes)
{
    struct gc_options options = {.past_end = GC_PAST_END_ALWAYS};

    unsetenv("BROOM_PAST_END");
    cr_assert_eq(gc_init_options(&options, sizeof options), 0);
    cr_assert_eq(gc_usable_size(gc_malloc_inline(32)), 40);
    check_inlined();
}

Test(inlined, refuses_what_the_functions_refuse)
{
    volatile size_t bytes = SIZE_MAX;

    cr_assert_null(gc_malloc_inline(bytes));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_null(gc_malloc_atomic_inline(bytes));
}

static size_t list_length(void **list)
{
    size_t length = 0;

    for (; list != NULL; list = list[0])
        length++;
    return length;
}

Test(inlined, survives_collections)
{
    enum { NODES = 300000 };
    void **list = NULL;

    for (unsigned i = 0; i < NODES; i++) {
        void **node = gc_malloc_inline(2 * sizeof *node);

        node[0] = list;
        list = node;
        memset(gc_malloc_atomic_inline(24), 0xa5, 24);
    }
    gc_collect();
    cr_assert_eq(list_length(list), NODES);
}

/* ---- Identity ---------------------------------------------------------------------- */

static int by_value(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;

    return a < b ? -1 : a > b;
}

Test(allocate, objects_of_no_bytes_are_distinct)
{
    enum { OBJECTS = 6000 };
    static uintptr_t object[OBJECTS];
    void *aligned;

    for (size_t i = 0; i < OBJECTS; i += 6) {
        object[i] = (uintptr_t)gc_malloc(0);
        object[i + 1] = (uintptr_t)gc_malloc_atomic(0);
        object[i + 2] = (uintptr_t)gc_malloc_uncollectable(0);
        object[i + 3] = (uintptr_t)(i % 4 == 0 ? gc_calloc(0, 5) : gc_calloc(5, 0));
        object[i + 4] = (uintptr_t)gc_realloc(gc_malloc(i), 0);
        cr_assert(gc_posix_memalign(&aligned, 16, 0) == 0);
        object[i + 5] = (uintptr_t)aligned;
    }
    qsort(object, OBJECTS, sizeof object[0], by_value);
    for (size_t i = 0; i < OBJECTS; i++) {
        cr_assert(object[i] != 0 && object[i] % 16 == 0);
        cr_assert(i == 0 || object[i] != object[i - 1]);
        cr_assert(gc_base((void *)object[i]) == (void *)object[i]);
    }
}

Test(allocate, base_and_usable_size)
{
    cr_assert(gc_base(NULL) == NULL);
    cr_assert(gc_base((void *)1) == NULL && gc_base((void *)UINTPTR_MAX) == NULL);
    cr_assert(gc_usable_size(NULL) == 0);
    for (size_t bytes = 0; bytes < 3 * MIB; bytes = next_size(bytes)) {
        char *object = gc_malloc(bytes);
        size_t usable = gc_usable_size(object);
        cr_assert(usable >= bytes && usable <= bytes + bytes / 8 + 4096, "%zu for %zu", usable, bytes);
        cr_assert((uintptr_t)object % 16 == 0);
        cr_assert(gc_base(object) == object && gc_base(object + usable / 2) == object);
        cr_assert(usable == 0 || gc_base(object + usable - 1) == object);
        cr_assert(gc_base(object - 1) != object && gc_base(object + usable + 8) != object);
        object[usable - 1] = 1;
    }
    cr_assert(gc_base(&stats_now) == NULL && gc_base("text") == NULL && gc_base(&(int){0}) == NULL);
}

/* Small objects do not cost more than their size, larger ones no more than an eighth. */
Test(allocate, small_objects_are_small)
{
    uint64_t before = stats_now().bytes_allocated;

    for (unsigned i = 0; i < 1000; i++)
        cr_assert(gc_malloc(16) != NULL);
    cr_assert(stats_now().bytes_allocated - before == 16000);
    before = stats_now().bytes_allocated;
    for (unsigned i = 0; i < 1000; i++)
        cr_assert(gc_malloc(1024) != NULL);
    cr_assert(stats_now().bytes_allocated - before <= 1024000 * 9 / 8);
}

/* Before the heap starts there is nothing to ask about. */
Test(allocate, questions_before_the_start)
{
    cr_assert(gc_base(&stats_now) == NULL);
    cr_assert(gc_usable_size(NULL) == 0);
    gc_free(NULL);
    cr_assert(stats_now().bytes_allocated == 0 && stats_now().collections == 0);
    cr_assert(strcmp(gc_version(), "0.1.0") == 0);
}

/* ---- Alignment -------------------------------------------------------------------- */

static void check_aligned(void *object, size_t alignment, size_t bytes)
{
    cr_assert(object != NULL && (uintptr_t)object % alignment == 0 && (uintptr_t)object % 16 == 0,
              "%zu bytes at %zu: %p", bytes, alignment, object);
    cr_assert(gc_base(object) == object && gc_usable_size(object) >= bytes);
    check_filled(object, 0, 0, bytes);
    memset(object, 0xa5, gc_usable_size(object));
}

Test(allocate, aligned)
{
    static const size_t sizes[] = {0, 1, 17, 100, 1000, 4096, 5000, 32768, 32769, 100000, 2 * MIB + 1};
    void *object;

    for (size_t alignment = 1; alignment <= 2 * MIB; alignment *= 2)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (unsigned round = 0; round < 3; round++) {
                check_aligned(gc_aligned_alloc(alignment, sizes[i]), alignment, sizes[i]);
                if (alignment < sizeof(void *))
                    continue;
                cr_assert(gc_posix_memalign(&object, alignment, sizes[i]) == 0);
                check_aligned(object, alignment, sizes[i]);
            }
}

Test(allocate, wrong_alignments)
{
    static const size_t wrong[] = {0, 3, 24, 48, 4095, 4 * MIB, SIZE_MAX, SIZE_MAX / 2 + 1};
    void *untouched = &untouched;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        errno = 0;
        cr_assert(gc_aligned_alloc(wrong[i], 10) == NULL && errno == EINVAL, "%zu", wrong[i]);
        errno = 0;
        cr_assert(gc_posix_memalign(&untouched, wrong[i], 10) == EINVAL && errno == 0, "%zu", wrong[i]);
    }
    for (size_t small = 1; small < sizeof(void *); small *= 2)
        cr_assert(gc_posix_memalign(&untouched, small, 10) == EINVAL);
    cr_assert(gc_posix_memalign(&untouched, 16, SIZE_MAX / 2) == ENOMEM);
    cr_assert(untouched == &untouched);
}

/* ---- Text ------------------------------------------------------------------------- */

Test(allocate, copies_of_text)
{
    char unterminated[3] = {'a', 'b', 'c'};
    char *longest = calloc(100001, 1);

    cr_assert(strcmp(gc_strdup(""), "") == 0);
    cr_assert(strcmp(gc_strdup("sweep"), "sweep") == 0);
    cr_assert(strcmp(gc_strndup("sweep", 2), "sw") == 0);
    cr_assert(strcmp(gc_strndup("sweep", 5), "sweep") == 0);
    cr_assert(strcmp(gc_strndup("sweep", SIZE_MAX), "sweep") == 0);
    cr_assert(strcmp(gc_strndup("sweep", 0), "") == 0);
    cr_assert(strcmp(gc_strndup(unterminated, 3), "abc") == 0);
    memset(longest, 'x', 100000);
    cr_assert(strcmp(gc_strdup(longest), longest) == 0);
    cr_assert(strlen(gc_strndup(longest, 70000)) == 70000);
    free(longest);
}

Test(allocate, formatted_text)
{
    char *text = NULL;

    cr_assert(gc_asprintf(&text, "%s-%d-%05.1f", "mark", 42, 2.5) == 13 && strcmp(text, "mark-42-002.5") == 0);
    cr_assert(gc_base(text) == text);
    cr_assert(gc_asprintf(&text, "%s", "") == 0 && strcmp(text, "") == 0);
    cr_assert(gc_asprintf(&text, "%70000d", 7) == 70000 && strlen(text) == 70000 && text[69999] == '7');
    cr_assert(gc_base(text) == text);
    cr_assert(gc_asprintf(&text, "%lc", (wint_t)0x7fffffff) == -1); /* no character */
    cr_assert(text == NULL);
}

/* ---- errno ------------------------------------------------------------------------ */

static void use_every_function(void)
{
    void *object = NULL;
    char *text;
    struct gc_stats stats;

    for (size_t bytes = 1; bytes < MIB; bytes *= 3) {
        gc_free(gc_malloc(bytes));
        object = gc_malloc_atomic(bytes);
        object = gc_realloc(object, bytes * 2);
        object = gc_reallocarray(object, 3, bytes);
        object = gc_calloc(3, bytes);
        gc_free(gc_malloc_uncollectable(bytes));
        object = gc_aligned_alloc(4096, bytes);
        cr_assert(gc_posix_memalign(&object, 64, bytes) == 0);
    }
    text = gc_strdup("text");
    text = gc_strndup(text, 3);
    cr_assert(gc_asprintf(&text, "%p", (void *)text) > 0);
    cr_assert(gc_base(text) == text && gc_usable_size(text) > 0);
    gc_collect();
    gc_disable();
    gc_enable();
    cr_assert(gc_add_roots(&object, &object + 1) == 0 && gc_remove_roots(&object, &object + 1) == 0);
    gc_set_oom_handler(NULL, NULL);
    gc_set_fatal_hook(NULL);
    gc_get_stats(&stats, sizeof stats);
    gc_init();
}

/* Success keeps errno, also when the heap starts, grows, and gives memory back. */
Test(allocate, errno_is_kept)
{
    struct gc_options options = {.decommit_delay_ms = 1};

    errno = 12345;
    cr_assert(gc_init_options(&options, sizeof options) == 0);
    cr_assert(errno == 12345, "errno %d after the start", errno);
    for (unsigned i = 0; i < 20; i++) {
        use_every_function();
        cr_assert(errno == 12345, "errno %d", errno);
    }
}

Test(allocate, errno_is_kept_by_the_first_call)
{
    errno = 12345;
    cr_assert(gc_malloc(10) != NULL && errno == 12345, "errno %d", errno);
}

/* ---- Figures ------------------------------------------------------------------------ */

/* The memory that an object takes. */
static uint64_t cell_bytes(const void *object)
{
    return (gc_usable_size(object) + 15) / 16 * 16;
}

/* Nothing is collected: what was allocated and not freed is there. */
Test(allocate, bytes_are_counted)
{
    enum { OBJECTS = 200 };
    void *object[OBJECTS] = {0};
    uint64_t there = 0, allocated = 0, freed = 0;
    struct gc_stats stats;

    random_begin("bytes_are_counted");
    gc_disable();
    for (size_t round = 0; round < effort(50000); round++) {
        size_t i = random_below(OBJECTS), bytes = random_below((size_t)16 << random_below(14));
        there -= object[i] != NULL ? cell_bytes(object[i]) : 0;
        if (object[i] == NULL) {
            object[i] = new_zeroed(random_below(4), bytes);
            allocated += cell_bytes(object[i]);
        } else if (random_once_in(2)) {
            freed += cell_bytes(object[i]);
            gc_free(object[i]);
            object[i] = NULL;
        } else {
            object[i] = gc_realloc(object[i], bytes);
        }
        there += object[i] != NULL ? cell_bytes(object[i]) : 0;
        stats = stats_now();
        cr_assert(stats.bytes_allocated - stats.bytes_freed == there, "%llu - %llu is not %llu",
                  (unsigned long long)stats.bytes_allocated, (unsigned long long)stats.bytes_freed,
                  (unsigned long long)there);
        cr_assert(stats.bytes_allocated >= allocated && stats.bytes_freed >= freed);
        cr_assert(stats.heap_bytes >= there && stats.heap_bytes <= stats.heap_peak_bytes);
    }
    cr_assert(stats.collections == 0 && stats.heap_peak_bytes <= stats.reserved_bytes);
}

static __attribute__((noinline)) void make_list(void **root, size_t nodes)
{
    for (size_t i = 0; i < nodes; i++) {
        void **node = gc_malloc(4 * sizeof *node);
        *node = *root;
        *root = node;
        cr_assert(gc_malloc(100) != NULL); /* dead */
    }
}

Test(allocate, the_living_are_counted)
{
    enum { NODES = 20000 };
    void **root = calloc(1, sizeof *root);
    struct gc_stats stats, before;

    cr_assert(gc_add_roots(root, root + 1) == 0);
    make_list(root, NODES);
    before = stats_now();
    collect_with_clear_stack();
    stats = stats_now();
    cr_assert(stats.collections > before.collections); /* under stress one may be under way */
    cr_assert(stats.objects_marked >= NODES && stats.objects_marked < NODES + NODES / 20, "%llu objects",
              (unsigned long long)stats.objects_marked);
    cr_assert(stats.live_bytes >= 32 * NODES && stats.live_bytes < 34 * NODES, "%llu bytes",
              (unsigned long long)stats.live_bytes);
    cr_assert(stats.pause_last_ns <= stats.pause_max_ns && stats.pause_max_ns <= stats.pause_total_ns);
    cr_assert(stats.bytes_allocated == before.bytes_allocated);
    cr_assert(stats.metadata_bytes > 0 && stats.reserved_bytes >= stats.heap_bytes);
}

/* Of a program of another age: fewer fields, or more. */
Test(allocate, figures_for_any_size)
{
    struct {
        struct gc_stats stats;
        uint64_t unknown[4];
    } out;

    cr_assert(gc_malloc(10) != NULL);
    memset(&out, 0xff, sizeof out);
    gc_get_stats(&out.stats, 2 * sizeof(uint64_t));
    cr_assert(out.stats.bytes_allocated == 16 && out.stats.bytes_freed == UINT64_MAX);
    gc_get_stats(&out.stats, sizeof out);
    cr_assert(out.stats.bytes_allocated == 16 && out.unknown[0] == 0 && out.unknown[3] == 0);
}

/* ---- Steering ------------------------------------------------------------------------- */

static uint64_t collections_while_allocating(size_t bytes)
{
    uint64_t before = stats_now().collections;

    for (size_t used = 0; used < bytes; used += 1000)
        cr_assert(gc_malloc(1000) != NULL);
    for (size_t used = 0; used < bytes; used += LARGE)
        cr_assert(gc_malloc_atomic(LARGE) != NULL);
    return stats_now().collections - before;
}

Test(allocate, disable_and_enable_nest)
{
    cr_assert(collections_while_allocating(30 * MIB) > 0);
    gc_disable();
    cr_assert(collections_while_allocating(30 * MIB) == 0);
    gc_disable();
    gc_enable();
    cr_assert(collections_while_allocating(30 * MIB) == 0);
    gc_collect(); /* also while disabled */
    cr_assert(collections_while_allocating(30 * MIB) == 0);
    gc_enable();
    cr_assert(collections_while_allocating(60 * MIB) > 0);
}

Test(allocate, collect_counts_while_disabled)
{
    uint64_t before;

    gc_disable();
    before = stats_now().collections;
    gc_collect();
    gc_collect();
    cr_assert(stats_now().collections == before + 2);
}

Test(allocate, first_collection_comes_later)
{
    struct gc_options options = {.initial_heap = 20 * MIB};

    unsetenv("BROOM_INITIAL_HEAP");
    without_stress();
    cr_assert(gc_init_options(&options, sizeof options) == 0);
    cr_assert(collections_while_allocating(9 * MIB) == 0);
    cr_assert(collections_while_allocating(20 * MIB) > 0);
}

Test(allocate, roots_have_two_ends)
{
    int words[4] = {0};

    cr_assert(gc_add_roots(words + 1, words) == EINVAL);
    cr_assert(gc_remove_roots(words + 1, words) == EINVAL);
    cr_assert(gc_add_roots(words, words) == 0 && gc_remove_roots(words, words) == 0);
    cr_assert(gc_remove_roots(words, words + 4) == 0);
}
