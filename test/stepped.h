/* stepped.h - cycles that mark a copy of the process, made step by step by who tests them. */
#ifndef TEST_STEPPED_H
#define TEST_STEPPED_H

#include "test/by_steps.h"

#include <broom.h>
#include <criterion/criterion.h>

static inline void be_the_collector_of_copies(void)
{
    setenv("BROOM_NO_TRACKING", "1", 1);
    setenv("BROOM_SNAPSHOT", "1", 1);
    be_the_collector();
}

static inline struct gc_stats stats(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

static inline void begin(void)
{
    be_the_collector_of_copies();
    build();
    cr_assert(begin_cycle());
    cr_assert(gc__heap.snapshot.now);
}

#endif
