/* broom/stack.h - the stacks of coroutines and fibers.
 *
 * A stack that the program made itself is known to the collector only while a thread
 * runs on it: then the stack pointer shows where it is. What a suspended coroutine holds is
 * found if its stack is registered, and each switch is announced:
 *
 *     struct gc_stack *mine = gc_stack_of_thread();
 *     struct gc_stack *theirs = gc_stack_register(memory, bytes);
 *     ...
 *     gc_stack_switch(mine, theirs);
 *     swapcontext(&my_context, &their_context);
 *
 * A suspended stack is scanned from where it was left to its end, with the registers as
 * they were then, so its context may lie in any memory. A running one is scanned from its
 * stack pointer, even if a collection happens between the two calls. Any thread may enter
 * a stack, another one each time.
 *
 * A call of Broom, and the signal that stops a thread, take some kilobytes of the stack
 * that is in use: 16 KiB are enough for a coroutine that does little itself.
 *
 * A registered stack is a root: what lies on it lives, even if the coroutine is never
 * resumed. A stack from gc_stack_new is an object like others: it and what lies on it live
 * as long as something points at the stack, or a thread runs on it, so a coroutine that
 * is forgotten halfway is collected. (An object from gc_malloc may serve as a stack too,
 * without any of these calls; but it is scanned as a whole.) */
#ifndef BROOM_STACK_H
#define BROOM_STACK_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gc_stack;

/* Registers [memory, memory + bytes) as a stack that grows downwards. Until it is first
 * left, its uppermost 512 bytes are scanned: the functions that start a coroutine put its
 * arguments there. If it lies in an object of the heap, that object lives until
 * gc_stack_unregister; an atomic one is best, as it is not scanned a second time as an
 * object. Ranges must not overlap; a guard page may lie at the lower end.
 * Returns NULL with errno = EINVAL (no bytes) or ENOMEM.
 * collects: never. */
GC__EXPORT struct gc_stack *gc_stack_register(void *memory, size_t bytes) __attribute__((warn_unused_result));

/* A new stack of at least `bytes` bytes that is an object of the heap. The coroutine may
 * use the `*size` bytes at `*memory`. NULL with errno = ENOMEM.
 * collects: may. */
GC__EXPORT struct gc_stack *gc_stack_new(size_t bytes, void **memory, size_t *size) __attribute__((warn_unused_result));

/* Forgets a stack: to be called before its memory is unmapped or used for something
 * else. Does nothing for NULL, and for a stack from gc_stack_new, which need not be
 * unregistered. The stack that the caller runs on: misuse.
 * collects: never. */
GC__EXPORT void gc_stack_unregister(struct gc_stack *stack);

/* The calling thread's own stack, the one it began on; never to be unregistered.
 * The same at each call of a thread.
 * collects: never. */
GC__EXPORT struct gc_stack *gc_stack_of_thread(void);

/* Announces a switch from stack `from` to stack `to`. To be called on `from`, right before
 * the switch, by the function that makes it. `from` may be NULL when nothing on the stack
 * that is left will be needed again, because the coroutine has ended: that stack is then
 * as if newly registered. A `from` that the caller does not run on: misuse. Some thirty
 * instructions; takes no lock. Async-signal-safe.
 * collects: never. */
GC__EXPORT void gc_stack_switch(struct gc_stack *from, struct gc_stack *to);

#ifdef __cplusplus
}
#endif

#endif
