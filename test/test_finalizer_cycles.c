/* test_finalizer_cycles.c - objects with ordered finalizers that lead to themselves. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/finalizable.h"

#include <string.h>

TestSuite(finalizers, .init = prepare);
TestSuite(finalizers_undisturbed, .init = prepare_undisturbed);

/* ---- What is no cycle ---------------------------------------------------------------------- */

/* By their own words, which is no cycle: to their start, or into them. */
Test(finalizers, of_what_points_at_itself)
{
    for (size_t i = 0; i < MANY; i++) {
        struct node *node = new_node(i, NULL);

        node->next = i % 2 == 0 ? node : (struct node *)&node->sum;
        set(node, note, NULL, GC_FINALIZE_ORDERED);
    }
    collect_and_run();
    check_nearly(runs, MANY);
}

static size_t ended;

static void count_end(void *object, void *data)
{
    (void)object, (void)data;
    ended++;
}

/* What lies in them are no pointers. */
Test(finalizers_undisturbed, of_atomic_objects_that_look_like_a_cycle)
{
    static const struct gc_kind_options nothing = {.tracing = GC_TRACE_NOTHING, .bytes = 64};
    gc_kind *kind = gc_kind_new(&nothing, sizeof nothing);

    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *one = i % 2 == 0 ? gc_malloc_atomic(64) : gc_new(kind), *other = gc_malloc_atomic(50000);

        *one = (uintptr_t)other;
        *other = (uintptr_t)one;
        set(one, count_end, NULL, GC_FINALIZE_ORDERED);
        set(other, count_end, NULL, GC_FINALIZE_ORDERED);
    }
    collect_with_clear_stack();
    check_nearly(gc_run_finalizers(queue, SIZE_MAX), 2 * MANY);
    check_nearly(ended, 2 * MANY);
}

/* ---- Cycles -------------------------------------------------------------------------------- */

static size_t reports;

static void break_cycle(void *object)
{
    struct node *node = object;

    cr_assert_eq(node->sum, ~node->number);
    node->next = NULL;
    reports++;
}

static __attribute__((noinline)) void make_rings(size_t count, size_t nodes)
{
    for (size_t i = 0; i < count; i++) {
        struct node *last = new_node(i * nodes, NULL), *node = last;

        set(last, note, NULL, GC_FINALIZE_ORDERED);
        for (size_t j = 1; j < nodes; j++) {
            node = new_node(i * nodes + j, node);
            set(node, note, NULL, GC_FINALIZE_ORDERED);
        }
        last->next = node;
    }
}

Test(finalizers, in_cycles_are_reported_once)
{
    gc_set_finalizer_cycle_report(break_cycle);
    make_rings(100, 2);
    collect_and_run();
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(reports, 100);
    for (size_t i = 0; i < 5; i++)
        collect_and_run();
    check_nearly(runs, 200); /* they were broken */
    cr_assert_leq(reports, 100);
}

/* The head of a ring of objects that have none. */
Test(finalizers, in_cycles_of_one_are_reported_too)
{
    gc_set_finalizer_cycle_report(break_cycle);
    for (size_t i = 0; i < MANY; i++) {
        struct node *head = new_node(i, new_node(i, NULL));

        head->next->next = head;
        set(head, note, NULL, GC_FINALIZE_ORDERED);
    }
    for (size_t i = 0; i < 3; i++)
        collect_and_run();
    check_nearly(reports, MANY);
    check_nearly(runs, MANY);
}

/* What a cycle leads to waits for it, and another cycle there is told of when the first
 * is gone. */
Test(finalizers, below_cycles_wait_for_them)
{
    gc_set_finalizer_cycle_report(break_cycle);
    for (size_t i = 0; i < MANY; i += 4) {
        struct node *p = new_node(i, NULL), *q = new_node(i + 1, p), *y = new_node(i + 2, NULL),
                    *z = new_node(i + 3, y);
        struct node **fan = gc_malloc(2 * sizeof *fan);

        fan[0] = q;
        fan[1] = y;
        p->next = (struct node *)fan;
        y->next = z;
        set(p, note, NULL, GC_FINALIZE_ORDERED);
        set(q, note, NULL, GC_FINALIZE_ORDERED);
        set(y, note, NULL, GC_FINALIZE_ORDERED);
        set(z, note, NULL, GC_FINALIZE_ORDERED);
    }
    clear_stack();
    gc_collect();
    gc_run_finalizers(queue, SIZE_MAX);
    cr_assert_leq(reports, MANY / 4 + 1, "%zu: of one in each", reports);
    for (size_t i = 0; i < 12; i++)
        collect_and_run();
    check_nearly(reports, MANY / 2);
    check_nearly(runs, MANY);
}

static struct hidden suspect[MANY];
static size_t stray_reports;

static void check_report(void *object)
{
    for (size_t i = 0; i < MANY; i++)
        if (reveal(suspect[i]) == object) {
            reports++;
            return;
        }
    stray_reports++;
}

/* Until a report of each first one is waiting. */
static __attribute__((noinline)) void make_suspects(void)
{
    for (size_t i = 0; i < MANY; i++) {
        struct node *first = new_node(i, NULL), *second = new_node(i, first);

        first->next = second;
        set(first, note, NULL, GC_FINALIZE_ORDERED);
        set(second, note, NULL, GC_FINALIZE_ORDERED);
        suspect[i] = hide(first);
    }
}

Test(finalizers_undisturbed, in_cycles_that_are_freed_are_not_reported)
{
    gc_set_finalizer_cycle_report(check_report);
    make_suspects();
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++) {
        void *freed = reveal(suspect[i]);

        gc_free(freed);
        set(new_node(i, NULL), note, NULL, GC_FINALIZE_ORDERED); /* in its place */
    }
    gc_run_finalizers(queue, SIZE_MAX);
    cr_assert_eq(reports + stray_reports, 0);
}

Test(finalizers_undisturbed, in_cycles_that_move_are_reported_where_they_are)
{
    gc_set_finalizer_cycle_report(check_report);
    make_suspects();
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        suspect[i] = hide(gc_realloc(reveal(suspect[i]), 100 + i % 3 * 70000));
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(reports, MANY);
    cr_assert_eq(stray_reports, 0);
}

static unsigned reports_of[MANY * 4];

static void count_report(void *object)
{
    const struct node *node = object;

    reports_of[node->number]++;
}

/* Nobody breaks them. What dies meanwhile changes the order in which the objects are come
 * to. */
Test(finalizers, in_cycles_are_reported_once_whatever_dies)
{
    gc_set_finalizer_cycle_report(count_report);
    make_dead(2 * MANY, MANY, GC_FINALIZE_ORDERED);
    make_rings(MANY, 2);
    for (size_t i = 0; i < 5; i++)
        collect_and_run();
    check_nearly(runs, MANY);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_leq(reports_of[2 * i] + reports_of[2 * i + 1], 1);
}

/* So that a runtime that asks first comes to know of them. */
Test(finalizers_undisturbed, in_cycles_that_are_not_reported_yet_count_as_ready)
{
    gc_set_finalizer_cycle_report(break_cycle);
    make_rings(100, 2);
    collect_with_clear_stack();
    check_nearly(gc_finalizers_ready(queue), 100);
    gc_run_finalizers(queue, SIZE_MAX);
    check_nearly(reports, 100);
    cr_assert_eq(gc_finalizers_ready(queue), 0);
}

Test(finalizers_undisturbed, in_cycles_that_are_broken_are_run_at_once)
{
    gc_set_finalizer_cycle_report(break_cycle);
    make_rings(100, 2);
    clear_stack();
    check_nearly(gc_collect_and_finalize(queue), 200);
}

Test(finalizers, in_longer_cycles_too)
{
    gc_set_finalizer_cycle_report(break_cycle);
    make_rings(50, 4);
    for (size_t i = 0; i < 10; i++) {
        collect_and_run();
        gc_run_finalizers(queue, SIZE_MAX);
    }
    check_nearly(runs, 200);
}

static void leave_a_cycle(void)
{
    prepare();
    make_rings(20, 2);
    for (size_t i = 0; i < 3; i++)
        collect_and_run();
}

Test(finalizers, in_cycles_are_told_on_stderr, .init = NULL)
{
    struct child child = child_run(leave_a_cycle);

    cr_assert(child_returned(&child));
    cr_assert(child_wrote(&child, "has an ordered finalizer and leads to itself"), "%s", child.text);
    cr_assert_eq(strchr(child.text, '\n'), strrchr(child.text, '\n'), "once: %s", child.text);
}
