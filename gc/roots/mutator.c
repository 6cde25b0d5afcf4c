#include "gc/roots/mutator.h"

#include "gc/base/align.h"

#include <string.h>

const struct mutator gc__no_mutator;

_Thread_local struct mutator *gc__mutator = (struct mutator *)(uintptr_t)&gc__no_mutator;

/* As broom/inline.h knows it: a mutator begins with its runs. */
extern _Thread_local struct mutator *gc_runs
    __attribute__((alias("gc__mutator"), visibility("default"), tls_model("initial-exec")));

_Static_assert(offsetof(struct mutator, runs) == 0, "gc_runs points at the runs");

size_t gc__mutator_metadata_bytes(void)
{
    return gc__align_up(sizeof(struct mutator), gc__os_page_bytes());
}

struct mutator *gc__mutator_create(void)
{
    struct mutator *mutator = gc__os_map(gc__mutator_metadata_bytes());

    if (mutator != NULL)
        mutator->lanes = GC_BUILTIN_LANES;
    return mutator;
}

/* The magazines are as full as the runs say. */
void gc__mutator_clear(struct mutator *mutator)
{
    size_t behind = offsetof(struct mutator, used);

    memset(mutator->runs, 0, sizeof mutator->runs);
    memset((char *)mutator + behind, 0, sizeof *mutator - behind);
    for (unsigned lane = GC_BUILTIN_LANES; lane < mutator->lanes; lane++)
        *gc__mutator_run(mutator, lane) = (struct run){0};
}

/* ---- Lanes of the program's kinds ------------------------------------------------ */

#define USER_LANES ((size_t)GC_MAX_LANES - GC_BUILTIN_LANES)

static size_t runs_bytes(size_t lanes)
{
    return gc__align_up(lanes * sizeof(struct run), gc__os_page_bytes());
}

static size_t magazines_bytes(size_t lanes)
{
    return gc__align_up(lanes * sizeof(struct magazine), gc__os_page_bytes());
}

static bool reserve_lanes(struct mutator *mutator)
{
    char *memory = gc__os_reserve(runs_bytes(USER_LANES) + magazines_bytes(USER_LANES), gc__os_page_bytes(), 0);

    if (memory == NULL)
        return false;
    mutator->user_runs = (struct run *)memory;
    mutator->user_magazines = (struct magazine *)(memory + runs_bytes(USER_LANES));
    return true;
}

/* As many as the magazines' pages hold. */
bool gc__mutator_use_lane(struct mutator *mutator, unsigned lane)
{
    size_t bytes;

    if (lane < mutator->lanes)
        return true;
    if (mutator->user_runs == NULL && !reserve_lanes(mutator))
        return false;
    bytes = magazines_bytes(lane + 1 - GC_BUILTIN_LANES);
    if (!gc__os_commit(mutator->user_runs, runs_bytes(bytes / sizeof(struct magazine))) ||
        !gc__os_commit(mutator->user_magazines, bytes))
        return false;
    mutator->lanes = GC_BUILTIN_LANES + (unsigned)gc__min(bytes / sizeof(struct magazine), USER_LANES);
    return true;
}

size_t gc__mutator_user_bytes(const struct mutator *mutator)
{
    size_t lanes = mutator->lanes - GC_BUILTIN_LANES;

    return runs_bytes(lanes) + magazines_bytes(lanes);
}

static const struct run *run_of(const struct mutator *mutator, unsigned lane)
{
    return gc__mutator_run((struct mutator *)(uintptr_t)mutator, lane);
}

/* The mutator may be at it: what cannot be is not counted. */
static size_t unissued_bytes_of(const struct run *run)
{
    const char *cur = __atomic_load_n(&run->cur, __ATOMIC_RELAXED);
    const char *end = __atomic_load_n(&run->end, __ATOMIC_RELAXED);
    size_t bytes = (size_t)(end - cur);

    return bytes <= GC_LARGEST_CELL_BYTES ? bytes : 0;
}

size_t gc__mutator_unissued_bytes(const struct mutator *mutator)
{
    size_t bytes = 0;

    for (unsigned lane = 0; lane < mutator->lanes; lane++)
        bytes += unissued_bytes_of(run_of(mutator, lane));
    return bytes;
}
