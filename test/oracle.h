/* oracle.h - a graph of objects, and beside it an oracle that knows what is
 * reachable in it.
 *
 * The oracle, in plain malloc memory and with complemented addresses, has an
 * entry for each object and an edge for each reference. `verify` finds out what
 * is truly reachable: all of that must be intact, and after a collection nearly
 * all the rest must be gone. */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H

#include "test/hidden.h"
#include "test/random.h"

#include "gc/cycle/heap.h"

#include <criterion/criterion.h>
#include <stdlib.h>
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
static inline uint64_t pattern(uint64_t id, size_t word)
{
    uint64_t mixed = (id << 20 ^ word) * UINT64_C(0x9e3779b97f4a7c15);

    return (mixed ^ mixed >> 29) | (uint64_t)1 << 63;
}

/* The first word at or behind `word` that is written in an object of so many. */
static inline size_t next_written(size_t words, size_t word)
{
    if (word < DENSE || words < 2 * DENSE || word >= words - DENSE)
        return word;
    word = (word + SPARSE - 1) / SPARSE * SPARSE;
    return word < words - DENSE ? word : words - DENSE;
}

static inline uintptr_t edge_value(const struct edge *edge)
{
    return (uintptr_t)reveal(edge->to->start) + edge->offset;
}

static inline void write_pattern(const struct entry *entry)
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

static inline uint64_t expected_word(const struct entry *entry, size_t word)
{
    for (unsigned i = 0; i < EDGES; i++)
        if (entry->edge[i].to != NULL && entry->edge[i].word == word)
            return edge_value(&entry->edge[i]);
    return pattern(entry->id, word);
}

/* The first `bytes` bytes of `memory` are those of the entry's object. */
static inline void check_bytes(const struct entry *entry, const uint64_t *memory, size_t bytes)
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

static inline void check_zero(const void *memory, size_t from, size_t to)
{
    const unsigned char *byte = memory;

    if (from < to)
        REQUIRE(byte[from] == 0 && memcmp(byte + from, byte + from + 1, to - from - 1) == 0,
                "not all of bytes %zu to %zu at %p are zero", from, to, memory);
}

static inline void check_contents(const struct entry *entry)
{
    check_bytes(entry, reveal(entry->start), entry->bytes);
}

/* ---- The graph ------------------------------------------------------------------ */

static inline size_t random_offset(const struct entry *entry)
{
    bool past_end = model.program.options.past_end == GC_PAST_END_ALWAYS;

    if (random_below(3) != 0)
        return 0;
    if (past_end && random_below(4) == 0)
        return entry->bytes;
    return entry->bytes == 0 ? 0 : random_below(entry->bytes);
}

static inline void cut(struct edge *edge)
{
    if (edge->to != NULL)
        edge->to->references--;
    edge->to = NULL;
}

static inline void clear_root(size_t root)
{
    cut(&model.roots[root]);
    model.root_words[root] = pattern(root, model.operation);
}

static inline void set_root(size_t root, struct entry *to)
{
    clear_root(root);
    to->references++;
    model.roots[root] = (struct edge){to, 0, random_offset(to)};
    model.root_words[root] = edge_value(&model.roots[root]);
}

static inline void clear_edge(struct entry *from, struct edge *edge)
{
    uint64_t *word = reveal(from->start);

    word[edge->word] = pattern(from->id, edge->word);
    cut(edge);
}

/* Some word of `from` becomes a reference to `to`, if it has a word. */
static inline void set_edge(struct entry *from, struct entry *to)
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
static inline size_t random_root(void)
{
    for (unsigned i = 0; i < 20; i++) {
        size_t root = random_below(ROOTS);
        if (model.segment_is_root[root / SEGMENT_WORDS] && model.roots[root].to != NULL)
            return root;
    }
    return ROOTS;
}

/* A place for a new reference. */
static inline size_t random_place(void)
{
    for (;;) {
        size_t root = random_below(ROOTS);
        if (model.segment_is_root[root / SEGMENT_WORDS])
            return root;
    }
}

/* A reachable object, some steps away from a root; NULL: none was found. */
static inline struct entry *random_reachable(void)
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

static inline void reach(struct entry *entry)
{
    if (entry == NULL || entry->visited == model.round)
        return;
    entry->visited = model.round;
    model.queue[model.reachable++] = entry;
}

static inline void find_reachable(void)
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

static inline int by_address(const void *left, const void *right)
{
    const struct entry *const *a = left, *const *b = right;
    uintptr_t first = ~(*a)->start.bits, second = ~(*b)->start.bits;

    return first < second ? -1 : first > second;
}

static inline void forget(struct entry *entry)
{
    for (unsigned i = 0; i < EDGES; i++)
        cut(&entry->edge[i]);
    entry->used = false;
    model.free[model.free_count++] = entry;
}

static inline bool starts_a_reachable_object(void *address)
{
    struct entry wanted = {.start = hide(address)};
    struct entry *key = &wanted;

    return bsearch(&key, model.queue, model.reachable, sizeof key, by_address) != NULL;
}

/* Whether the memory of a dead object still holds it. It may hold another. */
static inline bool is_retained(const struct entry *entry)
{
    return is_alive(entry->start) && !starts_a_reachable_object(reveal(entry->start));
}

/* Of what is dead nearly all must be gone. One word by chance may hold a part
 * of the graph, so that it is not asked for in every round. */
static inline void bury_the_dead(void)
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

static inline void check_reachable(void)
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
static inline void thin_out(void)
{
    for (size_t i = 0; i < ROOTS; i++)
        if (random_once_in(2))
            clear_root(i);
    for (size_t i = 0; i < model.reachable; i++)
        for (unsigned j = 0; j < EDGES; j++)
            if (model.queue[i]->edge[j].to != NULL && random_once_in(2))
                clear_edge(model.queue[i], &model.queue[i]->edge[j]);
}

static inline void verify(void)
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

#endif
