#include "gc/reclaim/sweep.h"
#include "test/built_heap.h"
#include "test/random.h"

#include <criterion/criterion.h>
#include <signal.h>

static struct region *const region = &built.region;
static struct bins bins;
static struct gang gang;

static void build_heap_and_gang(void)
{
    build_heap();
    gc__gang_init(&gang, region, 0);
}

static void drop_heap_and_bins(void)
{
    gc__sweep_audit(region, &bins);
    drop_heap();
}

/* As the marker does it. */
static void mark(const void *address)
{
    struct object object = object_at(address);

    set_marked(gc__object_start(region, &object), true);
}

/* No mutator claims from the blocks that were built any longer. */
static void finish_and_whiten(void)
{
    memset(built.current, 0, sizeof built.current);
    gc__sweep_finish_and_whiten(&gang, &bins, false);
}

static struct census publish(void)
{
    struct census census = gc__sweep_publish_marks(&gang, &bins);

    gc__sweep_audit(region, &bins);
    return census;
}

static struct block *take_swept(enum gc__kind kind, unsigned class_index)
{
    bool unswept;
    struct block *block = gc__sweep_take_block(region, &bins, gc__lane_of(kind, class_index), &unswept);

    if (block != NULL && unswept)
        gc__sweep_block(region, block);
    return block;
}

static struct block *take(enum gc__kind kind, size_t bytes)
{
    struct block *block = take_swept(kind, gc__sizeclass_of(bytes));

    gc__sweep_audit(region, &bins);
    return block;
}

/* Fills `count` blocks with cells of `bytes` bytes; `cells`: the first of each. */
static void fill_blocks(size_t count, size_t bytes, char **cells)
{
    size_t per_block = gc__sizeclass(gc__sizeclass_of(bytes))->cells;

    for (size_t i = 0; i < count * per_block; i++) {
        char *cell = build_cell(GC_KIND_CONSERVATIVE, bytes);
        if (i % per_block == 0)
            cells[i / per_block] = cell;
    }
}

TestSuite(begin, .init = build_heap_and_gang, .fini = drop_heap_and_bins);
TestSuite(publish, .init = build_heap_and_gang, .fini = drop_heap_and_bins);
TestSuite(take, .init = build_heap_and_gang, .fini = drop_heap_and_bins);
TestSuite(note_free, .init = build_heap_and_gang, .fini = drop_heap_and_bins);
TestSuite(abandon, .init = build_heap_and_gang, .fini = drop_heap_and_bins);
TestSuite(large, .init = build_heap_and_gang, .fini = drop_heap_and_bins);

/* ---- The first step of a cycle --------------------------------------------------------- */

Test(begin, makes_everything_white)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 100), *large = build_large(GC_KIND_ATOMIC, 10);

    mark(cell);
    mark(large);
    finish_and_whiten();
    cr_assert_not(is_marked(cell) || is_marked(large));
    cr_assert(is_allocated(cell) && is_allocated(large));
}

Test(begin, sweeps_what_the_last_cycle_left)
{
    char *dead = build_cell(GC_KIND_CONSERVATIVE, 100), *live = build_cell(GC_KIND_CONSERVATIVE, 100);

    finish_and_whiten();
    mark(live);
    publish();
    cr_assert(is_allocated(dead), "not swept yet");
    finish_and_whiten();
    cr_assert_not(is_allocated(dead));
    cr_assert(is_allocated(live));
}

Test(begin, empties_the_bins)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 100);

    finish_and_whiten();
    mark(cell);
    publish();
    finish_and_whiten();
    gc__sweep_audit(region, &bins);
    cr_assert_null(take(GC_KIND_CONSERVATIVE, 100));
    cr_assert_eq(object_at(cell).block->state, BLOCK_AWAITING);
}

/* ---- Both, by several markers ---------------------------------------------------------------- */

enum { MANY = 5 * GC_SWEEP_PART_CHUNKS * (GC_CHUNK_BYTES / 1024) };

static char *many[MANY];

/* Of each sort of block some: none of whose cells lives, all, or some. */
static bool lives(size_t i)
{
    size_t per_block = gc__sizeclass(gc__sizeclass_of(1000))->cells;

    return i / per_block % 3 == 0 || (i / per_block % 3 == 1 && i % 2 == 0);
}

static void cycle_of_many(unsigned markers)
{
    size_t living = 0, cell_bytes = (size_t)gc__sizeclass(gc__sizeclass_of(1000))->cell_granules << GC_GRANULE_SHIFT;
    struct census census;

    gc__gang_assemble(&gang, markers);
    cr_assert_eq(gc__sweep_is_shared(&gang), markers > 1);
    finish_and_whiten();
    for (size_t i = 0; i < MANY; i++) {
        cr_assert_not(is_marked(many[i]));
        living += lives(i);
        if (lives(i))
            mark(many[i]);
    }
    census = publish();
    cr_assert_eq(census.objects, living);
    cr_assert_eq(census.bytes, living * cell_bytes);
    cr_assert_eq(census.scanned_bytes, census.bytes);
}

/* The second cycle finds blocks unswept, and less of them. */
Test(begin, and_publish_are_done_alike_by_any_number_of_markers)
{
    static unsigned markers[] = {1, 2, 4};
    size_t held[3];

    for (size_t k = 0; k < 3; k++) {
        drop_heap();
        build_heap_of(8 * GC_SWEEP_PART_CHUNKS);
        gc__gang_init(&gang, region, 0);
        for (size_t i = 0; i < MANY; i++)
            many[i] = build_cell(GC_KIND_CONSERVATIVE, 1000);
        cycle_of_many(markers[k]);
        held[k] = region->used_pages;
        cycle_of_many(markers[k]);
        cr_assert_eq(region->used_pages, held[k]);
        cr_assert_eq(held[k], held[0]);
        for (size_t i = 0; i < MANY; i++)
            cr_assert(!lives(i) || is_allocated(many[i]));
    }
}

/* ---- The last step ------------------------------------------------------------------------ */

Test(publish, gives_back_blocks_without_a_marked_object)
{
    char *cells[5];

    fill_blocks(5, 1016, cells);
    finish_and_whiten();
    mark(cells[1]);
    mark(cells[3]);
    publish();
    cr_assert_eq(region->used_pages, 2 * GC_PAGES_PER_UNIT);
    cr_assert_eq(object_at(cells[1]).block->state, BLOCK_UNSWEPT);
    cr_assert_not(gc__resolve(region, gc__ambiguous(cells[2]), &(struct object){0}));
}

Test(publish, lists_the_lowest_block_first)
{
    char *cells[5];

    fill_blocks(5, 1016, cells);
    finish_and_whiten();
    for (size_t i = 0; i < 5; i++)
        mark(cells[i]);
    publish();
    for (size_t i = 0; i < 5; i++)
        cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), object_at(cells[i]).block);
    cr_assert_null(take(GC_KIND_CONSERVATIVE, 1016));
}

Test(publish, keeps_kinds_and_classes_apart)
{
    char *a = build_cell(GC_KIND_CONSERVATIVE, 100), *b = build_cell(GC_KIND_ATOMIC, 100);
    char *c = build_cell(GC_KIND_CONSERVATIVE, 200);

    finish_and_whiten();
    mark(a);
    mark(b);
    mark(c);
    publish();
    cr_assert_null(take(GC_KIND_ATOMIC, 200));
    cr_assert_eq(take(GC_KIND_ATOMIC, 100), object_at(b).block);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 200), object_at(c).block);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 100), object_at(a).block);
}

Test(publish, counts_what_is_marked)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 100), *atomic = build_cell(GC_KIND_ATOMIC, 40);
    char *large = build_large(GC_KIND_ATOMIC, 10);
    struct census census;

    build_cell(GC_KIND_CONSERVATIVE, 100);
    build_large(GC_KIND_CONSERVATIVE, 20);
    finish_and_whiten();
    mark(cell);
    mark(atomic);
    mark(large);
    census = publish();
    cr_assert_eq(census.objects, 3);
    cr_assert_eq(census.bytes, 112 + 48 + 10 * GC_PAGE_BYTES);
    cr_assert_eq(census.scanned_bytes, 112);
    finish_and_whiten();
    cr_assert_eq(publish().objects, 0, "not those of the cycle before");
}

Test(publish, does_not_list_full_blocks)
{
    char *cells[1] = {NULL};
    size_t per_block = gc__sizeclass(gc__sizeclass_of(1016))->cells;

    fill_blocks(1, 1016, cells);
    finish_and_whiten();
    for (size_t i = 0; i < per_block; i++)
        mark(cells[0] + i * 1024);
    publish();
    cr_assert_eq(object_at(cells[0]).block->state, BLOCK_FULL);
    cr_assert_null(take(GC_KIND_CONSERVATIVE, 1016));
}

/* ---- Taking blocks --------------------------------------------------------------------------- */

Test(take, sweeps_the_block)
{
    char *cells[16];
    struct block *block;

    for (size_t i = 0; i < 16; i++)
        cells[i] = build_cell(GC_KIND_CONSERVATIVE, 4088);
    finish_and_whiten();
    for (size_t i = 0; i < 16; i += 3)
        mark(cells[i]);
    publish();
    block = take(GC_KIND_CONSERVATIVE, 4088);
    cr_assert_eq(block, object_at(cells[0]).block);
    cr_assert_eq(block->state, BLOCK_CURRENT);
    cr_assert_eq(block->cursor, 0);
    for (size_t i = 0; i < 16; i++)
        cr_assert_eq(is_allocated(cells[i]), i % 3 == 0);
}

Test(take, gives_all_that_is_free_to_claim_and_no_more)
{
    char *cells[8];
    size_t per_block = gc__sizeclass(gc__sizeclass_of(2040))->cells, claimed = 0;
    struct block *block;
    struct run run;

    fill_blocks(8, 2040, cells);
    finish_and_whiten();
    for (size_t i = 0; i < 8; i++)
        for (size_t c = 0; c < per_block; c++)
            if (i % 4 == 0 || c % 2 == 0) /* every fourth block is full */
                mark(cells[i] + c * 2048);
    publish();
    while ((block = take(GC_KIND_CONSERVATIVE, 2040)) != NULL) {
        while (claim_run(region, block, &run, SIZE_MAX))
            claimed += (size_t)(run.end - run.cur) / 2048;
        gc__sweep_retire_block(region, &bins, block);
    }
    cr_assert_eq(claimed, 6 * per_block / 2);
}

Test(take, of_an_empty_bin_gives_nothing)
{
    cr_assert_null(take(GC_KIND_CONSERVATIVE, 100));
}

/* ---- Cells that become free between collections -------------------------------------------------- */

static void free_cell(char *cell)
{
    struct object object = object_at(cell);

    set_allocated(cell, false);
    set_marked(cell, false);
    gc__sweep_note_free(region, &bins, object.block, object.granule);
    gc__sweep_audit(region, &bins);
}

Test(note_free, makes_a_full_block_partial_and_its_cell_claimable)
{
    char *cells[1];
    struct block *block;
    struct run run;

    fill_blocks(1, 1016, cells);
    block = object_at(cells[0]).block;
    gc__sweep_retire_block(region, &bins, block);
    cr_assert_null(take(GC_KIND_CONSERVATIVE, 1016));
    free_cell(cells[0] + 5 * 1024);
    free_cell(cells[0] + 3 * 1024);
    free_cell(cells[0] + 9 * 1024);
    cr_assert_eq(block->state, BLOCK_PARTIAL);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), block);
    cr_assert_eq(block->state, BLOCK_CURRENT);
    for (size_t i = 3; i < 10; i += i == 5 ? 4 : 2) {
        cr_assert(claim_run(region, block, &run, 0));
        cr_assert_eq(run.cur, cells[0] + i * 1024);
    }
    cr_assert_not(claim_run(region, block, &run, 0));
}

/* Until then its cursor is the claimer's. */
Test(note_free, in_the_current_block_is_found_once_that_is_retired)
{
    char *first = build_cell(GC_KIND_CONSERVATIVE, 1016), *second = build_cell(GC_KIND_CONSERVATIVE, 1016);
    struct block *block = object_at(second).block;
    struct run run;

    memset(first, 'x', 1024);
    free_cell(first);
    cr_assert(claim_run(region, block, &run, 0));
    cr_assert_eq(run.cur, second + 1024);
    gc__sweep_retire_block(region, &bins, block);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), block);
    cr_assert(claim_run(region, block, &run, 0));
    cr_assert_eq(run.cur, first);
    cr_assert(bytes_are(first, 1024, 0), "it is not fresh any longer");
}

Test(abandon, lets_others_claim_the_rest)
{
    char *first = build_cell(GC_KIND_CONSERVATIVE, 1016);
    struct block *block = object_at(first).block;
    struct run run;

    gc__sweep_abandon_block(region, &bins, block);
    gc__sweep_audit(region, &bins);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), block);
    cr_assert(claim_run(region, block, &run, 0));
    cr_assert_eq(run.cur, first + 1024);
}

Test(abandon, of_a_used_up_block_leaves_it_full)
{
    char *cells[1];
    struct block *block;

    fill_blocks(1, 1016, cells);
    block = object_at(cells[0]).block;
    gc__sweep_abandon_block(region, &bins, block);
    gc__sweep_audit(region, &bins);
    cr_assert_eq(block->state, BLOCK_FULL);
    cr_assert_null(take(GC_KIND_CONSERVATIVE, 1016));
}

Test(note_free, in_an_unswept_block_is_found_by_sweeping)
{
    char *freed = build_cell(GC_KIND_CONSERVATIVE, 1016), *live = build_cell(GC_KIND_CONSERVATIVE, 1016);
    struct block *block = object_at(freed).block;
    struct run run;

    finish_and_whiten();
    mark(freed);
    mark(live);
    publish();
    free_cell(freed);
    cr_assert_eq(block->state, BLOCK_UNSWEPT);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), block);
    cr_assert(claim_run(region, block, &run, 0));
    cr_assert_eq(run.cur, freed);
}

Test(note_free, partial_blocks_are_taken_before_unswept_ones)
{
    char *cells[2];

    fill_blocks(2, 1016, cells);
    finish_and_whiten();
    mark(cells[0]);
    mark(cells[0] + 1024);
    mark(cells[1]);
    publish();
    gc__sweep_retire_block(region, &bins, take(GC_KIND_CONSERVATIVE, 1016));
    free_cell(cells[0]);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), object_at(cells[0] + 1024).block);
    cr_assert_eq(take(GC_KIND_CONSERVATIVE, 1016), object_at(cells[1]).block);
}

/* ---- Large objects ----------------------------------------------------------------------------------- */

Test(large, objects_go_if_they_are_white)
{
    char *objects[20];

    build_cell(GC_KIND_CONSERVATIVE, 16);
    for (size_t i = 0; i < 20; i++)
        objects[i] = build_large(GC_KIND_CONSERVATIVE, 9 + i * 20);
    finish_and_whiten();
    for (size_t i = 0; i < 20; i += 3)
        mark(objects[i] + 5000);
    publish();
    for (size_t i = 0; i < 20; i++)
        cr_assert_eq(gc__resolve(region, gc__ambiguous(objects[i]), &(struct object){0}), i % 3 == 0);
}

/* ---- Many cycles, at random ---------------------------------------------------------------------------- */

#define OBJECTS 3000

static struct {
    char *cell;
    size_t bytes;
    char value;
} known[OBJECTS];

static size_t known_count;

static void check_known(size_t i)
{
    struct object object = object_at(known[i].cell);

    cr_assert(gc__object_is_live(region, &object));
    cr_assert(bytes_are(known[i].cell, known[i].bytes, known[i].value));
}

/* A run's one cell, from where the allocator would take it. */
static char *allocate(enum gc__kind kind, size_t bytes)
{
    unsigned c = gc__sizeclass_of(bytes);
    struct block **current = &built.current[kind][c];
    struct run run;

    while (*current == NULL || !claim_run(region, *current, &run, 0)) {
        if (*current != NULL)
            gc__sweep_retire_block(region, &bins, *current);
        *current = take_swept(kind, c);
        if (*current == NULL)
            *current = build_block(c, kind);
    }
    return run.cur;
}

static void allocate_known(void)
{
    static const size_t sizes[] = {16, 24, 100, 512, 3000, 20000};
    size_t bytes = sizes[random_below(6)];
    enum gc__kind kind = (enum gc__kind)random_below(2);
    char *cell = allocate(kind, bytes);

    if (kind == GC_KIND_CONSERVATIVE)
        cr_assert(bytes_are(cell, bytes, 0));
    known[known_count].cell = cell;
    known[known_count].bytes = bytes;
    known[known_count].value = (char)random_next();
    memset(cell, known[known_count].value, bytes);
    known_count++;
}

static void free_known(void)
{
    size_t i = random_below(known_count);

    check_known(i);
    free_cell(known[i].cell);
    known[i] = known[--known_count];
}

/* Some of the objects die. */
static void collect(void)
{
    size_t live = 0;

    finish_and_whiten();
    for (size_t i = 0; i < known_count; i++)
        if (!random_once_in(3)) {
            mark(known[i].cell);
            known[live++] = known[i];
        }
    known_count = live;
    publish();
    for (size_t i = 0; i < known_count; i += 7)
        check_known(i);
}

Test(random, cycles_lose_no_object, .init = build_heap_and_gang, .fini = drop_heap_and_bins)
{
    random_begin("sweep");
    for (unsigned step = 0; step < 12000; step++) {
        if (known_count < OBJECTS && !random_once_in(5))
            allocate_known();
        else if (known_count > 0)
            free_known();
        if (random_once_in(1000))
            collect();
    }
    for (size_t i = 0; i < known_count; i++)
        check_known(i);
    audit_built_heap();
    known_count = 0;
    finish_and_whiten();
    publish();
    cr_assert_eq(region->used_pages, 0);
}

/* ---- The audit sees what is wrong -------------------------------------------------------------------------- */

TestSuite(sweep_audit, .init = build_heap_and_gang);

static struct block *listed_block(void)
{
    char *cell = build_cell(GC_KIND_CONSERVATIVE, 100);

    finish_and_whiten();
    mark(cell);
    publish();
    return object_at(cell).block;
}

Test(sweep_audit, finds_a_block_in_the_wrong_list, .signal = SIGABRT)
{
    listed_block()->state = BLOCK_CURRENT;
    gc__sweep_audit(region, &bins);
}

Test(sweep_audit, finds_a_block_in_another_class_s_list, .signal = SIGABRT)
{
    unsigned c = gc__sizeclass_of(100);

    listed_block();
    bins.bin[c + 1] = bins.bin[c];
    bins.bin[c].unswept = 0;
    gc__sweep_audit(region, &bins);
}

Test(sweep_audit, finds_a_block_in_no_list, .signal = SIGABRT)
{
    listed_block();
    bins = (struct bins){0};
    gc__sweep_audit(region, &bins);
}

Test(sweep_audit, finds_a_ring, .signal = SIGABRT)
{
    struct block *block = listed_block();

    block->next = (uint32_t)gc__block_unit(region, block) + 1;
    gc__sweep_audit(region, &bins);
}
