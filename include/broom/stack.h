/* broom/stack.h - the stacks of coroutines and fibers.
 *
 * A stack that the program made itself is known to the collector only while it
 * runs: the stack pointer shows it. What waits on a stack is seen when the stack
 * is registered, and each switch is told of:
 *
 *     struct gc_stack *mine = gc_stack_of_thread();
 *     struct gc_stack *theirs = gc_stack_register(memory, bytes);
 *     ...
 *     gc_stack_switch(mine, theirs);
 *     swapcontext(&my_context, &their_context);
 *
 * Of a stack that waits, the part from where it left to its end is scanned, with
 * the registers it had then, so its context may lie in any memory. Of one that
 * runs the stack pointer tells where it stands, also when the collector comes
 * between the two calls. A stack may be entered by another thread each time.
 *
 * A call of ours, and the signal that stops a thread, take some kilobytes of the
 * stack they come on: 16 KiB are enough for a coroutine that does little itself.
 *
 * A registered stack is a root: what waits on it lives, also when nobody will ever go
 * on there. One from gc_stack_new is an object like others: it and all that waits on
 * it live as long as something points at it, or a thread runs on it, so a coroutine
 * that is forgotten halfway is collected. (An object from gc_malloc may serve as a
 * stack, too, without any of these calls; but it is scanned as a whole.) */
#ifndef BROOM_STACK_H
#define BROOM_STACK_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gc_stack;

/* Makes [memory, memory + bytes) known as a stack that grows downwards. Until it is
 * first left, the uppermost 512 bytes of it are scanned, where what starts a
 * coroutine puts its arguments. If it lies in an object of the heap (an atomic one
 * is best, which is not scanned as an object too), that object lives until
 * gc_stack_unregister. Ranges must not overlap; a guard page may lie at the lower
 * end.
 * Returns NULL with errno = EINVAL (no bytes) or ENOMEM.
 * collects: never. */
GC__EXPORT struct gc_stack *gc_stack_register(void *memory, size_t bytes) __attribute__((warn_unused_result));

/* A new stack, of at least `bytes` bytes, that is an object of the heap. `*memory` and
 * `*size` are what a coroutine may use of it. NULL, ENOMEM.
 * collects: may. */
GC__EXPORT struct gc_stack *gc_stack_new(size_t bytes, void **memory, size_t *size) __attribute__((warn_unused_result));

/* Forgets a stack, before its memory is unmapped or used for something else. NULL
 * does nothing, nor does one from gc_stack_new, which needs no farewell; the stack
 * that the caller runs on is a misuse.
 * collects: never. */
GC__EXPORT void gc_stack_unregister(struct gc_stack *stack);

/* The calling thread's own stack, the one it began on; never to be unregistered.
 * The same at each call of a thread.
 * collects: never. */
GC__EXPORT struct gc_stack *gc_stack_of_thread(void);

/* To be called by the function that is about to switch, on `from`, right before it
 * does: notes that what runs now is `from`, which is being left for `to`. `from`
 * may be NULL when nothing on the stack that is left will be needed again, as the
 * coroutine is over: it is then as if registered anew. A `from` that the caller does
 * not run on is a misuse. Some thirty instructions; takes no lock.
 * Async-signal-safe.
 * collects: never. */
GC__EXPORT void gc_stack_switch(struct gc_stack *from, struct gc_stack *to);

#ifdef __cplusplus
}
#endif

#endif
