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

/* These are scanned from the stack pointer on. The initial thread's may be allowed to
 * grow over what is mapped below it; the kernel keeps some distance. */
static void leave_out_stacks(struct mappings *mappings, const struct world *world)
{
    for (const struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next) {
        struct gc__range stack = mutator->stack;

        stack.start = stack.end - gc__min(stack.end - stack.start, GC_STACK_GAP_BYTES);
        leave_out(stack, mappings);
    }
}

bool gc__mappings_read(struct mappings *mappings, const struct world *world)
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
