#include "gc/base/align.h"
#include "gc/heap/block.h"
#include "test/built_heap.h"
#include "test/random.h"

#include <criterion/criterion.h>
#include <signal.h>

#define MAX_CELLS (GC_UNIT_BYTES / GC_GRANULE_BYTES)
#define GARBAGE 0x5a

TestSuite(block, .init = build_heap, .fini = drop_heap);
TestSuite(claim, .init = build_heap, .fini = drop_heap);
TestSuite(sweep, .init = build_heap, .fini = drop_heap);

static struct region *const region = &built.region;

static char *block_start(const struct block *block)
{
    return gc__granule_address(region, gc__block_first_granule(region, block));
}

static size_t block_bytes(const struct block *block)
{
    return block->units * GC_UNIT_BYTES;
}

static char *cell(const struct block *block, size_t index)
{
    return block_start(block) + index * block->cell_granules * GC_GRANULE_BYTES;
}

static size_t cell_index(const struct block *block, const char *address)
{
    return (size_t)(address - block_start(block)) / (block->cell_granules * GC_GRANULE_BYTES);
}

/* ---- Making blocks --------------------------------------------------------------------- */

Test(block, knows_its_class_and_kind_in_each_of_its_units)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        const struct sizeclass *class = gc__sizeclass(c);
        struct block *block = build_block(c, c % GC_KIND_COUNT);

        cr_assert(gc__block_is_head(block));
        cr_assert_eq(block->units, class->units);
        cr_assert_eq(block->cells, class->cells);
        cr_assert_eq(block->state, BLOCK_CURRENT);
        for (unsigned i = 0; i < class->units; i++) {
            cr_assert_eq(block[i].form, FORM_BLOCK);
            cr_assert_eq(block[i].kind, c % GC_KIND_COUNT);
            cr_assert_eq(block[i].scanned_granules, gc__kinds[c % GC_KIND_COUNT].scanned ? class->cell_granules : 0);
            cr_assert_eq(gc__block_head(&block[i]), block);
            cr_assert_eq(gc__block_is_head(&block[i]), i == 0);
        }
    }
}

Test(block, that_is_destroyed_leaves_its_units_free_and_without_bits)
{
    struct block *block = build_block(GC_CLASS_COUNT - 3, GC_KIND_CONSERVATIVE);
    size_t unit = gc__block_unit(region, block), units = block->units;
    struct run run;

    cr_assert_gt(units, 1);
    while (claim_run(region, block, &run, SIZE_MAX))
        ;
    gc__block_destroy(region, block);
    cr_assert_eq(region->used_pages, 0);
    for (size_t i = 0; i < units; i++)
        cr_assert_eq(region->blocks[unit + i].form, FORM_UNUSED);
    gc__region_audit(region); /* no bit is left */
    cr_assert_eq(gc__block_unit(region, build_block(0, GC_KIND_ATOMIC)), unit);
}

Test(block, knows_where_cells_start)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        struct block *block = build_block(c, GC_KIND_ATOMIC);
        size_t end = gc__block_cell_granules_end(block);

        for (size_t granule = 0; granule < block->units * GC_UNIT_GRANULES; granule++) {
            uint64_t starts = gc__block_cell_starts(block, granule & ~(size_t)63);
            bool expected = granule < end && granule % block->cell_granules == 0;

            if ((starts >> granule % 64 & 1) != expected)
                cr_assert_fail("class %u, granule %zu", c, granule);
        }
        gc__block_destroy(region, block);
    }
}

/* ---- Claiming from fresh blocks ------------------------------------------------------------ */

static void claim_all_of_fresh(unsigned c, enum gc__kind kind, size_t max_bytes)
{
    struct block *block = build_block(c, kind);
    size_t bytes = block->cell_granules * GC_GRANULE_BYTES, claimed = 0;
    struct run run;

    cr_assert(block->fresh);
    while (claim_run(region, block, &run, max_bytes)) {
        cr_assert_eq(run.cell_bytes, bytes);
        cr_assert_eq(run.cur, cell(block, claimed), "in order");
        cr_assert_gt(run.end, run.cur);
        cr_assert_eq((size_t)(run.end - run.cur) % bytes, 0);
        cr_assert_leq((size_t)(run.end - run.cur), gc__max(max_bytes, bytes));
        for (; run.cur < run.end; run.cur += bytes, claimed++)
            cr_assert(is_allocated(run.cur) && !is_marked(run.cur));
    }
    cr_assert_eq(claimed, gc__sizeclass(c)->cells);
    cr_assert_not(claim_run(region, block, &run, max_bytes));
    gc__block_audit(region, block);
    gc__block_destroy(region, block);
}

Test(claim, takes_every_cell_of_a_fresh_block_once)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        build_block(c, GC_KIND_ATOMIC); /* keeps the chunk */
        claim_all_of_fresh(c, GC_KIND_CONSERVATIVE, GC_RUN_BYTES);
        gc__region_decommit(region, UINT64_MAX);
    }
}

Test(claim, takes_runs_of_any_length)
{
    static const size_t max_bytes[] = {0, 1, 16, 100, 4096, 65536, SIZE_MAX};

    for (unsigned i = 0; i < sizeof max_bytes / sizeof max_bytes[0]; i++)
        for (unsigned c = 0; c < GC_CLASS_COUNT; c += 7) {
            claim_all_of_fresh(c, GC_KIND_CONSERVATIVE, max_bytes[i]);
            gc__region_decommit(region, UINT64_MAX);
        }
}

Test(claim, of_a_fresh_block_gives_zeros)
{
    struct block *block = build_block(5, GC_KIND_CONSERVATIVE);
    struct run run;

    while (claim_run(region, block, &run, GC_RUN_BYTES))
        cr_assert(bytes_are(run.cur, (size_t)(run.end - run.cur), 0));
}

/* ---- Claiming from used blocks ------------------------------------------------------------- */

enum cell_state { FREE, WHITE, BLACK, KEPT /* in a magazine */, CLAIMED };

/* What the test knows of a block, cell by cell. */
static enum cell_state state_of[MAX_CELLS];

static void set_state(const struct block *block, size_t i, enum cell_state state)
{
    state_of[i] = state;
    set_allocated(cell(block, i), state == WHITE || state == BLACK);
    set_marked(cell(block, i), state == BLACK || state == KEPT);
}

/* A block as it is after sweeping, full of garbage; each cell is free once in
 * `free_in` times. */
static struct block *used_block(unsigned c, enum gc__kind kind, size_t free_in)
{
    struct block *block = build_block(c, kind);

    block->fresh = false;
    memset(block_start(block), GARBAGE, block_bytes(block));
    for (size_t i = 0; i < block->cells; i++)
        set_state(block, i, random_once_in(free_in) ? FREE : (enum cell_state)random_between(WHITE, KEPT));
    return block;
}

/* One run: only free cells, and as many as there are in a row and are wanted. */
static void check_run(const struct block *block, struct run run, size_t max_bytes)
{
    size_t first = cell_index(block, run.cur), end = cell_index(block, run.end);
    size_t max = gc__max(max_bytes / run.cell_bytes, 1);
    bool zeroed = gc__kinds[block->kind].zeroed;

    cr_assert_lt(first, end);
    cr_assert_leq(end - first, max);
    cr_assert(end == block->cells || state_of[end] != FREE || end - first == max, "the run could be longer");
    cr_assert_eq(block->cursor, end * block->cell_granules);
    for (size_t i = first; i < end; i++) {
        if (state_of[i] != FREE || !is_allocated(cell(block, i)) || is_marked(cell(block, i)))
            cr_assert_fail("cell %zu was not free", i);
        state_of[i] = CLAIMED;
    }
    cr_assert(bytes_are(run.cur, (size_t)(run.end - run.cur), zeroed ? 0 : GARBAGE));
}

/* What was not claimed is as it was. */
static void check_rest(const struct block *block)
{
    size_t bytes = block->cell_granules * GC_GRANULE_BYTES;

    for (size_t i = 0; i < block->cells; i++) {
        const char *start = cell(block, i);

        if (state_of[i] == CLAIMED)
            continue;
        if (state_of[i] == FREE)
            cr_assert_fail("cell %zu was forgotten", i);
        if (is_allocated(start) != (state_of[i] != KEPT) || is_marked(start) != (state_of[i] != WHITE))
            cr_assert_fail("cell %zu has other bits", i);
        if (!bytes_are(start, bytes, GARBAGE))
            cr_assert_fail("cell %zu was overwritten", i);
    }
    cr_assert(bytes_are(cell(block, block->cells),
                        (size_t)(cell(block, 0) + block_bytes(block) - cell(block, block->cells)), GARBAGE));
}

static void claim_all_of_used(unsigned c, enum gc__kind kind, size_t free_in, size_t max_bytes)
{
    struct block *block = used_block(c, kind, free_in);
    const char *last = NULL;
    struct run run;

    while (claim_run(region, block, &run, max_bytes)) {
        cr_assert(last == NULL || run.cur >= last, "upwards only");
        check_run(block, run, max_bytes);
        last = run.end;
    }
    check_rest(block);
    gc__block_audit(region, block);
    gc__block_destroy(region, block);
}

Test(claim, takes_the_free_cells_of_random_blocks_of_every_class)
{
    random_begin("claim");
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++)
        claim_all_of_used(c, GC_KIND_CONSERVATIVE, random_between(1, 10), GC_RUN_BYTES);
}

Test(claim, takes_the_free_cells_of_random_blocks_of_every_kind)
{
    static const size_t max_bytes[] = {0, 64, 1000, 8192, SIZE_MAX};

    random_begin("claim");
    for (unsigned i = 0; i < 150; i++)
        claim_all_of_used((unsigned)random_below(GC_CLASS_COUNT), (enum gc__kind)random_below(GC_KIND_COUNT),
                          random_between(1, 30), max_bytes[random_below(5)]);
}

Test(claim, finds_nothing_in_a_full_block)
{
    struct block *block = build_block(10, GC_KIND_CONSERVATIVE);
    struct run run = {.cur = NULL};

    block->fresh = false;
    for (size_t i = 0; i < block->cells; i++)
        set_state(block, i, (enum cell_state)(WHITE + i % 3));
    cr_assert_not(claim_run(region, block, &run, GC_RUN_BYTES));
    set_state(block, block->cells - 1u, FREE);
    cr_assert(claim_run(region, block, &run, GC_RUN_BYTES));
    cr_assert_eq(run.cur, cell(block, block->cells - 1u));
    cr_assert_eq(run.end, cell(block, block->cells));
}

Test(claim, takes_every_other_cell_of_a_half_full_block)
{
    struct block *block = build_block(3, GC_KIND_CONSERVATIVE);
    struct run run;

    block->fresh = false;
    for (size_t i = 0; i < block->cells; i++)
        set_state(block, i, i % 2 == 0 ? WHITE : FREE);
    for (size_t i = 1; i < block->cells; i += 2) {
        cr_assert(claim_run(region, block, &run, GC_RUN_BYTES));
        cr_assert_eq(run.cur, cell(block, i));
        cr_assert_eq(run.end, cell(block, i + 1));
    }
    cr_assert_not(claim_run(region, block, &run, GC_RUN_BYTES));
}

Test(claim, looks_behind_the_cursor_only)
{
    struct block *block = build_block(3, GC_KIND_CONSERVATIVE);
    struct run run;

    block->fresh = false;
    block->cursor = (uint16_t)(100 * block->cell_granules);
    cr_assert(claim_run(region, block, &run, 0));
    cr_assert_eq(run.cur, cell(block, 100));
    cr_assert_not(is_allocated(cell(block, 99)));
}

/* ---- Sweeping ---------------------------------------------------------------------------------- */

Test(sweep, keeps_what_is_marked)
{
    random_begin("sweep");
    for (unsigned c = 0; c < GC_CLASS_COUNT; c += 3) {
        struct block *block = used_block(c, GC_KIND_CONSERVATIVE, 3);

        block->cursor = block->cell_granules;
        gc__block_sweep(region, block);
        cr_assert_eq(block->cursor, 0);
        cr_assert_not(block->fresh);
        for (size_t i = 0; i < block->cells; i++) {
            cr_assert_eq(is_allocated(cell(block, i)), state_of[i] == BLACK);
            cr_assert_eq(is_marked(cell(block, i)), state_of[i] == BLACK || state_of[i] == KEPT);
        }
        gc__block_destroy(region, block);
    }
}

Test(sweep, touches_no_object)
{
    struct block *block;

    random_begin("sweep");
    block = used_block(20, GC_KIND_CONSERVATIVE, 3);
    gc__block_sweep(region, block);
    cr_assert(bytes_are(block_start(block), block_bytes(block), GARBAGE));
}

Test(sweep, of_a_block_that_was_fresh_makes_what_is_free_to_be_zeroed)
{
    struct block *block = build_block(3, GC_KIND_CONSERVATIVE);
    struct run run;

    cr_assert(claim_run(region, block, &run, GC_RUN_BYTES));
    memset(run.cur, GARBAGE, (size_t)(run.end - run.cur));
    set_marked(run.cur, true);
    gc__block_sweep(region, block);
    cr_assert(claim_run(region, block, &run, GC_RUN_BYTES));
    cr_assert_eq(run.cur, cell(block, 1));
    cr_assert(bytes_are(run.cur, (size_t)(run.end - run.cur), 0));
    cr_assert(bytes_are(cell(block, 0), run.cell_bytes, GARBAGE));
}

Test(sweep, and_whiten_sweeps_unswept_blocks_only)
{
    static const enum block_state states[] = {BLOCK_UNSWEPT, BLOCK_PARTIAL, BLOCK_CURRENT, BLOCK_FULL};

    random_begin("sweep");
    for (unsigned s = 0; s < 4; s++) {
        struct block *block = used_block(15, GC_KIND_CONSERVATIVE, 3);

        block->state = (uint8_t)states[s];
        gc__block_sweep_and_whiten(region, block, false);
        for (size_t i = 0; i < block->cells; i++) {
            bool stays = state_of[i] == BLACK || (state_of[i] == WHITE && states[s] != BLOCK_UNSWEPT);

            cr_assert_eq(is_allocated(cell(block, i)), stays);
            cr_assert_not(is_marked(cell(block, i)));
        }
        gc__block_destroy(region, block);
    }
}

Test(sweep, leaves_neighbouring_blocks_alone)
{
    struct block *before = build_block(7, GC_KIND_CONSERVATIVE);
    struct block *block = build_block(7, GC_KIND_CONSERVATIVE);
    struct block *after = build_block(7, GC_KIND_CONSERVATIVE);

    set_state(before, before->cells - 1u, WHITE);
    set_state(after, 0, BLACK);
    before->fresh = after->fresh = false;
    gc__block_sweep(region, block);
    block->state = BLOCK_UNSWEPT;
    gc__block_sweep_and_whiten(region, block, false);
    cr_assert(is_allocated(cell(before, before->cells - 1u)));
    cr_assert(is_allocated(cell(after, 0)) && is_marked(cell(after, 0)));
}

/* ---- The audit sees what is wrong ---------------------------------------------------------------- */

TestSuite(block_audit, .init = build_heap);

Test(block_audit, finds_a_bit_inside_a_cell, .signal = SIGABRT)
{
    struct block *block = build_block(6, GC_KIND_ATOMIC);

    block->fresh = false;
    set_allocated(cell(block, 3) + GC_GRANULE_BYTES, true);
    gc__block_audit(region, block);
}

Test(block_audit, finds_a_mark_behind_the_last_cell, .signal = SIGABRT)
{
    struct block *block = build_block(5, GC_KIND_ATOMIC);

    cr_assert_lt((size_t)(cell(block, block->cells) - block_start(block)), block_bytes(block));
    block->fresh = false;
    set_marked(cell(block, block->cells), true);
    gc__block_audit(region, block);
}

Test(block_audit, finds_units_that_disagree, .signal = SIGABRT)
{
    struct block *block = build_block(GC_CLASS_COUNT - 3, GC_KIND_CONSERVATIVE);

    cr_assert_gt(block->units, 1);
    block[1].kind = GC_KIND_ATOMIC;
    gc__block_audit(region, block);
}

Test(block_audit, finds_an_object_behind_the_cursor_of_a_fresh_block, .signal = SIGABRT)
{
    struct block *block = build_block(6, GC_KIND_ATOMIC);

    block->cursor = (uint16_t)(10 * block->cell_granules);
    set_allocated(cell(block, 10), true);
    gc__block_audit(region, block);
}
