#include "gc/cycle/spare.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"

void gc__spare_begin(struct spare *spare, size_t mutators)
{
    spare->mutators = spare->running = mutators;
    spare->ran = (struct ran){0};
}

bool gc__spare_is_due(const struct spare *spare, uint64_t clock_ns)
{
    return clock_ns - spare->ran.clock_ns >= GC_SPARE_LOOK_NS;
}

/* What is begun counts as one, but for a trifle. */
static size_t running_between(const struct ran *before, const struct ran *now)
{
    uint64_t ns = now->clock_ns - before->clock_ns, own_ns = now->own_ns - before->own_ns;
    uint64_t process_ns = gc__max(now->process_ns - before->process_ns, own_ns);

    return (process_ns - own_ns + ns - ns / GC_SPARE_TRIFLE_SHARE) / ns;
}

void gc__spare_note(struct spare *spare, const struct ran *ran)
{
    if (spare->ran.clock_ns != 0)
        spare->running = running_between(&spare->ran, ran);
    spare->ran = *ran;
}

unsigned gc__spare_markers(const struct spare *spare, unsigned cpus)
{
    size_t waiting = gc__min(atomic_load_explicit(&spare->waiting, memory_order_relaxed), spare->mutators);
    size_t running = gc__min(spare->running, spare->mutators - waiting);

    return cpus > running ? (unsigned)(cpus - running) : 1;
}
