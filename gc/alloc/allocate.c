#include "gc/alloc/allocate.h"

#include "gc/alloc/large.h"
#include "gc/alloc/small.h"
#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/collect.h"
#include "gc/cycle/observer.h"

#include <errno.h>
#include <string.h>

static void *try_allocate(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes, size_t alignment)
{
    unsigned lane = GC_NO_LANE;

    if (bytes <= GC_SMALL_MAX_BYTES && alignment <= GC_SMALL_MAX_BYTES)
        lane = gc__small_lane(heap, mutator, kind, gc__sizeclass_aligned(bytes, alignment));
    if (lane != GC_NO_LANE)
        return gc__small_allocate(heap, mutator, lane);
    return gc__large_allocate(heap, mutator, kind, bytes, gc__max(alignment >> GC_PAGE_SHIFT, 1));
}

/* Not even an empty heap could hold it. */
static bool can_never_fit(const struct heap *heap, size_t bytes)
{
    size_t reserved = heap->region.chunks << GC_CHUNK_SHIFT;

    return bytes > reserved || bytes >> GC_PAGE_SHIFT > heap->region.max_pages;
}

/* The handler is the program's code, and may leave by longjmp: outside of ours. */
static bool handler_made_room(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    uintptr_t sp = mutator->sp;
    void *held = mutator->held[0];
    bool made_room;

    if (heap->oom_handler == NULL || mutator->asking_sp != 0)
        return false;
    mutator->asking_sp = sp;
    mutator->sp = 0;
    gc__world_end(&heap->world, mutator);
    made_room = heap->oom_handler(bytes, heap->oom_data);
    gc__world_begin(mutator);
    mutator->asking_sp = 0;
    mutator->sp = sp;
    mutator->held[0] = held;
    return made_room;
}

static void *allocate_or_collect(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes,
                                 size_t alignment)
{
    void *object = try_allocate(heap, mutator, kind, bytes, alignment);

    if (object == NULL && !gc__collections_are_disabled(heap)) {
        gc__collect_hard(heap);
        object = try_allocate(heap, mutator, kind, bytes, alignment);
    }
    return object;
}

/* Not that of a callback which is being told, or each would be answered by another. */
static void tell_of_exhaustion(struct heap *heap, const struct mutator *mutator, size_t bytes)
{
    gc__observe_exhaustion(heap, bytes);
    if (mutator->telling_sp != 0)
        return;
    gc__world_lock(&heap->world);
    gc__events_put(heap, GC_EVENT_OUT_OF_MEMORY, bytes, 0);
    gc__world_unlock(&heap->world);
}

static void *allocate(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes, size_t alignment)
{
    int saved_errno = errno;
    void *object = NULL;

    if (can_never_fit(heap, bytes)) {
        handler_made_room(heap, mutator, bytes); /* it is told, but no room is enough */
    } else {
        do
            object = allocate_or_collect(heap, mutator, kind, bytes, alignment);
        while (object == NULL && handler_made_room(heap, mutator, bytes));
    }
    if (object == NULL)
        tell_of_exhaustion(heap, mutator, bytes);
    errno = object != NULL ? saved_errno : ENOMEM;
    return object;
}

/* Our code ends, and here the thread may stop: it holds the object until then. */
static void *hand_out(struct heap *heap, struct mutator *mutator, void *object)
{
    mutator->held[0] = object;
    gc__world_end(&heap->world, mutator);
    mutator->held[0] = mutator->held[1] = NULL;
    mutator->sp = 0;
    return object;
}

void *gc__allocate(struct heap *heap, struct mutator *mutator, unsigned kind, size_t bytes, size_t alignment)
{
    gc__world_begin(mutator);
    return hand_out(heap, mutator, allocate(heap, mutator, kind, bytes, alignment));
}

/* Whether a cell or large object may stay where it is: not too small, and not
 * so large that half of it would lie idle. */
static bool fits(size_t usable, size_t bytes)
{
    return bytes <= usable && (bytes > usable / 2 || usable <= GC_GRANULE_BYTES);
}

/* What is attached to an object goes with it. */
static void forget_attached(struct heap *heap, const struct object *object)
{
    if (!heap->attached.any)
        return;
    gc__world_lock(&heap->world);
    gc__attached_forget(&heap->attached, &heap->region, object);
    gc__world_unlock(&heap->world);
}

static void move_attached(struct heap *heap, const void *from, const void *to, size_t bytes)
{
    if (!heap->attached.any)
        return;
    gc__world_lock(&heap->world);
    gc__attached_move(&heap->attached, from, to, bytes);
    gc__world_unlock(&heap->world);
}

static void free_object(struct heap *heap, struct mutator *mutator, struct object object)
{
    if (object.block != NULL)
        gc__small_free(heap, mutator, object);
    else
        gc__large_free(heap, mutator, object);
}

static void *allocate_to_grow(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes)
{
    void *new = object.block == NULL ? gc__large_allocate_with_slack(heap, mutator, object, bytes) : NULL;

    return new != NULL ? new : allocate(heap, mutator, gc__object_kind(&heap->region, &object), bytes, 1);
}

/* An object that shrinks stays where it is if there is no room for another. */
static void *copy(struct heap *heap, struct mutator *mutator, struct object object, size_t bytes, bool frees_old)
{
    const struct region *region = &heap->region;
    char *old = gc__object_start(region, &object);
    size_t usable = gc__object_usable_bytes(region, &object);
    bool shrinks = bytes <= usable;
    void *new = shrinks ? try_allocate(heap, mutator, gc__object_kind(region, &object), bytes, 1)
                        : allocate_to_grow(heap, mutator, object, bytes);

    if (new == NULL)
        return shrinks ? old : NULL;
    mutator->held[1] = new;
    if (object.block == NULL && !shrinks)
        gc__os_populate(new, gc__align_down(usable, gc__os_page_bytes()));
    memcpy(new, old, gc__min(usable, bytes));
    move_attached(heap, old, new, usable);
    if (frees_old)
        free_object(heap, mutator, object);
    return new;
}

void *gc__reallocate(struct heap *heap, struct mutator *mutator, struct object object, const void *address,
                     size_t bytes, bool frees_old)
{
    void *start = gc__object_start(&heap->region, &object);
    int saved_errno = errno;
    void *resized = NULL;

    gc__world_begin(mutator);
    mutator->held[0] = start; /* also if the caller keeps no other pointer to it */
    GC_HOLD_UNTIL_HERE(address);
    if (object.block == NULL)
        resized = gc__large_resize(heap, mutator, object, bytes, frees_old);
    else if (fits(gc__object_usable_bytes(&heap->region, &object), bytes))
        resized = start;
    errno = saved_errno;
    if (resized == NULL)
        resized = copy(heap, mutator, object, bytes, frees_old);
    return hand_out(heap, mutator, resized);
}

void gc__free(struct heap *heap, struct mutator *mutator, struct object object, const void *address)
{
    gc__world_begin(mutator);
    mutator->held[0] = gc__object_start(&heap->region, &object); /* while the lock is waited for */
    GC_HOLD_UNTIL_HERE(address);
    forget_attached(heap, &object);
    free_object(heap, mutator, object);
    mutator->held[0] = NULL;
    gc__world_end(&heap->world, mutator);
}

static void give_up_runs(struct mutator *mutator)
{
    for (unsigned lane = 0; lane < mutator->lanes; lane++) {
        struct run *run = gc__mutator_run(mutator, lane);

        run->cur = run->end = NULL;
        run->freed = run->block = 0;
    }
}

void gc__abandon_call(struct heap *heap, struct mutator *mutator)
{
    if (mutator->inside)
        give_up_runs(mutator);
    mutator->sp = 0;
    mutator->held[0] = mutator->held[1] = NULL;
    gc__world_end(&heap->world, mutator);
    gc__thread_busy_at = 0;
}
