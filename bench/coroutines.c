/* coroutines.c - a hundred thousand coroutines, each with a stack and an object on
 * it: what it costs to tell the collector of a switch beyond the switch itself, and
 * how long a collection takes that scans of each stack what is live. Broom only.
 *
 * The switch is the shortest that there is: six registers and the stack pointer.
 */
#include "collection.h"

#include <broom/stack.h>
#include <sys/mman.h>

enum { COROUTINES = 100000, STACK_BYTES = 16 << 10, SWITCHES = 50000000, TRIALS = 61, NEAR = 16 };

struct coroutine {
    void *sp; /* where it waits */
    struct gc_stack *stack;
    uint64_t number;
    bool lost;
};

static struct coroutine *coroutines;
static struct gc_stack *thread_stack;
static void *thread_sp;
static struct coroutine *entered;
static bool telling; /* the collector of each switch */

/* switch_to(&where_to_store_sp, sp) */
void *switch_to(void **from, void *to);
#if defined __x86_64__
__asm__(".text\n.globl switch_to\n.type switch_to, @function\nswitch_to:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n.size switch_to, . - switch_to\n");
enum { FRAME_WORDS = 8, ENTRY_WORD = 6 };
#else
__asm__(".text\n.globl switch_to\n.type switch_to, %function\nswitch_to:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n    str x9, [x0]\n    mov sp, x1\n"
        "    ldp x19, x20, [sp]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n    ret\n.size switch_to, . - switch_to\n");
enum { FRAME_WORDS = 22, ENTRY_WORD = 11 };
#endif

static inline void leave(struct coroutine *self)
{
    if (telling)
        gc_stack_switch(self->stack, thread_stack);
    switch_to(&self->sp, thread_sp);
}

static inline void enter(struct coroutine *coroutine)
{
    entered = coroutine;
    if (telling)
        gc_stack_switch(thread_stack, coroutine->stack);
    switch_to(&thread_sp, coroutine->sp);
}

static void body(void)
{
    struct coroutine *self = entered;
    uint64_t *volatile number = bench_alloc(sizeof *number);
    *number = self->number;
    for (;;) {
        leave(self);
        self->lost |= *number != self->number;
    }
}

static void prepare(struct coroutine *coroutine, char *memory)
{
    void **frame = (void **)(memory + STACK_BYTES) - FRAME_WORDS;
    frame[ENTRY_WORD] = (void *)(uintptr_t)body;
    coroutine->sp = frame;
    coroutine->stack = gc_stack_register(memory, STACK_BYTES);
    if (!coroutine->stack)
        abort();
}

static double ns_a_switch(size_t among, size_t rounds, bool told)
{
    telling = told;
    uint64_t start_ns = bench_now_ns();
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < among; i++)
            enter(&coroutines[i]);
    double ns = (double)(bench_now_ns() - start_ns) / (double)(rounds * among * 2);
    telling = true;
    return ns;
}

static int compare(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static double median(double ns[TRIALS])
{
    qsort(ns, TRIALS, sizeof *ns, compare);
    return ns[TRIALS / 2];
}

/* In turns, so that what disturbs one disturbs the other: the difference is the median
 * of those of each pair. */
static void time_switches(const char *name, size_t among)
{
    size_t rounds = bench_scaled(SWITCHES) / TRIALS / among / 4;
    double bare[TRIALS], told[TRIALS], more[TRIALS];
    char full_name[40];
    for (int i = 0; i < TRIALS; i++) {
        bool bare_first = i % 2 == 0;
        double first = ns_a_switch(among, rounds + 1, !bare_first), second = ns_a_switch(among, rounds + 1, bare_first);
        bare[i] = bare_first ? first : second;
        told[i] = bare_first ? second : first;
        more[i] = told[i] - bare[i];
    }
    double ns[] = {median(bare), median(told), median(more)};
    printf("a switch among %7zu: %6.2f ns, told of %6.2f ns: %.2f ns more\n", among, ns[0], ns[1], ns[2]);
    for (int i = 0; i < 3; i++) {
        snprintf(full_name, sizeof full_name, "%s_%s_ns", name, (const char *[]){"bare", "told", "more"}[i]);
        bench_detail(full_name, ns[i]);
    }
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(COROUTINES);
    char *memory = mmap(NULL, count * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool lost = memory == MAP_FAILED;
    coroutines = bench_checked(calloc(count, sizeof *coroutines));
    thread_stack = gc_stack_of_thread();
    telling = true;
    for (size_t i = 0; i < count && !lost; i++) {
        coroutines[i].number = i;
        prepare(&coroutines[i], memory + i * STACK_BYTES);
        enter(&coroutines[i]);
    }
    time_switches("near", count < NEAR ? count : NEAR);
    time_switches("all", count);
    bench_time_collections();
    for (size_t i = 0; i < count; i++)
        enter(&coroutines[i]);
    for (size_t i = 0; i < count; i++)
        lost |= coroutines[i].lost;
    return bench_finish(!lost, count);
}
