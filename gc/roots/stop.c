/* stop.c - how the world stops and goes on: the mutators' side, then the
 * collector's. */

#include "gc/roots/stop.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/base/tunables.h"

#include <errno.h>

/* The world whose threads get the signal. */
GC_OWN_STATE static struct world *signalled;

/* ---- Stopping: the mutator's side ------------------------------------------------ */

static void acknowledge(struct world *world)
{
    if (atomic_fetch_sub_explicit(&world->unstopped, 1, memory_order_acq_rel) == 1)
        gc__os_wake(&world->unstopped, 1);
}

/* Most collections of small heaps take less time than to sleep and to be woken. */
static void spin_while(const _Atomic bool *may_spin, const _Atomic uint32_t *word, uint32_t value)
{
    for (unsigned i = 0; i < GC_STOP_SPINS; i++) {
        if (!atomic_load_explicit(may_spin, memory_order_relaxed))
            return;
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return;
        gc__os_relax();
    }
}

static void wait_for_next_epoch(const struct world *world, uint32_t epoch)
{
    spin_while(&world->may_spin, &world->epoch, epoch);
    while (atomic_load_explicit(&world->epoch, memory_order_acquire) == epoch)
        gc__os_wait((_Atomic uint32_t *)&world->epoch, epoch, UINT64_MAX);
}

/* Does nothing if it need not stop any more. The world does not go on between the two
 * steps, so the epoch is that of this stop. */
static void stop(struct world *world, struct mutator *mutator)
{
    uint32_t asked = MUTATOR_ASKED, epoch;

    GC_STAGGER();
    if (!atomic_compare_exchange_strong(&mutator->state, &asked, MUTATOR_STOPPED))
        return;
    epoch = atomic_load_explicit(&world->epoch, memory_order_relaxed);
    acknowledge(world);
    GC_STAGGER();
    wait_for_next_epoch(world, epoch);
}

/* For one that has been left alone, and takes the signal while the world stands. */
static void stand_still(const struct world *world)
{
    uint32_t epoch;

    while (epoch = atomic_load_explicit(&world->epoch, memory_order_acquire),
           atomic_load_explicit(&world->stopping, memory_order_acquire))
        wait_for_next_epoch(world, epoch);
}

/* For a stranger. The record is not its own: if it ever calls us, it comes as anybody
 * else does, and its end is told of. */
static void introduce(struct mutator *mutator, const struct gc__context *context)
{
    mutator->stack = gc__os_interrupted_stack(context, mutator->stack);
    if (!gc__mutator_exists(gc__mutator)) /* else it is its maker's */
        mutator->thread_pointer = gc__os_thread_pointer();
}

/* The collector may be taking others out of the list meanwhile, and lead us
 * astray. */
static struct mutator *find_stranger(struct world *world, long thread_id, const struct gc__context *context)
{
    struct mutator *mutator = NULL;

    for (unsigned i = 0; mutator == NULL && i < 1000; i++) {
        mutator = gc__world_thread(world, thread_id);
        gc__os_relax();
    }
    if (mutator != NULL && gc__stop_is_asked(mutator))
        introduce(mutator, context);
    return mutator;
}

static bool is_deaf(const struct mutator *mutator)
{
    return atomic_load_explicit(&mutator->state, memory_order_acquire) == MUTATOR_DEAF;
}

/* A thread without a thread pointer of its own sees its maker's mutator. It is a
 * stranger; where there is none, it need not be asked who this is. NULL: not found. */
static struct mutator *own_mutator(struct world *world, const struct gc__context *context)
{
    struct mutator *mutator = gc__mutator;
    long thread_id;

    if (gc__mutator_exists(mutator) && world->met == 0 && context->is_addressed)
        return mutator;
    thread_id = gc__os_thread_id();
    return mutator->thread_id == thread_id ? mutator : find_stranger(world, thread_id, context);
}

/* Who is addressed may be so by the program, too: as many are ours as were sent. */
static bool was_due(struct mutator *mutator)
{
    uint32_t due = mutator->due;

    while (due != 0 && !atomic_compare_exchange_weak(&mutator->due, &due, due - 1))
        continue;
    return due != 0;
}

/* In the signal's handler. The signal may come late, when all is over. False: it is none of
 * ours. */
static bool caught(const struct gc__context *context)
{
    struct world *world = signalled;
    struct mutator *mutator = own_mutator(world, context);

    if (mutator == NULL)
        return false;
    if (gc__stop_is_asked(mutator) && !mutator->inside) {
        mutator->context = *context;
        stop(world, mutator);
    }
    if (is_deaf(mutator))
        stand_still(world);
    return context->is_addressed && was_due(mutator);
}

bool gc__world_init(struct world *world, int stop_signal)
{
    signalled = world;
    return gc__os_catch_stop_signal(stop_signal, caught);
}

static bool changes_state(struct mutator *mutator, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong(&mutator->state, &from, to);
}

/* Of it and a collector that begins to stop the world one sees the other: `stopping` and
 * `state` are each written before the other is read. Who was asked meanwhile stops when it
 * leaves our code. */
static void *come_back_spilled(uintptr_t sp, const char *call, uintptr_t address, uintptr_t unused)
{
    struct mutator *mutator = (struct mutator *)address;

    (void)call, (void)unused;
    mutator->context = gc__os_context_of(sp);
    do
        stand_still(signalled);
    while (changes_state(mutator, MUTATOR_DEAF, MUTATOR_RUNS) && atomic_load(&signalled->stopping) &&
           changes_state(mutator, MUTATOR_RUNS, MUTATOR_DEAF));
    return NULL;
}

void gc__world_come_back(struct mutator *mutator)
{
    gc__os_spill_registers(come_back_spilled, NULL, (uintptr_t)mutator, 0);
}

static uintptr_t spilled_at(const struct mutator *mutator, uintptr_t sp)
{
    return mutator->sp != 0 ? mutator->sp : sp;
}

/* Asked again while the signal was kept off: that shows after `inside`. No handler of the
 * program's runs in a thread that stands: it would move objects behind the marker's back. */
static void *stop_spilled(uintptr_t sp, const char *call, uintptr_t world_address, uintptr_t address)
{
    struct world *world = (struct world *)world_address;
    struct mutator *mutator = (struct mutator *)address;
    uint64_t blocked = gc__os_hold_signals();

    (void)call;
    while (gc__stop_is_asked(mutator)) {
        mutator->inside = true;
        atomic_signal_fence(memory_order_seq_cst);
        mutator->context = gc__os_context_of(spilled_at(mutator, sp));
        while (gc__stop_is_asked(mutator))
            stop(world, mutator);
        atomic_signal_fence(memory_order_seq_cst);
        mutator->inside = false;
        atomic_signal_fence(memory_order_seq_cst);
    }
    gc__os_release_signals(blocked);
    return NULL;
}

void gc__world_stop_here(struct world *world, struct mutator *mutator)
{
    gc__os_spill_registers(stop_spilled, NULL, (uintptr_t)world, (uintptr_t)mutator);
}

void gc__world_begin_safe(struct world *world, struct mutator *mutator, uintptr_t sp)
{
    uint32_t state = atomic_load(&mutator->state);

    GC_ASSERT(mutator->inside && !gc__mutator_is_safe(mutator));
    mutator->context = gc__os_context_of(spilled_at(mutator, sp));
    while (!atomic_compare_exchange_weak(&mutator->state, &state, state == MUTATOR_ASKED ? MUTATOR_HELD : MUTATOR_SAFE))
        continue;
    if (state == MUTATOR_ASKED) /* not RUNS, nor DEAF */
        acknowledge(world);
}

void gc__world_end_safe(struct world *world, struct mutator *mutator)
{
    for (;;) {
        uint32_t epoch = atomic_load_explicit(&world->epoch, memory_order_acquire);
        uint32_t safe = MUTATOR_SAFE;

        if (atomic_compare_exchange_strong(&mutator->state, &safe, MUTATOR_RUNS))
            return;
        gc__os_wait(&world->epoch, epoch, UINT64_MAX);
    }
}

uint64_t gc__world_begin_wait(struct world *world, struct mutator *mutator, uintptr_t sp)
{
    uint64_t blocked = gc__os_hold_signals();

    gc__world_begin_safe(world, mutator, sp);
    return blocked;
}

void gc__world_end_wait(struct world *world, struct mutator *mutator, uint64_t blocked)
{
    gc__world_end_safe(world, mutator);
    gc__os_release_signals(blocked);
}

/* ---- Stopping: the collector's side ---------------------------------------------------- */

/* Threads that ended without a word are no longer asked. */
void gc__stop_give_up(struct world *world, struct mutator *mutator)
{
    uint32_t asked = MUTATOR_ASKED;

    if (!atomic_compare_exchange_strong(&mutator->state, &asked, MUTATOR_STOPPED))
        return;
    mutator->thread_id = 0;
    atomic_fetch_sub(&world->unstopped, 1);
}

/* The world goes on before the message is written, and the program ends. */
static void refuse(struct world *world, const struct mutator *mutator, int error)
{
    char name[32];
    long thread_id = mutator->thread_id;

    gc__os_thread_name(thread_id, name, sizeof name);
    gc__world_resume(world);
    gc__fatal("thread %ld (%s) cannot be stopped: the system refuses signal %d with error %d", thread_id, name,
              gc__os_stop_signal(), error);
}

void gc__stop_send_signal(struct world *world, struct mutator *mutator)
{
    int error;

    atomic_fetch_add(&mutator->due, 1); /* before it comes */
    error = gc__os_stop_thread(world->process_id, mutator->thread_id);
    if (error != 0)
        atomic_fetch_sub(&mutator->due, 1);
    mutator->unsent = error == EAGAIN; /* too many are queued, or somebody is in exec: it is sent again */
    if (error == ESRCH)
        gc__stop_give_up(world, mutator);
    else if (error != 0 && error != EAGAIN)
        refuse(world, mutator, error);
}

/* True if it has to come by itself, or to be fetched by the signal. */
static bool asked(struct world *world, struct mutator *mutator)
{
    atomic_fetch_add_explicit(&world->unstopped, 1, memory_order_relaxed);
    for (;;) {
        uint32_t runs = MUTATOR_RUNS, safe = MUTATOR_SAFE;

        if (atomic_compare_exchange_strong(&mutator->state, &runs, MUTATOR_ASKED)) {
            mutator->look = (struct gc__thread_look){0};
            return true;
        }
        if (atomic_compare_exchange_strong(&mutator->state, &safe, MUTATOR_HELD)) {
            atomic_fetch_sub_explicit(&world->unstopped, 1, memory_order_relaxed);
            return false;
        }
    }
}

static void ask(struct world *world, struct mutator *mutator)
{
    if (asked(world, mutator))
        gc__stop_send_signal(world, mutator);
}

static bool is_to_be_asked(const struct mutator *mutator)
{
    uint32_t state = atomic_load_explicit(&mutator->state, memory_order_relaxed);

    return state == MUTATOR_RUNS || state == MUTATOR_SAFE;
}

static bool seems_asleep(const struct mutator *mutator)
{
    return __atomic_load_n(&mutator->claimed_bytes, __ATOMIC_RELAXED) == mutator->claimed_before;
}

/* Those who have not claimed anything for a while are likely to sleep, and take
 * longer to stop: they come first. */
static void ask_sleepers(struct world *world, const struct mutator *self)
{
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        if (mutator != self && is_to_be_asked(mutator) && seems_asleep(mutator))
            ask(world, mutator);
}

/* Those who allocate come by the end of a slow path every microsecond or two,
 * and a signal takes ten times as long to reach another CPU: so they get a little
 * time, where nobody has to wait for a CPU. */
static void ask_the_busy(struct world *world, const struct mutator *self)
{
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        if (mutator != self && is_to_be_asked(mutator))
            mutator->asked_softly = asked(world, mutator);
    for (unsigned i = 0; world->has_cpus && i < GC_ASK_SPINS; i++) {
        if (atomic_load_explicit(&world->unstopped, memory_order_acquire) == 0)
            break;
        gc__os_relax();
    }
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next) {
        if (mutator->asked_softly && gc__stop_is_asked(mutator))
            gc__stop_send_signal(world, mutator);
        mutator->asked_softly = false;
    }
}

/* ---- Waiting for them -------------------------------------------------------------------- */

static void drop_the_dead(struct world *world)
{
    struct mutator *next;

    for (struct mutator *mutator = world->first; mutator != NULL; mutator = next) {
        next = mutator->next;
        if (mutator->thread_id == 0)
            gc__world_drop(world, mutator);
    }
}

/* Twice as long, but not past the first second, and no more than four. */
static uint64_t longer(uint64_t patience_ns)
{
    if (patience_ns < NS_PER_SECOND)
        return gc__min(2 * patience_ns, NS_PER_SECOND);
    return patience_ns + gc__min(patience_ns, 4 * (uint64_t)NS_PER_SECOND);
}

/* Looks after them ever more seldom: a thread that has just ended is found in
 * no time, one that will not stop is reported every few seconds. As long as some
 * come, the others are given time: to look at them takes as long as they need. */
static void wait_for_all(struct world *world)
{
    uint64_t start_ns = gc__os_clock_ns(), patience_ns = GC_STOP_PATIENCE_NS;
    uint32_t unstopped, before = atomic_load_explicit(&world->unstopped, memory_order_relaxed);

    while ((unstopped = atomic_load_explicit(&world->unstopped, memory_order_acquire)) != 0) {
        uint64_t waited_ns;

        spin_while(&world->has_cpus, &world->unstopped, unstopped);
        waited_ns = gc__os_clock_ns() - start_ns;
        if (waited_ns >= patience_ns && unstopped < before && waited_ns < GC_STOP_LOOK_NS) {
            before = unstopped;
            patience_ns = waited_ns + GC_STOP_PATIENCE_NS;
        } else if (waited_ns >= patience_ns) {
            gc__stop_look_after(world, waited_ns);
            patience_ns = longer(patience_ns);
        } else {
            gc__os_wait(&world->unstopped, unstopped, patience_ns - waited_ns);
        }
    }
    gc__stop_look_at_the_deaf(world);
    drop_the_dead(world);
}

/* ---- Strangers --------------------------------------------------------------------------- */

struct meeting {
    struct world *world;
    bool no_memory;
};

static void look_at_thread(long thread_id, void *argument)
{
    struct meeting *meeting = argument;
    struct mutator *mutator = gc__world_thread(meeting->world, thread_id);
    enum gc__thread_sort sort;

    if (mutator != NULL)
        mutator->seen = true;
    if (mutator != NULL || gc__world_passes_over(meeting->world, thread_id))
        return;
    sort = gc__os_thread_sort(thread_id);
    if (sort == GC_THREAD_GONE)
        return;
    mutator = gc__world_add(meeting->world, thread_id, sort == GC_THREAD_ASIDE ? MUTATOR_ASIDE : MUTATOR_RUNS);
    if (mutator == NULL) {
        meeting->no_memory = true;
        return;
    }
    mutator->seen = true;
    if (sort == GC_THREAD_OF_PROGRAM)
        ask(meeting->world, mutator);
}

/* Asks those who are not in our list, and drops those who are no more. The
 * system's list is cut short where a thread ends that it has just come to, so
 * who is not in it need not be dead. False if there is no such list, or no
 * memory to note somebody. */
static bool meet_strangers(struct world *world, struct mutator *self)
{
    struct meeting meeting = {.world = world};
    struct mutator *next;

    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        mutator->seen = false;
    if (!gc__os_each_thread(look_at_thread, &meeting))
        return false;
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = next) {
        next = mutator->next;
        if (!mutator->seen && mutator != self && !gc__os_thread_exists(world->process_id, mutator->thread_id))
            gc__world_drop(world, mutator);
    }
    gc__world_forget_the_dead(world);
    return !meeting.no_memory;
}

/* Once: a heap that is no longer collected is not to grow in silence. */
static void say_that_strangers_run(struct world *world)
{
    if (!world->said_that_strangers_run)
        gc__message("no collection: the process has threads that cannot be found or noted (no file number is free,"
                    " /proc is of other processes, or there is no memory)");
    world->said_that_strangers_run = true;
}

/* Strangers may have made others before they stopped; threads that are about to
 * end come and go meanwhile, but not for long. */
bool gc__world_stop(struct world *world)
{
    struct mutator *self = gc__mutator;
    unsigned listings = 0;
    bool met = true;

    world->blocked_to_stop = gc__os_hold_signals();
    world->process_id = gc__os_process_id();
    atomic_store(&world->stopping, true);
    atomic_thread_fence(memory_order_seq_cst); /* for those who come back */
    gc__world_forget_the_dead(world);
    world->has_cpus = world->count + (gc__mutator_exists(self) ? 0 : 1) <= world->cpus;
    world->may_spin = world->has_cpus;
    if (world->regains_signal)
        gc__os_regain_stop_signal();
    gc__stop_ask_the_deaf_again(world);
    ask_sleepers(world, self);
    ask_the_busy(world, self);
    wait_for_all(world);
    while (met && !gc__world_is_complete(world)) {
        met = ++listings <= GC_STOP_LISTINGS && meet_strangers(world, self);
        wait_for_all(world); /* for those that were met before memory ran out, too */
    }
    if (!met)
        say_that_strangers_run(world);
    return met;
}

/* The system would leave a helper waiting for the CPU of somebody who spins. */
void gc__world_lend_cpus(struct world *world, unsigned threads)
{
    world->may_spin = world->count + threads <= world->cpus;
}

void gc__world_resume(struct world *world)
{
    uint64_t blocked = world->blocked_to_stop; /* another may stop the world at once */

    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next) {
        uint32_t stopped = MUTATOR_STOPPED, held = MUTATOR_HELD;

        if (!atomic_compare_exchange_strong(&mutator->state, &stopped, MUTATOR_RUNS))
            atomic_compare_exchange_strong(&mutator->state, &held, MUTATOR_SAFE);
    }
    world->may_spin = world->has_cpus;
    atomic_store_explicit(&world->stopping, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&world->epoch, 1, memory_order_release);
    gc__os_wake(&world->epoch, UINT32_MAX);
    gc__os_release_signals(blocked);
}
