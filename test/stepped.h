/* stepped.h - cycles that mark a copy of the process, made step by step by who tests them. */
#ifndef TEST_STEPPED_H
#define TEST_STEPPED_H

#include "gc/api/enter.h"
#include "gc/cycle/collect.h"
#include "test/rewired.h"

#include <broom.h>
#include <criterion/criterion.h>

/* The collector's own thread is not started: nobody but us makes a step. */
static inline void be_the_collector(void)
{
    unsetenv("BROOM_STRESS");
    setenv("BROOM_NO_TRACKING", "1", 1);
    setenv("BROOM_SNAPSHOT", "1", 1);
    gc_init();
    gc__heap.background.started = true;
}

static inline bool begin_cycle(void)
{
    bool begun;

    gc__world_lock(&gc__heap.world);
    begun = gc__concurrent_begin(&gc__heap, random_once_in(2));
    gc__world_unlock(&gc__heap.world);
    return begun;
}

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

static inline enum concurrent_phase phase(void)
{
    return gc__concurrent_phase(&gc__heap.concurrent);
}

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

static inline struct gc_stats stats(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

static inline void begin(void)
{
    be_the_collector();
    build();
    cr_assert(begin_cycle());
    cr_assert(gc__heap.snapshot.now);
}

#endif
