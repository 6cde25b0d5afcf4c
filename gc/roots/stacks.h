/* stacks.h - the stacks that the program made and told us of.
 *
 * Owns their descriptors, in slabs of mapped memory beside the heap, so that they
 * are no roots by themselves; slabs are never unmapped, and descriptors used again. A
 * stack that is an object of the heap (gc_stack_new) has its descriptor in it, and is
 * traced by a callback (gc/api/stacks.c).
 *
 * Who runs on which stack is not recorded: a switch is two steps, ours and the
 * program's, and a collection may come between. The stack pointers tell. `frame` is
 * where a stack was last left, and means something only while no thread stands in
 * it.
 *
 * Threads: under the heap's lock, but for `frame`, which is written by the thread
 * that runs on the stack.
 *
 * Invariants (checked by gc__stacks_audit):
 *  1. `count` is the number of descriptors in use
 *  2. of each, start <= frame.sp <= end */
#ifndef GC_ROOTS_STACKS_H
#define GC_ROOTS_STACKS_H

#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

/* A switch touches `frame` and `pages`: where six registers are preserved, one line of
 * the cache, and with thousands of stacks every line is a miss. */
struct gc_stack {
    struct gc__frame frame; /* first: gc_stack_switch is assembly */
    uint64_t pages;         /* that it lies in: see below */
    struct gc__range memory;
    bool used;
    bool is_object; /* of the heap, which it lies at the beginning of: no slab has it */
    bool running;   /* some thread stands in it, as this cycle has found */
    struct gc_stack *next_unused;
};

struct slab;

struct stacks {
    struct slab *slabs;
    struct gc_stack *unused;
    size_t count;
    size_t slab_count;
    bool warned;       /* of one that nobody registered */
    bool unregistered; /* a thread was seen on one that is neither registered nor its own */
};

/* NULL: no memory. */
struct gc_stack *gc__stacks_add(struct stacks *stacks, struct gc__range memory);
void gc__stacks_remove(struct stacks *stacks, struct gc_stack *stack);

/* Makes the beginning of an object the descriptor of a stack in the rest of it. */
struct gc_stack *gc__stack_in_object(void *object, size_t bytes);

/* Nothing on it is needed, but what may be laid there to start it. */
void gc__stack_begin_anew(struct gc_stack *stack);

/* The number of the first page, and how many there are; 0: not known. */
#define GC_STACK_COUNT_BITS 28
#define GC_STACK_COUNT_MASK ((UINT64_C(1) << GC_STACK_COUNT_BITS) - 1)

/* Whether `sp` certainly is none of a frame on it. */
static inline bool gc__stack_is_another(const struct gc_stack *stack, uintptr_t sp)
{
    uint64_t page = sp >> GC_PAGE_SHIFT, first = stack->pages >> GC_STACK_COUNT_BITS;

    return stack->pages != 0 && page - first >= (stack->pages & GC_STACK_COUNT_MASK);
}

static inline bool gc__stack_holds(const struct gc_stack *stack, uintptr_t address)
{
    return address - stack->memory.start < stack->memory.end - stack->memory.start;
}

/* The stack in use that `address` lies in; NULL: none. */
struct gc_stack *gc__stacks_find(const struct stacks *stacks, uintptr_t address);

/* Every one in use. */
void gc__stacks_each(const struct stacks *stacks, void (*visit)(struct gc_stack *stack, void *argument),
                     void *argument);

size_t gc__stacks_metadata_bytes(const struct stacks *stacks);
void gc__stacks_audit(const struct stacks *stacks);

#endif
