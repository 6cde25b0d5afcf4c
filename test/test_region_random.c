/* test_region_random.c - a region next to a simple array of pages: random steps,
 * the same answers. */
#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "test/built_region.h"
#include "test/random.h"

#define MAX_RUNS 300

/* What was taken and not given back. */
struct taken {
    size_t first;
    size_t count;
    bool units;
    bool written; /* each page has its mark */
    uint64_t mark;
};

static struct {
    struct taken runs[MAX_RUNS];
    size_t run_count;
    bool used[PAGES];
    bool dirty[PAGES];
    uint64_t freed_ns[CHUNKS];
    size_t used_pages;
    size_t max_pages;
} oracle;

static bool chunk_is_free(size_t c)
{
    for (size_t page = c * GC_PAGES_PER_CHUNK; page < (c + 1) * GC_PAGES_PER_CHUNK; page++)
        if (oracle.used[page])
            return false;
    return true;
}

/* When chunks are mixed is asked of the region. */
static bool chunk_serves(size_t c, enum chunk_purpose purpose)
{
    return !chunk_is_free(c) && region.chunk[c].purpose == purpose;
}

static bool limit_allows(size_t count)
{
    return oracle.used_pages + count <= oracle.max_pages;
}

/* The lowest run of `count` pages outside the chunks of blocks, or in all
 * chunks; PAGES: none. */
static size_t lowest_pages(size_t count, bool mixed)
{
    size_t run = 0;
    bool kept = false;

    for (size_t page = 0; page < PAGES; page++) {
        if (page % GC_PAGES_PER_CHUNK == 0)
            kept = !mixed && chunk_serves(page / GC_PAGES_PER_CHUNK, CHUNK_BLOCKS);
        run = oracle.used[page] || kept ? 0 : run + 1;
        if (run == count)
            return page + 1 - count;
    }
    return PAGES;
}

static size_t expected_pages(size_t count)
{
    size_t page = lowest_pages(count, false);

    if (!limit_allows(count))
        return PAGES;
    return page < PAGES ? page : lowest_pages(count, true);
}

static bool pages_are_free(size_t first, size_t count)
{
    for (size_t page = first; page < first + count; page++)
        if (page >= PAGES || oracle.used[page] || chunk_serves(page / GC_PAGES_PER_CHUNK, CHUNK_BLOCKS))
            return false;
    return true;
}

static bool units_are_free(size_t unit, size_t count)
{
    for (size_t page = unit * GC_PAGES_PER_UNIT; page < (unit + count) * GC_PAGES_PER_UNIT; page++)
        if (oracle.used[page])
            return false;
    return true;
}

/* The lowest units in the chunks with that purpose; PAGES: none. */
static size_t lowest_units(size_t count, enum chunk_purpose purpose)
{
    for (size_t c = 0; c < CHUNKS; c++)
        for (size_t i = 0; chunk_serves(c, purpose) && i + count <= GC_UNITS_PER_CHUNK; i++)
            if (units_are_free(c * GC_UNITS_PER_CHUNK + i, count))
                return c * GC_UNITS_PER_CHUNK + i;
    return PAGES;
}

/* In the chunks that serve blocks, else in a free one, else in the others. */
static size_t expected_units(size_t count)
{
    size_t unit = lowest_units(count, CHUNK_BLOCKS);

    if (!limit_allows(count * GC_PAGES_PER_UNIT))
        return PAGES;
    for (size_t c = 0; unit == PAGES && c < CHUNKS; c++)
        if (chunk_is_free(c))
            unit = c * GC_UNITS_PER_CHUNK;
    return unit < PAGES ? unit : lowest_units(count, CHUNK_PAGES);
}

/* When the limit makes the region give everything back, is its own affair. */
static void learn_what_was_given_back(void)
{
    for (size_t page = 0; page < region.accessible * GC_PAGES_PER_CHUNK; page++)
        if (!oracle.used[page] && oracle.dirty[page] && !gc__bitmap_test(region.dirty, page))
            oracle.dirty[page] = false;
}

static void oracle_take(size_t first, size_t count, bool units)
{
    learn_what_was_given_back();
    for (size_t page = first; page < first + count; page++) {
        oracle.used[page] = true;
        oracle.dirty[page] |= units;
    }
    oracle.used_pages += count;
}

static void oracle_give(size_t first, size_t count)
{
    for (size_t page = first; page < first + count; page++) {
        oracle.used[page] = false;
        oracle.freed_ns[page / GC_PAGES_PER_CHUNK] = region.now_ns;
    }
    oracle.used_pages -= count;
}

static uint64_t *last_word(size_t page)
{
    return (uint64_t *)(void *)gc__page_address(&region, page + 1) - 1;
}

static void write_marks(const struct taken *run, size_t from)
{
    for (size_t page = run->first + from; page < run->first + run->count; page++) {
        *(uint64_t *)(void *)gc__page_address(&region, page) = run->mark;
        *last_word(page) = run->mark + page;
    }
}

static void read_marks(const struct taken *run)
{
    for (size_t page = run->first; run->written && page < run->first + run->count; page++)
        if (*(uint64_t *)(void *)gc__page_address(&region, page) != run->mark || *last_word(page) != run->mark + page)
            cr_assert_fail("page %zu has lost its contents", page);
}

/* Opens pages [from, end) of a run and writes to them. */
static void open_run(const struct taken *run, size_t from)
{
    bool zero = random_once_in(2);
    size_t first = run->first + from, count = run->count - from;

    gc__region_open_pages(&region, first, count, zero);
    if (zero && !pages_are_zero(first, count))
        cr_assert_fail("not all of [%zu, %zu) is zero", first, first + count);
    for (size_t page = first; page < first + count; page++)
        oracle.dirty[page] = true;
    write_marks(run, from);
}

static struct taken *add_run(size_t first, size_t count, bool units)
{
    struct taken *run = &oracle.runs[oracle.run_count++];

    oracle_take(first, count, units);
    *run = (struct taken){first, count, units, true, random_next()};
    return run;
}

static void step_take_pages(void)
{
    size_t count = random_between(1, random_once_in(8) ? 1500 : 40), first;
    size_t expected = expected_pages(count);
    bool got = gc__region_take_pages(&region, count, 1, &first);
    struct taken *run;

    cr_assert_eq(got, expected < PAGES, "%zu pages", count);
    if (!got)
        return;
    cr_assert_eq(first, expected, "%zu pages", count);
    run = add_run(first, count, false);
    run->written = !random_once_in(8);
    if (run->written)
        open_run(run, 0);
}

static void step_take_aligned_pages(void)
{
    size_t count = random_between(1, 100), alignment = (size_t)1 << random_below(10), first;

    if (!gc__region_take_pages(&region, count, alignment, &first)) {
        cr_assert(!limit_allows(count) || lowest_pages(count + alignment - 1, true) == PAGES);
        return;
    }
    cr_assert_eq(first % alignment, 0);
    for (size_t page = first; page < first + count; page++)
        cr_assert_not(oracle.used[page]);
    open_run(add_run(first, count, false), 0);
}

static void step_take_units(void)
{
    unsigned count = (unsigned)random_between(1, GC_MAX_BLOCK_UNITS);
    size_t pages = count * GC_PAGES_PER_UNIT, unit;
    size_t expected = expected_units(count);
    bool fresh, got = gc__region_take_units(&region, count, &unit, &fresh);

    cr_assert_eq(got, expected < PAGES, "%u units", count);
    if (!got)
        return;
    cr_assert_eq(unit, expected, "%u units", count);
    if (fresh)
        cr_assert(pages_are_zero(unit * GC_PAGES_PER_UNIT, pages));
    write_marks(add_run(unit * GC_PAGES_PER_UNIT, pages, true), 0);
}

static struct taken *any_run(void)
{
    return &oracle.runs[random_below(oracle.run_count)];
}

static void step_give(void)
{
    struct taken *run = any_run();

    read_marks(run);
    oracle_give(run->first, run->count);
    if (run->units)
        gc__region_give_units(&region, run->first / GC_PAGES_PER_UNIT, (unsigned)(run->count / GC_PAGES_PER_UNIT));
    else
        gc__region_give_pages(&region, run->first, run->count);
    *run = oracle.runs[--oracle.run_count];
}

static void step_shrink(void)
{
    struct taken *run = any_run();
    size_t keep;

    if (run->units || run->count == 1)
        return;
    keep = random_between(1, run->count - 1);
    oracle_give(run->first + keep, run->count - keep);
    gc__region_give_pages(&region, run->first + keep, run->count - keep);
    run->count = keep;
}

static void step_grow_in_place(void)
{
    struct taken *run = any_run();
    size_t more = random_between(1, 60), end = run->first + run->count;
    bool expected = limit_allows(more) && pages_are_free(end, more);

    if (run->units || !run->written)
        return;
    cr_assert_eq(gc__region_take_pages_at(&region, end, more), expected, "%zu pages at %zu", more, end);
    if (!expected)
        return;
    oracle_take(end, more, false);
    run->count += more;
    open_run(run, run->count - more);
}

/* As if the contents had been moved away. */
static void step_note_zero(void)
{
    struct taken *run = any_run();

    if (run->units)
        return;
    memset(gc__page_address(&region, run->first), 0, run->count << GC_PAGE_SHIFT);
    gc__region_note_zero(&region, run->first, run->count);
    for (size_t i = 0; i < run->count; i++)
        oracle.dirty[run->first + i] = false;
    run->written = false;
}

static void step_decommit(void)
{
    uint64_t before_ns = region.now_ns - gc__min(region.now_ns, random_below(40));

    gc__region_decommit(&region, before_ns);
    for (size_t page = 0; page < PAGES; page++)
        if (!oracle.used[page] && oracle.freed_ns[page / GC_PAGES_PER_CHUNK] <= before_ns)
            oracle.dirty[page] = false;
}

static void compare(void)
{
    size_t held = 0;

    for (size_t page = 0; page < region.accessible * GC_PAGES_PER_CHUNK; page++) {
        if (gc__bitmap_test(region.used, page) != oracle.used[page])
            cr_assert_fail("page %zu: used or not?", page);
        if (gc__bitmap_test(region.dirty, page) != oracle.dirty[page])
            cr_assert_fail("page %zu: dirty or not?", page);
        if (!oracle.used[page] && !oracle.dirty[page] &&
            (*last_word(page) != 0 || *(uint64_t *)(void *)gc__page_address(&region, page) != 0))
            cr_assert_fail("page %zu is not zero", page);
        held += oracle.used[page] || oracle.dirty[page];
    }
    cr_assert_eq(region.used_pages, oracle.used_pages);
    cr_assert_eq(region.held_pages, held);
    cr_assert_leq(region.held_pages, oracle.max_pages);
}

static void random_step(void)
{
    size_t dice = random_below(100);

    region.now_ns++;
    if (dice < 25 && oracle.run_count < MAX_RUNS)
        step_take_pages();
    else if (dice < 33 && oracle.run_count < MAX_RUNS)
        step_take_aligned_pages();
    else if (dice < 55 && oracle.run_count < MAX_RUNS)
        step_take_units();
    else if (oracle.run_count == 0)
        return;
    else if (dice < 80)
        step_give();
    else if (dice < 85)
        step_shrink();
    else if (dice < 93)
        step_grow_in_place();
    else if (dice < 96)
        step_note_zero();
    else
        step_decommit();
}

static void random_steps(unsigned steps, size_t max_pages)
{
    oracle.max_pages = max_pages;
    cr_assert(gc__region_init(&region, CHUNKS * GC_CHUNK_BYTES, max_pages << GC_PAGE_SHIFT));
    for (unsigned i = 0; i < steps; i++) {
        random_step();
        learn_what_was_given_back();
        if (i % 8 == 0) {
            gc__region_audit(&region);
            compare();
        }
    }
    while (oracle.run_count > 0)
        step_give();
    compare();
    drop_region();
}

Test(random, does_as_the_array_of_pages)
{
    random_begin("region");
    random_steps(4000, PAGES);
}

Test(random, does_as_the_array_of_pages_under_a_limit)
{
    random_begin("region");
    random_steps(3000, PAGES / 3);
}
