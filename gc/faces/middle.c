#include "gc/faces/middle.h"

#include "gc/alloc/allocate.h"
#include "gc/roots/world.h"

/* NULL until the C library has begun. */
extern char **environ;

/* A program may take its environment away later. */
bool gc__c_library_has_begun(void)
{
    static bool has_begun;

    has_begun = has_begun || environ != NULL;
    return has_begun;
}

static bool is_on_stack(const struct mutator *mutator, uintptr_t sp)
{
    return sp >= mutator->stack.start && sp < mutator->stack.end;
}

/* Whether a signal's handler has left by longjmp what it interrupted: then a call comes
 * from the same frame, or one above. So does a handler's whose alternate stack lies in such
 * a frame, and has left nothing. Who holds the lock is not interrupted. */
static bool was_left(const struct mutator *mutator, uintptr_t sp)
{
    uintptr_t busy_at = gc__thread_busy_at;

    return gc__mutator_exists(mutator) && sp >= busy_at && is_on_stack(mutator, busy_at) && is_on_stack(mutator, sp) &&
           atomic_load(&gc__heap.world.owner) != mutator && !gc__os_is_on_alternate_stack(sp);
}

bool gc__in_middle(uintptr_t sp)
{
    struct mutator *mutator = gc__mutator;

    if (gc__thread_busy_at != 0 && was_left(mutator, sp))
        gc__abandon_call(&gc__heap, mutator);
    return gc__in_fast_middle(mutator) || !gc__c_library_has_begun() ||
           (gc__mutator_exists(mutator) && atomic_load(&gc__heap.world.owner) == mutator);
}
