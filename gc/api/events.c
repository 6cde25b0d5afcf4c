#include "gc/api/events.h"

#include "gc/api/enter.h"
#include "gc/base/check.h"

#include <broom/event.h>
#include <errno.h>
#include <string.h>

/* Under the lock. What happened since waits for the next call. */
static void end_telling(struct events *events)
{
    events->telling = false;
    atomic_store_explicit(&events->news, events->told != events->happened, memory_order_relaxed);
}

/* What is to be told of the first `end`, and whom; false, and nobody is at it any more, if
 * there is nothing. */
static bool take(uint64_t end, struct gc_event *event, struct watcher watchers[GC_MAX_WATCHERS])
{
    struct events *events = &gc__heap.events;
    bool taken;

    gc__world_lock(&gc__heap.world);
    taken = events->told < end && gc__events_take(events, event);
    if (!taken)
        end_telling(events);
    memcpy(watchers, events->watcher, sizeof events->watcher);
    gc__world_unlock(&gc__heap.world);
    return taken;
}

/* A callback may be left, though it must not: its thread is cancelled, say. Calls from
 * further up the stack then tell. Sets `*end` to how many have happened. */
static bool begin_telling(struct mutator *mutator, uintptr_t sp, uint64_t *end)
{
    struct events *events = &gc__heap.events;
    bool begins;

    gc__world_lock(&gc__heap.world);
    begins = !events->telling;
    events->telling = true;
    atomic_store_explicit(&events->news, false, memory_order_relaxed);
    *end = events->happened;
    gc__world_unlock(&gc__heap.world);
    if (begins)
        mutator->telling_sp = sp;
    return begins;
}

/* Not of what the callbacks cause, or one that causes what it is told of would never return. */
void gc__events_tell(void)
{
    struct watcher watchers[GC_MAX_WATCHERS];
    int saved_errno = errno;
    struct gc_event event;
    uint64_t end;

    if (!begin_telling(gc__mutator, (uintptr_t)__builtin_frame_address(0), &end))
        return;
    while (take(end, &event, watchers))
        for (unsigned i = 0; i < GC_MAX_WATCHERS; i++)
            if ((watchers[i].sorts & event.sort) != 0)
                watchers[i].callback(&event, watchers[i].data);
    gc__mutator->telling_sp = 0;
    errno = saved_errno;
}

void gc__events_tell_no_more(struct mutator *mutator)
{
    struct events *events = &gc__heap.events;

    mutator->telling_sp = 0;
    gc__world_lock(&gc__heap.world);
    end_telling(events);
    gc__world_unlock(&gc__heap.world);
}

void gc__events_forget_teller(void)
{
    gc__heap.events.telling = gc__mutator->telling_sp != 0;
}

int gc_set_event_callback(uint32_t sorts, gc_event_callback callback, void *data)
{
    struct watcher watcher = {callback, data, sorts};
    bool done;

    gc__enter("gc_set_event_callback");
    if ((sorts & ~(uint32_t)GC_EVENT_ALL) != 0 || callback == NULL)
        return EINVAL;
    gc__world_lock(&gc__heap.world);
    gc__heap.events.held_bytes = gc__heap.region.held_pages << GC_PAGE_SHIFT;
    done = gc__events_watch(&gc__heap.events, watcher);
    gc__world_unlock(&gc__heap.world);
    return done ? 0 : ENOSPC;
}
