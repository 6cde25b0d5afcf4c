#include "gc/cycle/pace.h"

#include "gc/base/align.h"

void gc__pace_init(struct pace *pace, size_t floor_bytes, size_t growth_percent, size_t initial_bytes)
{
    *pace = (struct pace){
        .floor_bytes = floor_bytes,
        .growth_percent = growth_percent,
        .initial_bytes = initial_bytes,
        .budget_bytes = gc__max(floor_bytes, initial_bytes),
    };
}

/* Mutators read it at any time. */
static void set_budget(struct pace *pace, size_t bytes)
{
    __atomic_store_n(&pace->budget_bytes, bytes, __ATOMIC_RELAXED);
}

static size_t percent_of(size_t bytes, size_t percent)
{
    size_t product;

    return __builtin_mul_overflow(bytes, percent, &product) ? SIZE_MAX / 100 : product / 100;
}

static void note_survival(struct pace *pace, size_t live_bytes)
{
    size_t allocated = gc__pace_allocated(pace);
    size_t survived = live_bytes > pace->live_bytes ? live_bytes - pace->live_bytes : 0;

    pace->survival_percent = allocated > 0 ? gc__min(percent_of(survived, 10000) / allocated, 100) : 0;
    pace->live_bytes = live_bytes;
    __atomic_fetch_sub(&pace->allocated_bytes, allocated, __ATOMIC_RELAXED); /* others may be adding to it */
}

void gc__pace_begin_again(struct pace *pace, size_t live_bytes, size_t scanned_bytes, size_t held_bytes,
                          size_t mutators)
{
    size_t floor = mutators > 1 ? GC_PACE_MUTATOR_BYTES * gc__min(mutators, GC_PACE_FLOOR_MUTATORS) : 0;
    size_t costly = scanned_bytes + percent_of(live_bytes - scanned_bytes, GC_PACE_ATOMIC_PERCENT);
    size_t asked = percent_of(pace->untouched_bytes, GC_PACE_UNTOUCHED_PERCENT);
    size_t growth = percent_of(costly + asked + pace->root_bytes + gc__pace_external(pace), pace->growth_percent) +
                    gc__min(live_bytes, GC_PACE_SMALL_HEAP_BYTES);
    size_t free_bytes = held_bytes > live_bytes ? held_bytes - live_bytes : 0;
    size_t held_share =
        gc__min(percent_of(free_bytes, GC_PACE_HELD_PERCENT), gc__max(2 * growth, free_bytes / GC_PACE_HELD_PARTS));
    size_t initial = pace->initial_bytes > live_bytes ? pace->initial_bytes - live_bytes : 0;

    floor = gc__max(gc__max(pace->floor_bytes, floor), initial);
    set_budget(pace, gc__max(floor, gc__max(growth, held_share)));
    pace->full_budget_bytes = pace->budget_bytes;
    pace->full_live_bytes = live_bytes;
    pace->scanned_bytes = scanned_bytes;
    note_survival(pace, live_bytes);
}

static size_t grown_old(const struct pace *pace)
{
    return pace->live_bytes > pace->full_live_bytes ? pace->live_bytes - pace->full_live_bytes : 0;
}

void gc__pace_go_on(struct pace *pace, size_t live_bytes)
{
    size_t old;

    note_survival(pace, live_bytes);
    old = grown_old(pace);
    set_budget(pace, pace->full_budget_bytes > old ? pace->full_budget_bytes - old : 0);
    set_budget(pace, gc__max(pace->floor_bytes, pace->budget_bytes));
}

size_t gc__pace_budget_after_minor(const struct pace *pace)
{
    size_t old = grown_old(pace) + percent_of(pace->budget_bytes, pace->survival_percent);

    return pace->full_budget_bytes - gc__min(old, pace->full_budget_bytes);
}

bool gc__pace_prefers_minor(const struct pace *pace)
{
    return gc__pace_budget_after_minor(pace) > pace->full_budget_bytes / 2;
}

void gc__pace_keep_runway(struct pace *pace, size_t bytes)
{
    bytes = gc__max(bytes, percent_of(pace->budget_bytes, GC_RUNWAY_MIN_PERCENT));
    pace->runway_bytes = gc__min(bytes, percent_of(pace->budget_bytes, GC_RUNWAY_MAX_PERCENT));
    set_budget(pace, pace->budget_bytes - pace->runway_bytes);
}

void gc__pace_use_runway(struct pace *pace)
{
    size_t least = gc__pace_allocated(pace) + percent_of(pace->full_budget_bytes, GC_RUNWAY_LEAST_PERCENT);

    set_budget(pace, gc__max(pace->budget_bytes + pace->runway_bytes, least));
    pace->runway_bytes = 0;
    pace->granted_bytes = 0;
}

void gc__pace_wait(struct pace *pace)
{
    set_budget(pace, gc__pace_allocated(pace) + percent_of(pace->full_budget_bytes, GC_RUNWAY_LEAST_PERCENT));
}

/* Not if a cycle has set another budget meanwhile. */
void gc__pace_grant(struct pace *pace, size_t bytes)
{
    size_t budget = gc__pace_budget(pace);
    size_t granted = gc__max(budget, gc__pace_allocated(pace)) + bytes;

    __atomic_fetch_add(&pace->granted_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_compare_exchange_n(&pace->budget_bytes, &budget, granted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void gc__pace_put_off(struct pace *pace)
{
    size_t allocated = gc__pace_allocated(pace);

    set_budget(pace, allocated + gc__max(pace->floor_bytes, allocated / 4));
}

void gc__pace_make_due(struct pace *pace)
{
    set_budget(pace, 0);
}

void gc__pace_trim(struct pace *pace, size_t budget_bytes, bool full)
{
    set_budget(pace, gc__min(pace->budget_bytes, budget_bytes));
    if (full)
        pace->full_budget_bytes = pace->budget_bytes;
}

void gc__pace_note_external(struct pace *pace, ptrdiff_t bytes)
{
    size_t external = gc__pace_external(pace), changed;

    do
        changed = bytes >= 0 ? gc__min(external, SIZE_MAX - (size_t)bytes) + (size_t)bytes
                             : external - gc__min(external, (size_t)-bytes);
    while (!__atomic_compare_exchange_n(&pace->external_bytes, &external, changed, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    if (bytes >= 0)
        gc__pace_note_allocated(pace, (size_t)bytes);
    else
        gc__pace_note_freed(pace, (size_t)-bytes);
}
