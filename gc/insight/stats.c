#include "gc/insight/stats.h"

#include "gc/base/align.h"

#include <string.h>

static uint64_t metadata_bytes(const struct heap *heap)
{
    uint64_t bytes = gc__region_metadata_bytes(&heap->region);

    bytes += gc__gang_metadata_bytes(&heap->gang);
    bytes += gc__ranges_metadata_bytes(&heap->user_roots);
    bytes += gc__ranges_metadata_bytes(&heap->pinned);
    bytes += gc__stacks_metadata_bytes(&heap->stacks);
    bytes += gc__kinds_metadata_bytes();
    bytes += gc__attached_metadata_bytes(&heap->attached);
    for (const struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next)
        bytes += gc__mutator_user_bytes(mutator);
    bytes += gc__mappings_metadata_bytes(&heap->mappings);
    bytes += gc__root_watch_metadata_bytes(&heap->concurrent.roots);
    return bytes + heap->world.mutators * gc__mutator_metadata_bytes();
}

struct gc_stats gc__stats_of(const struct heap *heap)
{
    return (struct gc_stats){
        .collections = heap->record.collections,
        .bytes_allocated = gc__world_claimed_bytes(&heap->world),
        .live_bytes = heap->record.live_bytes,
        .objects_marked = heap->record.objects_marked,
        .heap_bytes = heap->region.held_pages << GC_PAGE_SHIFT,
        .heap_peak_bytes = heap->region.held_pages_peak << GC_PAGE_SHIFT,
        .reserved_bytes = heap->region.reservation_bytes,
        .metadata_bytes = metadata_bytes(heap),
        .pause_last_ns = heap->record.pause_last_ns,
        .pause_max_ns = heap->record.pause_max_ns,
        .pause_total_ns = heap->record.pause_total_ns,
        .bytes_freed = gc__world_freed_bytes(&heap->world),
        .minor_collections = heap->record.minor_collections,
        .concurrent_collections = heap->record.concurrent_collections,
        .external_bytes = gc__pace_external(&heap->pace),
        .memory_limit = heap->limit.soft_bytes == SIZE_MAX ? UINT64_MAX : heap->limit.soft_bytes,
    };
}

/* Under the lock. The figure of running mutators is not exact, but never falls. */
GC_OWN_STATE static uint64_t last_allocated;

static struct gc_stats never_falling(void)
{
    struct gc_stats stats = gc__stats_of(&gc__heap);

    stats.bytes_allocated = last_allocated = gc__max(stats.bytes_allocated, last_allocated);
    return stats;
}

struct gc_stats gc__stats_now(void)
{
    struct gc_stats stats;

    gc__world_lock(&gc__heap.world);
    stats = never_falling();
    gc__world_unlock(&gc__heap.world);
    return stats;
}

static uint64_t in_use(const struct heap *heap)
{
    uint64_t since = gc__world_balance_bytes(&heap->world) - heap->record.balance_bytes;
    int64_t bytes = (int64_t)(heap->record.live_bytes + since);

    return bytes > 0 ? (uint64_t)bytes : 0; /* of running mutators it is not exact */
}

uint64_t gc__stats_in_use(void)
{
    uint64_t bytes;

    gc__world_lock(&gc__heap.world);
    bytes = in_use(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    return bytes;
}

void gc_get_stats(struct gc_stats *out, size_t size)
{
    struct gc_stats stats;

    gc__world_lock(&gc__heap.world);
    if (gc__heap.started)
        gc__heap_know_limit(&gc__heap);
    stats = never_falling();
    gc__world_unlock(&gc__heap.world);
    memset(out, 0, size);
    memcpy(out, &stats, gc__min(size, sizeof stats));
}
