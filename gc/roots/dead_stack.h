/* dead_stack.h - keeps old pointers from coming back to life on the stack.
 *
 * A call that returned leaves its words below the stack pointer. A later call
 * lays its frame over them, need not write all of it, and so turns an old word
 * into a root: a whole dead tree can hang on it for the rest of the program.
 * (Boehm, "Space efficient conservative garbage collection", PLDI 1993,
 * section 3.1, clears the stack now and then.)
 *
 * So whenever an allocation's slow path runs on a shallower stack than the one
 * before it, the words between the two are cleared; the cost is in proportion
 * to how the stack moves, a few nanoseconds a refill.
 *
 * Threads: the mutator's own. */
#ifndef GC_ROOTS_DEAD_STACK_H
#define GC_ROOTS_DEAD_STACK_H

#include "gc/roots/mutator.h"

void gc__dead_stack_clear(struct mutator *mutator);

#endif
