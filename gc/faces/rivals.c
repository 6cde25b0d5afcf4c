#include "gc/faces/rivals.h"

#include "gc/base/check.h"
#include "gc/faces/preload.h"
#include "gc/platform/platform.h"

#include <broom.h>
#include <stddef.h>
#include <stdint.h>

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

void gc__avoid_rivals(char **arguments)
{
    bool two_brooms = is_with_another_broom();
    const char *file = two_brooms ? "the program" : file_of_another_malloc();
    const char *what =
        two_brooms ? "has Broom already, as libbroom" : "has an allocator of its own, which defines malloc";

    if (file == NULL)
        return;
    if (gc__preload_take_out()) {
        gc__message("%s %s: it runs without libbroom-malloc", file, what);
        gc__os_run_again(arguments);
    }
    gc__fatal("%s %s: libbroom-malloc does not go with that", file, what);
}
