#include "gc/cycle/steps.h"

#include "gc/cycle/heap.h"

/* ---- One at a time -------------------------------------------------------------------- */

/* What steps cost. Pauses are in those that have the heap's lock. */
struct cost {
    uint64_t thread_ns, pauses_ns;
};

static struct cost cost_until_now(const struct heap *heap, bool locked)
{
    return (struct cost){gc__os_thread_ns(), locked ? heap->record.pause_total_ns : 0};
}

static void note_cost(struct heap *heap, struct cost before, bool locked)
{
    struct cost now = cost_until_now(heap, locked);
    uint64_t work_ns = now.thread_ns - before.thread_ns;

    heap->concurrent.work_ns += work_ns;
    heap->concurrent.taken_ns += gc__mutator_exists(gc__mutator) ? work_ns : now.pauses_ns - before.pauses_ns;
}

/* With the hands taken. A step whose phase has changed before that is another day's. */
static bool make_step(struct heap *heap, bool locked)
{
    struct concurrent *concurrent = &heap->concurrent;
    enum concurrent_phase phase = gc__concurrent_phase(concurrent);

    if (phase != PHASE_OFF && (locked || !gc__concurrent_wants_lock(concurrent))) {
        struct cost before = cost_until_now(heap, locked);

        gc__concurrent_make(heap, phase);
        GC_STAGGER();
        note_cost(heap, before, locked);
    }
    atomic_fetch_add_explicit(&concurrent->steps, 1, memory_order_relaxed);
    gc__hands_leave(&concurrent->hands);
    return phase != PHASE_OFF;
}

static bool make_locked_step(struct heap *heap)
{
    bool more;

    gc__world_lock(&heap->world);
    gc__hands_take_over(&heap->concurrent.hands);
    more = make_step(heap, true);
    gc__world_unlock_for_others(&heap->world);
    return more;
}

bool gc__concurrent_step(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (gc__concurrent_wants_lock(concurrent) || atomic_load(&concurrent->hands.wanted))
        return make_locked_step(heap);
    gc__hands_take(&concurrent->hands);
    return make_step(heap, false);
}

bool gc__concurrent_try_step(struct heap *heap)
{
    uint64_t blocked;
    bool made;

    if (gc__concurrent_wants_lock(&heap->concurrent)) {
        make_locked_step(heap);
        return true;
    }
    blocked = gc__os_hold_signals(); /* a handler that forks wants the hands */
    made = gc__hands_try(&heap->concurrent.hands) && make_step(heap, false);
    gc__os_release_signals(blocked);
    return made;
}

/* ---- By who has the heap's lock ------------------------------------------------------- */

static bool has_copy(const struct concurrent *concurrent)
{
    return gc__concurrent_phase(concurrent) > PHASE_COPY && gc__concurrent_phase(concurrent) <= PHASE_ADOPT;
}

static void publish_all(struct heap *heap)
{
    while (gc__concurrent_phase(&heap->concurrent) == PHASE_PUBLISH)
        gc__concurrent_make(heap, PHASE_PUBLISH);
}

bool gc__concurrent_finish(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;
    bool finished;

    gc__hands_take_over(&concurrent->hands);
    concurrent->put_off = GC_MAX_PUT_OFF;
    while (has_copy(concurrent))
        gc__concurrent_make(heap, gc__concurrent_phase(concurrent));
    if (gc__concurrent_phase(concurrent) == PHASE_FAIL)
        gc__concurrent_make(heap, PHASE_FAIL); /* pages were watched again, and not yet scanned; or the copy failed */
    else if (gc__concurrent_is_marking(concurrent))
        gc__concurrent_make(heap, PHASE_FINISH);
    finished = gc__concurrent_phase(concurrent) == PHASE_PUBLISH;
    publish_all(heap);
    if (gc__concurrent_is_under_way(concurrent))
        gc__concurrent_drop(heap);
    gc__hands_leave(&concurrent->hands);
    return finished;
}

static void give_up(struct heap *heap)
{
    publish_all(heap);
    if (gc__concurrent_is_under_way(&heap->concurrent))
        gc__concurrent_drop(heap);
}

void gc__concurrent_give_up(struct heap *heap)
{
    gc__hands_take_over(&heap->concurrent.hands);
    give_up(heap);
    gc__hands_leave(&heap->concurrent.hands);
}

void gc__concurrent_hold(struct heap *heap)
{
    gc__hands_take_over(&heap->concurrent.hands);
}

void gc__concurrent_release(struct heap *heap)
{
    gc__hands_leave(&heap->concurrent.hands);
}

void gc__concurrent_forget(struct heap *heap)
{
    heap->concurrent.hands.state = HANDS_FREE;
    give_up(heap);
    heap->concurrent.failures = 0;
    heap->concurrent.marks_stand = false; /* who tells what is written here? */
}
