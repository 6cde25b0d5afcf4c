#include <broom/limit.h>

#include "gc/api/enter.h"
#include "gc/base/align.h"
#include "gc/cycle/collect.h"
#include "gc/cycle/record.h"

#include <errno.h>

size_t gc_set_memory_limit(size_t bytes)
{
    size_t before;

    gc__enter("gc_set_memory_limit");
    gc__world_lock(&gc__heap.world);
    gc__heap_know_limit(&gc__heap);
    before = gc__heap.limit.soft_bytes;
    gc__heap.limit.soft_bytes = bytes != 0 ? bytes : SIZE_MAX;
    gc__keep_limits(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    return before == SIZE_MAX ? 0 : before;
}

int gc_set_hard_limit(size_t bytes)
{
    gc__enter("gc_set_hard_limit");
    if (bytes != 0 && bytes < GC_LIMIT_LEAST_BYTES)
        return EINVAL;
    gc__world_lock(&gc__heap.world);
    gc__heap.region.max_pages = bytes != 0 ? bytes >> GC_PAGE_SHIFT : SIZE_MAX >> GC_PAGE_SHIFT;
    gc__keep_limits(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    return 0;
}

int gc_set_growth_percent(unsigned percent)
{
    gc__enter("gc_set_growth_percent");
    if (percent < GC_PACE_GROWTH_MIN_PERCENT || percent > GC_PACE_GROWTH_MAX_PERCENT)
        return EINVAL;
    gc__world_lock(&gc__heap.world);
    gc__heap.pace.growth_percent = percent;
    gc__world_unlock(&gc__heap.world);
    return 0;
}

int gc_set_pause_target(long microseconds)
{
    gc__enter("gc_set_pause_target");
    if (microseconds < 0 || microseconds > INT32_MAX)
        return EINVAL;
    gc__world_lock(&gc__heap.world);
    gc__heap.options.pause_target_us = (int32_t)microseconds;
    gc__world_unlock(&gc__heap.world);
    return 0;
}

static void *step_spilled(uintptr_t sp, const char *call, uintptr_t time_ns, uintptr_t collected)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);

    gc__world_begin(mutator);
    *(bool *)collected = gc__collect_early(&gc__heap, time_ns);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return gc__attended(NULL);
}

bool gc_step(uint64_t time_ns)
{
    bool collected;

    gc__os_spill_registers(step_spilled, "gc_step", time_ns, (uintptr_t)&collected);
    return collected;
}

static void *external_spilled(uintptr_t sp, const char *call, uintptr_t bytes, uintptr_t unused)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);

    (void)unused;
    gc__world_begin(mutator);
    gc__pace_note_external(&gc__heap.pace, (ptrdiff_t)bytes);
    gc__collect_if_over(&gc__heap);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return gc__attended(NULL);
}

void gc_note_external(ptrdiff_t bytes)
{
    gc__os_spill_registers(external_spilled, "gc_note_external", (uintptr_t)bytes, 0);
}
