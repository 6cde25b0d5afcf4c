/* mutator.h - what each thread that uses the heap owns.
 *
 * A mutator lives in mapped memory of its own, so its runs are no roots; it is
 * never unmapped, but used again (gc/roots/world.h).
 *
 * Threads: a mutator is written by its thread, or by the collector while that
 * thread is stopped; `state` by both. */
#ifndef GC_ROOTS_MUTATOR_H
#define GC_ROOTS_MUTATOR_H

#include "gc/base/bitmap.h"
#include "gc/heap/block.h"
#include "gc/platform/platform.h"
#include "gc/roots/stacks.h"

#include <stdatomic.h>

/* Cells of one class and kind that gc_free was given, the youngest last; the
 * run of the same class and kind counts them. */
struct magazine {
    void *cell[GC_MAGAZINE_CELLS];
};

enum mutator_state {
    MUTATOR_RUNS,    /* the program's code, or ours */
    MUTATOR_ASKED,   /* the same, and is to stop: in the signal's handler, or at the end of our code */
    MUTATOR_STOPPED, /* until the world goes on */
    MUTATOR_SAFE,    /* its registers are spilled, and it does not touch the heap: as good as stopped */
    MUTATOR_HELD,    /* the same, and may not leave that until the world goes on */
    MUTATOR_DEAF,    /* blocks the signal, and sleeps: its stack is scanned as it is */
    MUTATOR_ASIDE    /* no mutator, but known: it takes no signals */
};

/* A page that nobody can touch: the C library's stacks have one, the program's own seldom. */
enum stack_guard { GUARD_UNKNOWN, GUARD_BELOW, GUARD_NONE };

struct mutator {
    struct run runs[GC_BUILTIN_LANES];
    struct magazine magazines[GC_BUILTIN_LANES];

    struct run *user_runs; /* of the lanes from GC_BUILTIN_LANES on, in memory of their own; NULL: none yet */
    struct magazine *user_magazines;
    unsigned lanes; /* that it can use */

    uint64_t used[GC_MAX_LANES / GC_WORD_BITS]; /* runs that may have a block, cells, or freed ones */

    struct homes homes;
    uint64_t claimed_bytes;  /* in runs, magazine cells and large objects, since the start */
    uint64_t freed_bytes;    /* by gc_free and gc_realloc, since the start */
    uint64_t claimed_before; /* claimed_bytes at the last collection */
    unsigned idle_cycles;    /* collections before which it claimed nothing */
    size_t allowance;        /* bytes it may claim before it asks the pace again */

    /* A call to us. */
    uintptr_t sp;            /* where the caller's frames end, and registers are spilled; 0: outside of such a call */
    void *held[2];           /* objects that the call still needs: roots */
    uintptr_t asking_sp;     /* sp of the call that is asking the out-of-memory handler; 0: none is */
    uintptr_t finalizing_sp; /* of the call that is running finalizers; 0: none is */
    uintptr_t telling_sp;    /* of the call that is telling of events; 0: none is */
    uintptr_t deepest_sp;    /* see gc/roots/dead_stack.h */

    /* Stopping: see gc/roots/world.h. */
    _Atomic uint32_t state;      /* an enum mutator_state */
    volatile bool inside;        /* our code is at work, and is not to be stopped by the signal */
    _Atomic uint32_t due;        /* signals that were sent, and have not come yet */
    bool asked_softly;           /* without a signal, so far */
    bool unsent;                 /* the signal was refused for want of room in its queue */
    struct gc__sleep sleep;      /* while it is left alone */
    struct gc__thread_look look; /* when it had not stopped for a while */
    bool seen;                   /* in the list of threads that is being read */
    struct gc__context context;  /* where it stands while it is stopped, safe or held */

    /* Coroutines: see gc/roots/stacks.h. */
    struct gc_stack own;      /* `memory` as `stack`, once it is asked for; where it was left, if it was */
    struct gc_stack *left;    /* the last switch was from here, if it was said from where, */
    struct gc_stack *entered; /* to here; the thread may stand in either */

    /* The thread. */
    struct gc__range stack;   /* as far as it may ever be used */
    enum stack_guard guard;   /* below that */
    uintptr_t thread_pointer; /* 0: shared with another thread */
    long thread_id;           /* 0: not run yet, or ended */
    bool met;                 /* by a stop alone: it never called us */
    struct gc__start start;   /* roots until it runs, */
    void *result;             /* and from its end until it is joined */
    uintptr_t handle;         /* by which it is joined */
    uint64_t serial;          /* of its own, if pthread_create told of it */
    bool detached;
    bool leaving;     /* it has given back what it holds; it may allocate again, in destructors say */
    bool over;        /* and its function has returned */
    uint64_t left_ns; /* since the system began, when it was last found leaving */
    struct mutator *next;
};

/* The calling thread's mutator. A thread that has none points at
 * gc__no_mutator, whose runs are empty, so that the fast path needs no test.
 * Only one word: a library opened late finds little room. */
extern _Thread_local struct mutator *gc__mutator;
extern const struct mutator gc__no_mutator;

static inline bool gc__mutator_exists(const struct mutator *mutator)
{
    return mutator != &gc__no_mutator;
}

/* When the run or its magazine gets anything: not before a wait for the lock,
 * during which a collection may find the run empty still. */
static inline void gc__mutator_use_run(struct mutator *mutator, unsigned lane)
{
    mutator->used[lane / GC_WORD_BITS] |= (uint64_t)1 << lane % GC_WORD_BITS;
}

/* The first lane from there on whose run is used; or `mutator->lanes`. */
static inline unsigned gc__mutator_used_lane(const struct mutator *mutator, unsigned lane)
{
    return (unsigned)gc__bitmap_find(mutator->used, lane, mutator->lanes, true);
}

/* Of a lane below `mutator->lanes`. */
static inline struct run *gc__mutator_run(struct mutator *mutator, unsigned lane)
{
    return lane < GC_BUILTIN_LANES ? &mutator->runs[lane] : &mutator->user_runs[lane - GC_BUILTIN_LANES];
}

static inline struct magazine *gc__mutator_magazine(struct mutator *mutator, unsigned lane)
{
    return lane < GC_BUILTIN_LANES ? &mutator->magazines[lane] : &mutator->user_magazines[lane - GC_BUILTIN_LANES];
}

/* As good as stopped, by its own will. */
static inline bool gc__mutator_is_safe(const struct mutator *mutator)
{
    uint32_t state = atomic_load_explicit(&mutator->state, memory_order_relaxed);

    return state == MUTATOR_SAFE || state == MUTATOR_HELD;
}

/* Whether it has any but its result: the stack of a thread that is over may be
 * unmapped at any moment. */
static inline bool gc__mutator_has_roots(const struct mutator *mutator)
{
    uint32_t state = atomic_load_explicit(&mutator->state, memory_order_relaxed);

    return state != MUTATOR_ASIDE && !(state == MUTATOR_DEAF && mutator->over);
}

/* New, empty memory for one. NULL: there is none. */
struct mutator *gc__mutator_create(void);

/* Makes one that served a thread as good as new. */
void gc__mutator_clear(struct mutator *mutator);

/* Under the heap's lock: makes the lane one that the mutator can use. False: no
 * memory. */
bool gc__mutator_use_lane(struct mutator *mutator, unsigned lane);

size_t gc__mutator_metadata_bytes(void);
size_t gc__mutator_user_bytes(const struct mutator *mutator);

/* Bytes claimed, but not handed out yet; about, while the mutator runs. */
size_t gc__mutator_unissued_bytes(const struct mutator *mutator);

/* Whether `address` lies in a run of the mutator and was not handed out yet. */
static inline bool gc__mutator_holds_unissued(struct mutator *mutator, const struct block *block, const void *address)
{
    const struct run *run;

    if (block->lane >= mutator->lanes)
        return false;
    run = gc__mutator_run(mutator, block->lane);
    return (const char *)address >= run->cur && (const char *)address < run->end;
}

#endif
