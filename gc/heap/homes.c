/* homes.c - whose homes chunks are: the flags in the chunks are derived from what
 * the mutators say, and put right at each collection. */

#include "gc/heap/region.h"

static void flag(struct region *region, const struct homes *homes, bool are)
{
    for (unsigned i = 0; i < GC_HOME_CHUNKS / 2 && homes->chunk[i] != 0; i++)
        region->chunk[homes->chunk[i] - 1].is_home = are;
}

void gc__region_leave_homes(struct region *region, struct homes *homes)
{
    flag(region, homes, false);
    *homes = (struct homes){{0}};
}

void gc__region_forget_homes(struct region *region)
{
    for (size_t c = 0; region->threaded && c < region->accessible; c++)
        region->chunk[c].is_home = false;
}

void gc__region_keep_homes(struct region *region, const struct homes *homes)
{
    flag(region, homes, true);
}
