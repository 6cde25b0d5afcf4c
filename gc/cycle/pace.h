/* pace.h - when to collect: pure arithmetic on counters (GC Handbook, 2nd ed.,
 * section 10.8 on heap growth).
 *
 * A collection is due when the budget has been allocated. The budget follows
 * what survived, so the heap grows geometrically and the work of collecting
 * stays proportional to the work of allocating; a floor keeps tiny heaps from
 * collecting for nothing, and what is held from the OS anyway is made use of.
 * What is freed explicitly is credited: a program that frees everything never
 * collects. */
#ifndef GC_CYCLE_PACE_H
#define GC_CYCLE_PACE_H

#include "gc/base/tunables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
    size_t floor_bytes;
    size_t growth_percent;
    size_t initial_bytes;
    size_t root_bytes;        /* that a cycle scans besides what is live, if they are many */
    size_t untouched_bytes;   /* of large live objects, and counted nowhere else: they take no memory */
    size_t budget_bytes;      /* until the next collection; mutators read it at any time */
    size_t full_budget_bytes; /* as the last full cycle set it, */
    size_t full_live_bytes;   /* and what it found */
    size_t live_bytes;        /* what the last cycle found */
    size_t scanned_bytes;     /* and the last full one, of what may hold pointers */
    size_t survival_percent;  /* of what was allocated before that, as far as is known */
    size_t allocated_bytes;   /* of it, used: changed by atomic steps */
    size_t runway_bytes;      /* kept back from the budget */
    size_t granted_bytes;     /* beyond it, in the cycle under way */
    size_t external_bytes;    /* that the program holds elsewhere, as it says: likewise */
};

/* `initial_bytes`: with less in the heap, nothing is due. */
void gc__pace_init(struct pace *pace, size_t floor_bytes, size_t growth_percent, size_t initial_bytes);

static inline size_t gc__pace_allocated(const struct pace *pace)
{
    return __atomic_load_n(&pace->allocated_bytes, __ATOMIC_RELAXED);
}

static inline size_t gc__pace_budget(const struct pace *pace)
{
    return __atomic_load_n(&pace->budget_bytes, __ATOMIC_RELAXED);
}

static inline bool gc__pace_is_due(const struct pace *pace, size_t bytes)
{
    size_t allocated = gc__pace_allocated(pace);

    return allocated + bytes > gc__pace_budget(pace) && allocated > 0;
}

static inline void gc__pace_note_allocated(struct pace *pace, size_t bytes)
{
    __atomic_fetch_add(&pace->allocated_bytes, bytes, __ATOMIC_RELAXED);
}

static inline void gc__pace_note_freed(struct pace *pace, size_t bytes)
{
    size_t allocated = gc__pace_allocated(pace), less;

    do
        less = bytes < allocated ? allocated - bytes : 0;
    while (!__atomic_compare_exchange_n(&pace->allocated_bytes, &allocated, less, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
}

/* The program has come to hold, or given back, so much elsewhere. It counts as
 * allocated, and as if it were live and scanned: what hangs on garbage goes when the
 * garbage does. */
void gc__pace_note_external(struct pace *pace, ptrdiff_t bytes);

static inline size_t gc__pace_external(const struct pace *pace)
{
    return __atomic_load_n(&pace->external_bytes, __ATOMIC_RELAXED);
}

/* There is room for so much only. */
void gc__pace_trim(struct pace *pace, size_t budget_bytes, bool full);

/* A full cycle found `live_bytes`, and scanned `scanned_bytes` of them, in
 * memory of `held_bytes`, while `mutators` of them allocated. */
void gc__pace_begin_again(struct pace *pace, size_t live_bytes, size_t scanned_bytes, size_t held_bytes,
                          size_t mutators);

/* A minor cycle left so much: it keeps what died old, so the budget shrinks by what
 * came to be old. The heap grows no larger than with full cycles alone. */
void gc__pace_go_on(struct pace *pace, size_t live_bytes);

/* The next cycle runs beside the mutators, which claim about so much meanwhile: it is
 * due earlier. When it has begun, they may use that; when it has ended, but it is not
 * known yet what it found, a little; and so much more whenever they help. */
void gc__pace_keep_runway(struct pace *pace, size_t bytes);
void gc__pace_use_runway(struct pace *pace);
void gc__pace_wait(struct pace *pace);
void gc__pace_grant(struct pace *pace, size_t bytes);

/* How often an eighth of a full budget was granted beyond the budget: from the first time
 * on nobody is to have more for nothing. */
static inline uint32_t gc__pace_overdrafts(const struct pace *pace)
{
    return (uint32_t)(__atomic_load_n(&pace->granted_bytes, __ATOMIC_RELAXED) /
                      (pace->full_budget_bytes / GC_OVERDRAFT_SHARE + 1));
}

/* A cycle could not be: the next is to be tried when a quarter more was allocated. */
void gc__pace_put_off(struct pace *pace);

/* At once: a cycle that has failed is to be followed by another, or mutators are to
 * help with the one under way. */
void gc__pace_make_due(struct pace *pace);

/* What the budget will be if the next cycle is minor, as far as is known. */
size_t gc__pace_budget_after_minor(const struct pace *pace);

/* Whether the next cycle had better be minor: not if it would leave less than half
 * of the budget, as where a heap grows. */
bool gc__pace_prefers_minor(const struct pace *pace);

#endif
