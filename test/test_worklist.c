#include "gc/base/tunables.h"
#include "gc/mark/worklist.h"
#include "gc/platform/platform.h"

#include <criterion/criterion.h>

static uintptr_t pop(struct worklist *worklist)
{
    return *--worklist->top;
}

#define STEP_ENTRIES (GC_MARK_STACK_STEP_BYTES / sizeof(uintptr_t))

static struct worklist list;

/* Over reserved memory of `bytes` bytes; what lies behind is not accessible. */
static void make_list(size_t bytes)
{
    void *memory = gc__os_reserve((size_t)1 << 20, gc__os_page_bytes(), 0);

    cr_assert_not_null(memory);
    gc__worklist_init(&list, memory, bytes);
}

static size_t fill(void)
{
    size_t count = 0;

    while (gc__worklist_push(&list, count + 1000))
        count++;
    return count;
}

Test(worklist, starts_empty_and_without_memory)
{
    make_list(4 * GC_MARK_STACK_STEP_BYTES);
    cr_assert(gc__worklist_is_empty(&list));
    cr_assert_eq(gc__worklist_metadata_bytes(&list), 0);
}

Test(worklist, gives_the_youngest_first)
{
    make_list(4 * GC_MARK_STACK_STEP_BYTES);
    for (uintptr_t i = 0; i < 100; i++)
        cr_assert(gc__worklist_push(&list, i));
    for (uintptr_t i = 100; i-- > 0;) {
        cr_assert_not(gc__worklist_is_empty(&list));
        cr_assert_eq(pop(&list), i);
    }
    cr_assert(gc__worklist_is_empty(&list));
}

Test(worklist, grows_step_by_step)
{
    make_list(4 * GC_MARK_STACK_STEP_BYTES);
    cr_assert(gc__worklist_push(&list, 1));
    cr_assert_eq(gc__worklist_metadata_bytes(&list), GC_MARK_STACK_STEP_BYTES);
    for (size_t i = 1; i < STEP_ENTRIES; i++)
        cr_assert(gc__worklist_push(&list, i));
    cr_assert_eq(gc__worklist_metadata_bytes(&list), GC_MARK_STACK_STEP_BYTES);
    cr_assert(gc__worklist_push(&list, 1));
    cr_assert_eq(gc__worklist_metadata_bytes(&list), 2 * GC_MARK_STACK_STEP_BYTES);
}

Test(worklist, refuses_at_its_limit_and_keeps_what_it_has)
{
    make_list(3 * GC_MARK_STACK_STEP_BYTES);
    cr_assert_eq(fill(), 3 * STEP_ENTRIES);
    cr_assert_not(gc__worklist_push(&list, 1));
    for (size_t i = 3 * STEP_ENTRIES; i-- > 0;)
        if (pop(&list) != i + 1000)
            cr_assert_fail("entry %zu", i);
    cr_assert(gc__worklist_is_empty(&list));
    cr_assert(gc__worklist_push(&list, 1));
}

Test(worklist, has_room_again_after_a_refusal)
{
    make_list(GC_MARK_STACK_STEP_BYTES);
    fill();
    cr_assert_eq(pop(&list), STEP_ENTRIES - 1 + 1000);
    cr_assert(gc__worklist_push(&list, 7));
    cr_assert_not(gc__worklist_push(&list, 8));
    cr_assert_eq(pop(&list), 7);
}

Test(worklist, may_be_smaller_than_a_step)
{
    static const size_t entries[] = {0, 1, 7, 100, STEP_ENTRIES - 1};

    for (unsigned i = 0; i < 5; i++) {
        make_list(entries[i] * sizeof(uintptr_t));
        cr_assert_eq(fill(), entries[i]);
    }
}

Test(worklist, need_not_be_a_number_of_steps)
{
    make_list(GC_MARK_STACK_STEP_BYTES + 8 * sizeof(uintptr_t));
    cr_assert_eq(fill(), STEP_ENTRIES + 8);
}

Test(worklist, trimmed_gives_back_all_but_a_step)
{
    make_list(4 * GC_MARK_STACK_STEP_BYTES);
    fill();
    while (!gc__worklist_is_empty(&list))
        pop(&list);
    gc__worklist_trim(&list);
    cr_assert_eq(gc__worklist_metadata_bytes(&list), GC_MARK_STACK_STEP_BYTES);
    cr_assert_eq(list.base[STEP_ENTRIES - 1], STEP_ENTRIES - 1 + 1000, "the first step stays");
    cr_assert_eq(list.base[STEP_ENTRIES], 0, "the rest went back");
    cr_assert_eq(fill(), 4 * STEP_ENTRIES);
}

Test(worklist, trimmed_when_small_stays_as_it_is)
{
    make_list(4 * GC_MARK_STACK_STEP_BYTES);
    gc__worklist_trim(&list);
    cr_assert_eq(gc__worklist_metadata_bytes(&list), 0);
    cr_assert(gc__worklist_push(&list, 1));
    pop(&list);
    gc__worklist_trim(&list);
    cr_assert_eq(gc__worklist_metadata_bytes(&list), GC_MARK_STACK_STEP_BYTES);

    make_list(64);
    fill();
    while (!gc__worklist_is_empty(&list))
        pop(&list);
    gc__worklist_trim(&list);
    cr_assert_eq(fill(), 8);
}
