#include "gc/cycle/events.h"

#include "gc/base/check.h"
#include "gc/cycle/heap.h"

#define OF_COLLECTIONS (GC_EVENT_BEGIN | GC_EVENT_STOPPED | GC_EVENT_RESUMED | GC_EVENT_MARKED | GC_EVENT_END)

static struct gc_event make(const struct heap *heap, enum gc_event_sort sort, uint64_t bytes, uint64_t objects)
{
    return (struct gc_event){
        .sort = sort,
        .minor = (sort & (GC_EVENT_MARKED | GC_EVENT_END)) != 0 && heap->minor.now,
        .time_ns = gc__os_clock_ns(),
        .collection = (sort & OF_COLLECTIONS) != 0 ? heap->events.collection : heap->record.collections,
        .bytes = bytes,
        .objects = objects,
        .thread = gc__os_thread_id(),
    };
}

void gc__events_put(struct heap *heap, enum gc_event_sort sort, uint64_t bytes, uint64_t objects)
{
    struct events *events = &heap->events;

    if (sort == GC_EVENT_BEGIN)
        events->collection = heap->record.collections + 1;
    if (GC_LIKELY((events->sorts & sort) == 0))
        return;
    if (events->happened - events->told == GC_EVENT_RING) {
        events->told++;
        events->lost++;
    }
    events->ring[events->happened++ % GC_EVENT_RING] = make(heap, sort, bytes, objects);
    atomic_store_explicit(&events->news, !events->telling, memory_order_relaxed);
}

void gc__events_note_end(struct heap *heap)
{
    gc__events_put(heap, GC_EVENT_END, heap->record.live_bytes, heap->record.objects_marked);
    gc__events_note_held(heap);
}

void gc__events_note_held(struct heap *heap)
{
    uint64_t held = heap->region.held_pages << GC_PAGE_SHIFT, before = heap->events.held_bytes;

    heap->events.held_bytes = held;
    if (held > before)
        gc__events_put(heap, GC_EVENT_GROWN, held, 0);
    else if (held < before)
        gc__events_put(heap, GC_EVENT_RELEASED, held, 0);
}

bool gc__events_take(struct events *events, struct gc_event *event)
{
    if (events->told == events->happened)
        return false;
    *event = events->ring[events->told++ % GC_EVENT_RING];
    event->lost = events->lost;
    events->lost = 0;
    return true;
}

/* One of the same callback and data, or else one that is free. */
static struct watcher *place_for(struct events *events, const struct watcher *watcher)
{
    struct watcher *found = NULL;

    for (unsigned i = 0; i < GC_MAX_WATCHERS; i++) {
        struct watcher *place = &events->watcher[i];

        if (place->sorts != 0 && place->callback == watcher->callback && place->data == watcher->data)
            return place;
        if (place->sorts == 0 && found == NULL)
            found = place;
    }
    return found;
}

bool gc__events_watch(struct events *events, struct watcher watcher)
{
    struct watcher *place = place_for(events, &watcher);

    if (place == NULL)
        return watcher.sorts == 0; /* nothing to remove */
    *place = watcher.sorts != 0 ? watcher : (struct watcher){NULL, NULL, 0};
    events->sorts = 0;
    for (unsigned i = 0; i < GC_MAX_WATCHERS; i++)
        events->sorts |= events->watcher[i].sorts;
    return true;
}
