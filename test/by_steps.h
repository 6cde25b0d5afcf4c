/* by_steps.h - cycles beside the mutators, step by step: the test's own thread makes the
 * steps, and moves of the program in between. */
#ifndef TEST_BY_STEPS_H
#define TEST_BY_STEPS_H

#include "gc/api/enter.h"
#include "gc/cycle/collect.h"
#include "test/effort.h"
#include "test/exhaustion.h"
#include "test/rewired.h"

/* The collector's own thread is not started: nobody but us makes a step. */
static inline void be_the_collector(void)
{
    unsetenv("BROOM_STRESS");
    gc_init();
    gc__heap.background.started = true;
    gc__heap.concurrent.step_objects = 50;
}

static inline bool begin_cycle_of(bool minor)
{
    bool begun;

    gc__world_lock(&gc__heap.world);
    begun = gc__concurrent_begin(&gc__heap, minor);
    gc__heap.world.cpus = 1; /* nobody waits for steps of others */
    gc__world_unlock(&gc__heap.world);
    return begun;
}

/* Minor or not. */
static inline bool begin_cycle(void)
{
    return begin_cycle_of(random_once_in(2));
}

#define BEGIN()                                                                                                        \
    be_the_collector();                                                                                                \
    build();                                                                                                           \
    if (!begin_cycle() || gc__heap.snapshot.now)                                                                       \
    cr_skip_test("the system does not tell which pages were written")

static inline void *step_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);
    bool more;

    (void)a, (void)b;
    gc__world_begin(mutator);
    more = gc__concurrent_step(&gc__heap);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return more ? mutator : NULL;
}

static inline bool step(void)
{
    return gc__os_spill_registers(step_spilled, "step", 0, 0) != NULL;
}

static inline void *take_over_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);
    bool finished;

    (void)a, (void)b;
    gc__world_begin(mutator);
    gc__world_lock(&gc__heap.world);
    finished = gc__concurrent_finish(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return finished ? mutator : NULL;
}

static inline bool take_over_and_finish(void)
{
    return gc__os_spill_registers(take_over_spilled, "take over", 0, 0) != NULL;
}

static inline enum concurrent_phase phase(void)
{
    return gc__concurrent_phase(&gc__heap.concurrent);
}

/* The pace may have ended the cycle. */
static inline void step_to(enum concurrent_phase wanted)
{
    while (phase() != wanted)
        if (!step())
            cr_assert(begin_cycle());
}

static inline void finish_cycle(void)
{
    while (step())
        continue;
    cr_assert_eq(phase(), PHASE_OFF);
}

/* The cycle under way, if there is one, by any of those who may. */
static inline void end_somehow(void)
{
    switch (random_next() % 5) {
    case 0: gc_collect(); break;
    case 1:
        gc__world_lock(&gc__heap.world);
        if (phase() != PHASE_OFF)
            gc__concurrent_give_up(&gc__heap);
        gc__world_unlock(&gc__heap.world);
        break;
    case 2:
        gc_disable();
        cr_assert(phase() == PHASE_OFF);
        gc_enable();
        break;
    case 3: take_over_and_finish(); break;
    default: finish_cycle();
    }
}

#endif
