/* coroutine_library.c - coroutines of a library that knows nothing of Broom (PCL),
 * whose switches are told of. Ends with status 0 if no object was lost. */
#include <broom/stack.h>

#include <pcl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 100, STACK_BYTES = 64 << 10, ROUNDS = 200, KEPT = 8 };

struct generator {
    coroutine_t coroutine;
    struct gc_stack *stack;
    uintptr_t number;
    uintptr_t *produced; /* what it hands over at each switch */
    int lost;
};

static struct generator generators[COUNT];
static struct gc_stack *main_stack;

static uintptr_t *new_number(uintptr_t value)
{
    uintptr_t *number = gc_malloc(6 * sizeof *number);

    *number = value;
    return number;
}

static void suspend(struct generator *self)
{
    gc_stack_switch(self->stack, main_stack);
    co_resume();
}

static void generate(void *data)
{
    struct generator *self = data;
    uintptr_t *volatile kept[KEPT];

    for (uintptr_t i = 0; i < KEPT; i++)
        kept[i] = new_number(self->number + i);
    for (;;) {
        self->produced = new_number(self->number);
        suspend(self);
        for (uintptr_t i = 0; i < KEPT; i++)
            self->lost += *kept[i] != self->number + i;
    }
}

static void run(struct generator *generator)
{
    gc_stack_switch(main_stack, generator->stack);
    co_call(generator->coroutine);
    generator->lost += *generator->produced != generator->number;
}

int main(void)
{
    int lost = 0;

    main_stack = gc_stack_of_thread();
    for (uintptr_t i = 0; i < COUNT; i++) {
        void *memory = malloc(STACK_BYTES); /* not scanned by itself */

        generators[i].number = 1000 * (i + 1);
        generators[i].stack = gc_stack_register(memory, STACK_BYTES);
        generators[i].coroutine = co_create(generate, &generators[i], memory, STACK_BYTES);
        if (generators[i].coroutine == NULL)
            abort();
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++)
            run(&generators[i]);
        if (round % 10 == 0)
            gc_collect();
        for (int i = 0; i < 1000; i++)
            memset(gc_malloc(6 * sizeof(uintptr_t)), 0xff, 6 * sizeof(uintptr_t));
    }
    for (int i = 0; i < COUNT; i++) {
        lost += generators[i].lost;
        gc_stack_unregister(generators[i].stack);
        co_delete(generators[i].coroutine);
    }
    printf("%d lost\n", lost);
    return lost != 0;
}
