#include "gc/cycle/roots.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/observer.h"
#include "gc/cycle/stacks.h"

static void mark_range(struct gc__range range, void *argument)
{
    gc__marker_scan_roots(argument, range, PAST_END_IGNORED);
}

static void mark_code(struct gc__range range, void *marker)
{
    gc__marker_scan_between(marker, range);
}

static void mark_copy(struct gc__range range, void *marker)
{
    gc__os_visit_copy(range, mark_range, marker);
}

static void mark_copy_of_code(struct gc__range range, void *marker)
{
    gc__os_visit_copy(range, mark_code, marker);
}

static void mark_mappings(struct heap *heap)
{
    const struct mappings *mappings = &heap->mappings;
    struct marker *marker = gc__gang_leader(&heap->gang);

    heap->pace.root_bytes = gc__mappings_each(mappings, GC_MAPPING_PRIVATE, mark_range, marker);
    heap->pace.root_bytes += gc__mappings_each(mappings, GC_MAPPING_SHARED, mark_copy, marker);
    gc__mappings_each(mappings, GC_MAPPING_PRIVATE_CODE, mark_code, marker);
    gc__mappings_each(mappings, GC_MAPPING_SHARED_CODE, mark_copy_of_code, marker);
}

struct scanning {
    struct heap *heap;
    enum roots_scan how;
    bool watched_one; /* piece */
};

static void scan_roots(struct gc__range range, void *argument)
{
    const struct scanning *scanning = argument;
    struct marker *marker = gc__gang_leader(&scanning->heap->gang);

    if (scanning->how == ROOTS_WHOLE)
        mark_range(range, marker);
    else
        gc__root_watch_scan(&scanning->heap->concurrent.roots, marker, range, scanning->how == ROOTS_AGAIN);
}

void gc__roots_mark_segments(struct heap *heap, enum roots_scan how)
{
    struct scanning scanning = {.heap = heap, .how = how};

    if (gc__heap_roots_are_mappings(heap))
        mark_mappings(heap);
    else
        gc__os_each_data_segment(scan_roots, &scanning);
}

void gc__roots_mark_ranges(struct heap *heap, enum roots_scan how)
{
    struct marker *marker = gc__gang_leader(&heap->gang);
    struct scanning scanning = {.heap = heap, .how = how};
    uintptr_t oom_data = (uintptr_t)&heap->oom_data, watchers = (uintptr_t)heap->events.watcher;

    for (size_t i = 0; i < heap->user_roots.count; i++)
        scan_roots(heap->user_roots.range[i], &scanning);
    mark_range((struct gc__range){oom_data, oom_data + sizeof heap->oom_data}, marker);
    mark_range((struct gc__range){watchers, watchers + sizeof heap->events.watcher}, marker);
    gc__attached_mark_roots(&heap->attached, marker, heap->minor.now);
    gc__marker_mark_root_kinds(marker);
}

static void watch_one(struct gc__range range, void *argument)
{
    struct scanning *scanning = argument;
    struct heap *heap = scanning->heap;

    scanning->watched_one =
        scanning->watched_one || gc__root_watch_more(&heap->concurrent.roots, gc__gang_leader(&heap->gang), range);
}

bool gc__roots_watch_segments(struct heap *heap)
{
    struct scanning scanning = {.heap = heap};

    if (!gc__heap_roots_are_mappings(heap))
        gc__os_each_data_segment(watch_one, &scanning);
    return scanning.watched_one;
}

bool gc__roots_watch_ranges(struct heap *heap, size_t *next)
{
    for (; heap->user_roots.count <= GC_WATCHED_ROOTS_COUNT && *next < heap->user_roots.count; ++*next)
        if (gc__root_watch_more(&heap->concurrent.roots, gc__gang_leader(&heap->gang), heap->user_roots.range[*next]))
            return true;
    return false;
}

bool gc__roots_are_private(struct heap *heap)
{
    struct root_watch *watch = &heap->concurrent.roots;

    if (heap->user_roots.count > 0)
        gc__root_watch_look(watch);
    for (size_t i = 0; i < heap->user_roots.count; i++)
        if (!gc__root_watch_is_private(watch, heap->user_roots.range[i]))
            return false;
    return true;
}

static void mark_words(struct heap *heap, const void *words, size_t count)
{
    uintptr_t start = (uintptr_t)words;

    mark_range((struct gc__range){start, start + count * sizeof(uintptr_t)}, gc__gang_leader(&heap->gang));
}

/* Of a stranger it is asked, which takes a system call: a foreign runtime may have made it. */
static bool has_thread_area(const struct mutator *mutator)
{
    return mutator->thread_pointer != 0 && (!mutator->met || gc__os_is_thread_pointer(mutator->thread_pointer));
}

static void mark_mutator(struct heap *heap, const struct mutator *mutator)
{
    gc__mark_stacks(heap, mutator);
    if (has_thread_area(mutator) && !gc__heap_roots_are_mappings(heap))
        gc__os_each_thread_area(mutator->thread_pointer, mark_range, gc__gang_leader(&heap->gang));
    mark_words(heap, mutator->held, 2);
    if (mutator->state == MUTATOR_DEAF)
        mark_words(heap, mutator->sleep.argument, GC_CALL_ARGUMENTS);
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

void gc__roots_mark(struct heap *heap, enum roots_scan how)
{
    gc__roots_mark_segments(heap, how);
    gc__roots_mark_ranges(heap, how);
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
