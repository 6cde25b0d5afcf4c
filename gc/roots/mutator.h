/* mutator.h - what each thread that uses the heap owns, and the list of them.
 *
 * A mutator lives in mapped memory of its own, so its runs are no roots.
 *
 * Threads: a mutator is written by its thread, or by the collector while that
 * thread is stopped. */
#ifndef GC_ROOTS_MUTATOR_H
#define GC_ROOTS_MUTATOR_H

#include "gc/heap/block.h"
#include "gc/platform/platform.h"

/* Cells of one class and kind that gc_free was given, the youngest last; the
 * run of the same class and kind counts them. */
struct magazine {
    void *cell[GC_MAGAZINE_CELLS];
};

struct mutator {
    struct run runs[GC_KIND_COUNT][GC_CLASS_COUNT];
    struct magazine magazines[GC_KIND_COUNT][GC_CLASS_COUNT];
    uint64_t claimed_bytes; /* in runs, magazine cells and large objects, since the start */
    uint64_t freed_bytes;   /* by gc_free and gc_realloc, since the start */
    struct gc__range stack; /* as far as it may ever be used */
    uintptr_t deepest_sp;   /* see gc/roots/dead_stack.h */
    uintptr_t sp;           /* where its own frames end and those of a call to us begin */
    void *held;             /* an object that such a call still needs: a root */
    uintptr_t asking_sp;    /* sp of the call that is asking the out-of-memory handler; 0: none is */
    long thread_id;
    struct mutator *next;
};

struct mutators {
    struct mutator *first;
};

/* The calling thread's mutator. A thread that has none points at
 * gc__no_mutator, whose runs are empty, so that the fast path needs no test.
 * Initial-exec, and only one word: a library opened late finds little room. */
extern _Thread_local struct mutator *gc__mutator __attribute__((tls_model("initial-exec")));
extern const struct mutator gc__no_mutator;

static inline bool gc__mutator_exists(const struct mutator *mutator)
{
    return mutator != &gc__no_mutator;
}

/* Makes a mutator of the calling thread. NULL: no memory. */
struct mutator *gc__mutator_enter(struct mutators *mutators);

size_t gc__mutator_metadata_bytes(void);

/* Bytes claimed, but not handed out yet. */
size_t gc__mutator_unissued_bytes(const struct mutator *mutator);

/* Whether `address` lies in a run of the mutator and was not handed out yet. */
bool gc__mutator_holds_unissued(const struct mutator *mutator, const struct block *block, const void *address);

#endif
