/* test_weak.c - weak links and weak references: what they keep, and when they are
 * cleared. */
#include "test/nearly.h"
#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { MANY = 400 };

/* Words that are no roots. */
static void **links;

static void prepare(void)
{
    make_roots();
    links = calloc(ROOTS, sizeof *links);
}

static uintptr_t *new_object(size_t number)
{
    uintptr_t *object = gc_malloc(number % 7 == 0 ? 70000 : 16 + number % 5 * 16);

    *object = number;
    return object;
}

static void hold(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        root_words()[i] = (uintptr_t)new_object(i);
}

static size_t count_links(size_t first, size_t count)
{
    size_t set = 0;

    for (size_t i = first; i < first + count; i++)
        set += links[i] != NULL;
    return set;
}

static __attribute__((noinline)) void link_objects(size_t first, size_t count, enum gc_clear clear)
{
    hold(first, count);
    for (size_t i = first; i < first + count; i++)
        cr_assert_eq(gc_weak_link(&links[i], (void *)root_words()[i], clear), 0);
}

TestSuite(weak, .init = prepare);

/* ---- Links -------------------------------------------------------------------------- */

Test(weak, links_are_cleared_when_their_objects_die)
{
    link_objects(0, MANY, GC_CLEAR_EARLY);
    link_objects(MANY, MANY, GC_CLEAR_LATE);
    collect_with_clear_stack();
    for (size_t i = 0; i < 2 * MANY; i++)
        cr_assert(links[i] == (void *)root_words()[i] && *(uintptr_t *)links[i] == i);
    for (size_t i = 0; i < 2 * MANY; i += 2)
        root_words()[i] = 0;
    collect_with_clear_stack();
    for (size_t i = 1; i < 2 * MANY; i += 2)
        cr_assert_eq(*(uintptr_t *)links[i], i);
    check_nearly(2 * MANY - count_links(0, 2 * MANY), MANY);
}

Test(weak, links_do_not_keep)
{
    struct hidden object[MANY];

    link_objects(0, MANY, GC_CLEAR_LATE);
    for (size_t i = 0; i < MANY; i++)
        object[i] = hide(links[i]);
    drop_roots();
    collect_with_clear_stack();
    check_nearly(MANY - count_alive(object, MANY), MANY);
}

Test(weak, links_end_when_they_are_told_to)
{
    link_objects(0, MANY, GC_CLEAR_EARLY);
    for (size_t i = 0; i < MANY; i++) {
        gc_weak_unlink(&links[i]);
        cr_assert_null(links[i]);
        links[i] = (void *)(uintptr_t)~root_words()[i];
    }
    drop_roots();
    collect_with_clear_stack();
    cr_assert_eq(count_links(0, MANY), MANY);
}

Test(weak, links_that_were_overwritten_are_left_alone)
{
    link_objects(0, MANY, GC_CLEAR_EARLY);
    for (size_t i = 0; i < MANY; i++)
        links[i] = (void *)(i + 1);
    drop_roots();
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq((size_t)links[i], i + 1);
}

Test(weak, links_may_be_given_another_object)
{
    link_objects(0, MANY, GC_CLEAR_EARLY);
    hold(MANY, MANY);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_weak_link(&links[i], (void *)root_words()[MANY + i], GC_CLEAR_EARLY), 0);
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = 0;
    collect_with_clear_stack();
    cr_assert_eq(count_links(0, MANY), MANY);
    drop_roots();
    collect_with_clear_stack();
    check_nearly(MANY - count_links(0, MANY), MANY);
}

Test(weak, many_links_to_one_object)
{
    hold(0, 1);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_weak_link(&links[i], (void *)root_words()[0], i % 2), 0);
    collect_with_clear_stack();
    cr_assert_eq(count_links(0, MANY), MANY);
    gc_free((void *)root_words()[0]);
    cr_assert_eq(count_links(0, MANY), 0);
}

Test(weak, links_follow_an_object_that_is_resized)
{
    link_objects(0, MANY, GC_CLEAR_EARLY);
    for (size_t i = 0; i < MANY; i++) {
        root_words()[i] = (uintptr_t)gc_realloc((void *)root_words()[i], i % 10 == 0 ? 3 << 20 : 500);
        cr_assert_eq(links[i], (void *)root_words()[i]);
        if (i % 10 == 0)
            root_words()[i] = (uintptr_t)gc_realloc((void *)root_words()[i], 100);
    }
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        cr_assert(links[i] == (void *)root_words()[i] && *(uintptr_t *)links[i] == i);
    drop_roots();
    collect_with_clear_stack();
    check_nearly(MANY - count_links(0, MANY), MANY);
}

Test(weak, links_to_constants_stay)
{
    static int constant;

    cr_assert_eq(gc_weak_link(&links[0], &constant, GC_CLEAR_EARLY), 0);
    cr_assert_eq(gc_weak_link(&links[1], NULL, GC_CLEAR_EARLY), 0);
    gc_collect();
    cr_assert(links[0] == &constant && links[1] == NULL);
    cr_assert(gc_weak_link(&links[1], &constant, 2) == EINVAL && links[1] == NULL);
    cr_assert(gc_weak_ref_new(&constant, 2) == NULL && errno == EINVAL);
}

/* The object that a link lies in dies, and its memory is another's. */
Test(weak, links_die_with_the_object_they_lie_in)
{
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < MANY; i++) {
            void **holder = gc_malloc_atomic(32);

            root_words()[i] = (uintptr_t)new_object(i);
            cr_assert_eq(gc_weak_link(&holder[1], (void *)root_words()[i], GC_CLEAR_EARLY), 0);
            cr_assert_eq(gc_weak_link(&holder[2], (void *)root_words()[i], GC_CLEAR_LATE), 0);
        }
        collect_with_clear_stack();
        for (size_t i = 0; i < 2 * MANY; i++) {
            uintptr_t *reused = gc_malloc_atomic(32);

            reused[1] = reused[2] = 77;
            root_words()[MANY + i] = (uintptr_t)reused;
        }
        collect_with_clear_stack();
        for (size_t i = 0; i < 2 * MANY; i++)
            cr_assert(((uintptr_t *)root_words()[MANY + i])[1] == 77 && ((uintptr_t *)root_words()[MANY + i])[2] == 77);
    }
    cr_assert_lt(stats_now().metadata_bytes, 30 << 20);
}

/* What was a link is an ordinary pointer of the next object at the same place, and even
 * points to the same object, which is freed: that is no business of the link's. */
static void check_reuse_of(size_t bytes)
{
    uintptr_t *holder[MANY];

    hold(0, 1);
    for (size_t i = 0; i < MANY; i++) {
        holder[i] = gc_malloc_atomic(bytes);
        for (size_t word = 0; word < bytes / sizeof(void *); word += 3)
            cr_assert_eq(gc_weak_link((void **)&holder[i][word], (void *)root_words()[0], GC_CLEAR_EARLY), 0);
        gc_free(holder[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        holder[i] = gc_malloc_atomic(bytes);
        for (size_t word = 0; word < bytes / sizeof(void *); word++)
            holder[i][word] = root_words()[0];
    }
    gc_free((void *)root_words()[0]);
    for (size_t i = 0; i < MANY; i++)
        for (size_t word = 0; word < bytes / sizeof(void *); word++)
            cr_assert_eq(holder[i][word], root_words()[0]);
}

Test(weak, links_end_when_the_object_they_lie_in_is_freed)
{
    check_reuse_of(32);
    check_reuse_of(4000);
    check_reuse_of(70000);
}

/* ---- Links and finalizers ------------------------------------------------------------- */

static size_t early, late, finalized;

static void look(void *object, void *data)
{
    size_t number = *(uintptr_t *)object;

    early += links[2 * number] != NULL;
    late += links[2 * number + 1] == object;
    finalized++;
    if (data != NULL)
        root_words()[number] = (uintptr_t)object;
}

static __attribute__((noinline)) void make_finalizable(void *data)
{
    for (size_t i = 0; i < MANY; i++) {
        void *object = new_object(i);

        cr_assert_eq(gc_weak_link(&links[2 * i], object, GC_CLEAR_EARLY), 0);
        cr_assert_eq(gc_weak_link(&links[2 * i + 1], object, GC_CLEAR_LATE), 0);
        cr_assert_eq(gc_set_finalizer_in(NULL, object, look, data, i % 2), 0);
    }
}

Test(weak, links_are_cleared_before_or_after_finalizers)
{
    gc_set_finalizer_mode(NULL, GC_FINALIZE_ON_DEMAND);
    make_finalizable(NULL);
    clear_stack();
    gc_collect_and_finalize(NULL);
    check_nearly(finalized, MANY);
    cr_assert_eq(early, 0);
    cr_assert_eq(late, finalized);
    collect_with_clear_stack();
    check_nearly(2 * MANY - count_links(0, 2 * MANY), 2 * MANY);
}

Test(weak, late_links_know_what_a_finalizer_brought_back)
{
    gc_set_finalizer_mode(NULL, GC_FINALIZE_ON_DEMAND);
    make_finalizable(links);
    clear_stack();
    gc_collect_and_finalize(NULL);
    check_nearly(finalized, MANY);
    for (size_t i = 0; i < MANY; i++)
        if (root_words()[i] != 0)
            cr_assert_eq(links[2 * i + 1], (void *)root_words()[i]);
    drop_roots();
    collect_with_clear_stack();
    check_nearly(2 * MANY - count_links(0, 2 * MANY), 2 * MANY);
}

/* ---- References -------------------------------------------------------------------------- */

Test(weak, references_lose_their_objects)
{
    size_t left = 0;

    hold(0, MANY);
    for (size_t i = 0; i < MANY; i++)
        root_words()[MANY + i] = (uintptr_t)gc_weak_ref_new((void *)root_words()[i], i % 2);
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(gc_weak_ref_get((void *)root_words()[MANY + i]), (void *)root_words()[i]);
    for (size_t i = 0; i < MANY; i++)
        root_words()[i] = 0;
    collect_with_clear_stack();
    for (size_t i = 0; i < MANY; i++)
        left += gc_weak_ref_get((void *)root_words()[MANY + i]) != NULL;
    check_nearly(MANY - left, MANY);
}

static __attribute__((noinline)) void make_garbage_references(size_t count)
{
    root_words()[0] = (uintptr_t)new_object(1);
    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(gc_weak_ref_new((void *)root_words()[0], GC_CLEAR_EARLY));
}

Test(weak, references_that_die_are_forgotten)
{
    uint64_t before;

    make_garbage_references(effort(100000));
    gc_collect();
    before = stats_now().metadata_bytes;
    for (size_t i = 0; i < 10; i++) {
        make_garbage_references(effort(100000));
        gc_collect();
    }
    cr_assert_leq(stats_now().metadata_bytes, before + (8 << 20));
}

/* Half of them die while the object lives: in a step each, not one through all that it
 * has. */
static __attribute__((noinline)) void refer_to_one(void **kept, size_t count)
{
    hold(0, 1);
    for (size_t i = 0; i < count; i++) {
        gc_weak_ref *ref = gc_weak_ref_new((void *)root_words()[0], GC_CLEAR_EARLY);
        void *ephemeron = gc_ephemeron_new((void *)root_words()[0], ref);

        cr_assert(ref != NULL && ephemeron != NULL);
        if (i % 2 == 0)
            kept[i / 2] = ephemeron;
    }
}

Test(weak, a_million_references_to_one_object, .init = NULL)
{
    size_t count = effort(1000000);
    void **kept;

    without_stress();
    prepare();
    kept = gc_calloc(count / 2 + 1, sizeof *kept);
    root_words()[1] = (uintptr_t)kept;
    refer_to_one(kept, count);
    collect_with_clear_stack();
    for (size_t i = 0; i < count / 2; i++)
        cr_assert_eq(gc_weak_ref_get(gc_ephemeron_value(kept[i])), (void *)root_words()[0]);
    gc_free((void *)root_words()[0]);
    for (size_t i = 0; i < count / 2; i++)
        cr_assert_null(gc_ephemeron_key(kept[i]));
}

Test(weak, a_million_links_to_one_object_end_in_any_order, .init = NULL)
{
    size_t count = effort(1000000);
    void **link;

    without_stress();
    prepare();
    link = calloc(count, sizeof *link);
    hold(0, 1);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(gc_weak_link(&link[i], (void *)root_words()[0], GC_CLEAR_EARLY), 0);
    for (size_t i = 0; i < count / 2; i++)
        gc_weak_unlink(&link[i]);
    for (size_t i = count / 2; i < count; i++)
        cr_assert_eq(gc_weak_link(&link[i], (void *)root_words()[0], GC_CLEAR_LATE), 0);
    collect_with_clear_stack();
    cr_assert(link[0] == NULL && link[count - 1] == (void *)root_words()[0]);
    free(link);
}

/* ---- Threads ----------------------------------------------------------------------------------- */

static atomic_bool stop;

/* Whatever is read through a weak reference is whole. */
static void *read_references(void *argument)
{
    gc_weak_ref **ref = argument;

    while (!stop)
        for (size_t i = 0; i < 64; i++) {
            const uintptr_t *object = gc_weak_ref_get(ref[i]);

            if (object != NULL)
                cr_assert(object[0] == ~object[1], "read a dead object");
        }
    return NULL;
}

Test(weak, references_are_read_by_many_threads)
{
    gc_weak_ref **ref = gc_calloc(64, sizeof *ref);
    pthread_t reader[3];

    root_words()[0] = (uintptr_t)ref;
    for (size_t round = 0; round < effort(100); round++) {
        for (size_t i = 0; i < 64; i++) {
            uintptr_t *object = gc_malloc(16);

            object[0] = i;
            object[1] = ~i;
            ref[i] = gc_weak_ref_new(object, GC_CLEAR_EARLY);
        }
        for (size_t i = 0; round == 0 && i < 3; i++)
            cr_assert(pthread_create(&reader[i], NULL, read_references, ref) == 0);
        for (size_t i = 0; i < 5000; i++)
            memset(gc_malloc(16), 0x11, 16);
    }
    stop = true;
    for (size_t i = 0; i < 3; i++)
        pthread_join(reader[i], NULL);
}

static void *make_and_drop(void *unused)
{
    void **own = calloc(1, sizeof *own);

    (void)unused;
    for (size_t i = 0; i < effort(20000); i++) {
        uintptr_t *object = gc_malloc(16), *value = gc_malloc(16);
        gc_ephemeron *ephemeron = gc_ephemeron_new(object, value);

        *value = i;
        if (gc_weak_link(own, object, i % 2) != 0 || *own != object || gc_ephemeron_value(ephemeron) != value)
            abort();
        if (i % 3 == 0)
            gc_free(object);
        if ((i % 3 == 0) != (*own == NULL))
            abort();
        __asm__ volatile("" : : "r"(object) : "memory");
    }
    gc_weak_unlink(own);
    free(own);
    return NULL;
}

Test(weak, links_and_ephemerons_of_many_threads)
{
    pthread_t thread[6];

    for (size_t i = 0; i < 6; i++)
        cr_assert(pthread_create(&thread[i], NULL, make_and_drop, NULL) == 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(thread[i], NULL);
}
