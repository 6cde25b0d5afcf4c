/* test_by_kind.c - random graphs of objects whose kinds say which of their words are
 * pointers, marked by one and by several, with little room; and chains of
 * ephemerons. */
#include "gc/mark/ephemeron.h"
#include "gc/mark/gang.h"
#include "test/built_heap.h"
#include "test/random.h"

#include <stdlib.h>
#include <string.h>

static struct region *const region = &built.region;
static struct gang gang;

static void build_heap_and_gang(void)
{
    build_heap_of(256);
    gc__gang_init(&gang, region, 0);
}

TestSuite(by_kind, .init = build_heap_and_gang, .fini = drop_marked_heap);

/* ---- Kinds ---------------------------------------------------------------------------- */

enum { FORMS = 7, KINDS = 2 * FORMS, NODES = 4000, EDGES = 5 };

static struct {
    struct gc_kind *kind;
    bool (*may_point)(size_t word, size_t words);
    bool exact;
    struct block *current[GC_CLASS_COUNT];
} kind[KINDS];

static bool in_front(size_t word, size_t words)
{
    return word < 4 && words >= 4;
}

static bool in_the_middle(size_t word, size_t words)
{
    return word >= 2 && word < 6 && words >= 6;
}

static bool every_other(size_t word, size_t words)
{
    (void)words;
    return word % 2 == 1 && word < 64;
}

/* Some words of eight granules. */
static bool scattered(size_t word, size_t words)
{
    (void)words;
    return word == 3 || word == 6 || word == 17;
}

/* In more than one word of the map: all, none, and some. */
static bool far_apart(size_t word, size_t words)
{
    (void)words;
    return word < 64 || (word >= 128 && word < 192 && word % 3 == 0);
}

/* Behind a head of two words, the second of which is a pointer, triples, the first of
 * each. */
static bool in_triples(size_t word, size_t words)
{
    return word == 1 || (word >= 2 && (word - 2) % 3 == 0 && word + 3 <= words);
}

static bool anywhere(size_t word, size_t words)
{
    (void)word, (void)words;
    return true;
}

static void tell_every_third(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    void **word = object;

    (void)data;
    for (size_t i = 0; i < bytes / sizeof *word; i += 3)
        gc_trace_pointer(tracer, word[i]);
}

static bool every_third(size_t word, size_t words)
{
    (void)words;
    return word % 3 == 0;
}

static void add_kind(size_t index, struct gc_kind_options options, bool (*may_point)(size_t word, size_t words))
{
    kind[index].kind = gc__kind_new(&options);
    kind[index].may_point = may_point;
    kind[index].exact = options.exact != 0;
    memset(kind[index].current, 0, sizeof kind[index].current);
    cr_assert_not_null(kind[index].kind);
}

static void build_kinds(void)
{
    static const uint64_t some = 1 << 3 | 1 << 6 | 1 << 17;
    static const uint64_t far[] = {~UINT64_C(0), 0, UINT64_C(0x2492492492492492)};
    static const uint64_t front = 0xf, middle = 0x3c, other = UINT64_C(0xaaaaaaaaaaaaaaaa), second = 2, first = 1;

    for (size_t exact = 0; exact <= 1; exact++) {
        uint32_t e = (uint32_t)exact;
        size_t i = exact * FORMS;

        add_kind(i, (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .exact = e, .bytes = 32, .pointers = &front},
                 in_front);
        add_kind(i + 1,
                 (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .exact = e, .bytes = 48, .pointers = &middle},
                 in_the_middle);
        add_kind(i + 2,
                 (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .exact = e, .bytes = 512, .pointers = &other},
                 every_other);
        add_kind(i + 3,
                 (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT,
                                          .exact = e,
                                          .bytes = 16,
                                          .pointers = &second,
                                          .element_bytes = 24,
                                          .element_pointers = &first},
                 in_triples);
        add_kind(i + 4,
                 (struct gc_kind_options){
                     .tracing = exact ? GC_TRACE_CALLBACK : GC_TRACE_CONSERVATIVE,
                     .trace = exact ? tell_every_third : NULL,
                 },
                 exact ? every_third : anywhere);
        add_kind(i + 5,
                 (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .exact = e, .bytes = 144, .pointers = &some},
                 scattered);
        add_kind(i + 6,
                 (struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .exact = e, .bytes = 1536, .pointers = far},
                 far_apart);
    }
}

static void *build_cell_of(size_t k, size_t bytes)
{
    unsigned c = gc__sizeclass_of(bytes);
    struct block **block = &kind[k].current[c];
    struct run run;

    cr_assert_neq(gc__kind_add_lane(kind[k].kind->index, c), GC_NO_LANE);
    while (*block == NULL || !claim_run(region, *block, &run, 0))
        *block = build_block(c, kind[k].kind->index);
    return run.cur;
}

static void *build_object_of(size_t k, size_t bytes)
{
    return bytes <= GC_SMALL_MAX_BYTES ? build_cell_of(k, bytes)
                                       : build_large(kind[k].kind->index, gc__large_pages_for(bytes));
}

/* ---- Graphs ------------------------------------------------------------------------------ */

static struct {
    void *object;
    size_t kind;
    size_t words;  /* of its cell or pages */
    size_t usable; /* of them */
    unsigned edges;
    unsigned to[EDGES];
    bool reached;
} node[NODES];

static void build_nodes(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        size_t bytes = random_between(48, random_once_in(20) ? 3000 : 200);
        struct object object;

        if (random_once_in(100))
            bytes = random_between(GC_SMALL_MAX_BYTES + 1, 20 * GC_PAGE_BYTES);
        node[i].kind = random_below(KINDS);
        node[i].object = build_object_of(node[i].kind, bytes);
        object = object_at(node[i].object);
        node[i].words = gc__object_bytes(region, &object) / sizeof(void *);
        node[i].usable = gc__object_usable_bytes(region, &object) / sizeof(void *);
    }
}

/* What a word may not be for is a decoy: it looks like an edge, or like one into the
 * middle of an object where that does not count. */
static void build_words(unsigned i)
{
    void **word = node[i].object;

    for (size_t tries = 0; tries < 12; tries++) {
        size_t w = random_below(node[i].usable);
        unsigned to = (unsigned)random_below(NODES);
        size_t into = random_once_in(2) ? 0 : random_below(node[to].words * sizeof(void *));

        if (word[w] != NULL)
            continue;
        if (kind[node[i].kind].may_point(w, node[i].words) && node[i].edges == EDGES)
            continue;
        word[w] = (char *)node[to].object + into;
        if (kind[node[i].kind].may_point(w, node[i].words) && (into == 0 || !kind[node[i].kind].exact))
            node[i].to[node[i].edges++] = to;
    }
}

static void build_graph(void)
{
    build_kinds();
    build_nodes();
    for (unsigned i = 0; i < NODES; i++)
        build_words(i);
}

static size_t reach(unsigned root)
{
    static unsigned stack[NODES];
    unsigned depth = 0;
    size_t count = 1;

    node[root].reached = true;
    stack[depth++] = root;
    while (depth > 0) {
        unsigned i = stack[--depth];

        for (unsigned e = 0; e < node[i].edges; e++)
            if (!node[node[i].to[e]].reached) {
                node[node[i].to[e]].reached = true;
                stack[depth++] = node[i].to[e];
                count++;
            }
    }
    return count;
}

static void allow_entries(size_t entries)
{
    for (unsigned i = 0; i < gang.markers; i++)
        gc__worklist_init(&gang.marker[i].worklist, region->mark_stack + i * gc__os_page_bytes(),
                          entries * sizeof(uintptr_t));
    gang.shares = 0;
}

static void mark_from(const void *root, unsigned markers, size_t entries)
{
    gc__gang_assemble(&gang, markers);
    if (entries != SIZE_MAX)
        allow_entries(entries);
    gc__gang_begin(&gang);
    gc__marker_scan_roots(gc__gang_leader(&gang), (struct gc__range){(uintptr_t)&root, (uintptr_t)(&root + 1)},
                          PAST_END_IGNORED);
    gc__gang_drain(&gang);
}

static void check_marks(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (is_marked(node[i].object) != node[i].reached)
            cr_assert_fail("node %u, of kind %zu, is %s", i, node[i].kind, node[i].reached ? "lost" : "marked");
        set_marked(node[i].object, false);
    }
}

static void check_graph(unsigned markers)
{
    static const size_t entries[] = {SIZE_MAX, 0, 1, 3, 20, 200};
    size_t largest = 0;

    build_graph();
    for (unsigned round = 0; round < 10; round++) {
        unsigned root = (unsigned)random_below(NODES);
        size_t reached;

        for (unsigned i = 0; i < NODES; i++)
            node[i].reached = false;
        reached = reach(root);
        largest = reached > largest ? reached : largest;
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
            mark_from(node[root].object, markers, entries[i]);
            check_marks();
        }
    }
    cr_assert_gt(largest, NODES / 10, "else this shows little");
}

Test(by_kind, graphs_are_marked_as_their_kinds_say)
{
    random_begin("alone");
    check_graph(1);
}

Test(by_kind, graphs_are_marked_by_several_as_their_kinds_say)
{
    random_begin("together");
    check_graph(4);
}

/* ---- Ephemerons ------------------------------------------------------------------------------ */

static struct attachments table;

static struct ephemeron *build_ephemeron(size_t k, void *key, void *value)
{
    struct ephemeron *ephemeron = build_cell_of(k, sizeof *ephemeron);

    *ephemeron = (struct ephemeron){(uintptr_t)key, (uintptr_t)value};
    cr_assert_not_null(gc__attachments_add(&table, (struct attachment){.object = (uintptr_t)key, .a = ephemeron}));
    return ephemeron;
}

/* What leads to the key of the next: a list, or an address in it. */
static void *value_before(void *next, size_t i)
{
    void **list = build_cell(GC_KIND_CONSERVATIVE, 32);

    list[1] = next;
    return i % 4 == 0 ? list : i % 4 == 1 ? (char *)next + sizeof next : next;
}

/* The value of each leads to the key of the next, in any order; some keys are those of
 * more than one. Whether the first key is marked decides about all. */
static void check_chain(size_t count, size_t entries, bool held)
{
    void **key = calloc(count + 1, sizeof *key), **holder = build_large(GC_KIND_CONSERVATIVE, count / 256 + 2);
    size_t ephemerons = 0;
    size_t *order = calloc(count, sizeof *order);
    const struct gc_kind_options options = {.tracing = GC_TRACE_LAYOUT, .bytes = 16};

    kind[0].kind = gc__kind_new_ephemeron(&options);
    memset(kind[0].current, 0, sizeof kind[0].current);
    for (size_t i = 0; i <= count; i++)
        key[i] = build_cell(GC_KIND_CONSERVATIVE, 16 + i % 3 * 16);
    for (size_t i = 0; i < count; i++) {
        size_t other = random_below(i + 1);

        order[i] = order[other];
        order[other] = i;
    }
    for (size_t i = 0; i < count; i++) {
        void *of = key[order[i]], *next = key[order[i] + 1];

        holder[++ephemerons] = build_ephemeron(0, of, value_before(next, i));
        if (i % 5 == 0)
            holder[++ephemerons] = build_ephemeron(0, of, value_before(build_cell(GC_KIND_CONSERVATIVE, 16), i));
    }
    holder[0] = held ? key[0] : NULL;
    mark_from(holder, 1, entries);
    gc__ephemerons_mark(gc__gang_leader(&gang), &table, 0);
    for (size_t i = 0; i <= count; i++)
        cr_assert_eq(is_marked(key[i]), held, "key %zu of %zu", i, count);
    gc__ephemerons_break(region, &table, 0, true);
    cr_assert_eq(table.count, held ? ephemerons : 0);
    for (size_t i = 1; i <= ephemerons; i++)
        cr_assert_eq(((struct ephemeron *)holder[i])->key != 0, held);
    free(key);
    free(order);
}

static void check_chains(size_t entries)
{
    random_begin("chains");
    check_chain(1, entries, true);
    table = (struct attachments){0};
    check_chain(10, entries, false);
    check_chain(5000, entries, true);
    table = (struct attachments){0};
    check_chain(5000, entries, false);
}

Test(by_kind, ephemerons_in_chains_are_found_in_any_order)
{
    check_chains(SIZE_MAX);
}

Test(by_kind, ephemerons_in_chains_are_found_with_hardly_any_mark_stack)
{
    check_chains(0);
    table = (struct attachments){0};
    check_chains(2);
}

/* ---- The table ----------------------------------------------------------------------------------- */

static size_t count_entries(uintptr_t object)
{
    size_t count = 0;

    for (size_t i = gc__attachments_first(&table, object); i != SIZE_MAX; i = gc__attachments_next(&table, i))
        count++;
    return count;
}

Test(by_kind, attachments_are_found_by_their_objects)
{
    static unsigned expected[2000];
    static void *object[2000];

    random_begin("attachments");
    for (size_t i = 0; i < 2000; i++)
        object[i] = i % 50 == 0 ? build_large(GC_KIND_ATOMIC, 2) : build_cell(GC_KIND_ATOMIC, 16 + i % 9 * 16);
    for (size_t step = 0; step < 60000; step++) {
        size_t i = random_below(2000), to = random_below(2000);

        if (random_below(100) < (step / 10000 % 2 == 0 ? 60 : 30)) {
            cr_assert_not_null(gc__attachments_add(&table, (struct attachment){.object = (uintptr_t)object[i]}));
            expected[i]++;
        } else if (expected[i] > 0) {
            gc__attachments_remove(&table, gc__attachments_first(&table, (uintptr_t)object[i]));
            expected[i]--;
        } else if (expected[to] > 0) {
            gc__attachments_move(&table, (uintptr_t)object[to], (uintptr_t)object[i]);
            cr_assert_geq(gc__attachments_first(&table, (uintptr_t)object[i]), table.old, "it is young");
            expected[i] = expected[to];
            expected[to] = 0;
        }
        if (step % 5000 == 0)
            gc__attachments_age(&table);
        cr_assert_eq(count_entries((uintptr_t)object[i]), expected[i]);
    }
    gc__attachments_audit(&table, region);
    while (table.count > 3)
        gc__attachments_remove(&table, random_below(table.count));
    gc__attachments_age(&table);
    gc__attachments_age(&table);
    gc__attachments_audit(&table, region);
    cr_assert_lt(gc__attachments_metadata_bytes(&table), 64 << 10);
}

/* Each with a place of its own, as links have: in the words of a range. */
Test(by_kind, attachments_are_found_by_their_places)
{
    enum { WORDS = 3000, OBJECTS = 7 };
    static uintptr_t place[WORDS];
    static bool expected[WORDS];
    void *object[OBJECTS];
    size_t count = 0;

    random_begin("places");
    table.placed = true;
    for (size_t i = 0; i < OBJECTS; i++)
        object[i] = build_cell(GC_KIND_ATOMIC, 16);
    for (size_t step = 0; step < 60000; step++) {
        size_t i = random_below(WORDS), end = i + random_below(WORDS - i) / (step % 97 == 0 ? 1 : 100);
        uintptr_t target = (uintptr_t)object[random_below(OBJECTS)];

        cr_assert_eq(gc__attachments_at(&table, &place[i]) != SIZE_MAX, expected[i]);
        if (!expected[i]) {
            cr_assert_not_null(gc__attachments_add(&table, (struct attachment){.object = target, .a = &place[i]}));
            expected[i] = true;
        } else if (step % 3 == 0) {
            gc__attachments_remove(&table, gc__attachments_at(&table, &place[i]));
            expected[i] = false;
        } else {
            gc__attachments_remove_within(&table, (uintptr_t)&place[i], (uintptr_t)&place[end]);
            memset(&expected[i], 0, (end - i) * sizeof *expected);
        }
        if (step % 5000 == 0) {
            gc__attachments_age(&table);
            gc__attachments_audit(&table, region);
        }
    }
    for (size_t i = 0; i < WORDS; i++)
        count += expected[i];
    cr_assert_eq(count, table.count);
}

/* A share of them goes at once, of the old and the young or of the young alone. */
Test(by_kind, attachments_that_are_condemned_go_together)
{
    enum { OBJECTS = 500 };
    static uintptr_t object[OBJECTS];
    static bool expected[OBJECTS];

    random_begin("condemned");
    table.placed = true;
    for (size_t i = 0; i < OBJECTS; i++)
        object[i] = (uintptr_t)build_cell(GC_KIND_ATOMIC, 16 + i % 9 * 16);
    for (size_t round = 0; round < 200; round++) {
        size_t percent = random_below(101), from = round % 2 == 0 ? 0 : table.old, count = 0;

        for (size_t i = 0; i < OBJECTS; i++)
            if (!expected[i] && random_below(3) == 0)
                expected[i] = gc__attachments_add(
                    &table, (struct attachment){.object = object[i], .note = (uint32_t)i, .a = &expected[i]});
        for (size_t i = from; i < table.count; i++)
            if (random_below(100) < percent) {
                expected[table.entry[i].note] = false;
                gc__attachments_condemn(&table, i);
            }
        gc__attachments_remove_condemned(&table, from);
        gc__attachments_audit(&table, region);
        for (size_t i = 0; i < OBJECTS; i++) {
            count += expected[i];
            cr_assert_eq(count_entries(object[i]), expected[i]);
        }
        cr_assert_eq(count, table.count);
        if (random_below(2) == 0)
            gc__attachments_age(&table);
    }
}

/* In any order, and in a few steps each: to walk the chain would take hours. */
Test(by_kind, a_million_attachments_of_one_object_are_removed)
{
    uintptr_t object = (uintptr_t)build_cell(GC_KIND_ATOMIC, 16), place = 0;
    size_t count = 1000000;

    table.placed = true;
    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(gc__attachments_add(
            &table, (struct attachment){.object = object, .a = (void *)(place + (i + 1) * sizeof place)}));
    for (size_t i = 0; i < count / 2; i++)
        gc__attachments_remove(&table, gc__attachments_at(&table, (void *)(place + (i + 1) * sizeof place)));
    while (table.count > 0)
        gc__attachments_remove(&table, 0);
    cr_assert_eq(gc__attachments_first(&table, object), SIZE_MAX);
}
