#include "gc/roots/mappings.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"

static void add(struct gc__range range, enum gc__mapping kind, void *argument)
{
    struct mappings *mappings = argument;
    bool added = gc__ranges_add(&mappings->ranges[kind], range);

    if (kind == GC_MAPPING_PRIVATE_CODE)
        added = added && gc__ranges_add(&mappings->ranges[GC_MAPPING_PRIVATE], range);
    if (kind == GC_MAPPING_SHARED_CODE)
        added = added && gc__ranges_add(&mappings->ranges[GC_MAPPING_SHARED], range);
    mappings->failed |= !added;
}

static void leave_out(struct gc__range range, void *argument)
{
    struct mappings *mappings = argument;

    for (unsigned kind = 0; kind < GC_MAPPING_KINDS; kind++)
        mappings->failed |= !gc__ranges_remove(&mappings->ranges[kind], range);
}

/* Nothing else hangs together with a stack that has a guard below it. The initial thread's has
 * none, and may be allowed to grow over what is mapped below it. */
static bool is_apart(struct mutator *mutator)
{
    if (mutator->met)
        return false;
    if (mutator->guard == GUARD_UNKNOWN)
        mutator->guard = gc__os_has_guard(mutator->stack) ? GUARD_BELOW : GUARD_NONE;
    return mutator->guard == GUARD_BELOW;
}

/* The whole of what was found at `address`. */
static struct gc__range around(const struct mappings *mappings, uintptr_t address)
{
    struct gc__range found = {address, address};

    for (unsigned kind = 0; kind < GC_MAPPING_KINDS && found.start == found.end; kind++)
        gc__ranges_find(&mappings->ranges[kind], address, &found);
    return found;
}

/* These are scanned from the stack pointer on. In memory that the program gave for a stack, or
 * beside one that it told nobody of, there may be anything: it stays a root. */
static void leave_out_stacks(struct mappings *mappings, struct world *world)
{
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next) {
        struct gc__range stack = mutator->stack;

        if (gc__os_is_initial_stack(stack))
            stack.start = gc__max(stack.start, around(mappings, stack.end - 1).start);
        else if (!is_apart(mutator))
            continue;
        leave_out(stack, mappings);
    }
}

bool gc__mappings_read(struct mappings *mappings, struct world *world)
{
    for (unsigned kind = 0; kind < GC_MAPPING_KINDS; kind++)
        mappings->ranges[kind].count = 0;
    mappings->failed = false;
    if (!gc__os_each_mapping(mappings->of_files, add, mappings))
        return false;
    leave_out_stacks(mappings, world);
    gc__os_each_own(leave_out, mappings);
    return !mappings->failed;
}

struct summing {
    void (*visit)(struct gc__range range, void *argument);
    void *argument;
    size_t bytes;
};

static void visit_and_sum(struct gc__range range, void *argument)
{
    struct summing *summing = argument;

    summing->bytes += range.end - range.start;
    summing->visit(range, summing->argument);
}

size_t gc__mappings_each(const struct mappings *mappings, enum gc__mapping kind,
                         void (*visit)(struct gc__range range, void *argument), void *argument)
{
    const struct ranges *ranges = &mappings->ranges[kind];
    struct summing summing = {visit, argument, 0};

    if (ranges->count > 0 && kind < GC_MAPPING_SHARED)
        gc__os_each_touched(ranges->range, ranges->count, visit_and_sum, &summing);
    else if (ranges->count > 0)
        gc__os_each_touched_by_any(ranges->range, ranges->count, visit_and_sum, &summing);
    return summing.bytes;
}

size_t gc__mappings_metadata_bytes(const struct mappings *mappings)
{
    size_t bytes = 0;

    for (unsigned kind = 0; kind < GC_MAPPING_KINDS; kind++)
        bytes += gc__ranges_metadata_bytes(&mappings->ranges[kind]);
    return bytes;
}
