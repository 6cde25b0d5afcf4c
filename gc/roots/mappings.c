#include "gc/roots/mappings.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"

static void add(struct gc__range range, enum gc__mapping kind, void *argument)
{
    struct mappings *mappings = argument;

    mappings->failed |= !gc__ranges_add(kind == GC_MAPPING_SHARED ? &mappings->shared : &mappings->ranges, range);
    if (kind == GC_MAPPING_CODE)
        mappings->failed |= !gc__ranges_add(&mappings->code, range);
}

static void leave_out(struct gc__range range, void *argument)
{
    struct mappings *mappings = argument;

    mappings->failed |= !gc__ranges_remove(&mappings->ranges, range) || !gc__ranges_remove(&mappings->shared, range);
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
    mappings->ranges.count = mappings->code.count = mappings->shared.count = 0;
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

size_t gc__mappings_each(const struct mappings *mappings, void (*visit)(struct gc__range range, void *argument),
                         void *argument)
{
    struct summing summing = {visit, argument, 0};

    gc__os_each_touched(mappings->ranges.range, mappings->ranges.count, visit_and_sum, &summing);
    return summing.bytes;
}

size_t gc__mappings_each_shared(const struct mappings *mappings, void (*visit)(struct gc__range range, void *argument),
                                void *argument)
{
    struct summing summing = {visit, argument, 0};

    if (mappings->shared.count > 0)
        gc__os_each_touched_by_any(mappings->shared.range, mappings->shared.count, visit_and_sum, &summing);
    return summing.bytes;
}

void gc__mappings_each_code(const struct mappings *mappings, void (*visit)(struct gc__range range, void *argument),
                            void *argument)
{
    if (mappings->code.count > 0)
        gc__os_each_touched(mappings->code.range, mappings->code.count, visit, argument);
}

size_t gc__mappings_metadata_bytes(const struct mappings *mappings)
{
    return gc__ranges_metadata_bytes(&mappings->ranges) + gc__ranges_metadata_bytes(&mappings->code) +
           gc__ranges_metadata_bytes(&mappings->shared);
}
