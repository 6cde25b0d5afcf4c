#include "gc/cycle/background.h"

#include "gc/cycle/heap.h"

static void be_background(void *argument)
{
    struct heap *heap = argument;

    for (;;) {
        uint32_t calls = atomic_load(&heap->background.calls);

        while (gc__concurrent_step(heap))
            continue;
        gc__os_wait(&heap->background.calls, calls, UINT64_MAX);
    }
}

bool gc__background_start(struct heap *heap)
{
    struct background *background = &heap->background;
    long thread_id;

    if (background->started)
        return true;
    background->started = gc__os_start_helper(be_background, heap, &thread_id);
    if (background->started)
        gc__world_note_helper(&heap->world, thread_id);
    return background->started;
}

void gc__background_call(struct background *background)
{
    atomic_fetch_add(&background->calls, 1);
    gc__os_wake(&background->calls, 1);
}

void gc__background_forget(struct background *background)
{
    background->started = false;
}
