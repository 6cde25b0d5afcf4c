#include "gc/api/events.h"

#include "gc/api/enter.h"
#include "gc/base/check.h"

#include <broom/event.h>
#include <errno.h>
#include <string.h>

/* What is to be told, and whom; false, and nobody is at it any more, if there is
 * nothing. */
static bool take(struct gc_event *event, struct watcher watchers[GC_MAX_WATCHERS])
{
    struct events *events = &gc__heap.events;
    bool taken;

    gc__world_lock(&gc__heap.world);
    taken = gc__events_take(events, event);
    events->telling = taken;
    memcpy(watchers, events->watcher, sizeof events->watcher);
    gc__world_unlock(&gc__heap.world);
    return taken;
}

/* A callback may be left, though it must not: its thread is cancelled, say. Calls from
 * further up the stack then tell. */
static bool begin_telling(struct mutator *mutator, uintptr_t sp)
{
    struct events *events = &gc__heap.events;
    bool begins;

    gc__world_lock(&gc__heap.world);
    begins = !events->telling;
    events->telling = true;
    atomic_store_explicit(&events->news, false, memory_order_relaxed);
    gc__world_unlock(&gc__heap.world);
    if (begins)
        mutator->telling_sp = sp;
    return begins;
}

void gc__events_tell(void)
{
    struct watcher watchers[GC_MAX_WATCHERS];
    int saved_errno = errno;
    struct gc_event event;

    if (!begin_telling(gc__mutator, (uintptr_t)__builtin_frame_address(0)))
        return;
    while (take(&event, watchers))
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
    events->telling = false;
    atomic_store_explicit(&events->news, events->told != events->happened, memory_order_relaxed);
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
