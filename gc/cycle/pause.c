#include "gc/cycle/pause.h"

struct pause {
    struct heap *heap;
    void (*body)(struct heap *heap);
    bool stopped;
};

static void note_pause(struct cycle_record *record, uint64_t pause_ns)
{
    record->pause_last_ns = pause_ns;
    record->pause_total_ns += pause_ns;
    record->pause_max_ns = pause_ns > record->pause_max_ns ? pause_ns : record->pause_max_ns;
}

/* Between its calls to us a thread may be found at any point; those that come
 * later know. */
static bool stop_world(struct heap *heap)
{
    bool stopped = gc__world_stop(&heap->world);

    if (gc__world_has_several_mutators(&heap->world))
        heap->region.threaded = heap->region.atomic_bits = true;
    return stopped;
}

/* Whether it is known where they are. */
static bool find_roots(struct heap *heap)
{
    return !gc__heap_roots_are_mappings(heap) || gc__mappings_read(&heap->mappings, &heap->world);
}

static void stop_and_go_on(void *argument)
{
    struct pause *pause = argument;
    struct heap *heap = pause->heap;
    uint64_t start_ns = gc__os_clock_ns();

    heap->region.now_ns = start_ns;
    pause->stopped = stop_world(heap) && find_roots(heap);
    GC_STAGGER();
    gc__events_put(heap, GC_EVENT_STOPPED, 0, 0);
    if (pause->stopped)
        pause->body(heap);
    gc__world_resume(&heap->world);
    gc__events_put(heap, GC_EVENT_RESUMED, 0, 0);
    if (pause->stopped)
        note_pause(&heap->record, gc__os_clock_ns() - start_ns);
}

/* No library comes or goes while the world stands: a stopped thread may be halfway
 * through that otherwise. Where roots are mappings that does not matter, and the loader
 * is not asked: who has its lock may wait for ours. */
bool gc__pause(struct heap *heap, void (*body)(struct heap *heap))
{
    struct mutator *self = gc__mutator;
    struct pause pause = {heap, body, false};

    if (gc__mutator_exists(self)) /* else it is the collector's own thread */
        self->context = gc__os_context_of(self->sp);
    if (gc__heap_roots_are_mappings(heap))
        stop_and_go_on(&pause);
    else
        gc__os_hold_loader(stop_and_go_on, &pause);
    return pause.stopped;
}

/* Those of the gang are no mutators. Of a large heap the next cycle may run beside the
 * mutators, and then it counts how many there are for each processor. */
void gc__pause_prepare(struct heap *heap)
{
    size_t most_live_bytes = heap->region.used_pages << GC_PAGE_SHIFT;
    unsigned noted = heap->gang.helpers;

    gc__gang_prepare(&heap->gang, most_live_bytes);
    if (heap->region.threaded || most_live_bytes >= GC_CONCURRENT_MIN_BYTES)
        heap->world.cpus = gc__gang_cpus(&heap->gang);
    for (; noted < heap->gang.helpers; noted++)
        gc__world_note_helper(&heap->world, heap->gang.helper[noted + 1].thread_id);
}

void gc__pause_for_nothing(struct heap *heap)
{
    gc__concurrent_hold(heap);
    stop_world(heap);
    gc__world_resume(&heap->world);
    gc__concurrent_release(heap);
}

struct errand {
    struct heap *heap;
    void (*function)(void *argument);
    void *argument;
};

static void stop_and_run(void *argument)
{
    struct errand *errand = argument;

    stop_world(errand->heap);
    errand->function(errand->argument);
    gc__world_resume(&errand->heap->world);
}

void gc__pause_to_look(struct heap *heap, void (*function)(void *argument), void *argument)
{
    struct errand errand = {heap, function, argument};

    gc__concurrent_hold(heap);
    gc__os_hold_loader(stop_and_run, &errand);
    gc__concurrent_release(heap);
}
