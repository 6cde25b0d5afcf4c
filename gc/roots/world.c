#include "gc/roots/world.h"

#include "gc/base/check.h"
#include "gc/base/tunables.h"

/* ---- Lists -------------------------------------------------------------------- */

static void push(struct mutator **list, struct mutator *mutator)
{
    mutator->next = *list;
    __atomic_store_n(list, mutator, __ATOMIC_RELEASE); /* strangers look for themselves meanwhile */
}

static void remove_from(struct mutator **list, const struct mutator *mutator)
{
    while (*list != NULL && *list != mutator)
        list = &(*list)->next;
    if (*list != NULL)
        *list = mutator->next;
}

struct mutator *gc__world_thread(struct world *world, long thread_id)
{
    struct mutator *mutator = __atomic_load_n(&world->first, __ATOMIC_ACQUIRE);

    while (mutator != NULL && mutator->thread_id != thread_id)
        mutator = mutator->next;
    return mutator;
}

static struct mutator *take_unused(struct world *world)
{
    struct mutator *mutator;

    if (world->unused == NULL)
        gc__world_forget_the_dead(world);
    mutator = world->unused;
    if (mutator != NULL) {
        world->unused = mutator->next;
        gc__mutator_clear(mutator);
        return mutator;
    }
    mutator = gc__mutator_create();
    if (mutator != NULL)
        world->mutators++;
    return mutator;
}

static void make_unused(struct world *world, struct mutator *mutator)
{
    world->claimed_bytes += mutator->claimed_bytes - gc__mutator_unissued_bytes(mutator);
    world->freed_bytes += mutator->freed_bytes;
    push(&world->unused, mutator);
}

uint64_t gc__world_claimed_bytes(const struct world *world)
{
    uint64_t bytes = world->claimed_bytes;

    for (const struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        bytes += mutator->claimed_bytes - gc__mutator_unissued_bytes(mutator);
    return bytes;
}

uint64_t gc__world_freed_bytes(const struct world *world)
{
    uint64_t bytes = world->freed_bytes;

    for (const struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        bytes += mutator->freed_bytes;
    return bytes;
}

static void list(struct world *world, struct mutator *mutator, long thread_id, enum mutator_state state)
{
    mutator->thread_id = thread_id;
    atomic_store_explicit(&mutator->state, state, memory_order_relaxed);
    push(&world->first, mutator);
    world->count++;
    world->met += mutator->met;
}

struct mutator *gc__world_add(struct world *world, long thread_id, enum mutator_state state)
{
    struct mutator *mutator = take_unused(world);

    if (mutator == NULL)
        return NULL;
    mutator->met = true;
    list(world, mutator, thread_id, state);
    return mutator;
}

void gc__world_drop(struct world *world, struct mutator *mutator)
{
    remove_from(&world->first, mutator);
    world->count--;
    world->met -= mutator->met;
    mutator->thread_id = 0;
    if (mutator->result != NULL && !mutator->detached)
        push(&world->ended, mutator);
    else
        make_unused(world, mutator);
}

/* ---- The lock -------------------------------------------------------------------- *
 * Of three states (Drepper, "Futexes are tricky", section 5). */

enum lock_state { LOCK_FREE, LOCK_TAKEN, LOCK_WAITED_FOR };

static bool try_lock(struct world *world)
{
    uint32_t free = LOCK_FREE;

    return atomic_compare_exchange_strong_explicit(&world->lock, &free, LOCK_TAKEN, memory_order_acquire,
                                                   memory_order_relaxed);
}

static bool spin_for_lock(struct world *world, unsigned spins)
{
    for (unsigned i = 0; i < spins && (i < GC_LOCK_SPINS || world->may_spin); i++) {
        if (atomic_load_explicit(&world->lock, memory_order_relaxed) == LOCK_FREE && try_lock(world))
            return true;
        gc__os_relax();
    }
    return false;
}

static void wait_for_lock(struct world *world)
{
    while (atomic_exchange_explicit(&world->lock, LOCK_WAITED_FOR, memory_order_acquire) != LOCK_FREE)
        gc__os_wait(&world->lock, LOCK_WAITED_FOR, UINT64_MAX);
}

static void *lock_spilled(uintptr_t sp, const char *call, uintptr_t address, uintptr_t mutator_address)
{
    struct world *world = (struct world *)address;
    struct mutator *mutator = (struct mutator *)mutator_address;
    bool was_inside = mutator->inside;
    uint64_t blocked;

    (void)call;
    gc__world_begin(mutator);
    blocked = gc__world_begin_wait(world, mutator, sp);
    if (!spin_for_lock(world, GC_STOP_SPINS)) /* a collection may be what holds it */
        wait_for_lock(world);
    gc__world_end_wait(world, mutator, blocked);
    mutator->inside = was_inside; /* nobody asks: they would need the lock */
    return NULL;
}

static void own(struct world *world, bool holds, uint64_t blocked)
{
    atomic_store_explicit(&world->owner, gc__mutator, memory_order_relaxed); /* it may have become one */
    world->depth = 1;
    world->held = holds;
    world->blocked = blocked;
}

void gc__world_lock(struct world *world)
{
    struct mutator *mutator = gc__mutator;
    bool holds = world->is_unknown;
    uint64_t blocked = 0;

    if (gc__mutator_exists(mutator) && atomic_load_explicit(&world->owner, memory_order_relaxed) == mutator) {
        world->depth++;
        return;
    }
    GC_STAGGER();
    if (holds)
        blocked = gc__os_hold_signals();
    if (!try_lock(world) && !spin_for_lock(world, GC_LOCK_SPINS)) {
        atomic_fetch_add_explicit(&world->lock_waiters, 1, memory_order_relaxed);
        if (gc__mutator_exists(mutator) && !gc__mutator_is_safe(mutator))
            gc__os_spill_registers(lock_spilled, NULL, (uintptr_t)world, (uintptr_t)mutator);
        else
            wait_for_lock(world);
        atomic_fetch_sub_explicit(&world->lock_waiters, 1, memory_order_relaxed);
    }
    own(world, holds, blocked);
}

bool gc__world_lock_in_middle(struct world *world)
{
    struct mutator *mutator = gc__mutator;
    bool holds = world->is_unknown;
    uint64_t blocked;

    if (!gc__mutator_exists(mutator) || !mutator->inside || gc__mutator_is_safe(mutator) || gc__world_is_owned(world)) {
        gc__world_lock(world);
        return true;
    }
    blocked = holds ? gc__os_hold_signals() : 0;
    while (!try_lock(world)) {
        if (atomic_load(&world->stopping)) {
            if (holds)
                gc__os_release_signals(blocked);
            return false;
        }
        gc__os_yield();
    }
    own(world, holds, blocked);
    return true;
}

void gc__world_take_lock_over(struct world *world)
{
    atomic_store(&world->lock, LOCK_TAKEN);
    atomic_store(&world->unstopped, 0);
    atomic_store(&world->stopping, false);
    own(world, false, 0);
}

bool gc__world_is_owned(const struct world *world)
{
    return atomic_load_explicit(&world->lock, memory_order_relaxed) != LOCK_FREE &&
           atomic_load_explicit(&world->owner, memory_order_relaxed) == gc__mutator;
}

void gc__world_unlock(struct world *world)
{
    bool held = world->held;
    uint64_t blocked = world->blocked;

    if (--world->depth != 0)
        return;
    atomic_store_explicit(&world->owner, NULL, memory_order_relaxed);
    if (atomic_exchange_explicit(&world->lock, LOCK_FREE, memory_order_release) == LOCK_WAITED_FOR)
        gc__os_wake(&world->lock, 1);
    GC_STAGGER();
    if (held)
        gc__os_release_signals(blocked);
}

/* Most of them spin: then the lock does not tell. */
void gc__world_unlock_for_others(struct world *world)
{
    bool is_waited_for = atomic_load_explicit(&world->lock_waiters, memory_order_relaxed) > 0;

    gc__world_unlock(world);
    for (unsigned i = 0; is_waited_for && i < GC_PASS_SPINS; i++) {
        if (atomic_load_explicit(&world->lock, memory_order_relaxed) != LOCK_FREE)
            return;
        gc__os_relax();
    }
}

/* ---- Threads ----------------------------------------------------------------------- */

void gc__world_return(struct world *world, struct mutator *mutator, void *result, bool detached)
{
    if (mutator->serial == 0) {
        mutator->serial = ++world->serials;
        mutator->handle = gc__os_thread_handle();
    }
    mutator->detached = mutator->detached || detached;
    mutator->result = result;
}

/* Its number may be another thread's by now. */
static bool is_dead(const struct mutator *mutator)
{
    if (mutator->state == MUTATOR_ASIDE)
        return gc__os_thread_sort(mutator->thread_id) != GC_THREAD_ASIDE;
    return mutator->leaving && (!gc__os_thread_exists(gc__os_process_id(), mutator->thread_id) ||
                                gc__os_thread_began_after(mutator->thread_id, mutator->left_ns));
}

static void forget_number(struct world *world, long thread_id)
{
    struct mutator *mutator = gc__world_thread(world, thread_id);

    if (mutator != NULL)
        gc__world_drop(world, mutator);
}

void gc__world_forget_the_dead(struct world *world)
{
    struct mutator *next;

    for (struct mutator *mutator = world->first; mutator != NULL; mutator = next) {
        next = mutator->next;
        if (is_dead(mutator))
            gc__world_drop(world, mutator);
    }
}

/* The calling thread is `mutator` from now on. One that had its number is dead,
 * or what a stop noted as a stranger. */
static void settle(struct world *world, struct mutator *mutator, struct gc__range stack)
{
    forget_number(world, gc__os_thread_id());
    mutator->stack = stack;
    mutator->thread_pointer = gc__os_thread_pointer();
    mutator->handle = gc__os_thread_handle();
    list(world, mutator, gc__os_thread_id(), MUTATOR_RUNS);
    gc__mutator = mutator;
    atomic_store_explicit(&world->owner, mutator, memory_order_relaxed);
}

struct mutator *gc__world_enter(struct world *world, struct gc__range stack)
{
    struct mutator *mutator = gc__mutator;

    if (gc__mutator_exists(mutator)) /* a stop has met it meanwhile */
        return mutator;
    mutator = take_unused(world);
    if (mutator != NULL)
        settle(world, mutator, stack);
    return mutator;
}

struct mutator *gc__world_expect(struct world *world, struct gc__start start, bool detached)
{
    struct mutator *mutator = take_unused(world);

    if (mutator == NULL)
        return NULL;
    mutator->start = start;
    mutator->detached = detached;
    mutator->serial = ++world->serials;
    push(&world->starting, mutator);
    return mutator;
}

void gc__world_expect_no_longer(struct world *world, struct mutator *mutator)
{
    remove_from(&world->starting, mutator);
    push(&world->unused, mutator);
}

void gc__world_arrive(struct world *world, struct mutator *mutator, struct gc__range stack)
{
    remove_from(&world->starting, mutator);
    settle(world, mutator, stack); /* in place of a stranger that a stop took it for */
}

bool gc__world_passes_over(const struct world *world, long thread_id)
{
    for (unsigned i = 0; i < world->helpers; i++)
        if (world->helper[i] == thread_id)
            return true;
    return false;
}

bool gc__world_is_complete(struct world *world)
{
    size_t count = gc__os_thread_count();

    gc__world_forget_the_dead(world);
    return count == 0 || count == world->count + world->helpers;
}

/* A thread that was detached, or joined, may be known to the system a moment longer
 * than its handle is its own. */
static struct mutator *find_handle(struct mutator *list, uintptr_t handle)
{
    while (list != NULL && (list->handle != handle || list->detached))
        list = list->next;
    return list;
}

/* The youngest of that handle: one that ends gives it to the next. */
static struct mutator *find_living(struct world *world, uintptr_t handle)
{
    struct mutator *mutator = find_handle(world->starting, handle);

    return mutator != NULL ? mutator : find_handle(world->first, handle);
}

uint64_t gc__world_serial_of(struct world *world, uintptr_t handle)
{
    struct mutator *mutator = find_living(world, handle);

    if (mutator == NULL)
        mutator = find_handle(world->ended, handle);
    return mutator != NULL ? mutator->serial : 0;
}

static bool is_meant(const struct mutator *mutator, uintptr_t handle, uint64_t serial)
{
    return serial != 0 ? mutator->serial == serial : mutator->handle == handle && mutator->result != NULL;
}

/* The system may take a moment longer to let go of a thread that was joined. */
void gc__world_forget_result(struct world *world, uintptr_t handle, uint64_t serial)
{
    struct mutator *found = NULL;

    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        if (mutator->leaving && is_meant(mutator, handle, serial))
            mutator->detached = true;
    for (struct mutator *mutator = world->ended; mutator != NULL; mutator = mutator->next)
        if (is_meant(mutator, handle, serial))
            found = mutator; /* the first to end is the last of the list */
    if (found == NULL)
        return;
    remove_from(&world->ended, found);
    make_unused(world, found);
}

void gc__world_detach(struct world *world, uintptr_t handle)
{
    struct mutator *mutator = find_living(world, handle);

    if (mutator != NULL)
        mutator->detached = true;
    else
        gc__world_forget_result(world, handle, gc__world_serial_of(world, handle));
}

static void make_all_unused(struct world *world, struct mutator **list, const struct mutator *but)
{
    struct mutator *next;

    for (struct mutator *mutator = *list; mutator != NULL; mutator = next) {
        next = mutator->next;
        if (mutator != but)
            make_unused(world, mutator);
    }
    *list = NULL;
}

void gc__world_note_helper(struct world *world, long thread_id)
{
    GC_ASSERT(world->helpers < GC_MAX_MARKERS);
    forget_number(world, thread_id);
    world->helper[world->helpers++] = thread_id;
}

bool gc__world_has_several_mutators(const struct world *world)
{
    size_t count = 0;

    for (const struct mutator *mutator = world->first; mutator != NULL && count < 2; mutator = mutator->next)
        count += mutator->state != MUTATOR_ASIDE;
    return count == 2;
}

void gc__world_keep_only(struct world *world, struct mutator *mutator)
{
    make_all_unused(world, &world->first, mutator);
    make_all_unused(world, &world->starting, NULL);
    make_all_unused(world, &world->ended, NULL);
    world->count = 0;
    world->met = 0;
    world->helpers = 0;
    world->lock_waiters = 0;
    if (gc__mutator_exists(mutator)) /* it may have forked in gc_thread_blocking */
        list(world, mutator, gc__os_thread_id(), gc__mutator_is_safe(mutator) ? MUTATOR_SAFE : MUTATOR_RUNS);
}
