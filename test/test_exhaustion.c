/* test_exhaustion.c - no memory: NULL and ENOMEM, nothing lost, nothing
 * printed; and all is well again when there is memory. Here the memory ends at
 * the limit of the heap, in test_refusal.c the system refuses it. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/exhaustion.h"

#include "gc/cycle/heap.h"

#include <limits.h>
#include <setjmp.h>

/* ---- A limit of the heap ------------------------------------------------------------------- */

static void start_with_limit(size_t bytes)
{
    struct gc_options options = {.max_heap = bytes};

    unsetenv("BROOM_MAX_HEAP");
    REQUIRE(gc_init_options(&options, sizeof options) == 0);
    start_list();
}

static size_t limit_bytes(void)
{
    return (size_t)(is_stressed() ? 8 : 24) * MIB;
}

static size_t node_size;

/* What has to fit: all but a few percent, and one object that might not. */
static void fill_to_the_limit(void)
{
    size_t limit = limit_bytes(), first, again;
    struct gc_stats stats;

    start_with_limit(limit);
    first = fill_heap(node_size);
    REQUIRE(first + node_size > limit / 100 * 87);
    for (unsigned round = 0; round < 3; round++) {
        drop_list();
        again = fill_heap(node_size);
        REQUIRE(again + node_size > first / 100 * 98);
    }
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.heap_peak_bytes <= limit);
    gc__heap_audit(&gc__heap);
}

Test(exhaustion, limit)
{
    static const size_t sizes[] = {sizeof(struct node), 64, 1000, 5000, 32768, 100000, MIB, 5 * MIB};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        node_size = sizes[i];
        check_child(fill_to_the_limit);
    }
}

static void change_sizes_at_the_limit(void)
{
    size_t limit = limit_bytes();

    start_with_limit(limit);
    for (size_t bytes = sizeof(struct node); bytes < 4 * MIB; bytes = bytes * 3) {
        REQUIRE(fill_heap(bytes) + bytes > limit / 100 * 70);
        drop_list();
    }
    for (size_t bytes = 4 * MIB; bytes > sizeof(struct node); bytes = bytes / 3) {
        REQUIRE(fill_heap(bytes) + bytes > limit / 100 * 70);
        drop_list();
    }
}

/* Memory of one size is there for all others. */
Test(exhaustion, limit_and_all_sizes)
{
    check_child(change_sizes_at_the_limit);
}

/* An object that cannot be resized is as it was, and alive. */
static void resize_at_the_limit(void)
{
    static const size_t to[] = {100, 5000, 100000, 4 * MIB, 30 * MIB};
    char *object;

    start_with_limit(16 * MIB);
    for (size_t bytes = 40; bytes < 3 * MIB; bytes = bytes * 5) {
        object = gc_malloc(bytes);
        memset(object, 'x', bytes);
        for (size_t size = MIB; size > sizeof(struct node); size /= 2)
            fill_heap(size);
        for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
            if (to[i] <= gc_usable_size(object))
                continue;
            fill_heap(to[i]);
            errno = 0;
            REQUIRE(gc_realloc(object, to[i]) == NULL && errno == ENOMEM);
            REQUIRE(gc_reallocarray(object, to[i], 1) == NULL);
            REQUIRE(gc_base(object) == object && gc_usable_size(object) >= bytes);
            REQUIRE(object[0] == 'x' && memcmp(object, object + 1, bytes - 1) == 0);
        }
        count_nodes();
        drop_list();
        object = gc_realloc(object, 2 * bytes);
        REQUIRE(object != NULL && memcmp(object, object + 1, bytes - 1) == 0);
    }
}

Test(exhaustion, resize)
{
    check_child(resize_at_the_limit);
}

/* Collections that were forbidden are, also when memory ends. */
static void exhaust_while_disabled(void)
{
    struct gc_stats stats;
    size_t count = 0;

    start_with_limit(8 * MIB);
    gc_disable();
    while (gc_malloc(1000) != NULL)
        count++;
    REQUIRE(errno == ENOMEM && count > 6000);
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.collections == 0);
    gc_enable();
    for (size_t i = 0; i < 50000; i++)
        REQUIRE(gc_malloc(1000) != NULL);
}

Test(exhaustion, disabled)
{
    check_child(exhaust_while_disabled);
}

/* ---- Sizes that cannot be ---------------------------------------------------------------------- */

/* The compiler shall not know. */
static size_t unknown(size_t bytes)
{
    __asm__ volatile("" : "+r"(bytes));
    return bytes;
}

#define REQUIRE_NONE(call)                                                                                             \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        REQUIRE((call) == NULL);                                                                                       \
        REQUIRE(errno == ENOMEM);                                                                                      \
    } while (0)

static void ask_for_too_much(void)
{
    static const size_t sizes[] = {
        SIZE_MAX,         SIZE_MAX - 1,       SIZE_MAX - 15,        SIZE_MAX - 4095, SIZE_MAX - 4096,
        SIZE_MAX - 65536, SIZE_MAX - 2097152, SIZE_MAX / 2 + 1,     SIZE_MAX / 2,    SIZE_MAX / 16,
        (size_t)1 << 48,  (size_t)1 << 44,    ((size_t)1 << 44) - 1};
    void *object = gc_malloc(100), *large = gc_malloc(100000), *result = object;

    memset(object, 'x', 100);
    memset(large, 'y', 100000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t bytes = unknown(sizes[i]);
        REQUIRE_NONE(gc_malloc(bytes));
        REQUIRE_NONE(gc_malloc_atomic(bytes));
        REQUIRE_NONE(gc_malloc_uncollectable(bytes));
        REQUIRE_NONE(gc_calloc(bytes, 1));
        REQUIRE_NONE(gc_calloc(1, bytes));
        REQUIRE_NONE(gc_realloc(NULL, bytes));
        REQUIRE_NONE(gc_realloc(object, bytes));
        REQUIRE_NONE(gc_realloc(large, bytes));
        REQUIRE_NONE(gc_reallocarray(object, bytes, 1));
        REQUIRE_NONE(gc_reallocarray(large, 1, bytes));
        REQUIRE_NONE(gc_aligned_alloc(16, bytes));
        REQUIRE_NONE(gc_aligned_alloc(2 * MIB, bytes));
        REQUIRE(gc_posix_memalign(&result, 4096, bytes) == ENOMEM && result == object);
    }
    REQUIRE(((char *)object)[99] == 'x' && ((char *)large)[99999] == 'y');
    REQUIRE(gc_base(object) == object && gc_base(large) == large);
}

Test(exhaustion, impossible_sizes)
{
    check_child(ask_for_too_much);
}

/* The product of the two is small. */
static void overflow(void)
{
    size_t half = unknown((size_t)1 << 32), many = unknown(SIZE_MAX / 16 + 2);
    char *object = gc_malloc(100);

    memset(object, 'x', 100);
    REQUIRE_NONE(gc_calloc(half, half));
    REQUIRE_NONE(gc_calloc(many, 16));
    REQUIRE_NONE(gc_calloc(16, many));
    REQUIRE_NONE(gc_calloc(unknown(SIZE_MAX), unknown(SIZE_MAX)));
    REQUIRE_NONE(gc_reallocarray(NULL, half, half));
    REQUIRE_NONE(gc_reallocarray(object, half, half));
    REQUIRE_NONE(gc_reallocarray(object, many, 16));
    REQUIRE_NONE(gc_reallocarray(object, 16, many));
    REQUIRE(object[0] == 'x' && object[99] == 'x' && gc_base(object) == object);
}

Test(exhaustion, overflow)
{
    check_child(overflow);
}

/* ---- The handler ----------------------------------------------------------------------------------- */

static struct {
    unsigned calls;
    unsigned most; /* then it gives up */
    size_t bytes;  /* it was last asked for */
    void *data;
    jmp_buf out;
} handler;

static bool handle(size_t bytes, void *data)
{
    handler.calls++;
    handler.bytes = bytes;
    handler.data = data;
    return handler.calls <= handler.most;
}

static void count_calls_of_the_handler(void)
{
    int data;

    start_with_limit(8 * MIB);
    REQUIRE(gc_set_oom_handler(handle, &data) == NULL);
    fill_heap(1000);
    REQUIRE(handler.calls == 1 && handler.bytes == 1000 && handler.data == &data);

    handler.calls = 0;
    handler.most = 5;
    REQUIRE_NONE(gc_malloc(7 * MIB)); /* would fit, were there nothing else */
    REQUIRE(handler.calls == 6 && handler.bytes == 7 * MIB);

    handler.calls = 0;
    handler.most = UINT_MAX;
    REQUIRE_NONE(gc_malloc(unknown(SIZE_MAX))); /* never fits: it is not asked for ever */
    REQUIRE(handler.calls == 1);

    REQUIRE(gc_set_oom_handler(NULL, NULL) == handle);
    REQUIRE_NONE(gc_malloc(7 * MIB));
    REQUIRE(handler.calls == 1);
    count_nodes();
}

Test(exhaustion, handler)
{
    check_child(count_calls_of_the_handler);
}

/* Makes room, and uses the heap meanwhile. */
static bool drop_and_try_again(size_t bytes, void *data)
{
    REQUIRE(data == &handler && bytes > 0);
    REQUIRE(++handler.calls < 100000);
    count_nodes();
    drop_list();
    gc_collect();
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(add_node(bytes / 200 + sizeof(struct node)));
    return true;
}

static void make_room(void)
{
    start_with_limit(8 * MIB);
    gc_set_oom_handler(drop_and_try_again, &handler);
    for (size_t bytes = 50; bytes < 3 * MIB; bytes *= 3)
        for (size_t used = 0; used < effort(30 * MIB); used += bytes)
            REQUIRE(add_node(bytes));
    REQUIRE(handler.calls > 3);
    count_nodes();
}

Test(exhaustion, handler_makes_room)
{
    check_child(make_room);
}

static bool leave(size_t bytes, void *data)
{
    handler.calls++;
    handler.bytes = bytes;
    longjmp(data, 1);
}

static void leave_by_longjmp(void)
{
    start_with_limit(8 * MIB);
    gc_set_oom_handler(leave, handler.out);
    for (volatile unsigned round = 0; round < 20; round++) {
        if (setjmp(handler.out) == 0)
            for (;;)
                REQUIRE(add_node(50 + round * 9999));
        count_nodes();
        gc__heap_audit(&gc__heap);
        drop_list();
        REQUIRE(add_node(MIB));
    }
    REQUIRE(handler.calls == 20);
}

Test(exhaustion, handler_leaves)
{
    check_child(leave_by_longjmp);
}

/* A handler that leaves so that calls from further down can ask it again. */
static bool leave_to_come_back(size_t bytes, void *data)
{
    gc_set_oom_handler(leave_to_come_back, data);
    return leave(bytes, data);
}

static __attribute__((noinline)) void fill_from_below(unsigned depth)
{
    volatile char frame[4096];

    frame[0] = 0;
    if (depth != 0)
        fill_from_below(depth - 1);
    else
        while (add_node(50000))
            ;
    frame[1] = frame[0];
}

static void leave_and_come_from_below(void)
{
    start_with_limit(8 * MIB);
    gc_set_oom_handler(leave_to_come_back, handler.out);
    for (volatile unsigned depth = 0; depth < 20; depth++)
        if (setjmp(handler.out) == 0)
            fill_from_below(depth);
    REQUIRE(handler.calls == 20);
}

Test(exhaustion, a_handler_that_sets_itself_again_may_leave_from_anywhere)
{
    check_child(leave_and_come_from_below);
}

/* Any call from above the frames that were left tells that they were: also one
 * that is not refused. */
static void leave_and_go_on_above(void)
{
    start_with_limit(8 * MIB);
    gc_set_oom_handler(leave, handler.out);
    for (volatile unsigned depth = 10; depth < 20; depth++) {
        if (setjmp(handler.out) == 0)
            fill_from_below(depth);
        gc_collect();
    }
    REQUIRE(handler.calls == 10);
}

Test(exhaustion, a_call_from_above_tells_that_the_handler_left)
{
    check_child(leave_and_go_on_above);
}

/* What runs hold of each size, and no object has, is given up before anything
 * is refused. */
Test(exhaustion, runs_do_not_fill_the_heap)
{
    struct gc_options options = {.max_heap = 6 << 20};

    without_stress();
    unsetenv("BROOM_MAX_HEAP");
    cr_assert(gc_init_options(&options, sizeof options) == 0);
    for (size_t bytes = 16; bytes <= 4096; bytes += 16) {
        cr_assert(gc_malloc(bytes) != NULL && gc_malloc_atomic(bytes) != NULL, "%zu bytes", bytes);
        gc_free(gc_malloc_uncollectable(bytes));
    }
    cr_assert(gc_malloc(1 << 20) != NULL);
}
