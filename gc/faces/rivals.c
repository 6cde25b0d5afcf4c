#include "gc/faces/rivals.h"

#include "gc/base/check.h"
#include "gc/faces/preload.h"
#include "gc/platform/platform.h"
#include "gc/platform/program.h"

#include <broom.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Two collectors would stop each other's threads by the same signal, and neither would
 * look for its objects in the other's. */
static bool is_with_another_broom(void)
{
    const void *other = gc__os_find_function("gc_get_stats");

    return other != NULL && other != (const void *)(uintptr_t)gc_get_stats;
}

/* The program's, or of a library that was preloaded before ours. What it does not define
 * would be ours all the same, and the two know nothing of each other's memory. */
static const char *file_of_another_malloc(void)
{
    const void *first = gc__os_find_function("malloc");

    return first != NULL && !gc__os_is_own(first) ? gc__os_file_of(first) : NULL;
}

/* The program's file tells, which is read only where a library has a malloc behind ours. */
static bool is_made_for_another(char *what, size_t capacity)
{
    struct gc__program program;

    if (!gc__os_next_is_anothers("malloc"))
        return false;
    program = gc__program_look_at("/proc/self/exe");
    snprintf(what, capacity, "calls %s, more of that allocator than malloc and its like", program.detail);
    return program.obstacle == OBSTACLE_ITS_ALLOCATOR;
}

/* Whose it is, or NULL; and what is the matter with that. */
static const char *find_rival(char *what, size_t capacity)
{
    const char *file;

    if (is_with_another_broom()) {
        snprintf(what, capacity, "has Broom already, as libbroom");
        return "the program";
    }
    file = file_of_another_malloc();
    if (file != NULL) {
        snprintf(what, capacity, "has an allocator of its own, which defines malloc");
        return file;
    }
    return is_made_for_another(what, capacity) ? "the program" : NULL;
}

void gc__avoid_rivals(char **arguments)
{
    char what[GC_EXPLANATION_BYTES];
    const char *file = find_rival(what, sizeof what);

    if (file == NULL)
        return;
    if (gc__preload_take_out()) {
        gc__message("%s %s: it runs without libbroom-malloc", file, what);
        gc__os_run_again(arguments);
    }
    gc__fatal("%s %s: libbroom-malloc does not go with that", file, what);
}
