/* test_faces.c - the library broom-malloc in the place of malloc, under test/replaced.c
 * and replaced_*.c, which know nothing of it. */
#define _GNU_SOURCE
#include "test/child.h"

#include "gc/faces/arena.h"

#include <criterion/criterion.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the child is to run. */
static const char *program, *check, *free_means, *stress;

static void become_replaced(void)
{
    const char *top = getenv("top_builddir");
    char library[4096], path[4096];

    snprintf(library, sizeof library, "%s/.libs/libbroom-malloc.so", top != NULL ? top : ".");
    snprintf(path, sizeof path, "%s/test/%s", top != NULL ? top : ".", program);
    setenv("LD_PRELOAD", library, 1);
    setenv("BROOM_FREE", free_means, 1);
    if (stress != NULL)
        setenv("BROOM_STRESS", stress, 1);
    alarm(300);
    execl(path, path, check, (char *)NULL);
    _exit(127);
}

static struct child run(const char *its_program, const char *name, const char *means)
{
    program = its_program;
    check = name;
    free_means = means;
    return child_run(become_replaced);
}

static struct child check_child(const char *its_program, const char *name, const char *means)
{
    struct child child = run(its_program, name, means);

    cr_assert(child_returned(&child), "%s, free: %s: status %#x\n%s", name, means, (unsigned)child.status, child.text);
    return child;
}

static void check_that_nobody_blocks_our_signal(const char *its_program, const char *name, const char *means)
{
    struct child child = check_child(its_program, name, means);

    cr_assert_not(child_wrote(&child, "it blocks the signal"), "%s, free: %s\n%s", name, means, child.text);
}

/* A sanitizer's malloc and ours exclude each other. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#elif defined __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED false
#endif

#define BOTH_WAYS(program, name)                                                                                       \
    Test(program, name, .disabled = SANITIZED)                                                                         \
    {                                                                                                                  \
        check_child(#program, #name, "ignore");                                                                        \
        check_child(#program, #name, "honour");                                                                        \
    }

/* The C library's threads for them block our signal, which is no matter. */
#define QUIETLY_BOTH_WAYS(program, name)                                                                               \
    Test(program, name, .disabled = SANITIZED)                                                                         \
    {                                                                                                                  \
        check_that_nobody_blocks_our_signal(#program, #name, "ignore");                                                \
        check_that_nobody_blocks_our_signal(#program, #name, "honour");                                                \
    }

/* And with many more collections. */
#define ALSO_STRESSED(program, name)                                                                                   \
    Test(program, name, .disabled = SANITIZED)                                                                         \
    {                                                                                                                  \
        check_child(#program, #name, "ignore");                                                                        \
        check_child(#program, #name, "honour");                                                                        \
        stress = getenv("BROOM_STRESS") == NULL ? "97" : NULL;                                                         \
        if (stress != NULL)                                                                                            \
            check_child(#program, #name, "ignore");                                                                    \
    }

BOTH_WAYS(replaced, contracts)
BOTH_WAYS(replaced, leak)
BOTH_WAYS(replaced, freed)
BOTH_WAYS(replaced, huge)

BOTH_WAYS(replaced_roots, static)
BOTH_WAYS(replaced_roots, mapped)
BOTH_WAYS(replaced_roots, moved)
BOTH_WAYS(replaced_roots, shared)
BOTH_WAYS(replaced_roots, memfd)
BOTH_WAYS(replaced_roots, private_memfd)
BOTH_WAYS(replaced_roots, astride)
BOTH_WAYS(replaced_roots, cut_short)
BOTH_WAYS(replaced_roots, brk)
ALSO_STRESSED(replaced_roots, sparse)
BOTH_WAYS(replaced_roots, unaligned)
BOTH_WAYS(replaced_roots, past_end)
BOTH_WAYS(replaced_roots, code)
BOTH_WAYS(replaced_roots, shared_code)
BOTH_WAYS(replaced_roots, threads)
BOTH_WAYS(replaced_roots, epoll)
QUIETLY_BOTH_WAYS(replaced_roots, timer)
QUIETLY_BOTH_WAYS(replaced_roots, queue)
BOTH_WAYS(replaced_roots, signalling_timer)

ALSO_STRESSED(replaced_library, early)
ALSO_STRESSED(replaced_library, at_exit)
ALSO_STRESSED(replaced_library, atfork)
ALSO_STRESSED(replaced_library, destructors)
ALSO_STRESSED(replaced_library, library)
ALSO_STRESSED(replaced_library, environment)
ALSO_STRESSED(replaced_library, streams)
ALSO_STRESSED(replaced_library, locale)
ALSO_STRESSED(replaced_library, expressions)
ALSO_STRESSED(replaced_library, conversion)
ALSO_STRESSED(replaced_library, addresses)
ALSO_STRESSED(replaced_library, tree)
ALSO_STRESSED(replaced_library, modules)
BOTH_WAYS(replaced_library, deep_modules)
ALSO_STRESSED(replaced_library, bound)
BOTH_WAYS(replaced_library, loads)

BOTH_WAYS(replaced_middle, signals)
BOTH_WAYS(replaced_middle, jumps)
BOTH_WAYS(replaced_middle, frames)
BOTH_WAYS(replaced_middle, forks)
ALSO_STRESSED(replaced_middle, first_fork)
BOTH_WAYS(replaced_middle, aborts)
BOTH_WAYS(replaced_middle, fork_streams)
BOTH_WAYS(replaced_middle, raw_fork)
BOTH_WAYS(replaced_middle, churn)
BOTH_WAYS(replaced_middle, attributes)
BOTH_WAYS(replaced_middle, ended)
BOTH_WAYS(replaced_middle, execs)

BOTH_WAYS(replaced_waits, waits_in_full)
BOTH_WAYS(replaced_waits, woken)
BOTH_WAYS(replaced_waits, wakes_sleepers)
BOTH_WAYS(replaced_waits, told)

Test(replaced_waits, waits, .disabled = SANITIZED)
{
    check_that_nobody_blocks_our_signal("replaced_waits", "waits", "ignore");
    check_that_nobody_blocks_our_signal("replaced_waits", "waits", "honour");
}

BOTH_WAYS(replaced_habits, cleared)
BOTH_WAYS(replaced_habits, alternate)
BOTH_WAYS(replaced_habits, reset)
BOTH_WAYS(replaced_habits, taken_signals)
BOTH_WAYS(replaced_habits, guards)
BOTH_WAYS(replaced_habits, forgotten_guards)
BOTH_WAYS(replaced_habits, parts)
BOTH_WAYS(replaced_habits, light_guards)
ALSO_STRESSED(replaced_habits, unseen)
ALSO_STRESSED(replaced_habits, sleepers)
BOTH_WAYS(replaced_habits, reader)
BOTH_WAYS(replaced_habits, no_files)

BOTH_WAYS(replaced_handlers, fork)
BOTH_WAYS(replaced_handlers, mprotect)
BOTH_WAYS(replaced_handlers, pthread_create)
BOTH_WAYS(replaced_handlers, cancelled)

BOTH_WAYS(replaced_stacks, shared)
BOTH_WAYS(replaced_stacks, handed_over)
BOTH_WAYS(replaced_stacks, many)
BOTH_WAYS(replaced_stacks, refused)
BOTH_WAYS(replaced_stacks, lent)
BOTH_WAYS(replaced_stacks, below)
BOTH_WAYS(replaced_stacks, cloned)
BOTH_WAYS(replaced_stacks, coroutine)
BOTH_WAYS(replaced_stacks, alternate)
QUIETLY_BOTH_WAYS(replaced_stacks, masks)

Test(replaced_roots, file, .disabled = SANITIZED)
{
    setenv("BROOM_ROOTS", "shared", 1);
    check_child("replaced_roots", "file", "ignore");
    check_child("replaced_roots", "file", "honour");
}

Test(replaced_middle, frames_of_segments, .disabled = SANITIZED)
{
    setenv("BROOM_ROOTS", "segments", 1);
    check_child("replaced_middle", "frames", "ignore");
}

static void check_that_it_is_said_once(const char *its_program, const char *name, const char *means, const char *said)
{
    struct child child = check_child(its_program, name, means);
    const char *first = strstr(child.text, said);

    cr_assert(first != NULL && strstr(first + 1, said) == NULL, "%s, free: %s\n%s", name, means, child.text);
}

Test(replaced_habits, no_files_for_good, .disabled = SANITIZED)
{
    const char *said = "no collection is possible, as the system does not list";

    check_that_it_is_said_once("replaced_habits", "no_files_for_good", "ignore", said);
    check_that_it_is_said_once("replaced_habits", "no_files_for_good", "honour", said);
}

static void check_figures(const char *means)
{
    struct child child = check_child("replaced", "figures", means);

    cr_assert(child_wrote(&child, "broom: heap ") && child_wrote(&child, " in use "), "%s", child.text);
}

Test(replaced, figures, .disabled = SANITIZED)
{
    check_figures("ignore");
    check_figures("honour");
}

Test(replaced, free_may_be_ignored, .disabled = SANITIZED)
{
    check_child("replaced", "ignored", "ignore");
    check_child("replaced", "twice", "ignore");
}

Test(replaced, free_may_be_honoured, .disabled = SANITIZED)
{
    struct child child;

    check_child("replaced", "honoured", "honour");
    child = run("replaced", "twice", "honour");
    cr_assert(child_aborted(&child), "status %#x", (unsigned)child.status);
    cr_assert(child_wrote(&child, "broom: free: ") && child_wrote(&child, "is free already"), "%s", child.text);
}

Test(replaced, what_is_not_ours_is_not_resized, .disabled = SANITIZED)
{
    struct child child = run("replaced", "foreign", "ignore");

    cr_assert(child_aborted(&child), "status %#x", (unsigned)child.status);
    cr_assert(child_wrote(&child, "broom: realloc: ") && child_wrote(&child, "is not in Broom's heap"), "%s",
              child.text);
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
