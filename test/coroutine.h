/* coroutine.h - coroutines whose switches are announced, by ucontext or by hand. */
#ifndef TEST_COROUTINE_H
#define TEST_COROUTINE_H

#include "test/effort.h"
#include "test/hidden.h"
#include "test/switch.h"

#include <broom/stack.h>
#include <criterion/criterion.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK_BYTES = 64 << 10, OBJECTS = 1000 };

/* A coroutine whose record, context and stack are where the collector does not
 * look: only what gc_stack_switch tells is known of it. */
struct coroutine {
    ucontext_t context;
    ucontext_t *caller;
    void *sp, *callers_sp; /* in place of these, if by hand */
    bool by_hand;
    struct gc_stack *stack;
    struct gc_stack *callers_stack;
    void (*body)(struct coroutine *self);
    void *memory;
    uintptr_t value;
    bool begun, done;
};

static bool by_hand; /* those that are made from now on */
static _Thread_local struct coroutine *beginning;

static inline void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(memory != MAP_FAILED);
    return memory;
}

/* The caller's stack goes on. */
static inline void jump_back(struct coroutine *self)
{
    if (self->by_hand)
        switch_to(&self->sp, self->callers_sp);
    else
        swapcontext(&self->context, self->caller);
}

static inline void run_body(struct coroutine *self)
{
    self->body(self);
    self->done = true;
    gc_stack_switch(NULL, self->callers_stack);
    jump_back(self);
}

static inline void begin(unsigned low, unsigned high)
{
    run_body((struct coroutine *)((uintptr_t)high << 32 | low));
}

static inline void begin_by_hand(void)
{
    struct coroutine *self = beginning;

    beginning = NULL; /* it is a root */
    run_body(self);
}

static inline void prepare(struct coroutine *coroutine, void (*body)(struct coroutine *self))
{
    coroutine->body = body;
    coroutine->begun = coroutine->done = false;
    coroutine->by_hand = by_hand;
    if (by_hand) {
        coroutine->sp = switch_prepare((char *)coroutine->memory + STACK_BYTES, begin_by_hand);
        return;
    }
    getcontext(&coroutine->context);
    coroutine->context.uc_stack.ss_sp = coroutine->memory;
    coroutine->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&coroutine->context, (void (*)(void))begin, 2, (unsigned)(uintptr_t)coroutine,
                (unsigned)((uintptr_t)coroutine >> 32));
}

static inline struct coroutine *new_coroutine(void (*body)(struct coroutine *self), void *memory)
{
    struct coroutine *coroutine = map(sizeof *coroutine);

    coroutine->memory = memory;
    coroutine->stack = gc_stack_register(memory, STACK_BYTES);
    cr_assert(coroutine->stack != NULL);
    prepare(coroutine, body);
    return coroutine;
}

/* Its record is an object, too. */
static inline struct coroutine *coroutine_on_new_stack(void (*body)(struct coroutine *self))
{
    struct coroutine *coroutine = gc_malloc(sizeof *coroutine);
    size_t bytes;

    coroutine->stack = gc_stack_new(STACK_BYTES, &coroutine->memory, &bytes);
    cr_assert(coroutine->stack != NULL && bytes >= STACK_BYTES);
    cr_assert_eq((uintptr_t)coroutine->memory % 16, 0);
    prepare(coroutine, body);
    return coroutine;
}

/* Into it. The caller's context lies on the caller's stack. */
static inline void resume(struct coroutine *coroutine)
{
    ucontext_t here;

    coroutine->caller = &here;
    coroutine->callers_stack = gc_stack_of_thread();
    if (coroutine->by_hand && !coroutine->begun)
        beginning = coroutine;
    coroutine->begun = true;
    gc_stack_switch(coroutine->callers_stack, coroutine->stack);
    if (coroutine->by_hand)
        switch_to(&coroutine->callers_sp, coroutine->sp);
    else
        swapcontext(&here, &coroutine->context);
}

static inline void yield(struct coroutine *self)
{
    gc_stack_switch(self->stack, self->callers_stack);
    jump_back(self);
}

static inline uintptr_t *new_number(uintptr_t value)
{
    uintptr_t *number = gc_malloc(4 * sizeof *number);

    *number = value;
    return number;
}

static struct hidden dead[OBJECTS]; /* what lay_deep held */

static __attribute__((noinline, unused)) void lay_deep(struct coroutine *self)
{
    void *volatile objects[OBJECTS];

    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = new_number(i);
        dead[i] = hide(objects[i]);
    }
    yield(self);
    for (size_t i = 0; i < OBJECTS; i++)
        cr_assert_eq(*(uintptr_t *)objects[i], i);
}

/* Leaves once with objects in a frame, and once more when that has returned. */
static inline void lay_and_return(struct coroutine *self)
{
    lay_deep(self);
    yield(self);
}

static inline void overwrite_free_cells(void)
{
    for (size_t i = 0; i < effort(20000); i++)
        *new_number(0) = ~(uintptr_t)0;
}

static inline void collect_and_overwrite(void)
{
    gc_collect();
    overwrite_free_cells();
}

#endif
