/* world.h - all mutators: who they are, their lock, and how they stop.
 *
 * A thread becomes a mutator when it first calls us, or when pthread_create
 * tells of it. One that did neither, a stranger, is found when the world stops,
 * for the system counts the threads: it is made a mutator then.
 *
 * One lock guards the list and all that mutators share of the heap. Who holds
 * it is never stopped; the collector holds it. Waiting for it is a safepoint.
 *
 * Stopping (GC Handbook, 2nd ed., section 11.6). The collector asks each
 * mutator: RUNS -> ASKED, and a signal. Its handler turns that to STOPPED and
 * waits for the next epoch; but where it finds our own code at work
 * (`inside`), it leaves that to the end of our code, which comes soon. A
 * mutator that is SAFE need not be asked: SAFE -> HELD, and it cannot become
 * RUNS until the epoch changes. Every change of a state is one atomic step of
 * the two sides, so each mutator is counted once, by itself or by the collector:
 *
 *      RUNS ──ask──> ASKED ──handler, or end of our code──> STOPPED ──resume──> RUNS
 *        │ ^           └──to wait for something──> HELD
 *        v │                                        │ ^
 *        SAFE <──────────────resume─────────────────┘ │
 *          └──────────────────ask─────────────────────┘
 *
 * Who cannot be stopped and runs no code of the program, as far as can be told,
 * becomes DEAF instead of STOPPED, until it takes the signal again. ASIDE is no
 * mutator, but counts among the threads that the system knows. */
#ifndef GC_ROOTS_WORLD_H
#define GC_ROOTS_WORLD_H

#include "gc/roots/mutator.h"

struct world {
    _Atomic uint32_t lock;           /* 0: free, 1: taken, 2: and waited for */
    _Atomic(struct mutator *) owner; /* of the lock */
    _Atomic uint32_t lock_waiters;   /* who want it, spinning or asleep */
    unsigned depth;                  /* how often the owner took it */
    bool is_unknown;                 /* to the program: who takes it is interrupted by none of its handlers */
    bool held;                       /* so for the owner, */
    uint64_t blocked;                /* who blocked these before */
    uint64_t blocked_to_stop;        /* as well, where the world stands */

    _Atomic uint32_t epoch;     /* changes whenever the world goes on */
    _Atomic uint32_t unstopped; /* asked, and not stopped yet */
    _Atomic bool stopping;
    long process_id;       /* at the last stop */
    unsigned cpus;         /* that the process may use */
    _Atomic bool has_cpus; /* for all mutators at once */
    _Atomic bool may_spin; /* who waits, as nobody else needs the CPU */
    bool said_that_strangers_run;
    bool regains_signal; /* at each stop: its handler was another's once */

    struct mutator *first;       /* living threads */
    struct mutator *starting;    /* made, but not run yet */
    struct mutator *ended;       /* with a result that nobody has fetched */
    struct mutator *unused;      /* for the next */
    size_t count;                /* of `first`, */
    _Atomic size_t met;          /* and of these, strangers */
    long helper[GC_MAX_MARKERS]; /* threads of our own, which are no mutators */
    unsigned helpers;
    size_t mutators; /* memory for so many was ever made */
    uint64_t serials;

    uint64_t claimed_bytes; /* by threads that ended */
    uint64_t freed_bytes;
};

/* Chooses the signal. False: it cannot be had. */
bool gc__world_init(struct world *world, int stop_signal);

/* ---- The lock --------------------------------------------------------------- */

/* For the calling thread's mutator, which may be none yet. Recursive. */
void gc__world_lock(struct world *world);
void gc__world_unlock(struct world *world);

/* For what a signal's handler may call in the middle of our code, where its thread must not
 * stop: it does not wait for who waits for that. False: somebody does, and has the lock. */
bool gc__world_lock_in_middle(struct world *world);

/* Whether the calling thread has it. */
bool gc__world_is_owned(const struct world *world);

/* For who will want it again at once: who waits for it has it first, if the system lets
 * him run soon. */
void gc__world_unlock_for_others(struct world *world);

/* ---- Threads ---------------------------------------------------------------- */

/* All under the lock. */

/* The calling thread, of this stack, becomes a mutator if it is none. NULL: no
 * memory. It must not block the signal. */
struct mutator *gc__world_enter(struct world *world, struct gc__range stack);

/* A mutator for a thread that is going to be made; that it was not made after
 * all; and that it is the calling one. NULL: no memory. */
struct mutator *gc__world_expect(struct world *world, struct gc__start start, bool detached);
void gc__world_expect_no_longer(struct world *world, struct mutator *mutator);
void gc__world_arrive(struct world *world, struct mutator *mutator, struct gc__range stack);

/* The calling thread will end with a result. One that nobody expected becomes
 * one that is to be joined. `detached`: it was, perhaps before it had begun. */
void gc__world_return(struct world *world, struct mutator *mutator, void *result, bool detached);

/* A thread that is to be joined is known by a serial number: its
 * handle may be another's by the time it was. 0: there is none such. */
uint64_t gc__world_serial_of(struct world *world, uintptr_t handle);

/* Its result was fetched; or never will be. With a serial of 0: it had not
 * begun when that was asked, and of those that ended with its handle it is the
 * first. */
void gc__world_forget_result(struct world *world, uintptr_t handle, uint64_t serial);
void gc__world_detach(struct world *world, uintptr_t handle);

/* The living thread of that number, NULL if we have none; notes
 * one (NULL: no memory), or that it is none. */
struct mutator *gc__world_thread(struct world *world, long thread_id);
struct mutator *gc__world_add(struct world *world, long thread_id, enum mutator_state state);
void gc__world_drop(struct world *world, struct mutator *mutator);

/* In the child of a fork: only the calling thread is left; and who had the lock is not. */
void gc__world_keep_only(struct world *world, struct mutator *mutator);
void gc__world_take_lock_over(struct world *world);

/* Drops those that are `leaving`, or aside, and live no more. */
void gc__world_forget_the_dead(struct world *world);

/* Whether a thread that is no mutator is no stranger either, but our own. And
 * whether there are no strangers. */
bool gc__world_passes_over(const struct world *world, long thread_id);
bool gc__world_is_complete(struct world *world);

/* A thread of our own is never stopped. Their number is at most GC_MAX_MARKERS. */
void gc__world_note_helper(struct world *world, long thread_id);

bool gc__world_has_several_mutators(const struct world *world);

/* Since the start, by all threads: handed out, and freed by the program. Of those that run
 * not exact. */
uint64_t gc__world_claimed_bytes(const struct world *world);
uint64_t gc__world_freed_bytes(const struct world *world);

/* The one less the other: two of these tell what the program came to hold meanwhile. */
static inline uint64_t gc__world_balance_bytes(const struct world *world)
{
    return gc__world_claimed_bytes(world) - gc__world_freed_bytes(world);
}

/* ---- In our code ------------------------------------------------------------- */

/* One that was left alone, since it slept, comes back: it waits here while the world
 * stands, and is no more left alone. */
void gc__world_come_back(struct mutator *mutator);

/* Around code of ours that the signal is not to stop. */
static inline void gc__world_begin(struct mutator *mutator)
{
    if (__builtin_expect(atomic_load_explicit(&mutator->state, memory_order_relaxed) == MUTATOR_DEAF, 0))
        gc__world_come_back(mutator);
    mutator->inside = true;
    atomic_signal_fence(memory_order_seq_cst);
}

void gc__world_stop_here(struct world *world, struct mutator *mutator);

/* True: the caller has to call gc__world_stop_here. */
static inline bool gc__world_end_is_asked(struct mutator *mutator)
{
    atomic_signal_fence(memory_order_seq_cst);
    mutator->inside = false;
    atomic_signal_fence(memory_order_seq_cst);
    return atomic_load_explicit(&mutator->state, memory_order_relaxed) == MUTATOR_ASKED;
}

static inline void gc__world_end(struct world *world, struct mutator *mutator)
{
    if (__builtin_expect(gc__world_end_is_asked(mutator), 0))
        gc__world_stop_here(world, mutator);
}

/* Around something that may take long and does not touch the heap, inside of
 * our code. `sp`: registers are spilled there. */
void gc__world_begin_safe(struct world *world, struct mutator *mutator, uintptr_t sp);
void gc__world_end_safe(struct world *world, struct mutator *mutator);

/* Likewise, to wait: no handler of the program's runs meanwhile. Returns for the end who is
 * blocked. */
uint64_t gc__world_begin_wait(struct world *world, struct mutator *mutator, uintptr_t sp);
void gc__world_end_wait(struct world *world, struct mutator *mutator, uint64_t blocked);

/* ---- Stopping ---------------------------------------------------------------- */

/* Under the lock. Every thread but the calling one stops; strangers become
 * mutators. False: they cannot be found, or there is no memory to note them, and
 * they run on. Resumed by the caller in any case. */
bool gc__world_stop(struct world *world);

/* So many threads of our own are going to work while the world stands. */
void gc__world_lend_cpus(struct world *world, unsigned threads);

void gc__world_resume(struct world *world);

#endif
