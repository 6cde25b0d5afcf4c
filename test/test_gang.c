/* test_gang.c - several markers mark what one marks, whatever they have to
 * share and however little room there is for it. */
#include "gc/mark/gang.h"
#include "test/built_heap.h"
#include "test/effort.h"
#include "test/random.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_MARKERS 8

static struct region *const region = &built.region;
static struct gang gang;

static void build_heap_and_gang(void)
{
    build_heap_of(256);
    gc__gang_init(&gang, region, 0);
}

static size_t words_of_bits(void)
{
    return region->accessible << (GC_CHUNK_SHIFT - GC_GRANULE_SHIFT - 6);
}

static void whiten(void)
{
    for (size_t i = 0; i < words_of_bits(); i++)
        region->bits[i].mark = 0;
}

/* Room for so many entries in each marker's worklist. */
static void allow_entries(size_t entries)
{
    for (unsigned i = 0; i < gang.markers; i++) {
        char *memory = region->mark_stack + i * gc__os_page_bytes();

        gc__worklist_init(&gang.marker[i].worklist, memory, entries * sizeof(uintptr_t));
    }
    gang.shares = 0; /* to be shared out again */
}

static void check_nothing_is_left(void)
{
    for (unsigned i = 0; i < gang.markers; i++) {
        const struct marker *marker = &gang.marker[i];

        cr_assert(gc__worklist_is_empty(&marker->worklist));
        cr_assert_eq(marker->edges_in, marker->edges_out);
        cr_assert_eq(marker->objects, 0);
    }
    cr_assert_not(gc__gang_leader(&gang)->overflowed);
    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        cr_assert_not(region->blocks[unit].rescan);
}

#define ROOMY SIZE_MAX

/* A cycle from one root. */
static void mark_with(unsigned markers, const void *root, size_t entries)
{
    uintptr_t word = (uintptr_t)root;

    whiten();
    gc__gang_assemble(&gang, markers);
    cr_assert_eq(gang.markers, markers);
    if (entries != ROOMY)
        allow_entries(entries);
    gc__gang_begin(&gang);
    gc__marker_scan_roots(gc__gang_leader(&gang), (struct gc__range){(uintptr_t)&word, (uintptr_t)(&word + 1)},
                          PAST_END_IGNORED);
    gc__gang_drain(&gang);
    check_nothing_is_left();
    gc__gang_trim(&gang);
}

static size_t count_marks(void)
{
    size_t count = 0;

    for (size_t i = 0; i < words_of_bits(); i++)
        count += gc__count_bits(region->bits[i].mark);
    return count;
}

/* One marker says what is reachable; all others must say the same. */
static void compare(const void *root, size_t expected, size_t entries)
{
    size_t words = words_of_bits();
    uint64_t *marks = malloc(words * sizeof *marks);

    mark_with(1, root, ROOMY);
    cr_assert_eq(count_marks(), expected, "%zu of %zu are marked", count_marks(), expected);
    for (size_t i = 0; i < words; i++)
        marks[i] = region->bits[i].mark;
    for (unsigned markers = 1; markers <= MOST_MARKERS; markers++) {
        mark_with(markers, root, entries);
        for (size_t i = 0; i < words; i++)
            if (region->bits[i].mark != marks[i])
                cr_assert_fail("%u markers: the marks from granule %zu differ", markers, i * 64);
    }
    free(marks);
}

/* ---- Graphs ---------------------------------------------------------------------------- */

static size_t nodes_of_graph(void)
{
    return effort(40000);
}

static size_t random_size(void)
{
    if (random_once_in(500))
        return random_between(GC_SMALL_MAX_BYTES + 1, 60 * GC_PAGE_BYTES);
    return random_between(16, random_once_in(20) ? 1000 : 100);
}

/* All nodes can be reached from the first, most of them on many ways, by
 * pointers to any byte; `pieces` are there besides, which cannot. */
static void *build_graph(size_t *reachable)
{
    size_t count = nodes_of_graph();
    char **node = malloc(count * sizeof *node);
    size_t *bytes = malloc(count * sizeof *bytes);
    void *root;

    for (size_t i = 0; i < count; i++) {
        bytes[i] = random_size();
        node[i] = build_object(GC_KIND_CONSERVATIVE, bytes[i]);
        build_cell(GC_KIND_CONSERVATIVE, 32);
    }
    for (size_t i = 1; i < count; i++) /* a tree: each from one before it, while that has room */
        for (size_t from = random_below(i);; from = random_below(i)) {
            uintptr_t *slot = (uintptr_t *)node[from] + random_below(bytes[from] / 8);
            if (*slot == 0) {
                *slot = (uintptr_t)node[i] + random_below(bytes[i]);
                break;
            }
        }
    for (size_t i = 0; i < count; i++) {
        uintptr_t *slot = (uintptr_t *)node[i] + random_below(bytes[i] / 8);
        size_t to = random_below(count);
        if (*slot == 0)
            *slot = (uintptr_t)node[to] + random_below(bytes[to]);
    }
    *reachable = count;
    root = node[0];
    free(node);
    free(bytes);
    return root;
}

static void *build_tree(unsigned depth)
{
    void **node = build_cell(depth % 2 == 0 ? GC_KIND_CONSERVATIVE : GC_KIND_UNCOLLECTABLE, 32);

    if (depth > 0) {
        node[0] = build_tree(depth - 1);
        node[3] = build_tree(depth - 1);
    }
    return node;
}

static void *build_list(size_t length)
{
    void **list = NULL;

    for (size_t i = 0; i < length; i++) {
        void **node = build_cell(GC_KIND_CONSERVATIVE, 32);

        node[0] = list;
        node[1] = build_cell(GC_KIND_ATOMIC, 16);
        list = node;
    }
    return list;
}

/* A large object, each word of which leads to an object of its own. */
static void *build_array(size_t pages, enum gc__kind kind)
{
    void **array = build_large(GC_KIND_CONSERVATIVE, pages);

    for (size_t i = 0; i < pages * GC_PAGE_BYTES / sizeof *array; i++)
        array[i] = build_cell(kind, 16);
    return array;
}

static size_t objects_of_array(size_t pages)
{
    return pages * GC_PAGE_BYTES / sizeof(void *) + 1;
}

TestSuite(gang, .init = build_heap_and_gang, .fini = drop_marked_heap);

Test(gang, marks_random_graphs_as_one_does)
{
    size_t count;
    void *root;

    random_begin("graphs");
    root = build_graph(&count);
    compare(root, count, ROOMY);
}

Test(gang, marks_random_graphs_with_little_room)
{
    static const size_t entries[] = {0, 1, 7, 64, 500};
    size_t count;
    void *root;

    random_begin("little_room");
    root = build_graph(&count);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        compare(root, count, entries[i]);
}

Test(gang, marks_trees)
{
    compare(build_tree(15), ((size_t)1 << 16) - 1, ROOMY);
}

Test(gang, marks_trees_with_little_room)
{
    void *root = build_tree(12);

    compare(root, ((size_t)1 << 13) - 1, 3);
    compare(root, ((size_t)1 << 13) - 1, 20);
}

Test(gang, marks_lists)
{
    compare(build_list(50000), 100000, ROOMY);
}

Test(gang, marks_wide_arrays)
{
    compare(build_array(300, GC_KIND_CONSERVATIVE), objects_of_array(300), ROOMY);
}

Test(gang, marks_wide_arrays_of_objects_without_pointers)
{
    compare(build_array(300, GC_KIND_ATOMIC), objects_of_array(300), ROOMY);
}

Test(gang, marks_wide_arrays_with_little_room)
{
    void *root = build_array(50, GC_KIND_CONSERVATIVE);

    compare(root, objects_of_array(50), 0);
    compare(root, objects_of_array(50), 1);
    compare(root, objects_of_array(50), 30);
}

/* ---- What is shared ------------------------------------------------------------------------- */

#define PARTS 1000

static unsigned char done[PARTS];

static void note_part(size_t part, void *times)
{
    done[part]++;
    for (size_t i = 0; i < *(const size_t *)times; i++)
        gc__os_relax();
}

/* With parts that take no time, and such that helpers come for. */
Test(gang, does_each_part_of_what_is_shared_once)
{
    for (unsigned markers = 1; markers <= MOST_MARKERS; markers += markers == 1 ? 1 : 3) {
        gc__gang_assemble(&gang, markers);
        for (size_t round = 1; round <= 40; round++) {
            size_t parts = round % 4 == 0 ? round / 4 - 1 : PARTS, times = round % 3 * 100;

            memset(done, 0, sizeof done);
            gc__gang_share(&gang, parts, note_part, &times);
            for (size_t i = 0; i < PARTS; i++)
                cr_assert_eq(done[i], i < parts, "part %zu of %zu, %u markers", i, parts, markers);
        }
    }
}

/* ---- Large ---------------------------------------------------------------------------------- */

/* More pieces than one span holds; pointers at its very ends. */
Test(gang, marks_what_is_in_objects_of_many_megabytes)
{
    size_t pages = 3 * GC_SPAN_MAX_PIECES + 1, words = pages * GC_PAGE_BYTES / sizeof(void *), count = 1;
    void **array = build_large(GC_KIND_CONSERVATIVE, pages);

    for (size_t i = 0; i < words; i += 511, count++)
        array[i] = build_cell(GC_KIND_CONSERVATIVE, 48);
    array[words - 1] = build_array(20, GC_KIND_ATOMIC);
    compare((char *)array + words * 4, count + objects_of_array(20), ROOMY);
    compare(array, count + objects_of_array(20), 5);
}

Test(gang, marks_many_times_in_a_row)
{
    size_t small = ((size_t)1 << 5) - 1, large = objects_of_array(60);
    void *tree = build_tree(4), *array = build_array(60, GC_KIND_CONSERVATIVE);

    random_begin("many_times");
    for (size_t i = 0; i < effort(2000); i++) {
        bool is_small = random_once_in(2);

        mark_with((unsigned)random_between(1, MOST_MARKERS), is_small ? tree : array, ROOMY);
        cr_assert_eq(count_marks(), is_small ? small : large);
    }
}

/* ---- Who takes part ----------------------------------------------------------------------- */

static bool is_helper(long thread_id)
{
    for (unsigned i = 1; i <= gang.helpers; i++)
        if (gang.helper[i].thread_id == thread_id)
            return true;
    return false;
}

TestSuite(members, .init = build_heap_and_gang, .fini = drop_marked_heap);

Test(members, are_one_for_small_heaps)
{
    gc__gang_prepare(&gang, 0);
    cr_assert_eq(gang.markers, 1);
    gc__gang_prepare(&gang, GC_MARKER_BYTES - 1);
    cr_assert_eq(gang.markers, 1);
    cr_assert_eq(gang.helpers, 0, "and then there are no threads");
    cr_assert_eq(gc__pool_metadata_bytes(&gang.pool), 0, "and no packets");
}

Test(members, are_no_more_than_cpus)
{
    unsigned cpus = gc__os_cpus();

    gc__gang_prepare(&gang, SIZE_MAX / 2);
    cr_assert_eq(gang.markers, cpus < GC_MAX_MARKERS ? cpus : GC_MAX_MARKERS);
    gc__gang_prepare(&gang, 0);
    cr_assert_eq(gang.markers, 1);
    cr_assert_eq(gang.helpers, cpus < GC_MAX_MARKERS ? cpus - 1 : GC_MAX_MARKERS - 1, "they wait for the next time");
}

Test(members, are_no_more_than_was_asked_for)
{
    gc__gang_init(&gang, region, 1);
    gc__gang_prepare(&gang, SIZE_MAX / 2);
    cr_assert_eq(gang.markers, 1);
    gc__gang_init(&gang, region, 2);
    gc__gang_prepare(&gang, SIZE_MAX / 2);
    cr_assert_leq(gang.markers, 2);
}

Test(members, are_known_by_their_threads)
{
    gc__gang_assemble(&gang, 4);
    for (unsigned i = 1; i < 4; i++)
        cr_assert(is_helper(gang.helper[i].thread_id));
    cr_assert_not(is_helper(gc__os_thread_id()));
    cr_assert_neq(gang.helper[1].thread_id, gang.helper[2].thread_id);
}

/* Sharing again, whenever the number changes: the one of a gang of one has it all. */
Test(members, share_the_mark_stack)
{
    const struct worklist *list = &gang.marker[0].worklist;

    cr_assert_eq((size_t)((char *)list->limit - region->mark_stack), region->mark_stack_bytes);
    gc__gang_assemble(&gang, 3);
    for (unsigned i = 1; i < 3; i++)
        cr_assert_eq(gang.marker[i].worklist.base, gang.marker[i - 1].worklist.limit);
    cr_assert_leq((char *)gang.marker[2].worklist.limit, region->mark_stack + region->mark_stack_bytes);
    gc__gang_assemble(&gang, 1);
    cr_assert_eq((size_t)((char *)list->limit - region->mark_stack), region->mark_stack_bytes);
}

Test(members, are_started_again_after_a_fork)
{
    void *root = build_array(60, GC_KIND_CONSERVATIVE);
    int status = 0;
    pid_t child;

    mark_with(4, root, ROOMY);
    child = fork();
    if (child == 0) {
        gc__gang_forget_helpers(&gang);
        if (gang.markers != 1 || is_helper(gang.helper[1].thread_id))
            _exit(1);
        mark_with(1, root, ROOMY);
        mark_with(4, root, ROOMY);
        _exit(count_marks() == objects_of_array(60) ? 0 : 2);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    mark_with(4, root, ROOMY);
    cr_assert_eq(count_marks(), objects_of_array(60));
}
