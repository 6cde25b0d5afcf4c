#include "gc/cycle/roots.h"

#include "gc/base/check.h"

static void mark_range(struct gc__range range, void *argument)
{
    struct marker *marker = argument;

    gc__marker_scan_roots(marker, range, marker->past_end_everywhere ? PAST_END_COUNTS : PAST_END_IGNORED);
}

void gc__roots_mark_globals(struct heap *heap)
{
    struct marker *marker = gc__gang_leader(&heap->gang);
    uintptr_t oom_data = (uintptr_t)&heap->oom_data;

    gc__os_each_data_segment(mark_range, marker);
    for (size_t i = 0; i < heap->user_roots.count; i++)
        mark_range(heap->user_roots.range[i], marker);
    mark_range((struct gc__range){oom_data, oom_data + sizeof heap->oom_data}, marker);
    gc__attached_mark_roots(&heap->attached, marker, heap->minor.now);
    gc__marker_mark_root_kinds(marker);
}

/* A stack that lies in an object of the heap (a coroutine's) ends with it. The
 * stack pointer alone keeps it. */
static bool stack_in_heap(struct heap *heap, uintptr_t sp, struct gc__range *stack)
{
    struct object object;

    if (!gc__resolve(&heap->region, (struct ambiguous){sp}, &object))
        return false;
    gc__marker_mark(gc__gang_leader(&heap->gang), object);
    stack->start = sp;
    stack->end = (uintptr_t)gc__object_start(&heap->region, &object) + gc__object_bytes(&heap->region, &object);
    return true;
}

/* A signal handler's stack may be an object, and what it interrupted stand in
 * another, or anywhere. */
static unsigned find_stacks(struct heap *heap, const struct mutator *mutator, struct gc__range stacks[4])
{
    struct gc__context context = mutator->context;
    unsigned count = 0;

    if (stack_in_heap(heap, context.sp, &stacks[count]) &&
        context.interrupted_sp - stacks[count++].start < stacks[0].end - stacks[0].start) {
        stacks[count] = gc__os_whole_stack(mutator->stack);
        return count + 1;
    }
    if (count > 0) {
        context = (struct gc__context){.sp = context.interrupted_sp, .interrupted_sp = context.interrupted_sp};
        if (stack_in_heap(heap, context.sp, &stacks[count])) {
            stacks[count + 1] = gc__os_whole_stack(mutator->stack);
            return count + 2;
        }
    }
    return count + gc__os_stacks_in_use(&context, mutator->stack, &stacks[count]);
}

static void mark_stacks(struct heap *heap, const struct mutator *mutator)
{
    enum past_end past_end = heap->options.past_end == GC_PAST_END_NEVER ? PAST_END_IGNORED : PAST_END_COUNTS;
    struct gc__range stacks[4];
    unsigned count = find_stacks(heap, mutator, stacks);

    for (unsigned i = 0; i < count; i++)
        gc__marker_scan_roots(gc__gang_leader(&heap->gang), stacks[i], past_end);
}

static void mark_words(struct heap *heap, void *const *words, size_t count)
{
    mark_range((struct gc__range){(uintptr_t)words, (uintptr_t)(words + count)}, gc__gang_leader(&heap->gang));
}

static void mark_mutator(struct heap *heap, const struct mutator *mutator)
{
    mark_stacks(heap, mutator);
    if (mutator->thread_pointer != 0)
        gc__os_each_thread_area(mutator->thread_pointer, mark_range, gc__gang_leader(&heap->gang));
    mark_words(heap, mutator->held, 2);
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
        mark_words(heap, &mutator->result, 1);
    }
    mark_threads_to_be(heap);
}
