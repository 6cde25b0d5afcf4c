/* test_model.c - a random program beside an oracle that knows what it can reach.
 *
 * The program allocates, links, unlinks, resizes and frees objects of every
 * size and kind. The oracle, in plain malloc memory and with complemented
 * addresses, has the same graph. From time to time it finds out what is truly
 * reachable: all of that must be intact, and after a collection nearly all the
 * rest must be gone.
 *
 * TEST_SEED: another program; TEST_OPERATIONS: a longer one. */
#include "test/effort.h"
#include "test/hidden.h"
#include "test/random.h"

#include "gc/cycle/heap.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    ENTRIES = 1 << 16,
    EDGES = 6, /* of an object, at most */
    SEGMENTS = 32,
    SEGMENT_WORDS = 192,
    ROOTS = SEGMENTS * SEGMENT_WORDS,
    UNCOLLECTABLES = 64,
    WALK = 5,            /* edges from a root to the object that is operated on */
    SPARSE = 61,         /* inside a large object every so many words are written... */
    DENSE = 64,          /* ...besides the first and last */
    VERIFY_EVERY = 15000 /* operations */
};

enum object_kind { NORMAL, ATOMIC, UNCOLLECTABLE };

/* A word of an object, or of the roots, that refers to an object. */
struct edge {
    struct entry *to; /* NULL: none */
    size_t word;
    size_t offset; /* into the object, in bytes */
};

/* What the oracle knows about an object. */
struct entry {
    struct hidden start;
    size_t bytes;
    uint64_t id;
    unsigned references; /* edges to it, also from the dead that are not known to be */
    unsigned visited;    /* the last round in which it was reachable */
    enum object_kind kind;
    bool used;
    struct edge edge[EDGES];
};

/* A program: the options it runs with, and its share of the operations. */
struct program {
    struct gc_options options;
    size_t share_percent;
    size_t largest_bytes;
    size_t retained_percent; /* of what is dead, at most */
};

static struct {
    struct program program;
    uint64_t seed;
    size_t operation;
    uint64_t last_id;
    unsigned round;

    struct entry *entries;
    struct entry **free;
    size_t free_count;
    struct entry **queue; /* of the search, then of what is reachable, by address */
    size_t reachable;

    uintptr_t *root_words; /* what the collector scans */
    struct edge *roots;
    bool segment_is_root[SEGMENTS];
    struct entry *uncollectable[UNCOLLECTABLES];
    size_t uncollectables;

    size_t allocated, exhausted, dead, retained, bad_rounds;
} model;

#define REQUIRE(condition, format, ...)                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            cr_assert(false, "TEST_SEED=%llu, operation %zu: " format, (unsigned long long)model.seed,                 \
                      model.operation, __VA_ARGS__);                                                                   \
    } while (0)

/* ---- Contents ----------------------------------------------------------------- */

/* Never an address: the highest bit is set. */
static uint64_t pattern(uint64_t id, size_t word)
{
    uint64_t mixed = (id << 20 ^ word) * UINT64_C(0x9e3779b97f4a7c15);

    return (mixed ^ mixed >> 29) | (uint64_t)1 << 63;
}

/* The first word at or behind `word` that is written in an object of so many. */
static size_t next_written(size_t words, size_t word)
{
    if (word < DENSE || words < 2 * DENSE || word >= words - DENSE)
        return word;
    word = (word + SPARSE - 1) / SPARSE * SPARSE;
    return word < words - DENSE ? word : words - DENSE;
}

static uintptr_t edge_value(const struct edge *edge)
{
    return (uintptr_t)reveal(edge->to->start) + edge->offset;
}

static void write_pattern(const struct entry *entry)
{
    size_t words = entry->bytes / sizeof(uint64_t);
    uint64_t *word = reveal(entry->start);
    uint64_t tail = pattern(entry->id, words);

    for (size_t i = 0; i < words; i = next_written(words, i + 1))
        word[i] = pattern(entry->id, i);
    memcpy(word + words, &tail, entry->bytes % sizeof tail);
    for (unsigned i = 0; i < EDGES; i++)
        if (entry->edge[i].to != NULL)
            word[entry->edge[i].word] = edge_value(&entry->edge[i]);
}

static uint64_t expected_word(const struct entry *entry, size_t word)
{
    for (unsigned i = 0; i < EDGES; i++)
        if (entry->edge[i].to != NULL && entry->edge[i].word == word)
            return edge_value(&entry->edge[i]);
    return pattern(entry->id, word);
}

/* The first `bytes` bytes of `memory` are those of the entry's object. */
static void check_bytes(const struct entry *entry, const uint64_t *memory, size_t bytes)
{
    size_t all = entry->bytes / sizeof(uint64_t), words = bytes / sizeof(uint64_t);

    for (size_t i = 0; i < words; i = next_written(all, i + 1))
        REQUIRE(memory[i] == pattern(entry->id, i) || memory[i] == expected_word(entry, i),
                "word %zu of the object of %zu bytes at %p is %#llx", i, entry->bytes, (const void *)memory,
                (unsigned long long)memory[i]);
    if (words == all) {
        uint64_t tail = pattern(entry->id, words);
        REQUIRE(memcmp(memory + words, &tail, bytes % sizeof tail) == 0,
                "the last bytes of the object of %zu bytes at %p are lost", entry->bytes, (const void *)memory);
    }
    for (unsigned i = 0; i < EDGES; i++)
        if (entry->edge[i].to != NULL && entry->edge[i].word < words)
            REQUIRE(memory[entry->edge[i].word] == edge_value(&entry->edge[i]),
                    "word %zu of the object at %p is no longer the reference to %p", entry->edge[i].word,
                    (const void *)memory, reveal(entry->edge[i].to->start));
}

static void check_zero(const void *memory, size_t from, size_t to)
{
    const unsigned char *byte = memory;

    if (from < to)
        REQUIRE(byte[from] == 0 && memcmp(byte + from, byte + from + 1, to - from - 1) == 0,
                "not all of bytes %zu to %zu at %p are zero", from, to, memory);
}

static void check_contents(const struct entry *entry)
{
    check_bytes(entry, reveal(entry->start), entry->bytes);
}

/* ---- The graph ------------------------------------------------------------------ */

static size_t random_offset(const struct entry *entry)
{
    bool past_end = model.program.options.past_end == GC_PAST_END_ALWAYS;

    if (random_below(3) != 0)
        return 0;
    if (past_end && random_below(4) == 0)
        return entry->bytes;
    return entry->bytes == 0 ? 0 : random_below(entry->bytes);
}

static void cut(struct edge *edge)
{
    if (edge->to != NULL)
        edge->to->references--;
    edge->to = NULL;
}

static void clear_root(size_t root)
{
    cut(&model.roots[root]);
    model.root_words[root] = pattern(root, model.operation);
}

static void set_root(size_t root, struct entry *to)
{
    clear_root(root);
    to->references++;
    model.roots[root] = (struct edge){to, 0, random_offset(to)};
    model.root_words[root] = edge_value(&model.roots[root]);
}

static void clear_edge(struct entry *from, struct edge *edge)
{
    uint64_t *word = reveal(from->start);

    word[edge->word] = pattern(from->id, edge->word);
    cut(edge);
}

/* Some word of `from` becomes a reference to `to`, if it has a word. */
static void set_edge(struct entry *from, struct entry *to)
{
    size_t words = from->bytes / sizeof(uint64_t);
    struct edge *edge = &from->edge[random_below(EDGES)];
    uint64_t *word = reveal(from->start);
    size_t at;

    if (words == 0 || from->kind == ATOMIC)
        return;
    at = next_written(words, random_below(words));
    for (unsigned i = 0; i < EDGES; i++)
        if (from->edge[i].to != NULL && from->edge[i].word == at)
            edge = &from->edge[i];
    if (edge->to != NULL)
        clear_edge(from, edge);
    to->references++;
    *edge = (struct edge){to, at, random_offset(to)};
    word[at] = edge_value(edge);
}

/* A root that is in use and scanned; ROOTS: none was found. */
static size_t random_root(void)
{
    for (unsigned i = 0; i < 20; i++) {
        size_t root = random_below(ROOTS);
        if (model.segment_is_root[root / SEGMENT_WORDS] && model.roots[root].to != NULL)
            return root;
    }
    return ROOTS;
}

/* A place for a new reference. */
static size_t random_place(void)
{
    for (;;) {
        size_t root = random_below(ROOTS);
        if (model.segment_is_root[root / SEGMENT_WORDS])
            return root;
    }
}

/* A reachable object, some steps away from a root; NULL: none was found. */
static struct entry *random_reachable(void)
{
    size_t root = random_root();
    struct entry *entry = NULL;

    if (root < ROOTS)
        entry = model.roots[root].to;
    else if (model.uncollectables > 0)
        entry = model.uncollectable[random_below(model.uncollectables)];
    for (size_t steps = random_below(WALK); entry != NULL && steps > 0; steps--) {
        const struct edge *edge = &entry->edge[random_below(EDGES)];
        if (edge->to != NULL)
            entry = edge->to;
    }
    return entry;
}

/* ---- Verifying -------------------------------------------------------------------- */

static void reach(struct entry *entry)
{
    if (entry == NULL || entry->visited == model.round)
        return;
    entry->visited = model.round;
    model.queue[model.reachable++] = entry;
}

static void find_reachable(void)
{
    model.round++;
    model.reachable = 0;
    for (size_t i = 0; i < ROOTS; i++)
        reach(model.roots[i].to); /* a segment that is no root holds none */
    for (size_t i = 0; i < model.uncollectables; i++)
        reach(model.uncollectable[i]);
    for (size_t done = 0; done < model.reachable; done++)
        for (unsigned i = 0; i < EDGES; i++)
            reach(model.queue[done]->edge[i].to);
}

static int by_address(const void *left, const void *right)
{
    const struct entry *const *a = left, *const *b = right;
    uintptr_t first = ~(*a)->start.bits, second = ~(*b)->start.bits;

    return first < second ? -1 : first > second;
}

static void forget(struct entry *entry)
{
    for (unsigned i = 0; i < EDGES; i++)
        cut(&entry->edge[i]);
    entry->used = false;
    model.free[model.free_count++] = entry;
}

static bool starts_a_reachable_object(void *address)
{
    struct entry wanted = {.start = hide(address)};
    struct entry *key = &wanted;

    return bsearch(&key, model.queue, model.reachable, sizeof key, by_address) != NULL;
}

/* Whether the memory of a dead object still holds it. It may hold another. */
static bool is_retained(const struct entry *entry)
{
    return is_alive(entry->start) && !starts_a_reachable_object(reveal(entry->start));
}

/* Of what is dead nearly all must be gone. One word by chance may hold a part
 * of the graph, so that it is not asked for in every round. */
static void bury_the_dead(void)
{
    size_t dead = 0, retained = 0;

    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &model.entries[i];

        if (!entry->used || entry->visited == model.round)
            continue;
        dead++;
        retained += is_retained(entry);
        forget(entry);
    }
    model.dead += dead;
    model.retained += retained;
    model.bad_rounds += retained * 100 > dead * model.program.retained_percent;
}

static void check_reachable(void)
{
    uintptr_t end = 0; /* of the object before */
    uint64_t bytes = 0;
    struct gc_stats stats;

    for (size_t i = 0; i < model.reachable; i++) {
        const struct entry *entry = model.queue[i];
        char *start = reveal(entry->start);

        REQUIRE((uintptr_t)start >= end, "the object at %p overlaps the one before it", (void *)start);
        REQUIRE(gc_base(start) == start, "the object at %p was reclaimed", (void *)start);
        REQUIRE(gc_usable_size(start) >= entry->bytes, "the object at %p has only %zu of %zu bytes", (void *)start,
                gc_usable_size(start), entry->bytes);
        check_contents(entry);
        end = (uintptr_t)start + gc_usable_size(start);
        bytes += gc_usable_size(start);
    }
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.objects_marked >= model.reachable, "%llu of %zu objects were marked",
            (unsigned long long)stats.objects_marked, model.reachable);
    REQUIRE(stats.live_bytes >= bytes, "%llu of %llu bytes were marked", (unsigned long long)stats.live_bytes,
            (unsigned long long)bytes);
}

/* Else the links would keep more and more. */
static void thin_out(void)
{
    for (size_t i = 0; i < ROOTS; i++)
        if (random_once_in(2))
            clear_root(i);
    for (size_t i = 0; i < model.reachable; i++)
        for (unsigned j = 0; j < EDGES; j++)
            if (model.queue[i]->edge[j].to != NULL && random_once_in(2))
                clear_edge(model.queue[i], &model.queue[i]->edge[j]);
}

static void verify(void)
{
    find_reachable();
    qsort(model.queue, model.reachable, sizeof *model.queue, by_address);
    collect_with_clear_stack();
    gc__heap_audit(&gc__heap);
    check_reachable();
    bury_the_dead();
    if (model.reachable > ENTRIES / 6)
        thin_out();
}

/* ---- Operations --------------------------------------------------------------------- */

static size_t random_bytes(void)
{
    size_t n = random_below(1000), bytes;

    if (n < 650)
        bytes = random_below(129);
    else if (n < 880)
        bytes = random_below(2 << 10);
    else if (n < 988)
        bytes = random_below(33 << 10);
    else if (n < 999)
        bytes = random_below(256 << 10);
    else
        bytes = random_below(3 << 20);
    return bytes < model.program.largest_bytes ? bytes : random_below(model.program.largest_bytes);
}

static size_t random_alignment(void)
{
    return (size_t)1 << (random_below(50) == 0 ? random_below(22) : 4 + random_below(9));
}

/* Memory is exhausted: some must be dropped. */
static void drop_a_quarter(void)
{
    REQUIRE(errno == ENOMEM, "NULL with errno %d", errno);
    REQUIRE(model.program.options.max_heap != 0, "exhausted at %zu objects", model.reachable);
    model.exhausted++;
    for (size_t i = 0; i < ROOTS; i++)
        if (random_below(4) == 0)
            clear_root(i);
}

static void *allocate(enum object_kind kind, size_t bytes)
{
    void *object = NULL;

    if (kind == ATOMIC)
        return gc_malloc_atomic(bytes);
    if (kind == UNCOLLECTABLE)
        return gc_malloc_uncollectable(bytes);
    if (random_below(20) != 0)
        return random_below(4) != 0 ? gc_malloc(bytes) : gc_calloc(bytes, 1);

    size_t alignment = random_alignment();
    if (random_below(2) == 0 || alignment < sizeof(void *))
        object = gc_aligned_alloc(alignment, bytes);
    else
        errno = gc_posix_memalign(&object, alignment, bytes);
    REQUIRE((uintptr_t)object % alignment == 0, "%p is no multiple of %zu", object, alignment);
    return object;
}

static enum object_kind random_kind(void)
{
    size_t n = random_below(100);

    if (n < 20)
        return ATOMIC;
    return n < 22 && model.uncollectables < UNCOLLECTABLES ? UNCOLLECTABLE : NORMAL;
}

/* A new object, of which nobody knows yet; NULL: memory is exhausted. */
static struct entry *new_entry(void)
{
    struct entry *entry = model.free[model.free_count - 1];
    enum object_kind kind = random_kind();
    size_t bytes = random_bytes();
    void *object = allocate(kind, bytes);

    if (object == NULL) {
        drop_a_quarter();
        return NULL;
    }
    REQUIRE((uintptr_t)object % 16 == 0, "%p is not aligned", object);
    REQUIRE(gc_usable_size(object) >= bytes, "%zu of %zu bytes", gc_usable_size(object), bytes);
    if (kind != ATOMIC)
        check_zero(object, 0, gc_usable_size(object));
    model.free_count--;
    model.allocated++;
    *entry = (struct entry){.start = hide(object), .bytes = bytes, .kind = kind, .used = true, .id = ++model.last_id};
    write_pattern(entry);
    return entry;
}

static void operate_allocate(void)
{
    struct entry *entry = new_entry();
    struct entry *holder;

    if (entry == NULL)
        return;
    if (entry->kind == UNCOLLECTABLE)
        model.uncollectable[model.uncollectables++] = entry;
    else
        set_root(random_place(), entry);
    for (unsigned i = 0; i < 2; i++) {
        holder = random_reachable();
        if (holder != NULL && random_below(2) == 0)
            set_edge(holder, entry);
        if (holder != NULL && random_below(2) == 0)
            set_edge(entry, holder);
    }
}

static void operate_link(void)
{
    struct entry *from = random_reachable();
    struct entry *to = random_reachable();

    if (from != NULL && to != NULL)
        set_edge(from, to);
}

static void operate_unlink(void)
{
    struct entry *from = random_reachable();

    for (unsigned i = 0; from != NULL && i < EDGES; i++)
        if (from->edge[i].to != NULL && random_below(2) == 0)
            clear_edge(from, &from->edge[i]);
}

static void operate_drop(void)
{
    size_t root = random_root();

    if (root < ROOTS)
        clear_root(root);
}

static void operate_hold(void)
{
    struct entry *entry = random_reachable();

    if (entry != NULL)
        set_root(random_place(), entry);
}

/* Bytes from `bytes` on are to be cut off: no stale word shall stay in them. */
static void clear_edges_behind(struct entry *entry, size_t bytes)
{
    for (unsigned i = 0; i < EDGES; i++)
        if (entry->edge[i].to != NULL && (entry->edge[i].word + 1) * sizeof(uint64_t) > bytes)
            clear_edge(entry, &entry->edge[i]);
}

/* Nothing but the entry and perhaps one root refers to the object. */
static void resize(struct entry *entry, size_t root)
{
    size_t bytes = random_below(3) == 0 ? random_bytes() : entry->bytes / 2 + random_below(entry->bytes + 32);
    size_t kept = bytes < entry->bytes ? bytes : entry->bytes;
    size_t old_usable = gc_usable_size(reveal(entry->start));
    void *object;

    clear_edges_behind(entry, bytes);
    object = random_below(2) == 0 ? gc_realloc(reveal(entry->start), bytes)
                                  : gc_reallocarray(reveal(entry->start), 1, bytes);
    if (object == NULL) {
        check_contents(entry);
        drop_a_quarter();
        return;
    }
    REQUIRE(object == reveal(entry->start) || !is_alive(entry->start), "%p is alive after it moved to %p",
            reveal(entry->start), object);
    check_bytes(entry, object, kept);
    if (entry->kind != ATOMIC)
        check_zero(object, old_usable, gc_usable_size(object));
    entry->start = hide(object);
    entry->bytes = bytes;
    entry->id = ++model.last_id;
    write_pattern(entry);
    if (root < ROOTS) {
        entry->references++; /* while the root is cut */
        set_root(root, entry);
        entry->references--;
    }
}

/* A reachable object to which there is no more than one reference: of the root
 * whose number is told, or none if it is uncollectable. */
static struct entry *random_owned(size_t *root)
{
    struct entry *entry = NULL;

    *root = ROOTS;
    if (random_below(8) != 0) {
        *root = random_root();
        entry = *root < ROOTS ? model.roots[*root].to : NULL;
        return entry != NULL && entry->references == 1 && entry->kind != UNCOLLECTABLE ? entry : NULL;
    }
    if (model.uncollectables > 0)
        entry = model.uncollectable[random_below(model.uncollectables)];
    return entry != NULL && entry->references == 0 ? entry : NULL;
}

static void operate_resize(void)
{
    size_t root;
    struct entry *entry = random_owned(&root);

    if (entry != NULL)
        resize(entry, root);
}

static void operate_free(void)
{
    size_t root;
    struct entry *entry = random_owned(&root);

    if (entry == NULL)
        return;
    check_contents(entry);
    gc_free(reveal(entry->start));
    REQUIRE(!is_alive(entry->start), "%p is alive after gc_free", reveal(entry->start));
    if (root < ROOTS)
        clear_root(root);
    for (size_t i = 0; i < model.uncollectables; i++)
        if (model.uncollectable[i] == entry)
            model.uncollectable[i] = model.uncollectable[--model.uncollectables];
    forget(entry);
}

static void operate_ask(void)
{
    struct entry *entry = random_reachable();
    char *start;

    if (entry == NULL)
        return;
    start = reveal(entry->start);
    check_contents(entry);
    REQUIRE(gc_base(start + random_below(gc_usable_size(start))) == start, "gc_base inside the object at %p",
            (void *)start);
    REQUIRE(gc_base(start + (gc_usable_size(start) + 15) / 16 * 16) != start, "gc_base behind the object at %p",
            (void *)start);
    REQUIRE(gc_base(start - 1) != start, "gc_base before the object at %p", (void *)start);
}

/* A piece of the roots is no root any more, or is one again. */
static void operate_range(void)
{
    size_t segment = random_below(SEGMENTS);
    uintptr_t *start = model.root_words + segment * SEGMENT_WORDS;
    bool is_root = model.segment_is_root[segment];

    for (size_t i = 0; i < SEGMENT_WORDS; i++)
        clear_root(segment * SEGMENT_WORDS + i);
    if (is_root && segment > 0)
        REQUIRE(gc_remove_roots(start, start + SEGMENT_WORDS) == 0, "%s", "gc_remove_roots failed");
    else
        REQUIRE(gc_add_roots(start, start + SEGMENT_WORDS) == 0, "%s", "gc_add_roots failed");
    model.segment_is_root[segment] = !is_root || segment == 0;
}

static void operate(void)
{
    size_t n = random_below(100);

    if (n < 35)
        operate_allocate();
    else if (n < 55)
        operate_link();
    else if (n < 65)
        operate_unlink();
    else if (n < 80)
        operate_drop();
    else if (n < 83)
        operate_hold();
    else if (n < 88)
        operate_resize();
    else if (n < 91)
        operate_free();
    else
        operate_ask();
    if (random_once_in(2000))
        operate_range();
}

/* ---- Programs -------------------------------------------------------------------------- */

static void begin(const struct program *program)
{
    const struct gc_options *options = &program->options;

    model.program = *program;
    random_begin(criterion_current_test->name);
    model.seed = random_state;
    if (options->past_end != 0)
        unsetenv("BROOM_PAST_END");
    if (options->max_heap != 0)
        unsetenv("BROOM_MAX_HEAP");
    if (options->stress != 0)
        without_stress();
    cr_assert(gc_init_options(options, sizeof *options) == 0);

    model.entries = calloc(ENTRIES, sizeof *model.entries);
    model.free = calloc(ENTRIES, sizeof(struct entry *));
    model.queue = calloc(ENTRIES, sizeof(struct entry *));
    model.roots = calloc(ROOTS, sizeof *model.roots);
    model.root_words = calloc(ROOTS, sizeof *model.root_words);
    while (model.free_count < ENTRIES) {
        model.free[model.free_count] = &model.entries[model.free_count];
        model.free_count++;
    }
    cr_assert(gc_add_roots(model.root_words, model.root_words + ROOTS) == 0);
    memset(model.segment_is_root, true, sizeof model.segment_is_root);
}

/* Drops all there is, link by link, so that no word by chance holds much. */
static void drop_everything(void)
{
    find_reachable();
    for (size_t i = 0; i < model.reachable; i++)
        for (unsigned j = 0; j < EDGES; j++)
            if (model.queue[i]->edge[j].to != NULL)
                clear_edge(model.queue[i], &model.queue[i]->edge[j]);
    for (size_t i = 0; i < ROOTS; i++)
        clear_root(i);
    while (model.uncollectables > 0)
        gc_free(reveal(model.uncollectable[--model.uncollectables]->start));
    verify();
}

static void end(void)
{
    struct gc_stats stats;

    drop_everything();
    gc_get_stats(&stats, sizeof stats);
    fprintf(stderr,
            "TEST_SEED=%llu: %zu objects, %zu times exhausted; of %zu dead %zu retained, %zu bad rounds; %llu "
            "collections, heap %llu KiB, "
            "in the end %llu objects\n",
            (unsigned long long)model.seed, model.allocated, model.exhausted, model.dead, model.retained,
            model.bad_rounds, (unsigned long long)stats.collections, (unsigned long long)stats.heap_peak_bytes >> 10,
            (unsigned long long)stats.objects_marked);
    REQUIRE(model.bad_rounds <= 1 + model.round / 10, "in %zu of %u rounds much was retained", model.bad_rounds,
            model.round);
}

static void run(const struct program *program)
{
    size_t operations = effort((size_t)number_from_environment("TEST_OPERATIONS", 1000000));

    begin(program);
    operations = operations / 100 * program->share_percent;
    for (model.operation = 1; model.operation <= operations; model.operation++) {
        operate();
        if (model.operation % VERIFY_EVERY == 0)
            verify();
    }
    end();
}

Test(model, as_it_comes)
{
    run(&(struct program){.share_percent = 100, .largest_bytes = SIZE_MAX, .retained_percent = 2});
}

Test(model, memory_is_given_back_at_once)
{
    run(&(struct program){{.decommit_delay_ms = 1}, 30, SIZE_MAX, 2});
}

/* An address between two objects then holds both: much is retained. */
Test(model, past_end_counts_everywhere)
{
    run(&(struct program){{.past_end = GC_PAST_END_ALWAYS}, 30, SIZE_MAX, 100});
}

Test(model, past_end_never_counts)
{
    run(&(struct program){{.past_end = GC_PAST_END_NEVER}, 20, SIZE_MAX, 2});
}

Test(model, memory_is_exhausted)
{
    run(&(struct program){{.max_heap = 40 << 20}, 30, SIZE_MAX, 2});
}

Test(model, many_collections)
{
    run(&(struct program){{.stress = 211}, 10, 4 << 10, 2});
}
