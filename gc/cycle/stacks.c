#include "gc/cycle/stacks.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

/* ---- Scanning ------------------------------------------------------------------- */

static void scan(struct heap *heap, struct gc__range range)
{
    enum past_end past_end = heap->options.past_end == GC_PAST_END_STACK ? PAST_END_COUNTS : PAST_END_IGNORED;

    gc__marker_scan_roots(gc__gang_leader(&heap->gang), range, past_end);
}

/* Of a thread that runs on, and may end meanwhile, so that the stack is unmapped: a copy
 * of each page that is there, behind the last word of the one before, as a word that is
 * not aligned may lie on both. */
static void scan_unstopped(struct heap *heap, struct gc__range range)
{
    static GC_OWN_STATE uintptr_t copy[1 + GC_PAGE_BYTES / sizeof(uintptr_t)];
    uintptr_t start = gc__align_up(range.start, sizeof(uintptr_t)), end;

    for (copy[0] = 0; start < range.end; start = end) {
        size_t words;

        end = gc__min(gc__align_down(start, GC_PAGE_BYTES) + GC_PAGE_BYTES, range.end);
        words = gc__os_copy(&copy[1], start, end - start) / sizeof(uintptr_t);
        scan(heap, (struct gc__range){(uintptr_t)copy, (uintptr_t)&copy[1 + words]});
        copy[0] = copy[words];
    }
}

/* What it left on the stack and in registers. */
static void scan_frame(struct heap *heap, const struct gc_stack *stack)
{
    uintptr_t registers = (uintptr_t)stack->frame.registers;

    scan(heap, (struct gc__range){stack->frame.sp, stack->memory.end});
    scan(heap, (struct gc__range){registers, registers + sizeof stack->frame.registers});
}

static bool in_heap(struct heap *heap, uintptr_t address, struct object *object)
{
    return gc__resolve(&heap->region, (struct ambiguous){address}, object);
}

/* The memory of a stack may be an object. */
static void keep_memory(struct heap *heap, uintptr_t address)
{
    struct object object;

    if (in_heap(heap, address, &object))
        gc__marker_mark(gc__gang_leader(&heap->gang), object);
}

/* A stack that lies in an object of the heap (a coroutine's) ends with it. The
 * stack pointer alone keeps it. */
static bool scan_in_heap(struct heap *heap, uintptr_t sp, struct gc__range *stack)
{
    struct object object;

    if (!in_heap(heap, sp, &object))
        return false;
    heap->stacks.unregistered = true;
    gc__marker_mark(gc__gang_leader(&heap->gang), object);
    stack->start = sp;
    stack->end = (uintptr_t)gc__object_start(&heap->region, &object) + gc__object_bytes(&heap->region, &object);
    scan(heap, *stack);
    return true;
}

/* ---- Warning --------------------------------------------------------------------- */

struct search {
    uintptr_t address;
    bool found;
};

static void look_in_segment(struct gc__range range, void *argument)
{
    struct search *search = argument;

    search->found |= search->address >= range.start && search->address < range.end;
}

/* Whether all of it is scanned anyway. */
static bool is_root(const struct heap *heap, uintptr_t sp)
{
    struct search search = {sp, false};

    for (size_t i = 0; i < heap->user_roots.count; i++)
        look_in_segment(heap->user_roots.range[i], &search);
    if (!search.found)
        gc__os_each_data_segment(look_in_segment, &search);
    return search.found;
}

/* The program may have more such stacks, which wait, and are not seen. */
static void warn_once(struct heap *heap, uintptr_t sp)
{
    if (heap->stacks.warned || gc__heap_roots_are_mappings(heap) || is_root(heap, sp))
        return;
    heap->stacks.warned = true;
    gc__message("a thread runs on a stack at %p of which nobody told; those like it that wait are not scanned "
                "(see gc_stack_register)",
                (void *)sp);
}

/* ---- Where nothing was registered --------------------------------------------------- */

/* What a signal's handler runs on, and what it interrupted elsewhere. */
static void scan_known(struct heap *heap, const struct mutator *mutator, const struct gc__context *context)
{
    struct gc__range stacks[3];
    unsigned count = gc__os_stacks_in_use(context, mutator->stack, stacks);

    for (unsigned i = 0; i < count; i++)
        if (mutator->state == MUTATOR_DEAF)
            scan_unstopped(heap, stacks[i]);
        else
            scan(heap, stacks[i]);
    if (count == 1 || mutator->state == MUTATOR_DEAF ||
        context->sp - context->alternate.start < context->alternate.end - context->alternate.start)
        return;
    heap->stacks.unregistered = true;
    warn_once(heap, context->sp);
}

/* A signal handler's stack may be an object, and what it interrupted stand in
 * another, or anywhere. */
static void scan_unregistered(struct heap *heap, const struct mutator *mutator)
{
    struct gc__context context = mutator->context;
    struct gc__range stack;

    if (scan_in_heap(heap, context.sp, &stack)) {
        bool same = context.interrupted_sp - stack.start < stack.end - stack.start;

        if (same || scan_in_heap(heap, context.interrupted_sp, &stack)) {
            scan(heap, gc__os_whole_stack(mutator->stack));
            return;
        }
        context.sp = context.interrupted_sp;
    }
    scan_known(heap, mutator, &context);
}

/* ---- Where something was -------------------------------------------------------------- */

/* Where the thread's last switch led it, or came from; else any. Those who made no
 * switch stand on their own stack, as a rule. */
static struct gc_stack *find(const struct heap *heap, const struct mutator *mutator, uintptr_t address)
{
    if (heap->stacks.count == 0 && mutator->entered == NULL)
        return NULL;
    if (mutator->entered != NULL && mutator->entered->used && gc__stack_holds(mutator->entered, address))
        return mutator->entered;
    if (mutator->left != NULL && mutator->left->used && gc__stack_holds(mutator->left, address))
        return mutator->left;
    if (address >= mutator->stack.start && address < mutator->stack.end)
        return NULL;
    return gc__stacks_find(&heap->stacks, address);
}

/* The thread's own, while it runs on another that is registered. */
static void scan_own(struct heap *heap, const struct mutator *mutator)
{
    const struct gc_stack *own = &mutator->own;

    if (own->frame.sp != 0 && gc__stack_holds(own, own->frame.sp))
        scan_frame(heap, own);
    else
        scan(heap, gc__os_whole_stack(mutator->stack));
}

/* The stack of a signal's handler that interrupted something on a registered one. */
static void scan_handler(struct heap *heap, const struct mutator *mutator)
{
    struct gc__range stacks[3];

    if (scan_in_heap(heap, mutator->context.sp, &stacks[0]))
        return;
    gc__os_stacks_in_use(&mutator->context, mutator->stack, stacks);
    scan(heap, stacks[0]);
}

static void run_on(struct heap *heap, struct gc_stack *stack, uintptr_t sp)
{
    stack->running = !stack->is_object;
    scan(heap, (struct gc__range){sp, stack->memory.end});
}

/* A handler that was not interrupted by us, but called us: how far the coroutine
 * below it came, nobody knows. */
static void scan_interrupted(struct heap *heap, struct gc_stack *stack)
{
    if (stack == NULL || !stack->used || stack->running)
        return;
    stack->running = !stack->is_object;
    scan(heap, gc__os_whole_stack(stack->memory));
}

void gc__mark_stacks(struct heap *heap, const struct mutator *mutator)
{
    const struct gc__context *context = &mutator->context;
    struct gc_stack *stack = find(heap, mutator, context->sp);

    keep_memory(heap, (uintptr_t)mutator->entered); /* they may be objects, and are looked at */
    keep_memory(heap, (uintptr_t)mutator->left);
    keep_memory(heap, context->alternate.start); /* the kernel alone may know of it */
    if (stack != NULL) {
        run_on(heap, stack, context->sp);
        scan_own(heap, mutator);
        return;
    }
    stack = find(heap, mutator, context->interrupted_sp);
    if (stack != NULL) {
        scan_handler(heap, mutator);
        run_on(heap, stack, context->interrupted_sp);
        scan_own(heap, mutator);
        return;
    }
    if (mutator->entered != NULL && !gc__stack_holds(&mutator->own, context->sp)) {
        scan_interrupted(heap, mutator->entered);
        scan_interrupted(heap, mutator->left);
    }
    scan_unregistered(heap, mutator);
}

static void scan_waiting(struct gc_stack *stack, void *argument)
{
    struct heap *heap = argument;

    keep_memory(heap, stack->memory.start);
    if (!stack->running)
        scan_frame(heap, stack);
    stack->running = false;
}

void gc__mark_waiting_stacks(struct heap *heap)
{
    gc__stacks_each(&heap->stacks, scan_waiting, heap);
}
