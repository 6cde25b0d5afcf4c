#include "gc/cycle/assist.h"

#include "gc/base/align.h"

/* Others make steps, and may be about to stop the world. */
static void wait_for_steps(struct heap *heap, struct mutator *mutator, uint32_t made)
{
    bool is_safe = gc__mutator_is_safe(mutator); /* in gc_thread_blocking */
    uint64_t start_ns = gc__os_clock_ns(), blocked = 0;

    if (!is_safe)
        blocked = gc__world_begin_wait(&heap->world, mutator, mutator->sp);
    gc__os_wait(&heap->concurrent.steps, made, GC_ASSIST_WAIT_NS);
    if (!is_safe)
        gc__world_end_wait(&heap->world, mutator, blocked);
    atomic_fetch_add_explicit(&heap->concurrent.waited_ns, gc__os_clock_ns() - start_ns, memory_order_relaxed);
}

/* One step is made at a time: so who helps waits for those of the collector's thread, and
 * makes some only if that seems not to run. */
uint32_t gc__assist_once(struct heap *heap, struct mutator *mutator)
{
    uint32_t before = gc__concurrent_steps(&heap->concurrent);

    GC_STAGGER();
    if (heap->world.cpus > 1)
        wait_for_steps(heap, mutator, before);
    if (gc__concurrent_steps(&heap->concurrent) == before && !gc__concurrent_try_step(heap) &&
        gc__pace_overdrafts(&heap->pace) == 0)
        return 1;
    return gc__concurrent_steps(&heap->concurrent) - before;
}

/* The more was granted, the more is asked for: so the heap stays within bounds, however
 * long the cycle takes. But nobody can help a copy of the process: to wait for it slows who
 * allocates down, and once for so many bytes is enough. */
static uint32_t steps_wanted(const struct heap *heap)
{
    if (gc__concurrent_phase(&heap->concurrent) == PHASE_AWAIT)
        return 1;
    return GC_ASSIST_STEPS * (1 + gc__pace_overdrafts(&heap->pace));
}

void gc__assist(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    uint32_t wanted = steps_wanted(heap), made = 0;

    while (made < wanted && gc__concurrent_is_under_way(&heap->concurrent))
        made += gc__assist_once(heap, mutator);
    gc__pace_grant(&heap->pace, gc__max(bytes / GC_ASSIST_PARTS, GC_ASSIST_BYTES));
}
