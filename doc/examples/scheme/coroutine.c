/* Coroutines, each with a machine and a C stack of its own. The stack is an object
 * of the heap (gc_stack_new): what waits on it lives as long as somebody can still
 * resume the coroutine, and one that is forgotten halfway is collected. */
#include "scheme.h"

#include "../alloc.h"
#include <ucontext.h>

enum { STACK_BYTES = 128 << 10 };

struct coroutine {
    struct object head;
    value procedure;
    struct coroutine *caller; /* who waits for it to yield; NULL: the program */
    bool active, over;
    struct gc_stack *stack;
    ucontext_t context;
};

static struct coroutine program, *running = &program;
static ucontext_t blank; /* without the registers of whoever makes one: they would keep what they point at */
static value handed_over;

void prepare_coroutines(void)
{
    program.active = true;
    program.stack = gc_stack_of_thread();
    getcontext(&blank);
}

/* The frames of its machine are on its stack meanwhile. */
static value go_to(struct coroutine *to, value v)
{
    struct coroutine *from = running;
    struct frame *waiting = frames;
    handed_over = v;
    running = to;
    gc_stack_switch(from->stack, to->stack);
    swapcontext(&from->context, &to->context);
    frames = waiting;
    return handed_over;
}

static void begin(void)
{
    struct coroutine *self = running;
    handed_over = run(make_call(self->procedure, list(handed_over)));
    self->over = true;
    self->active = false;
    running = self->caller;
    gc_stack_switch(NULL, running->stack);
    setcontext(&running->context);
}

value make_coroutine(value procedure)
{
    struct coroutine *made = make(COROUTINE, sizeof *made);
    made->procedure = procedure;
    made->context = blank;
    made->stack = must(gc_stack_new(STACK_BYTES, &made->context.uc_stack.ss_sp, &made->context.uc_stack.ss_size));
    makecontext(&made->context, begin, 0);
    return &made->head;
}

value resume(value coroutine, value v)
{
    struct coroutine *to = (struct coroutine *)expect(COROUTINE, coroutine);
    if (to->active || to->over)
        fail(doing, to->over ? "it is over:" : "it is running:", coroutine);
    to->active = true;
    to->caller = running;
    return go_to(to, v);
}

value yield(value v)
{
    struct coroutine *self = running;
    if (self == &program)
        fail(doing, "outside of a coroutine", NULL);
    self->active = false;
    return go_to(self->caller, v);
}

bool is_over(value coroutine)
{
    return ((struct coroutine *)expect(COROUTINE, coroutine))->over;
}
