#include "gc/cycle/roots.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/observer.h"
#include "gc/cycle/stacks.h"

static void mark_range(struct gc__range range, void *argument)
{
    struct marker *marker = argument;

    gc__marker_scan_roots(marker, range, marker->past_end_everywhere ? PAST_END_COUNTS : PAST_END_IGNORED);
}

void gc__roots_mark_segments(struct heap *heap)
{
    struct marker *marker = gc__gang_leader(&heap->gang);

    if (gc__heap_roots_are_mappings(heap))
        heap->pace.root_bytes = gc__mappings_each(&heap->mappings, mark_range, marker);
    else
        gc__os_each_data_segment(mark_range, marker);
}

void gc__roots_mark_ranges(struct heap *heap)
{
    struct marker *marker = gc__gang_leader(&heap->gang);
    uintptr_t oom_data = (uintptr_t)&heap->oom_data, watchers = (uintptr_t)heap->events.watcher;

    for (size_t i = 0; i < heap->user_roots.count; i++)
        mark_range(heap->user_roots.range[i], marker);
    mark_range((struct gc__range){oom_data, oom_data + sizeof heap->oom_data}, marker);
    mark_range((struct gc__range){watchers, watchers + sizeof heap->events.watcher}, marker);
    gc__attached_mark_roots(&heap->attached, marker, heap->minor.now);
    gc__marker_mark_root_kinds(marker);
}

static void mark_words(struct heap *heap, void *const *words, size_t count)
{
    mark_range((struct gc__range){(uintptr_t)words, (uintptr_t)(words + count)}, gc__gang_leader(&heap->gang));
}

static void mark_mutator(struct heap *heap, const struct mutator *mutator)
{
    gc__mark_stacks(heap, mutator);
    if (mutator->thread_pointer != 0 && !gc__heap_roots_are_mappings(heap))
        gc__os_each_thread_area(mutator->thread_pointer, mark_range, gc__gang_leader(&heap->gang));
    mark_words(heap, mutator->held, 2);
}

/* A thread that is over runs on, with a descriptor in which glibc has the only pointer to
 * the table of its thread-local blocks, for the next thread on that stack; or gives it
 * back meanwhile. Where roots are mappings that is not left to others. */
static void mark_descriptor(struct heap *heap, const struct mutator *mutator)
{
    static GC_OWN_STATE uintptr_t copy[GC_DESCRIPTOR_BYTES / sizeof(uintptr_t)];
    uintptr_t start = mutator->thread_pointer - GC_DESCRIPTOR_BYTES / 2;

    if (mutator->thread_pointer != 0 && gc__heap_roots_are_mappings(heap)) {
        size_t bytes = gc__os_copy(copy, start, gc__min(sizeof copy, mutator->stack.end - start));

        mark_range((struct gc__range){(uintptr_t)copy, (uintptr_t)copy + bytes}, gc__gang_leader(&heap->gang));
    }
}

/* Of threads that have not begun, and of those that nobody has joined. */
static void mark_threads_to_be(struct heap *heap)
{
    for (const struct mutator *mutator = heap->world.starting; mutator != NULL; mutator = mutator->next)
        mark_words(heap, &mutator->start.argument, 1);
    for (const struct mutator *mutator = heap->world.ended; mutator != NULL; mutator = mutator->next)
        mark_words(heap, &mutator->result, 1);
}

void gc__roots_mark_mutators(struct heap *heap)
{
    for (const struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next) {
        if (gc__mutator_has_roots(mutator))
            mark_mutator(heap, mutator);
        else if (mutator->over)
            mark_descriptor(heap, mutator);
        mark_words(heap, &mutator->result, 1);
    }
    mark_threads_to_be(heap);
    gc__mark_waiting_stacks(heap);
}

void gc__roots_mark(struct heap *heap)
{
    gc__roots_mark_segments(heap);
    gc__roots_mark_ranges(heap);
    gc__roots_mark_mutators(heap);
}

void gc__roots_trace(struct heap *heap)
{
    if (!gc__gang_drain_alone(&heap->gang)) {
        gc__world_lend_cpus(&heap->world, heap->gang.markers - 1);
        gc__gang_drain(&heap->gang);
    }
    gc__attached_process(&heap->attached, gc__gang_leader(&heap->gang), heap->minor.now);
    gc__observe_marked(heap);
    gc__events_put(heap, GC_EVENT_MARKED, 0, 0);
}
