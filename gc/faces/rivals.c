#include "gc/faces/rivals.h"

#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <broom.h>
#include <stddef.h>
#include <stdint.h>

/* Two collectors would stop each other's threads by the same signal, and neither would
 * look for its objects in the other's. */
static void refuse_another_broom(void)
{
    const void *other = gc__os_find_function("gc_get_stats");

    if (other != NULL && other != (const void *)(uintptr_t)gc_get_stats)
        gc__fatal("the program has Broom already, as libbroom: %s", "libbroom-malloc does not go with that");
}

/* The program's, or of a library that was preloaded before ours. What it does not define
 * would be ours all the same, and the two know nothing of each other's memory. */
static void refuse_another_malloc(void)
{
    const void *first = gc__os_find_function("malloc");

    if (first != NULL && !gc__os_is_own(first))
        gc__fatal("%s has an allocator of its own, which defines malloc: Broom cannot take its place",
                  gc__os_file_of(first));
}

void gc__refuse_rivals(void)
{
    refuse_another_broom();
    refuse_another_malloc();
}
