#include "gc/platform/platform.h"
#include "gc/roots/dead_stack.h"
#include "gc/roots/world.h"
#include "test/built_heap.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static struct world world;

static struct mutator *enter(void)
{
    struct mutator *mutator;

    gc__world_lock(&world);
    mutator = gc__world_enter(&world, gc__os_own_stack());
    gc__world_unlock(&world);
    cr_assert_not_null(mutator);
    return mutator;
}

/* ---- Entering ------------------------------------------------------------------ */

Test(mutator, is_none_at_first_and_its_runs_are_empty)
{
    cr_assert_not(gc__mutator_exists(gc__mutator));
    for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++)
        for (unsigned c = 0; c < GC_CLASS_COUNT; c++)
            cr_assert_eq(gc__mutator->runs[gc__lane_of(kind, c)].cur, gc__mutator->runs[gc__lane_of(kind, c)].end);
}

Test(mutator, that_entered_is_the_thread_s_and_empty)
{
    struct mutator *mutator = enter();

    cr_assert_eq(gc__mutator, mutator);
    cr_assert(gc__mutator_exists(gc__mutator));
    cr_assert_eq(gc__mutator_unissued_bytes(mutator), 0);
    cr_assert_eq(mutator->claimed_bytes, 0);
    cr_assert_eq(mutator->freed_bytes, 0);
    cr_assert_eq(mutator->thread_id, gc__os_thread_id());
}

Test(mutator, knows_its_stack)
{
    struct mutator *mutator = enter();
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    cr_assert(here >= mutator->stack.start && here < mutator->stack.end);
}

Test(mutator, is_in_the_list_once)
{
    struct mutator *first = enter(), *second = enter();

    cr_assert_eq(first, second);
    cr_assert_eq(world.first, first);
    cr_assert_null(first->next);
    cr_assert_eq(world.count, 1);
}

static void *look_for_mutator(void *argument)
{
    bool *exists = argument;

    *exists = gc__mutator_exists(gc__mutator);
    return NULL;
}

Test(mutator, of_one_thread_is_not_another_s)
{
    pthread_t thread;
    bool exists = true;

    enter();
    cr_assert_eq(pthread_create(&thread, NULL, look_for_mutator, &exists), 0);
    pthread_join(thread, NULL);
    cr_assert_not(exists);
}

static void look_for_overlap(struct gc__range range, void *argument)
{
    uintptr_t mutator = (uintptr_t)argument;

    cr_assert(range.end <= mutator || range.start >= mutator + sizeof(struct mutator));
}

static struct mutator *add_with_handle(long thread_id, uintptr_t handle)
{
    struct mutator *mutator = gc__world_add(&world, thread_id, MUTATOR_RUNS);

    cr_assert_not_null(mutator);
    mutator->handle = handle;
    mutator->serial = ++world.serials;
    mutator->result = &world;
    mutator->leaving = true;
    return mutator;
}

/* The C library gives a stack, and so a handle, away before the system has forgotten the
 * thread that had it: the next one may even be over before that. */
Test(mutator, that_was_detached_has_no_handle_any_more)
{
    struct mutator *before = add_with_handle(gc__os_thread_id(), 4711), *after;
    uint64_t serial;

    gc__world_detach(&world, 4711);
    cr_assert(before->detached);
    after = add_with_handle(-1, 4711);
    serial = after->serial;
    gc__world_drop(&world, after);
    cr_assert_eq(world.ended, after);
    cr_assert_eq(gc__world_serial_of(&world, 4711), serial);
    gc__world_detach(&world, 4711);
    cr_assert_null(world.ended, "its result would be a root for ever");
}

Test(mutator, is_no_root)
{
    gc__os_each_data_segment(look_for_overlap, enter());
}

Test(mutator, says_how_much_memory_it_takes)
{
    cr_assert_geq(gc__mutator_metadata_bytes(), sizeof(struct mutator));
    cr_assert_eq(gc__mutator_metadata_bytes() % gc__os_page_bytes(), 0);
}

/* ---- Runs ------------------------------------------------------------------------ */

TestSuite(runs, .init = build_heap, .fini = drop_heap);

static struct run *claim(struct mutator *mutator, enum gc__kind kind, unsigned c, struct block **block)
{
    struct run *run = gc__mutator_run(mutator, gc__lane_of(kind, c));

    *block = build_block(c, kind);
    cr_assert(claim_run(&built.region, *block, run, 1000));
    return run;
}

Test(runs, of_all_classes_and_kinds_are_what_is_unissued)
{
    struct mutator *mutator = enter();
    struct block *block;
    size_t bytes = 0;

    for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++)
        for (unsigned c = kind; c < GC_CLASS_COUNT; c += 20) {
            struct run *run = claim(mutator, (enum gc__kind)kind, c, &block);
            run->cur += run->cell_bytes;
            bytes += (size_t)(run->end - run->cur);
        }
    cr_assert_gt(bytes, 0);
    cr_assert_eq(gc__mutator_unissued_bytes(mutator), bytes);
}

Test(runs, hold_what_was_not_handed_out)
{
    struct mutator *mutator = enter();
    struct block *block, *other;
    struct run *run = claim(mutator, GC_KIND_ATOMIC, 3, &block);
    char *start = run->cur;

    claim(mutator, GC_KIND_CONSERVATIVE, 3, &other);
    run->cur += 3 * run->cell_bytes;
    cr_assert_not(gc__mutator_holds_unissued(mutator, block, start));
    cr_assert_not(gc__mutator_holds_unissued(mutator, block, run->cur - 1));
    cr_assert(gc__mutator_holds_unissued(mutator, block, run->cur));
    cr_assert(gc__mutator_holds_unissued(mutator, block, run->end - 1));
    cr_assert_not(gc__mutator_holds_unissued(mutator, block, run->end));
    cr_assert_not(gc__mutator_holds_unissued(mutator, other, run->cur), "in another kind's run");
}

/* ---- The dead stack ------------------------------------------------------------------ */

#define DEEP_WORDS 32
#define OLD_POINTER ((uintptr_t)0x5eed5eed5eed5eed)

static const volatile uintptr_t *words_left;

/* Leaves old words behind, and lets the mutator see how deep the stack was. */
static __attribute__((noinline)) void leave_words(struct mutator *mutator)
{
    uintptr_t words[DEEP_WORDS];

    /* The compiler is not to know that this address leaves the function. */
    __asm__ volatile("" : "=r"(words_left) : "0"(words));
    for (size_t i = 0; i < DEEP_WORDS; i++)
        words[i] = OLD_POINTER;
    if (mutator != NULL)
        gc__dead_stack_clear(mutator);
    __asm__ volatile("" : : "r"(words) : "memory");
}

static __attribute__((noinline)) void leave_words_deeper(struct mutator *mutator)
{
    char room[128];

    leave_words(mutator);
    __asm__ volatile("" : : "r"(room) : "memory");
}

/* Reads below the stack pointer, so it calls nothing. */
static __attribute__((noinline, no_sanitize("address", "undefined"))) size_t count_old(void)
{
    size_t count = 0;

    for (size_t i = 0; i < DEEP_WORDS; i++)
        count += words_left[i] == OLD_POINTER;
    return count;
}

Test(dead_stack, is_cleared_once_the_stack_is_shallower)
{
    struct mutator *mutator = enter();

    leave_words_deeper(mutator);
    cr_assert_gt(count_old(), DEEP_WORDS / 2, "else this shows nothing");
    leave_words_deeper(mutator);
    gc__dead_stack_clear(mutator);
    cr_assert_eq(count_old(), 0);
}

Test(dead_stack, is_left_alone_on_another_stack)
{
    struct mutator *mutator = enter();

    leave_words_deeper(mutator);
    mutator->stack = (struct gc__range){0x1000, 0x2000};
    leave_words_deeper(NULL);
    gc__dead_stack_clear(mutator);
    cr_assert_gt(count_old(), DEEP_WORDS / 2);
}

Test(dead_stack, leaves_the_living_frames_alone)
{
    struct mutator *mutator = enter();
    volatile uintptr_t alive[64];

    for (size_t i = 0; i < 64; i++)
        alive[i] = OLD_POINTER + i;
    leave_words_deeper(mutator);
    gc__dead_stack_clear(mutator);
    for (size_t i = 0; i < 64; i++)
        cr_assert_eq(alive[i], OLD_POINTER + i);
}
