#include <broom/stack.h>

#include "gc/api/enter.h"
#include "gc/base/check.h"

#include <broom/kind.h>
#include <errno.h>

_Static_assert(offsetof(struct gc_stack, frame) == 0, "gc_stack_switch stores it at the beginning");

struct gc_stack *gc_stack_register(void *memory, size_t bytes)
{
    struct gc__range range = {(uintptr_t)memory, (uintptr_t)memory + bytes};
    struct gc_stack *stack;

    gc__enter("gc_stack_register");
    if (range.end <= range.start) {
        errno = EINVAL;
        return NULL;
    }
    gc__world_lock(&gc__heap.world);
    stack = gc__stacks_add(&gc__heap.stacks, range);
    gc__world_unlock(&gc__heap.world);
    if (stack == NULL)
        errno = ENOMEM;
    GC_HOLD_UNTIL_HERE(memory);
    return stack;
}

/* ---- Stacks that are objects ----------------------------------------------------------- */

/* One that runs is traced from where it was left last, if it is marked at all: its
 * thread scans what it needs. */
static void trace(void *object, size_t bytes, gc_tracer *tracer, void *unused)
{
    const struct gc_stack *stack = object;
    uintptr_t sp = __atomic_load_n(&stack->frame.sp, __ATOMIC_RELAXED);

    (void)bytes, (void)unused;
    if (!__atomic_load_n(&stack->used, __ATOMIC_ACQUIRE) || sp < stack->memory.start)
        return;
    gc_trace_range(tracer, (const void *)sp, (const void *)stack->memory.end);
    gc_trace_range(tracer, stack->frame.registers, stack->frame.registers + GC_FRAME_REGISTERS);
}

static gc_kind *stack_kind(void)
{
    static const struct gc_kind_options options = {.name = "stack", .tracing = GC_TRACE_CALLBACK, .trace = trace};
    GC_OWN_STATE static _Atomic(gc_kind *) kind;
    gc_kind *made = kind;

    if (made != NULL)
        return made;
    gc__world_lock(&gc__heap.world);
    if (kind == NULL)
        kind = gc_kind_new(&options, sizeof options);
    made = kind;
    gc__world_unlock(&gc__heap.world);
    return made;
}

struct gc_stack *gc_stack_new(size_t bytes, void **memory, size_t *size)
{
    struct gc_stack *stack;
    gc_kind *kind;
    size_t all;
    void *object;

    gc__enter("gc_stack_new");
    kind = stack_kind();
    if (__builtin_add_overflow(bytes, sizeof *stack + 2 * GC_GRANULE_BYTES, &all))
        all = SIZE_MAX;
    object = kind != NULL ? gc_new_bytes(kind, all) : NULL;
    if (object == NULL)
        return NULL;
    stack = gc__stack_in_object(object, gc_usable_size(object));
    *memory = (void *)stack->memory.start;
    *size = stack->memory.end - stack->memory.start;
    return stack;
}

/* ---- Ending and switching ------------------------------------------------------------------ */

void gc_stack_unregister(struct gc_stack *stack)
{
    if (stack == NULL || stack->is_object)
        return;
    if (gc__stack_holds(stack, (uintptr_t)__builtin_frame_address(0)))
        GC_MISUSE("gc_stack_unregister", "the stack at %p is the one that runs", (void *)stack->memory.start);
    if (!stack->used)
        GC_MISUSE("gc_stack_unregister", "%p is no registered stack", (void *)stack);
    gc__world_lock(&gc__heap.world);
    gc__stacks_remove(&gc__heap.stacks, stack);
    gc__world_unlock(&gc__heap.world);
}

struct gc_stack *gc_stack_of_thread(void)
{
    struct mutator *mutator = gc__enter("gc_stack_of_thread");

    mutator->own.memory = mutator->stack;
    return &mutator->own;
}

/* What is called from here is the last call of gc__stack_switched, which so needs no
 * frame. */
static __attribute__((noinline)) void leave_without_frame(struct mutator *mutator, struct gc_stack *to, uintptr_t sp)
{
    struct gc_stack *entered = mutator->entered;

    if (!gc__mutator_exists(mutator))
        return;
    if (entered != NULL && entered->used && gc__stack_holds(entered, sp))
        gc__stack_begin_anew(entered);
    mutator->left = entered;
    mutator->entered = to;
}

static __attribute__((noinline)) void refuse(const struct gc_stack *from)
{
    GC_MISUSE("gc_stack_switch", "called on another stack than the one at %p", (void *)from->memory.start);
}

/* The stack that is left without a frame: the one that was entered last. A thread's
 * own has no end that we know of, as its limit may be raised: it is not looked at. */
void gc__stack_switched(struct gc_stack *from, struct gc_stack *to, uintptr_t sp)
{
    struct mutator *mutator = gc__mutator;

    __builtin_prefetch(to, 1); /* it will be left, too */
    if (GC_UNLIKELY(from == NULL)) {
        leave_without_frame(mutator, to, sp);
    } else if (GC_UNLIKELY(gc__stack_is_another(from, sp))) {
        refuse(from);
    } else if (GC_LIKELY(gc__mutator_exists(mutator))) {
        mutator->left = from;
        mutator->entered = to;
        if (sp >= mutator->finalizing_sp)
            mutator->finalizing_sp = 0; /* a longjmp has left it: calls from the other stack cannot tell */
    }
}
