/* test_snapshot.c - cycles that mark a copy of the process, step by step, with the
 * program's moves while the copy is at work: what is reachable survives, whatever was
 * done meanwhile; what was dead when the copy was made goes. They need nothing of the
 * system but a fork. */
#define _GNU_SOURCE
#include "test/stepped.h"

#include <broom/event.h>
#include <broom/finalizer.h>
#include <broom/weak.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(by_steps, .timeout = 300);

Test(by_steps, a_cycle_goes_through_its_phases)
{
    static const bool wanted[PHASE_COUNT] = {[PHASE_SWEEP] = true, [PHASE_COPY] = true,  [PHASE_AWAIT] = true,
                                             [PHASE_FETCH] = true, [PHASE_ADOPT] = true, [PHASE_PUBLISH] = true};
    bool seen[PHASE_COUNT] = {false};

    begin();
    do {
        seen[phase()] = true;
        swap_slots();
    } while (step());
    for (unsigned i = PHASE_OFF + 1; i < PHASE_COUNT; i++)
        cr_assert_eq(seen[i], wanted[i], "phase %u", i);
    cr_assert_eq(stats().concurrent_collections, 1);
    cr_assert_eq(gc__heap.snapshot.failures, 0);
    check();
}

static void move_between_steps(uint64_t cycles)
{
    while (cycles-- > 0) {
        do
            make_moves((unsigned)(random_next() % 20));
        while (step());
        cr_assert_eq(gc__heap.snapshot.failures, 0);
        litter(1 << 20);
        check();
        cr_assert(begin_cycle());
    }
}

Test(by_steps, moves_between_any_two_steps)
{
    begin();
    move_between_steps(effort(20));
}

/* The marks are checked by the verifier, too, in the copy and when they are adopted: no
 * edge leads from black to white. */
Test(by_steps, moves_under_the_verifier)
{
    begin();
    gc__heap.options.stress = 1 << 30;
    move_between_steps(effort(10));
}

/* All moves between the copying and the adoption. */
Test(by_steps, moves_while_the_copy_is_at_work)
{
    begin();
    for (uint64_t cycle = 0; cycle < effort(15); cycle++) {
        step_to(PHASE_AWAIT);
        make_moves(3000);
        litter(1 << 20);
        step_to(PHASE_ADOPT);
        make_moves(3000);
        finish_cycle();
        litter(1 << 20);
        check();
        cr_assert(begin_cycle());
    }
}

Test(by_steps, a_cycle_that_is_taken_over_anywhere)
{
    begin();
    for (uint64_t cycle = 0; cycle < effort(100); cycle++) {
        uint64_t steps = random_next() % 30;

        while (steps-- > 0 && step())
            make_moves(3);
        end_somehow();
        cr_assert_eq(gc__heap.snapshot.copy, 0);
        cr_assert_null(gc__heap.snapshot.dead);
        litter(1 << 20);
        check();
        if (phase() == PHASE_OFF)
            cr_assert(begin_cycle());
    }
}

Test(by_steps, who_takes_over_waits_for_the_copy)
{
    begin();
    step_to(PHASE_AWAIT);
    cr_assert(take_over_and_finish());
    cr_assert_eq(phase(), PHASE_OFF);
    litter(1 << 20);
    check();
}

/* ---- The dead ----------------------------------------------------------------------- */

static struct hidden dead[1000];

static __attribute__((noinline)) void make_dead(void)
{
    for (size_t i = 0; i < 1000; i++)
        dead[i] = hide(gc_malloc(i % 10 == 0 ? 40000 : 48));
}

Test(by_steps, what_was_dead_before_is_gone_after)
{
    begin();
    finish_cycle();
    make_dead();
    clear_stack();
    cr_assert(begin_cycle());
    finish_cycle();
    cr_assert_leq(count_alive(dead, 1000), 20);
    check();
}

/* It is not known to be dead. */
Test(by_steps, what_is_born_meanwhile_survives)
{
    begin();
    step_to(PHASE_AWAIT);
    make_dead();
    clear_stack();
    finish_cycle();
    cr_assert_eq(count_alive(dead, 1000), 1000);
    gc_collect();
    cr_assert_leq(count_alive(dead, 1000), 20);
    check();
}

Test(by_steps, memory_that_is_freed_meanwhile_is_used_again_at_once)
{
    char *large[20];

    begin();
    for (uint64_t cycle = 0; cycle < effort(30); cycle++) {
        step_to(cycle % 2 == 0 ? PHASE_AWAIT : PHASE_PUBLISH);
        for (unsigned round = 0; round < 3; round++) {
            for (unsigned i = 0; i < 20; i++)
                large[i] = gc_malloc(1 << 20);
            for (unsigned i = 0; i < 20; i++)
                gc_free(large[i]);
        }
        finish_cycle();
        check();
    }
    cr_assert_leq(stats().heap_peak_bytes, 100 << 20);
}

/* Their pages are moved to where the copy knows of nothing, or of something else. */
Test(by_steps, large_objects_that_move_meanwhile)
{
    enum { LARGE = 8 };
    static char *large[LARGE];

    begin();
    for (unsigned i = 0; i < LARGE; i++)
        memset(large[i] = gc_malloc_atomic(2 << 20), (int)i + 1, 2 << 20);
    for (uint64_t cycle = 0; cycle < effort(20); cycle++) {
        step_to(PHASE_AWAIT);
        for (unsigned i = 0; i < LARGE; i++)
            large[i] = gc_realloc(large[i], (2 << 20) + random_next() % (4 << 20));
        finish_cycle();
        for (unsigned i = 0; i < LARGE; i++)
            cr_assert(large[i][0] == (char)(i + 1) && large[i][(2 << 20) - 1] == (char)(i + 1));
        check();
    }
}

Test(by_steps, the_heap_grows_meanwhile)
{
    struct parcel *parcel;
    size_t chunks;

    begin();
    step_to(PHASE_AWAIT);
    chunks = gc__heap.region.accessible;
    for (size_t i = 0; i < 200000; i++) {
        parcel = gc_malloc(sizeof *parcel);
        parcel->stamp = i;
        parcel->inner = first->slot[0];
        first->slot[0] = parcel;
    }
    cr_assert_gt(gc__heap.region.accessible, chunks);
    finish_cycle();
    litter(16 << 20);
    parcel = first->slot[0];
    for (size_t i = 200000; i-- > 0; parcel = parcel->inner)
        cr_assert_eq(parcel->stamp, i);
    first->slot[0] = parcel;
    check();
}

/* ---- What is weak ---------------------------------------------------------------------- */

static gc_weak_ref *reference;
static gc_ephemeron *ephemeron;
static void *saved[2];

static __attribute__((noinline)) void make_weak(void)
{
    uint64_t *target = gc_malloc(2 * sizeof *target), *key = gc_malloc(sizeof *key), *value = gc_malloc(sizeof *value);
    uint64_t *inner = gc_malloc(sizeof *inner);

    *inner = 1;
    *value = 2;
    target[1] = (uint64_t)(uintptr_t)inner;
    reference = gc_weak_ref_new(target, GC_CLEAR_EARLY);
    ephemeron = gc_ephemeron_new(key, value);
}

static __attribute__((noinline)) void save_what_is_weak(void)
{
    saved[0] = gc_weak_ref_get(reference);
    saved[1] = gc_ephemeron_value(ephemeron);
    cr_assert(saved[0] != NULL && saved[1] != NULL);
}

/* Nothing but the reference leads to it when the copy is made. */
Test(by_steps, what_is_read_from_a_weak_reference_meanwhile_survives)
{
    begin();
    finish_cycle();
    make_weak();
    clear_stack();
    cr_assert(begin_cycle());
    step_to(PHASE_ADOPT);
    save_what_is_weak();
    finish_cycle();
    litter(1 << 20);
    cr_assert_eq(*(uint64_t *)(uintptr_t)((uint64_t *)saved[0])[1], 1);
    cr_assert_eq(*(uint64_t *)saved[1], 2);
    check();
}

/* Not in the test's own frame, where a pointer may be left. */
static __attribute__((noinline)) bool target_is_there(void)
{
    return gc_weak_ref_get(reference) != NULL;
}

Test(by_steps, what_is_weak_is_cleared_by_a_cycle_that_stops_the_world)
{
    begin();
    finish_cycle();
    make_weak();
    clear_stack();
    cr_assert(gc__snapshot_is_better(&gc__heap) || gc__heap.options.stress == 0);
    gc__heap.options.stress = 1 << 30; /* it is better whatever the pause */
    gc__heap.snapshot.row = 0;
    for (unsigned i = 1; i < GC_SNAPSHOT_ROW; i++) {
        cr_assert(gc__snapshot_is_better(&gc__heap));
        cr_assert(begin_cycle());
        finish_cycle();
        cr_assert(target_is_there());
    }
    cr_assert_not(gc__snapshot_is_better(&gc__heap));
    clear_stack();
    gc_collect();
    cr_assert_not(target_is_there());
    cr_assert_null(gc_ephemeron_key(ephemeron));
    cr_assert(gc__snapshot_is_better(&gc__heap));
}

/* Links and ephemerons that die themselves are forgotten: their memory is used again. */
static __attribute__((noinline)) void forget_weak(void)
{
    reference = NULL;
    ephemeron = NULL;
}

Test(by_steps, what_is_weak_and_dead_itself_is_forgotten)
{
    begin();
    finish_cycle();
    make_weak();
    forget_weak();
    clear_stack();
    cr_assert(begin_cycle());
    finish_cycle();
    cr_assert_eq(gc__heap.attached.links.count, 0);
    cr_assert_eq(gc__heap.attached.ephemerons.count, 0);
    litter(1 << 20);
    check();
}

static unsigned finalized;

static void finalize(void *object, void *data)
{
    const struct parcel *parcel = object;

    (void)data;
    cr_assert(is_intact(parcel));
    finalized++;
}

static __attribute__((noinline)) void make_finalizable(void)
{
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(gc_set_finalizer(new_parcel(), finalize, NULL), 0);
}

Test(by_steps, the_dead_are_finalized_with_all_that_they_lead_to)
{
    begin();
    finish_cycle();
    make_finalizable();
    clear_stack();
    cr_assert(begin_cycle());
    step_to(PHASE_AWAIT);
    litter(1 << 20);
    finish_cycle();
    litter(1 << 20);
    gc_run_finalizers(NULL, SIZE_MAX);
    cr_assert_geq(finalized, 95);
    check();
}

static struct parcel *brought_back[100];

static void bring_back(void *object, void *data)
{
    (void)data;
    brought_back[finalized++] = object;
}

static __attribute__((noinline)) void make_immortal(void)
{
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(gc_set_finalizer(new_parcel(), bring_back, NULL), 0);
}

/* The copy has found them dead, and does not know that they are called for. */
Test(by_steps, what_is_finalized_at_once_may_come_back)
{
    begin();
    finish_cycle();
    make_immortal();
    clear_stack();
    cr_assert(begin_cycle());
    step_to(PHASE_AWAIT);
    cr_assert_eq(gc_finalize_all(NULL), 100);
    finish_cycle();
    litter(1 << 20);
    for (unsigned i = 0; i < 100; i++)
        cr_assert(is_intact(brought_back[i]));
    check();
}

static bool look_at_one(const struct gc_object_info *object, void *data)
{
    (void)object, (void)data;
    return false;
}

/* Who walks through the heap sees what the copy has found dead, and may keep it. */
Test(by_steps, a_walk_through_the_heap_spoils_the_cycle)
{
    uint64_t before;

    begin();
    finish_cycle();
    before = stats().concurrent_collections;
    cr_assert(begin_cycle());
    step_to(PHASE_AWAIT);
    gc_for_each_object(look_at_one, NULL);
    finish_cycle();
    cr_assert_eq(stats().concurrent_collections, before);
    cr_assert_not(gc__snapshot_is_better(&gc__heap)); /* the next stops the world */
    cr_assert_eq(gc__heap.snapshot.failures, 0);
    check();
}

enum { TABLE_WORDS = 1 << 16 };

static void *table[TABLE_WORDS]; /* of a size that is watched in other cycles */

Test(by_steps, no_page_is_watched)
{
    begin();
    do
        table[random_next() % TABLE_WORDS] = new_parcel();
    while (step());
    cr_assert_not(gc__heap.minor.tracked);
    cr_assert_not(gc__heap.concurrent.marks_stand);
    cr_assert_eq(gc__heap.concurrent.roots.settled.count, 0);
    cr_assert_eq(gc__heap.concurrent.roots.written, 0);
    litter(1 << 20);
    for (size_t i = 0; i < TABLE_WORDS; i++)
        cr_assert(table[i] == NULL || is_intact(table[i]));
    check();
}

/* ---- The second mark --------------------------------------------------------------------- */

/* Nothing in the heap points at it, so no edge tells of its loss. */
static void *volatile held;

static void lose(void)
{
    size_t granule;

    gc__heap.background.started = true;
    gc__heap.options.stress = 1 << 30;
    held = gc_malloc(48);
    granule = ((uintptr_t)held - gc__heap.region.base) >> GC_GRANULE_SHIFT;
    step_to(PHASE_ADOPT);
    gc__heap.snapshot.dead[granule / GC_WORD_BITS] |= (uint64_t)1 << granule % GC_WORD_BITS;
    finish_cycle();
}

Test(by_steps, the_second_mark_finds_what_the_copy_has_lost)
{
    struct child child;

    be_the_collector_of_copies();
    build();
    child = child_run(lose);
    cr_assert(child_wrote(&child, "can be reached, and the snapshot cycle did not mark it"), "%s", child.text);
}
