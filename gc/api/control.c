#include "gc/api/enter.h"
#include "gc/api/events.h"
#include "gc/api/options.h"
#include "gc/api/threads.h"
#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/collect.h"
#include "gc/mark/watch.h"
#include "gc/roots/dead_stack.h"

#include <errno.h>
#include <string.h>

/* ---- Starting ---------------------------------------------------------------- */

int gc_init_options(const struct gc_options *options, size_t size)
{
    struct gc_options complete = {0};
    struct gc__range stack;
    int error = 0;

    if (gc__heap.started)
        return EALREADY;
    if (options != NULL)
        memcpy(&complete, options, gc__min(size, sizeof complete));
    if (!gc__options_are_valid(&complete))
        return EINVAL;
    gc__options_complete(&complete);
    stack = gc__os_own_stack();
    gc__os_look_up_names();
    gc__world_lock(&gc__heap.world);
    if (gc__heap.started) /* two threads may call first */
        error = EALREADY;
    else if (!gc__heap_start(&gc__heap, &complete, stack))
        error = ENOMEM;
    else
        gc__threads_watch(); /* before the other can go on */
    gc__world_unlock(&gc__heap.world);
    return error;
}

void gc_init(void)
{
    gc__enter("gc_init");
}

static struct mutator *enter_first(const char *call)
{
    int saved_errno = errno;
    int error = gc_init_options(NULL, 0);

    if (error != 0 && error != EALREADY)
        gc__fatal("%s: the system refuses the address space for a heap", call);
    if (!gc__mutator_exists(gc__mutator) && !gc__threads_enter())
        gc__fatal("%s: there is no memory to serve another thread", call);
    errno = saved_errno;
    return gc__mutator;
}

struct mutator *gc__enter(const char *call)
{
    struct mutator *mutator = gc__mutator;

    return GC_LIKELY(gc__mutator_exists(mutator)) ? mutator : enter_first(call);
}

struct mutator *gc__enter_spilled(const char *call, uintptr_t sp)
{
    struct mutator *mutator = gc__enter(call);

    if (GC_UNLIKELY(gc__mutator_is_safe(mutator)))
        GC_MISUSE(call, "called by a function that %s runs", "gc_thread_blocking");
    mutator->sp = sp;
    if (sp >= mutator->asking_sp)
        mutator->asking_sp = 0; /* a longjmp may have left the handler: this call is not its */
    if (sp >= mutator->finalizing_sp)
        mutator->finalizing_sp = 0; /* or a finalizer, */
    if (GC_UNLIKELY(mutator->telling_sp != 0 && sp >= mutator->telling_sp))
        gc__events_tell_no_more(mutator); /* or the callback of an event */
    gc__dead_stack_clear(mutator);
    return mutator;
}

/* ---- Objects by address --------------------------------------------------------- */

/* What a wrong address is, for the message. */
static const char *describe(const struct object *object, bool resolved, const void *address)
{
    uintptr_t offset = gc__region_offset(&gc__heap.region, (uintptr_t)address);

    if (offset >= gc__region_span(&gc__heap.region))
        return "outside the heap";
    if (!resolved || !gc__object_is_live(&gc__heap.region, object))
        return "free already, or never allocated";
    if (gc__object_start(&gc__heap.region, object) != address)
        return "inside an object, not its start";
    return "not handed out yet";
}

struct object gc__enter_object(const char *call, const void *address)
{
    struct mutator *mutator = gc__enter(call);
    const struct region *region = &gc__heap.region;
    struct object object;
    bool resolved = gc__resolve(region, gc__ambiguous(address), &object);

    if (GC_UNLIKELY(!resolved || gc__object_start(region, &object) != address || !gc__object_is_live(region, &object) ||
                    (object.block != NULL && gc__mutator_holds_unissued(mutator, object.block, address))))
        GC_MISUSE(call, "%p is not the start of an object (%s)", address, describe(&object, resolved, address));
    return object;
}

void *gc_base(const void *pointer)
{
    const struct region *region = &gc__heap.region;
    struct object object;
    char *start;

    if (!gc__heap.started || !gc__resolve(region, gc__ambiguous(pointer), &object) ||
        !gc__object_is_live(region, &object))
        return NULL;
    start = gc__object_start(region, &object);
    if (object.block != NULL && gc__mutator_holds_unissued(gc__mutator, object.block, start))
        return NULL;
    GC_HOLD_UNTIL_HERE(pointer);
    return start;
}

size_t gc_usable_size(const void *object)
{
    struct object found;

    if (object == NULL)
        return 0;
    found = gc__enter_object("gc_usable_size", object);
    return gc__object_usable_bytes(&gc__heap.region, &found);
}

/* ---- Steering -------------------------------------------------------------------- */

static void *collect_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);

    (void)a, (void)b;
    gc__world_begin(mutator);
    gc__collect(&gc__heap);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return gc__attended(NULL);
}

void gc_collect(void)
{
    gc__os_spill_registers(collect_spilled, "gc_collect", 0, 0);
}

void gc_disable(void)
{
    gc__enter("gc_disable");
    gc__heap.disabled++;
    gc__world_lock(&gc__heap.world);
    if (gc__concurrent_is_under_way(&gc__heap.concurrent))
        gc__concurrent_give_up(&gc__heap);
    gc__world_unlock(&gc__heap.world);
}

void gc_enable(void)
{
    unsigned disabled;

    gc__enter("gc_enable");
    disabled = gc__heap.disabled;
    do
        if (disabled == 0)
            GC_MISUSE("gc_enable", "called without %s", "gc_disable");
    while (!atomic_compare_exchange_weak(&gc__heap.disabled, &disabled, disabled - 1));
}

typedef bool change_ranges(struct ranges *ranges, struct gc__range range);

static int change_set(const char *call, struct ranges *ranges, change_ranges *change, const void *start,
                      const void *end)
{
    bool changed;

    gc__enter(call);
    if (end < start)
        return EINVAL;
    gc__world_lock(&gc__heap.world);
    changed = change(ranges, (struct gc__range){(uintptr_t)start, (uintptr_t)end});
    gc__world_unlock(&gc__heap.world);
    return changed ? 0 : ENOMEM;
}

int gc_add_roots(const void *start, const void *end)
{
    return change_set("gc_add_roots", &gc__heap.user_roots, gc__ranges_add, start, end);
}

/* The program may want to move it now, or be told itself of what is written there. */
static bool remove_roots(struct ranges *ranges, struct gc__range range)
{
    struct gc__range pages = {gc__align_up(range.start, gc__os_page_bytes()),
                              gc__align_down(range.end, gc__os_page_bytes())};

    if (!gc__ranges_remove(ranges, range))
        return false;
    if (pages.start < pages.end)
        gc__os_track_writes_no_more(pages);
    return true;
}

int gc_remove_roots(const void *start, const void *end)
{
    return change_set("gc_remove_roots", &gc__heap.user_roots, remove_roots, start, end);
}

/* Steps of a cycle look at what is pinned without the lock. */
static bool pin(struct ranges *ranges, struct gc__range range)
{
    bool pinned;

    gc__concurrent_hold(&gc__heap);
    pinned = gc__ranges_add(ranges, range);
    gc__concurrent_release(&gc__heap);
    return pinned;
}

/* What was written there until now has to be known: until its pages are watched again they
 * count as written. Of roots it is known by what was noted in the cycle under way. */
static bool unpin(struct ranges *ranges, struct gc__range range)
{
    bool unpinned;

    gc__concurrent_hold(&gc__heap);
    unpinned = gc__ranges_remove(&gc__heap.concurrent.roots.known, range) && gc__ranges_remove(ranges, range);
    if (unpinned)
        gc__watch_no_more(&gc__heap.region, range);
    gc__concurrent_release(&gc__heap);
    return unpinned;
}

int gc_pin_writable(const void *start, const void *end)
{
    return change_set("gc_pin_writable", &gc__heap.pinned, pin, start, end);
}

int gc_unpin_writable(const void *start, const void *end)
{
    return change_set("gc_unpin_writable", &gc__heap.pinned, unpin, start, end);
}

/* ---- Failure ---------------------------------------------------------------------- */

gc_oom_handler gc_set_oom_handler(gc_oom_handler handler, void *data)
{
    gc_oom_handler old;

    gc__enter("gc_set_oom_handler")->asking_sp = 0;
    gc__world_lock(&gc__heap.world);
    old = gc__heap.oom_handler;
    gc__heap.oom_handler = handler;
    gc__heap.oom_data = data;
    gc__world_unlock(&gc__heap.world);
    return old;
}

gc_fatal_hook gc_set_fatal_hook(gc_fatal_hook hook)
{
    return atomic_exchange(&gc__fatal_hook, hook);
}

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

const char *gc_version(void)
{
    return TEXT_OF(GC_VERSION_MAJOR) "." TEXT_OF(GC_VERSION_MINOR) "." TEXT_OF(GC_VERSION_PATCH);
}
