/* test_root_watch.c - large data segments and ranges of the user's in cycles beside the
 * mutators, step by step: what hangs on them alone survives, wherever it was put
 * meanwhile, and whatever became of the memory; and only what was written is scanned
 * again at the end. */
#define _GNU_SOURCE
#include "gc/base/align.h"
#include "test/by_steps.h"
#include "test/device.h"
#include "test/plugin.h"

#include <sys/mman.h>
#include <unistd.h>

TestSuite(root_watch, .timeout = 300);

enum { TABLE_WORDS = 1 << 20, TABLE_BYTES = TABLE_WORDS * sizeof(void *) };

static struct parcel *table[TABLE_WORDS];       /* bss */
static struct parcel *filled[1 << 16] = {NULL}; /* data, if the next is there */
static int in_data[1 << 16] = {1};

static void put(struct parcel **words, size_t count)
{
    *any_slot() = NULL;
    words[random_next() % count] = new_parcel();
}

/* From a slot of the heap to a word of the table, which had another. */
static void swap_with(struct parcel **words, size_t count)
{
    struct parcel **a = any_slot(), **b = &words[random_next() % count], *parcel = *a;

    *a = *b;
    *b = parcel;
}

static void move_between(struct parcel **words, size_t count)
{
    for (unsigned i = 0; i < 10; i++) {
        put(words, count);
        swap_with(words, count);
    }
    make_moves(3);
}

static void check_words(struct parcel *const *words, size_t count)
{
    litter(1 << 20);
    for (size_t i = 0; i < count; i++)
        REQUIRE(words[i] == NULL || is_intact(words[i]));
    check();
}

static void cycle_with(struct parcel **words, size_t count)
{
    gc__heap.concurrent.step_objects = 1 + random_next() % 500;
    do
        move_between(words, count);
    while (step());
    check_words(words, count);
}

Test(root_watch, data_segments_change_between_any_two_steps)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(12); cycle++) {
        cycle_with(table, TABLE_WORDS);
        cr_assert(begin_cycle());
        cycle_with(filled, sizeof filled / sizeof *filled);
        cr_assert(begin_cycle());
    }
    cr_assert(in_data[0] == 1);
}

/* Scanned again at the finish, of all that is watched. */
static size_t pages_at_the_finish(void)
{
    size_t written;

    step_to(PHASE_FINISH);
    written = gc__heap.concurrent.roots.written;
    step();
    return gc__heap.concurrent.roots.written - written;
}

static size_t known_bytes(void)
{
    const struct ranges *known = &gc__heap.concurrent.roots.known;
    size_t bytes = 0;

    for (size_t i = 0; i < known->count; i++)
        bytes += known->range[i].end - known->range[i].start;
    return bytes;
}

/* Each page of the table holds something, and few are written in the cycle. */
Test(root_watch, what_was_not_written_is_not_scanned_at_the_finish)
{
    size_t pages;

    BEGIN();
    for (size_t i = 0; i < TABLE_WORDS; i += 512)
        table[i] = new_parcel();
    step_to(PHASE_ASK);
    cr_assert_geq(known_bytes(), TABLE_BYTES - 8192);
    step_to(PHASE_FINISH);
    for (size_t i = 0; i < 100; i++)
        table[i * 512] = new_parcel();
    pages = pages_at_the_finish();
    cr_assert_geq(pages, 100);
    cr_assert_leq(pages, 500);
    finish_cycle();
    check_words(table, TABLE_WORDS);
}

static void *map(int flags, int file)
{
    void *mapped = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, flags, file, 0);

    cr_assert(mapped != MAP_FAILED);
    return mapped;
}

Test(root_watch, ranges_change_between_any_two_steps)
{
    struct parcel **words = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

    BEGIN();
    gc_add_roots(words + 1, words + TABLE_WORDS - 1);
    for (uint64_t cycle = 0; cycle < effort(12); cycle++) {
        cycle_with(words + 1, TABLE_WORDS - 2);
        cr_assert(begin_cycle());
    }
}

/* In a range, and in an object of the heap. */
static void let_a_device_write(struct parcel **words)
{
    enum { PINNED_WORDS = TABLE_WORDS / 32 };

    if (!device_open(words, PINNED_WORDS * sizeof *words))
        cr_skip_test("the system has no io_uring for us");
    for (uint64_t cycle = 0; cycle < effort(6); cycle++) {
        gc__heap.concurrent.step_objects = 1 + random_next() % 500;
        cr_assert_eq(gc_pin_writable(words, words + PINNED_WORDS), 0);
        do {
            *any_slot() = NULL;
            device_store(&words[random_next() % PINNED_WORDS], new_parcel());
            if (random_once_in(50)) {
                cr_assert_eq(gc_unpin_writable(words, words + PINNED_WORDS), 0);
                step();
                cr_assert_eq(gc_pin_writable(words, words + PINNED_WORDS), 0);
            }
        } while (step());
        check_words(words, TABLE_WORDS);
        cr_assert(begin_cycle());
    }
}

Test(root_watch, a_device_writes_into_a_range)
{
    struct parcel **words = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

    BEGIN();
    gc_add_roots(words, words + TABLE_WORDS);
    finish_cycle(); /* it was watched before */
    cr_assert(begin_cycle());
    let_a_device_write(words);
}

static struct parcel **in_heap;

Test(root_watch, a_device_writes_into_an_object)
{
    BEGIN();
    in_heap = gc_malloc(TABLE_BYTES);
    finish_cycle();
    cr_assert(begin_cycle());
    let_a_device_write(in_heap);
}

/* It is written by another address, of which the system watches nothing. */
Test(root_watch, shared_memory_is_not_watched)
{
    int file = memfd_create("shared", MFD_CLOEXEC);
    struct parcel **words, **same;

    cr_assert(ftruncate(file, TABLE_BYTES) == 0);
    words = map(MAP_SHARED, file);
    same = map(MAP_SHARED, file);
    BEGIN();
    gc_add_roots(words, words + TABLE_WORDS);
    for (uint64_t cycle = 0; cycle < effort(6); cycle++) {
        cycle_with(same, TABLE_WORDS);
        cr_assert(begin_cycle());
        step_to(PHASE_FINISH);
        move_between(same, TABLE_WORDS);
    }
}

Test(root_watch, a_data_segment_may_be_shared)
{
    int file = memfd_create("shared", MFD_CLOEXEC);
    struct parcel **words = (struct parcel **)gc__align_up((uintptr_t)table, gc__os_page_bytes()), **same;

    cr_assert(ftruncate(file, TABLE_BYTES) == 0);
    same = map(MAP_SHARED, file);
    cr_assert(mmap(words, TABLE_BYTES / 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == words);
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(6); cycle++) {
        cycle_with(same, TABLE_WORDS / 2);
        cr_assert(begin_cycle());
        step_to(PHASE_FINISH);
        move_between(same, TABLE_WORDS / 2);
    }
}

/* A mapping of which only a part is watched is two to the system, which resizes one. */
Test(root_watch, a_range_that_is_none_any_more_is_left_alone)
{
    struct parcel **words = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

    BEGIN();
    gc_add_roots(words + 512, words + TABLE_WORDS);
    finish_cycle();
    cr_assert(gc__heap.concurrent.roots.known.count > 0);
    gc_remove_roots(words + 512, words + TABLE_WORDS);
    cr_assert(mremap(words, TABLE_BYTES, 2 * TABLE_BYTES, MREMAP_MAYMOVE) != MAP_FAILED);
}

/* After all was watched and scanned. */
Test(root_watch, other_memory_comes_to_the_same_place)
{
    struct parcel **words = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

    BEGIN();
    gc_add_roots(words, words + TABLE_WORDS);
    for (uint64_t cycle = 0; cycle < effort(24); cycle++) {
        int kind = cycle % 2 == 0 ? MAP_PRIVATE : MAP_SHARED;

        move_between(words, TABLE_WORDS);
        step_to(cycle % 3 == 0 ? PHASE_FINISH : cycle % 3 == 1 ? PHASE_TRACE : PHASE_STACKS);
        cr_assert(mmap(words, TABLE_BYTES, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == words);
        cycle_with(words, TABLE_WORDS);
        cr_assert(begin_cycle());
    }
}

Test(root_watch, a_range_moves)
{
    struct parcel **words = map(MAP_PRIVATE | MAP_ANONYMOUS, -1), **moved;

    BEGIN();
    gc_add_roots(words, words + TABLE_WORDS);
    for (uint64_t cycle = 0; cycle < effort(24); cycle++) {
        move_between(words, TABLE_WORDS);
        step_to(cycle % 3 == 0 ? PHASE_FINISH : cycle % 3 == 1 ? PHASE_TRACE : PHASE_STACKS);
        gc_remove_roots(words, words + TABLE_WORDS);
        moved = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
        cr_assert(mremap(words, TABLE_BYTES, TABLE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
        words = moved;
        gc_add_roots(words, words + TABLE_WORDS);
        cycle_with(words, TABLE_WORDS);
        cr_assert(begin_cycle());
    }
}

static struct parcel *kept;

/* It was watched in the last cycle, and was not written since. */
Test(root_watch, a_range_that_was_none_for_a_while)
{
    struct parcel **words = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

    BEGIN();
    for (unsigned round = 0; round < 6; round++) {
        gc_add_roots(words, words + TABLE_WORDS);
        words[5000] = new_parcel();
        finish_cycle();
        cr_assert(begin_cycle_of(false));
        finish_cycle();
        kept = words[5000];
        gc_remove_roots(words, words + TABLE_WORDS);
        cr_assert(begin_cycle_of(false));
        step_to(round % 2 == 0 ? PHASE_SNAPSHOT : PHASE_FINISH);
        gc_add_roots(words, words + TABLE_WORDS);
        kept = NULL;
        clear_stack();
        finish_cycle();
        check_words(words, TABLE_WORDS);
        gc_remove_roots(words, words + TABLE_WORDS);
        cr_assert(begin_cycle());
    }
}

static void cycles_of_a_child(void)
{
    gc__heap.background.started = true; /* nor is it here */
    check_words(table, TABLE_WORDS);
    for (unsigned cycle = 0; cycle < 2; cycle++) {
        REQUIRE(begin_cycle());
        cycle_with(table, TABLE_WORDS);
    }
}

Test(root_watch, a_fork_anywhere)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(9); cycle++) {
        struct child child;

        for (uint64_t steps = random_next() % 400; steps > 0 && step(); steps--)
            move_between(table, TABLE_WORDS);
        child = child_run(cycles_of_a_child);
        cr_assert(child_returned(&child), "%s", child.text);
        cycle_with(table, TABLE_WORDS);
        cr_assert(begin_cycle());
    }
}

/* To the same place, as a rule. */
Test(root_watch, a_library_comes_and_goes_anywhere)
{
    BEGIN();
    for (uint64_t cycle = 0; cycle < effort(24); cycle++) {
        void *library = find_library("large_plugin.so");
        struct parcel **words;

        cr_assert(library != NULL, "%s", dlerror());
        words = dlsym(library, "large_plugin_words");
        for (uint64_t steps = random_next() % 400; steps > 0 && step(); steps--)
            move_between(words, 1 << 18);
        if (cycle % 3 == 0) {
            cycle_with(words, 1 << 18);
            cr_assert(begin_cycle());
        }
        check_words(words, 1 << 18);
        cr_assert(dlclose(library) == 0);
    }
}

/* The program closes all files. */
static void lose_the_file(void)
{
    gc__heap.background.started = true;            /* nor is it here */
    for (unsigned cycle = 0; cycle < 2; cycle++) { /* a third would be the last */
        REQUIRE(begin_cycle());
        for (uint64_t steps = random_next() % 400; steps > 0 && step(); steps--)
            move_between(table, TABLE_WORDS);
        for (int file = 3; file < 1024; file++)
            close(file);
        while (step())
            move_between(table, TABLE_WORDS);
        check_words(table, TABLE_WORDS);
    }
}

Test(root_watch, a_file_that_is_closed_anywhere)
{
    BEGIN();
    for (uint64_t i = 0; i < effort(6); i++) {
        struct child child;

        move_between(table, TABLE_WORDS);
        child = child_run(lose_the_file);
        cr_assert(child_returned(&child), "%s", child.text);
    }
}
