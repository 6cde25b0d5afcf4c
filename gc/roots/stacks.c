#include "gc/roots/stacks.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/base/tunables.h"

/* Each begins a line of the cache. */
struct place {
    _Alignas(GC_CACHE_LINES_BYTES) struct gc_stack stack;
};

struct slab {
    struct slab *next;
    struct place place[];
};

#define STACKS_A_SLAB ((GC_STACK_SLAB_BYTES - sizeof(struct slab)) / sizeof(struct place))

/* What the program has told, as a switch checks it. */
static uint64_t pages_of(struct gc__range memory)
{
    uint64_t first = memory.start >> GC_PAGE_SHIFT, count = ((memory.end - 1) >> GC_PAGE_SHIFT) - first + 1;
    bool fits = first < UINT64_C(1) << (64 - GC_STACK_COUNT_BITS) && count <= GC_STACK_COUNT_MASK;

    return fits ? first << GC_STACK_COUNT_BITS | count : 0;
}

/* ---- Descriptors ------------------------------------------------------------------ */

static bool add_slab(struct stacks *stacks)
{
    struct slab *slab = gc__os_map(GC_STACK_SLAB_BYTES);

    if (slab == NULL)
        return false;
    slab->next = stacks->slabs;
    stacks->slabs = slab;
    stacks->slab_count++;
    for (size_t i = STACKS_A_SLAB; i-- > 0;) {
        slab->place[i].stack.next_unused = stacks->unused;
        stacks->unused = &slab->place[i].stack;
    }
    return true;
}

struct gc_stack *gc__stacks_add(struct stacks *stacks, struct gc__range memory)
{
    struct gc_stack *stack;

    if (stacks->unused == NULL && !add_slab(stacks))
        return NULL;
    stack = stacks->unused;
    stacks->unused = stack->next_unused;
    stacks->count++;
    *stack = (struct gc_stack){.pages = pages_of(memory), .memory = memory, .used = true};
    gc__stack_begin_anew(stack);
    return stack;
}

void gc__stacks_remove(struct stacks *stacks, struct gc_stack *stack)
{
    *stack = (struct gc_stack){.next_unused = stacks->unused};
    stacks->unused = stack;
    stacks->count--;
}

struct gc_stack *gc__stack_in_object(void *object, size_t bytes)
{
    struct gc_stack *stack = object;

    stack->memory =
        (struct gc__range){gc__align_up((uintptr_t)(stack + 1), GC_GRANULE_BYTES), (uintptr_t)object + bytes};
    stack->memory.end = gc__align_down(stack->memory.end, GC_GRANULE_BYTES);
    stack->pages = pages_of(stack->memory);
    stack->is_object = true;
    gc__stack_begin_anew(stack);
    __atomic_store_n(&stack->used, true, __ATOMIC_RELEASE); /* from here on it is traced */
    return stack;
}

void gc__stack_begin_anew(struct gc_stack *stack)
{
    size_t bytes = stack->memory.end - stack->memory.start;

    stack->frame = (struct gc__frame){.sp = stack->memory.end - gc__min(bytes, GC_STACK_START_BYTES)};
}

/* ---- All of them ------------------------------------------------------------------- */

struct gc_stack *gc__stacks_find(const struct stacks *stacks, uintptr_t address)
{
    for (struct slab *slab = stacks->slabs; slab != NULL; slab = slab->next)
        for (size_t i = 0; i < STACKS_A_SLAB; i++) /* of one that is not used, memory is empty */
            if (gc__stack_holds(&slab->place[i].stack, address))
                return &slab->place[i].stack;
    return NULL;
}

void gc__stacks_each(const struct stacks *stacks, void (*visit)(struct gc_stack *stack, void *argument), void *argument)
{
    for (struct slab *slab = stacks->slabs; slab != NULL; slab = slab->next)
        for (size_t i = 0; i < STACKS_A_SLAB; i++)
            if (slab->place[i].stack.used)
                visit(&slab->place[i].stack, argument);
}

size_t gc__stacks_metadata_bytes(const struct stacks *stacks)
{
    return stacks->slab_count * GC_STACK_SLAB_BYTES;
}

static void audit_stack(struct gc_stack *stack, void *argument)
{
    size_t *count = argument;

    GC_AUDIT(stack->memory.start < stack->memory.end);
    GC_AUDIT(stack->frame.sp >= stack->memory.start && stack->frame.sp <= stack->memory.end);
    ++*count;
}

void gc__stacks_audit(const struct stacks *stacks)
{
    size_t count = 0;

    gc__stacks_each(stacks, audit_stack, &count);
    GC_AUDIT(count == stacks->count);
}
