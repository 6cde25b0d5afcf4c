/* test_faces.c - the library broom-malloc in the place of malloc, under
 * test/replaced.c and replaced_habits.c, which know nothing of it. */
#define _GNU_SOURCE
#include "test/child.h"

#include "gc/faces/arena.h"

#include <criterion/criterion.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What the child is to run. */
static const char *replaced, *check, *free_means;

static void become_replaced(void)
{
    const char *top = getenv("top_builddir");
    char library[4096], program[4096];

    snprintf(library, sizeof library, "%s/.libs/libbroom-malloc.so", top != NULL ? top : ".");
    snprintf(program, sizeof program, "%s/test/%s", top != NULL ? top : ".", replaced);
    setenv("LD_PRELOAD", library, 1);
    setenv("BROOM_FREE", free_means, 1);
    alarm(300);
    execl(program, program, check, (char *)NULL);
    _exit(127);
}

static struct child run(const char *program, const char *name, const char *means)
{
    replaced = program;
    check = name;
    free_means = means;
    return child_run(become_replaced);
}

static void check_child_of(const char *program, const char *name, const char *means)
{
    struct child child = run(program, name, means);

    cr_assert(child_returned(&child), "%s, free: %s: status %#x\n%s", name, means, (unsigned)child.status, child.text);
}

static void check_child(const char *name, const char *means)
{
    check_child_of("replaced", name, means);
}

/* A sanitizer's malloc and ours exclude each other. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#elif defined __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

#define BOTH_WAYS(name)                                                                                                \
    Test(replaced, name, .disabled = SANITIZED)                                                                        \
    {                                                                                                                  \
        check_child(#name, "ignore");                                                                                  \
        check_child(#name, "honour");                                                                                  \
    }

#define HABIT(name)                                                                                                    \
    Test(habits, name, .disabled = SANITIZED)                                                                          \
    {                                                                                                                  \
        check_child_of("replaced_habits", #name, "ignore");                                                            \
        check_child_of("replaced_habits", #name, "honour");                                                            \
    }

HABIT(cleared)
HABIT(alternate)
HABIT(jumps)
HABIT(fork_streams)
HABIT(attributes)
HABIT(growth)
HABIT(reset)
HABIT(raw_fork)
HABIT(churn)
HABIT(guards)
HABIT(forgotten_guards)
HABIT(light_guards)
HABIT(no_files)
HABIT(no_files_for_good)
HABIT(waits_in_full)
HABIT(woken)
HABIT(wakes_sleepers)

BOTH_WAYS(static)
BOTH_WAYS(mapped)
BOTH_WAYS(brk)
BOTH_WAYS(sparse)
BOTH_WAYS(unaligned)
BOTH_WAYS(threads)
BOTH_WAYS(at_exit)
BOTH_WAYS(library)
BOTH_WAYS(epoll)
BOTH_WAYS(leak)
BOTH_WAYS(contracts)
BOTH_WAYS(signals)
BOTH_WAYS(forks)
BOTH_WAYS(loads)
BOTH_WAYS(waits)
BOTH_WAYS(freed)
BOTH_WAYS(timer)

Test(replaced, free_may_be_ignored, .disabled = SANITIZED)
{
    check_child("ignored", "ignore");
    check_child("twice", "ignore");
}

Test(replaced, free_may_be_honoured, .disabled = SANITIZED)
{
    struct child child;

    check_child("honoured", "honour");
    child = run("replaced", "twice", "honour");
    cr_assert(child_aborted(&child), "status %#x", (unsigned)child.status);
    cr_assert(child_wrote(&child, "broom: free: ") && child_wrote(&child, "is free already"), "%s", child.text);
}

/* ---- The arena --------------------------------------------------------------------------- */

Test(arena, hands_out_zeroed_pieces_of_any_alignment)
{
    for (size_t alignment = 1; alignment <= 65536; alignment *= 4)
        for (size_t bytes = 0; bytes < 100000; bytes = 3 * bytes + 1) {
            char *piece = gc__arena_allocate(bytes, alignment);

            cr_assert(piece != NULL && (uintptr_t)piece % alignment == 0 && (uintptr_t)piece % 16 == 0);
            cr_assert(gc__arena_owns(piece) && gc__arena_usable_bytes(piece) >= bytes);
            for (size_t i = 0; i < bytes; i++)
                cr_assert_eq(piece[i], 0);
            memset(piece, 1, gc__arena_usable_bytes(piece));
            gc__arena_free(piece);
        }
}

Test(arena, uses_again_what_is_freed)
{
    void *piece = gc__arena_allocate(1000, 16), *other;

    gc__arena_free(piece);
    gc__arena_free(piece);
    cr_assert_eq(gc__arena_allocate(1000, 16), piece);
    other = gc__arena_allocate(1000, 16);
    cr_assert(other != piece, "what is freed twice is handed out once");
}

Test(arena, ends)
{
    unsigned pieces = 0;

    while (gc__arena_allocate(1 << 20, 16) != NULL)
        pieces++;
    cr_assert(pieces >= 4 && pieces < 16);
    cr_assert_null(gc__arena_allocate(SIZE_MAX, 16));
    cr_assert_null(gc__arena_allocate(16, (size_t)1 << 40));
    cr_assert_not_null(gc__arena_allocate(16, 16));
    cr_assert_not(gc__arena_owns(&pieces));
}
