/* test_resize.c - gc_realloc: what stood in an object stands in it still, the
 * rest is zero, and however it got there - in place, as a copy, by moving page
 * tables - the collector finds what it points at. */
#include "test/effort.h"
#include "test/filled.h"
#include "test/hidden.h"
#include "test/random.h"

#include <broom/limit.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { LARGE = 40000, KIB = 1 << 10, MIB = 1 << 20 };

/* All sizes up to a KiB, then some. */
static size_t next_size(size_t bytes)
{
    return bytes < KIB ? bytes + 1 : bytes + bytes / 37;
}

/* Bytes that tell where they stand. */
static unsigned char mark_of(size_t at, unsigned seed)
{
    return (unsigned char)((at * 2654435761u + seed) >> 7 | 1);
}

static void write_marks(void *memory, size_t from, size_t to, unsigned seed)
{
    unsigned char *byte = memory;

    for (size_t i = from; i < to; i++)
        byte[i] = mark_of(i, seed);
}

static size_t count_marks(const void *memory, size_t to, unsigned seed)
{
    const unsigned char *byte = memory;
    size_t i = 0;

    while (i < to && byte[i] == mark_of(i, seed))
        i++;
    return i;
}

static void *resize(void *object, size_t old, size_t new, bool atomic, unsigned seed)
{
    size_t old_usable = gc_usable_size(object), kept = old < new ? old : new;
    void *resized = seed % 2 == 0 ? gc_realloc(object, new) : gc_reallocarray(object, new, 1);

    cr_assert(resized != NULL && gc_base(resized) == resized && gc_usable_size(resized) >= new);
    cr_assert(count_marks(resized, kept, seed) == kept, "byte %zu is lost from %zu to %zu",
              count_marks(resized, kept, seed), old, new);
    if (!atomic)
        check_filled(resized, 0, old_usable, gc_usable_size(resized));
    cr_assert(resized == object || gc_base(object) != object);
    return resized;
}

/* From any size to any other. All free memory is dirty. */
Test(resize, resized_contents)
{
    enum { OBJECTS = 40 };
    void *object[OBJECTS];
    size_t bytes[OBJECTS] = {0};

    random_begin("resized_contents");
    for (size_t i = 0; i < OBJECTS; i++)
        object[i] = i % 2 == 0 ? gc_malloc(0) : gc_malloc_atomic(0);
    for (size_t round = 0; round < effort(15000); round++) {
        size_t i = random_below(OBJECTS), new = random_below((size_t)16 << random_below(16));
        object[i] = resize(object[i], bytes[i], new, i % 2 != 0, (unsigned)i);
        memset(object[i], 0xee, gc_usable_size(object[i]));
        write_marks(object[i], 0, new, (unsigned)i);
        bytes[i] = new;
    }
}

static __attribute__((noinline)) void *new_marked(size_t bytes)
{
    void *object = gc_malloc(bytes);

    write_marks(object, 0, bytes, 0);
    return object;
}

/* No frame and no register that survives the call holds the old object. */
static __attribute__((noinline)) void *resize_unnamed(size_t from, size_t to)
{
    return gc_realloc(new_marked(from), to);
}

Test(resize, what_only_the_call_knows)
{
    struct gc_options options = {.stress = 1};

    unsetenv("BROOM_STRESS");
    cr_assert(gc_init_options(&options, sizeof options) == 0);
    for (size_t from = 16; from < 4 * MIB; from = from * 3 / 2)
        for (size_t factor = 2; factor < 8; factor++) {
            void *resized = resize_unnamed(from, factor * from);

            cr_assert(count_marks(resized, from, 0) == from, "%zu to %zu bytes", from, factor * from);
        }
}

Test(resize, resized_from_null)
{
    char *object = gc_realloc(NULL, 100);

    cr_assert(gc_usable_size(object) >= 100);
    check_filled(object, 0, 0, 100);
    object = gc_reallocarray(NULL, 1000, 100);
    cr_assert(gc_usable_size(object) >= 100000);
    check_filled(object, 0, 0, 100000);
}

Test(resize, resized_to_nothing)
{
    void *object = gc_realloc(gc_malloc(100), 0);

    cr_assert(object != NULL && gc_base(object) == object);
    object = gc_realloc(gc_malloc(100000), 0);
    cr_assert(object != NULL && gc_base(object) == object);
    cr_assert(gc_usable_size(object) < 100000);
}

/* Where it is possible: not from pages into a cell. */
Test(resize, resized_in_place)
{
    for (size_t bytes = 1; bytes < 3 * MIB; bytes = next_size(bytes)) {
        void *object = gc_malloc(bytes);
        cr_assert(gc_realloc(object, gc_usable_size(object)) == object);
        cr_assert(gc_realloc(object, bytes) == object);
        if (bytes <= 32 * KIB || bytes > 40 * KIB)
            cr_assert(gc_realloc(object, bytes - bytes / 8) == object);
    }
}

/* The pages behind are free: some were never used, some are dirty. */
Test(resize, large_objects_grow_in_place)
{
    char *object = gc_malloc_atomic(10 * MIB);
    struct hidden start;

    gc_disable();
    memset(object, 0xa5, 10 * MIB);
    gc_free(object);
    object = gc_malloc(LARGE);
    start = hide(object);
    write_marks(object, 0, LARGE, 1);
    for (size_t bytes = LARGE; bytes < 50 * MIB; bytes = bytes * 3 / 2) {
        size_t old = gc_usable_size(object);
        object = gc_realloc(object, bytes);
        cr_assert(object == reveal(start), "moved at %zu bytes", bytes);
        cr_assert(gc_usable_size(object) >= bytes);
        check_filled(object, 0, old, gc_usable_size(object));
    }
    for (size_t bytes = 30 * MIB; bytes > LARGE; bytes = bytes / 2) {
        object = gc_realloc(object, bytes);
        cr_assert(object == reveal(start), "moved at %zu bytes", bytes);
        cr_assert(gc_usable_size(object) < bytes + 8192);
        cr_assert(gc_base((void *)((uintptr_t)object + bytes + 8192)) != object);
    }
    object = gc_realloc(object, 5 * MIB);
    cr_assert(object == reveal(start));
    cr_assert(count_marks(object, LARGE, 1) == LARGE);
    check_filled(object, 0, LARGE + 4096, 5 * MIB);
}

/* Side by side, and each by little: not each step of each is to be a copy. */
Test(resize, many_that_grow_in_turn)
{
    enum { OBJECTS = 16, STEP = 7000, STEPS = 200 };
    static char *object[OBJECTS];
    size_t moves = 0;

    for (size_t step = 10; step < STEPS; step++)
        for (unsigned i = 0; i < OBJECTS; i++) {
            char *old = object[i];
            size_t bytes = step * STEP, usable = old != NULL ? gc_usable_size(old) : 0;

            object[i] = gc_realloc(old, bytes);
            moves += object[i] != old;
            check_filled(object[i], 0, usable, gc_usable_size(object[i]));
            cr_assert(old == NULL || count_marks(object[i], bytes - STEP, i) == bytes - STEP);
            write_marks(object[i], 0, bytes, i);
        }
    cr_assert(moves < OBJECTS * STEPS / 4, "%zu moves", moves);
}

/* Into the place of `bytes`, with something behind it, to so many more. */
static size_t usable_after_growth(size_t bytes, size_t more)
{
    char *object = gc_malloc(bytes), *volatile barrier = gc_malloc(LARGE);

    (void)barrier;
    return gc_usable_size(gc_realloc(object, bytes + more));
}

Test(resize, slack_is_for_what_grows_by_little_and_where_there_is_room)
{
    char *object, *volatile barrier;

    gc_disable();
    cr_assert(usable_after_growth(800 * KIB, 8 * KIB) > 880 * KIB);
    cr_assert(usable_after_growth(4 * MIB, 8 * KIB) > 4 * MIB + 400 * KIB);
    cr_assert(usable_after_growth(800 * KIB, 800 * KIB) < 1608 * KIB);
    object = gc_malloc(800 * KIB);
    barrier = gc_malloc(LARGE);
    (void)barrier;
    object = gc_realloc(object, 808 * KIB);
    cr_assert(gc_realloc(object, 808 * KIB) == object && gc_usable_size(object) > 880 * KIB);
    object = gc_realloc(object, 400 * KIB);
    cr_assert(gc_usable_size(object) < 408 * KIB);
    cr_assert(gc_set_hard_limit(16 * MIB) == 0);
    cr_assert(usable_after_growth(800 * KIB, 8 * KIB) < 816 * KIB);
}

/* Always something stands behind: the object must move, from some size on
 * without being copied. */
Test(resize, large_objects_move)
{
    size_t most = is_sanitized() || is_stressed() ? 40 * MIB : 200 * MIB;
    size_t bytes = 100 * KIB, new;
    void *object = gc_malloc(bytes), *barrier = NULL;

    write_marks(object, 0, bytes, 7);
    for (; bytes < most; bytes = new) {
        size_t old_usable = gc_usable_size(object);
        void *old = object;
        barrier = gc_malloc_atomic(LARGE);
        memset(barrier, 0xa5, LARGE);
        new = bytes * 19 / 10;
        object = gc_realloc(object, new);
        check_filled(object, 0, old_usable, gc_usable_size(object));
        cr_assert(object == old || gc_base(old) == NULL);
        write_marks(object, bytes, new, 7);
    }
    cr_assert(count_marks(object, bytes, 7) == bytes);
    check_filled(barrier, 0xa5, 0, LARGE);
    /* What was left behind is as good as new. */
    for (unsigned i = 0; i < 20; i++) {
        barrier = gc_malloc(3 * MIB);
        check_filled(barrier, 0, 0, 3 * MIB);
        memset(barrier, 0xa5, 3 * MIB);
    }
    object = gc_realloc(object, 2 * MIB);
    cr_assert(count_marks(object, 2 * MIB, 7) == 2 * MIB);
    object = gc_realloc(object, 1000);
    cr_assert(count_marks(object, 1000, 7) == 1000);
}

/* Pointers in an object are found where it moved to. */
Test(resize, moved_objects_are_scanned)
{
    enum { POINTERS = 1000 };
    size_t bytes = 2 * MIB;
    uintptr_t **array = gc_malloc(bytes);

    for (size_t i = 0; i < POINTERS; i++) {
        array[i * 200] = gc_malloc(sizeof(uintptr_t));
        *array[i * 200] = i;
    }
    for (unsigned round = 0; round < 4; round++) {
        memset(gc_malloc_atomic(LARGE), 0xa5, LARGE);
        bytes = bytes * 2;
        array = gc_realloc(array, bytes);
        gc_collect();
        for (size_t i = 0; i < POINTERS; i++)
            cr_assert(gc_base(array[i * 200]) == array[i * 200] && *array[i * 200] == i);
    }
}

static size_t count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    size_t lines = 0;

    for (int c; file != NULL && (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    if (file != NULL)
        fclose(file);
    return lines;
}

/* However many are moved, the process does not run out of mappings. */
Test(resize, many_moved_objects)
{
    enum { OBJECTS = 6000 };
    char **object;

    without_stress();
    object = gc_malloc(OBJECTS * sizeof(char *));
    for (size_t i = 0; i < OBJECTS; i++) {
        object[i] = gc_malloc_atomic(MIB);
        memset(object[i], (int)i, 4096);
        memset(object[i] + MIB - 4096, (int)i, 4096);
        gc_free(gc_malloc_atomic(LARGE));
        char *barrier = gc_malloc_atomic(LARGE);
        object[i] = gc_realloc(object[i], MIB + 9000);
        gc_free(barrier);
    }
    cr_assert(count_mappings() < 10000, "%zu mappings", count_mappings());
    for (size_t i = 0; i < OBJECTS; i++) {
        check_filled(object[i], (unsigned char)i, 0, 4096);
        check_filled(object[i], (unsigned char)i, MIB - 4096, MIB);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        gc_free(object[i]);
    cr_assert(count_mappings() < 1000, "%zu mappings", count_mappings());
}
