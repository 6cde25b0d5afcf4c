/* test_model.c - a random program beside an oracle that knows what it can reach.
 *
 * The program allocates, links, unlinks, resizes and frees objects of every
 * size and kind, and from time to time has the oracle verify the heap.
 *
 * TEST_SEED: another program; TEST_OPERATIONS: a longer one. */
#include "test/effort.h"
#include "test/oracle.h"

#include <errno.h>
#include <stdio.h>

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
