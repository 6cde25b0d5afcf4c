/* test_mark_graph.c - random graphs, and too little room to mark them. */
#include "test/built_marker.h"
#include "test/random.h"

#include <stdlib.h>

#define NODES 3000
#define EDGES_MAX 6

static struct {
    void *object;
    size_t bytes;
    enum gc__kind kind;
    unsigned edges;
    unsigned to[EDGES_MAX];
    bool reached;
} node[NODES];

static size_t random_size(void)
{
    if (random_once_in(100))
        return random_between(GC_SMALL_MAX_BYTES + 1, 40 * GC_PAGE_BYTES);
    return random_between(8, random_once_in(20) ? 3000 : 120);
}

static void build_nodes(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        node[i].bytes = random_size();
        node[i].kind = random_once_in(5) ? GC_KIND_ATOMIC : GC_KIND_CONSERVATIVE;
        node[i].object = build_object(node[i].kind, node[i].bytes);
    }
}

/* Edges lead to any byte; atomic objects hold words that look like edges. */
static void build_edges(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        node[i].edges = (unsigned)random_between(1, EDGES_MAX);
        for (unsigned e = 0; e < node[i].edges; e++) {
            unsigned to = node[i].to[e] = (unsigned)random_below(NODES);
            size_t words = node[i].bytes / 8, slot = words * e / EDGES_MAX;

            if (e > 0 && slot <= words * (e - 1) / EDGES_MAX) {
                node[i].edges = e; /* no room for more */
                break;
            }
            words_of(node[i].object)[slot] = (char *)node[to].object + random_below(node[to].bytes);
        }
    }
}

static void reach(unsigned root)
{
    static unsigned stack[NODES];
    unsigned depth = 0;

    if (node[root].reached)
        return;
    node[root].reached = true;
    stack[depth++] = root;
    while (depth > 0) {
        unsigned i = stack[--depth];

        for (unsigned e = 0; node[i].kind != GC_KIND_ATOMIC && e < node[i].edges; e++)
            if (!node[node[i].to[e]].reached) {
                node[node[i].to[e]].reached = true;
                stack[depth++] = node[i].to[e];
            }
    }
}

static void check_marks(void)
{
    size_t objects = 0, granules = 0;

    for (unsigned i = 0; i < NODES; i++) {
        struct object object = object_at(node[i].object);

        if (is_marked(node[i].object) != node[i].reached)
            cr_assert_fail("node %u is %s", i, node[i].reached ? "lost" : "marked without reason");
        if (!node[i].reached)
            continue;
        objects++;
        granules += gc__object_bytes(region, &object) / GC_GRANULE_BYTES;
    }
    cr_assert_eq(count_marked().objects, objects);
    cr_assert_eq(count_marked().granules, granules);
}

/* So that one cycle does not help the next. */
static void check_nothing_is_flagged(void)
{
    cr_assert_not(marker.overflowed);
    for (unsigned i = 0; i < NODES; i++) {
        struct object object = object_at(node[i].object);

        if (object.block != NULL)
            cr_assert_not(object.block->rescan);
        else
            cr_assert_not(*gc__large_flags(region, gc__object_head(&object)) & GC_LARGE_RESCAN);
    }
}

static void whiten_nodes(void)
{
    for (unsigned i = 0; i < NODES; i++)
        set_marked(node[i].object, false);
}

/* The mark stack has room for so many entries. */
static void allow_entries(size_t entries)
{
    gc__worklist_init(&marker.worklist, region->mark_stack, entries * sizeof(uintptr_t));
}

TestSuite(graph, .init = build_heap_and_marker, .fini = drop_marked_heap);

Test(graph, is_marked_as_far_as_it_can_be_reached)
{
    random_begin("graph");
    build_nodes();
    build_edges();
    for (unsigned round = 0; round < 20; round++) {
        const void *roots[10];

        for (unsigned i = 0; i < NODES; i++)
            node[i].reached = false;
        for (unsigned i = 0; i < 10; i++) {
            unsigned root = (unsigned)random_below(NODES);

            roots[i] = node[root].object;
            if (i < round) /* the first times, only a few */
                reach(root);
        }
        mark_from(roots, round < 10 ? round : 10, PAST_END_IGNORED);
        check_marks();
        whiten_nodes();
    }
}

Test(graph, is_marked_with_hardly_any_mark_stack)
{
    static const size_t entries[] = {0, 1, 2, 3, 7, 16, 100, 1000};

    random_begin("graph");
    build_nodes();
    build_edges();
    for (unsigned i = 0; i < 20; i++)
        reach(i);
    for (unsigned i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        const void *roots[20];

        for (unsigned r = 0; r < 20; r++)
            roots[r] = node[r].object;
        allow_entries(entries[i]);
        mark_from(roots, 20, PAST_END_IGNORED);
        cr_assert_gt(count_marked().objects, NODES / 2, "else this shows little");
        check_marks();
        check_nothing_is_flagged();
        whiten_nodes();
    }
}

Test(graph, of_root_kinds_is_marked_with_hardly_any_mark_stack)
{
    void **large[20], **small[200];

    for (unsigned i = 0; i < 20; i++) {
        large[i] = build_large(GC_KIND_UNCOLLECTABLE, 9);
        large[i][i * 200] = new_cell(16);
    }
    for (unsigned i = 0; i < 200; i++) {
        small[i] = build_cell(GC_KIND_UNCOLLECTABLE, 64);
        small[i][i % 8] = new_cell(16);
    }
    allow_entries(1);
    begin();
    gc__marker_mark_root_kinds(&marker);
    gc__marker_drain(&marker);
    for (unsigned i = 0; i < 20; i++)
        cr_assert(is_marked(large[i]) && is_marked(large[i][i * 200]));
    for (unsigned i = 0; i < 200; i++)
        cr_assert(is_marked(small[i]) && is_marked(small[i][i % 8]));
    cr_assert_eq(count_marked().objects, 440);
}

Test(graph, that_is_a_list_upwards_is_marked_with_hardly_any_mark_stack)
{
    void **nodes[2000];

    for (unsigned i = 0; i < 2000; i++) {
        nodes[i] = new_cell(48);
        if (i > 0)
            nodes[i - 1][2] = nodes[i];
    }
    for (size_t entries = 0; entries < 3; entries++) {
        allow_entries(entries);
        mark_from_one(nodes[0]);
        cr_assert_eq(count_marked().objects, 2000);
        for (unsigned i = 0; i < 2000; i++)
            set_marked(nodes[i], false);
    }
}

Test(graph, that_is_a_list_downwards_is_marked_with_hardly_any_mark_stack)
{
    void **nodes[2000];

    for (unsigned i = 0; i < 2000; i++) {
        nodes[i] = new_cell(48);
        if (i > 0)
            nodes[i][2] = nodes[i - 1];
    }
    for (size_t entries = 0; entries < 3; entries++) {
        allow_entries(entries);
        mark_from_one(nodes[1999]);
        cr_assert_eq(count_marked().objects, 2000);
        for (unsigned i = 0; i < 2000; i++)
            set_marked(nodes[i], false);
    }
}

/* Many objects at once from one, each of them with another. */
static void mark_wide(size_t entries)
{
    size_t words = 20 * GC_PAGE_BYTES / sizeof(void *), before = count_marked().objects;
    void **wide = build_large(GC_KIND_CONSERVATIVE, 20);

    for (size_t i = 0; i < words; i++) {
        void **object = wide[i] = new_cell(16);
        object[0] = new_cell(32);
    }
    allow_entries(entries);
    mark_from_one(wide);
    cr_assert_eq(count_marked().objects, before + 2 * words + 1);
    for (size_t i = 0; i < words; i++)
        if (!is_marked(wide[i]) || !is_marked(words_of(wide[i])[0]))
            cr_assert_fail("word %zu", i);
}

Test(graph, that_is_wide_is_marked_without_any_mark_stack)
{
    mark_wide(0);
}

Test(graph, that_is_wide_is_marked_with_hardly_any_mark_stack)
{
    mark_wide(1);
    mark_wide(2);
    mark_wide(30);
}

/* The rest of a large object finds no room while its pieces fill the stack. */
Test(graph, of_large_objects_is_marked_with_hardly_any_mark_stack)
{
    void **large[10];
    size_t words = 30 * GC_PAGE_BYTES / sizeof(void *);

    for (unsigned i = 0; i < 10; i++) {
        large[i] = build_large(GC_KIND_CONSERVATIVE, 30);
        for (size_t w = 0; w < words; w += 100)
            large[i][w] = new_cell(16);
        if (i > 0) {
            large[i][0] = large[i - 1];
            large[i - 1][words - 1] = large[i];
        }
    }
    for (size_t entries = 0; entries < 6; entries++) {
        size_t cells = 0, marked;

        allow_entries(entries);
        mark_from_one((char *)large[5] + 12345);
        marked = count_marked().objects;
        for (unsigned i = 0; i < 10; i++) {
            cr_assert(is_marked(large[i]));
            set_marked(large[i], false);
            for (size_t w = i > 0 ? 100 : 0; w < words - 1; w += 100, cells++) {
                cr_assert(is_marked(large[i][w]));
                set_marked(large[i][w], false);
            }
        }
        cr_assert_eq(marked, 10 + cells);
    }
}
