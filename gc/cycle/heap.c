#include "gc/cycle/heap.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

GC_OWN_STATE struct heap gc__heap;

static size_t part(size_t bytes, size_t percent)
{
    return bytes == SIZE_MAX ? SIZE_MAX : bytes / 100 * percent;
}

void gc__heap_know_limit(struct heap *heap)
{
    size_t bytes;

    if (heap->limit.most_bytes != 0)
        return;
    bytes = gc__os_memory_limit();
    heap->limit.most_bytes = part(bytes, GC_LIMIT_MOST_PERCENT);
    if (heap->limit.soft_bytes == 0)
        heap->limit.soft_bytes = part(bytes, GC_LIMIT_GROUP_PERCENT);
}

bool gc__heap_start(struct heap *heap, const struct gc_options *options, struct gc__range stack)
{
    size_t max_bytes = options->max_heap != 0 ? options->max_heap : SIZE_MAX;
    size_t reserve = gc__min(GC_RESERVE_BYTES, max_bytes);

    /* Blocks and large objects do not share chunks: room for both, and for
     * what fragmentation costs; the limit itself is kept page by page. */
    if (reserve < GC_RESERVE_BYTES)
        reserve = gc__min(GC_RESERVE_BYTES, reserve + reserve / 2 + 8 * GC_CHUNK_BYTES);

    heap->options = *options;
    heap->decommit_delay_ns =
        options->decommit_delay_ms < 0 ? UINT64_MAX : (uint64_t)options->decommit_delay_ms * 1000000;
    gc__sizeclass_init(options->past_end == GC_PAST_END_ALWAYS);
    if (!gc__region_init(&heap->region, reserve, max_bytes))
        return false;
    gc__os_prepare_thread_areas();
    if (!gc__world_init(&heap->world, (int)options->stop_signal) || gc__world_enter(&heap->world, stack) == NULL) {
        gc__region_destroy(&heap->region);
        return false;
    }
    heap->world.is_unknown = gc__heap_roots_are_mappings(heap); /* handlers may call malloc, or leave by longjmp */
    gc__gang_init(&heap->gang, &heap->region, options->markers);
    gc__gang_leader(&heap->gang)->unaligned = options->unaligned != 0;
    gc__minor_init(&heap->minor, options->no_minor == 0 && options->no_tracking == 0);
    gc__concurrent_init(&heap->concurrent, !gc__heap_roots_are_mappings(heap));
    gc__snapshot_init(&heap->snapshot, options->snapshot != 0);
    gc__attached_init(&heap->attached);
    gc__pace_init(&heap->pace, gc__heap_roots_are_mappings(heap) ? GC_PACE_MAPPINGS_FLOOR_BYTES : GC_PACE_FLOOR_BYTES,
                  options->growth_percent, options->initial_heap);
    heap->limit = (struct limit){.soft_bytes = options->memory_limit, .resumed_ns = gc__os_clock_ns()};
    heap->limit.thrifty = gc__heap_roots_are_mappings(heap) && options->initial_heap == 0;
    if (heap->limit.thrifty)
        gc__pace_trim(&heap->pace, GC_THRIFT_FIRST_BYTES, true);
    heap->mappings.of_files = options->roots == GC_ROOTS_SHARED;
    heap->process = gc__os_process_id();
    gc__os_know_process();
    if (options->stats != 0 || options->log != 0)
        gc__os_keep_stderr();
    gc__os_staggers = options->stress != 0 && !gc__heap_roots_are_mappings(heap); /* those are slow enough */
    heap->started = true;
    return true;
}

static void audit_blocks(const struct region *region)
{
    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&region->blocks[unit]))
            gc__block_audit(region, &region->blocks[unit]);
}

static void audit_run(const struct region *region, const struct run *run, unsigned lane)
{
    struct object object;

    GC_AUDIT(run->cur <= run->end);
    for (const char *cell = run->cur; cell < run->end; cell += run->cell_bytes) {
        GC_AUDIT(gc__resolve(region, gc__ambiguous(cell), &object));
        GC_AUDIT(gc__object_start(region, &object) == cell && gc__object_is_live(region, &object));
        GC_AUDIT(object.block->lane == lane);
    }
}

static void audit_runs(const struct heap *heap, struct mutator *mutator)
{
    for (unsigned lane = 0; lane < mutator->lanes; lane++) {
        const struct run *run = gc__mutator_run(mutator, lane);

        audit_run(&heap->region, run, lane);
        if (!gc__bitmap_test(mutator->used, lane))
            GC_AUDIT(run->cur == run->end && run->block == 0 && run->freed == 0);
    }
}

static void audit_mutators(const struct heap *heap)
{
    for (struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next)
        audit_runs(heap, mutator);
}

void gc__heap_audit(const struct heap *heap)
{
    gc__region_audit(&heap->region);
    gc__large_audit(&heap->region);
    audit_blocks(&heap->region);
    gc__sweep_audit(&heap->region, &heap->bins);
    gc__ranges_audit(&heap->user_roots);
    gc__ranges_audit(&heap->pinned);
    gc__stacks_audit(&heap->stacks);
    gc__attached_audit(&heap->attached, &heap->region);
    audit_mutators(heap);
}
