#include "gc/api/enter.h"
#include "gc/api/options.h"
#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/collect.h"
#include "gc/roots/dead_stack.h"

#include <errno.h>
#include <string.h>

/* ---- Starting ---------------------------------------------------------------- */

int gc_init_options(const struct gc_options *options, size_t size)
{
    struct gc_options complete = {0};

    if (gc__heap.started)
        return EALREADY;
    if (options != NULL)
        memcpy(&complete, options, gc__min(size, sizeof complete));
    if (!gc__options_are_valid(&complete))
        return EINVAL;
    gc__options_complete(&complete);
    return gc__heap_start(&gc__heap, &complete) ? 0 : ENOMEM;
}

void gc_init(void)
{
    gc__enter("gc_init");
}

struct mutator *gc__enter(const char *call)
{
    int saved_errno = errno;

    if (GC_LIKELY(gc__mutator_exists(gc__mutator)))
        return gc__mutator;
    if (gc__heap.started)
        GC_MISUSE(call, "called by thread %ld; this version serves only the thread that called first, %ld",
                  gc__os_thread_id(), gc__heap.mutators.first->thread_id);
    if (gc_init_options(NULL, 0) != 0)
        gc__fatal("%s: the system refuses the address space for a heap", call);
    errno = saved_errno;
    return gc__mutator;
}

struct mutator *gc__enter_spilled(const char *call, uintptr_t sp)
{
    struct mutator *mutator = gc__enter(call);

    mutator->sp = sp;
    mutator->held = NULL; /* a longjmp may have left one */
    if (sp >= mutator->asking_sp)
        mutator->asking_sp = 0; /* the same: this call is not the handler's */
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
    (void)a, (void)b;
    gc__enter_spilled(call, sp);
    gc__collect(&gc__heap);
    return NULL;
}

void gc_collect(void)
{
    gc__os_spill_registers(collect_spilled, "gc_collect", 0, 0);
}

void gc_disable(void)
{
    gc__enter("gc_disable");
    gc__heap.disabled++;
}

void gc_enable(void)
{
    gc__enter("gc_enable");
    if (gc__heap.disabled == 0)
        GC_MISUSE("gc_enable", "called without %s", "gc_disable");
    gc__heap.disabled--;
}

int gc_add_roots(const void *start, const void *end)
{
    gc__enter("gc_add_roots");
    if (end < start)
        return EINVAL;
    return gc__ranges_add(&gc__heap.user_roots, (struct gc__range){(uintptr_t)start, (uintptr_t)end}) ? 0 : ENOMEM;
}

int gc_remove_roots(const void *start, const void *end)
{
    gc__enter("gc_remove_roots");
    if (end < start)
        return EINVAL;
    return gc__ranges_remove(&gc__heap.user_roots, (struct gc__range){(uintptr_t)start, (uintptr_t)end}) ? 0 : ENOMEM;
}

/* ---- Failure ---------------------------------------------------------------------- */

gc_oom_handler gc_set_oom_handler(gc_oom_handler handler, void *data)
{
    gc_oom_handler old = gc__heap.oom_handler;

    gc__enter("gc_set_oom_handler")->asking_sp = 0;
    gc__heap.oom_handler = handler;
    gc__heap.oom_data = data;
    return old;
}

gc_fatal_hook gc_set_fatal_hook(gc_fatal_hook hook)
{
    gc_fatal_hook old = gc__fatal_hook;

    gc__fatal_hook = hook;
    return old;
}

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

const char *gc_version(void)
{
    return TEXT_OF(GC_VERSION_MAJOR) "." TEXT_OF(GC_VERSION_MINOR) "." TEXT_OF(GC_VERSION_PATCH);
}
