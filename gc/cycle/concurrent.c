#include "gc/cycle/concurrent.h"

#include "gc/base/align.h"
#include "gc/cycle/collect.h"
#include "gc/cycle/observer.h"
#include "gc/cycle/pause.h"
#include "gc/cycle/record.h"
#include "gc/cycle/roots.h"
#include "gc/mark/rescan.h"
#include "gc/mark/watch.h"

void gc__concurrent_init(struct concurrent *concurrent, bool wanted)
{
    *concurrent = (struct concurrent){.possible = wanted, .step_objects = GC_STEP_OBJECTS};
}

static void go_on_with(struct heap *heap, enum concurrent_phase phase)
{
    heap->concurrent.chunk = 0;
    atomic_store_explicit(&heap->concurrent.phase, phase, memory_order_relaxed);
}

/* ---- Giving up --------------------------------------------------------------------- */

static void end(struct heap *heap)
{
    heap->concurrent.no_magazines = false;
    heap->region.atomic_bits = heap->region.threaded;
    gc__snapshot_end(&heap->snapshot);
    go_on_with(heap, PHASE_OFF);
}

/* Before the finish: some objects are marked, and that means nothing. */
void gc__concurrent_drop(struct heap *heap)
{
    heap->concurrent.marks_stand = false;
    heap->concurrent.given_up++;
    gc__sweep_give_marks_up(&heap->region);
    gc__marker_abandon(gc__gang_leader(&heap->gang));
    end(heap);
}

/* It is not known which pages were written: our file may be closed, say. */
static void fail_to_watch(struct heap *heap)
{
    heap->minor.tracked = false;
    heap->concurrent.failures++;
}

/* Under the lock. */
static void fail(struct heap *heap)
{
    if (heap->snapshot.now)
        gc__snapshot_fail(heap);
    else
        fail_to_watch(heap);
    gc__pace_make_due(&heap->pace);
    gc__concurrent_drop(heap);
}

/* ---- Before marking ---------------------------------------------------------------- */

/* On one CPU the collector's thread would take it from the program for as long as the
 * system lets it: there those who allocate make all steps, from the beginning. */
static void get_going(struct heap *heap)
{
    if (heap->world.cpus > 1)
        gc__background_call(&heap->background);
    else
        gc__pace_make_due(&heap->pace);
}

bool gc__concurrent_may_watch(const struct heap *heap)
{
    return heap->options.no_tracking == 0 && heap->concurrent.failures < GC_CONCURRENT_MAX_FAILURES;
}

bool gc__concurrent_try_to_watch(struct heap *heap)
{
    if (!gc__concurrent_may_watch(heap))
        return false;
    if (gc__minor_track(&heap->minor, &heap->region) && gc__region_show_tables(&heap->region))
        return true;
    heap->concurrent.failures++;
    return false;
}

/* With one mutator, it is the caller: nobody else is halfway through a change of
 * bits. */
bool gc__concurrent_begin(struct heap *heap, bool minor)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (!concurrent->possible || !gc__snapshot_choose(heap) || !gc__background_start(heap))
        return false;
    gc__written_forget(&heap->region, &concurrent->written);
    gc__root_watch_begin(&concurrent->roots, &heap->pinned);
    gc__pause_prepare(heap);
    heap->world.cpus = gc__gang_cpus(&heap->gang);
    gc__pace_use_runway(&heap->pace);
    heap->minor.now = minor && concurrent->marks_stand && !heap->snapshot.now;
    heap->region.atomic_bits = true;
    concurrent->passes = 0;
    concurrent->rescanned = concurrent->rescanned_total = 0;
    concurrent->put_off = 0;
    concurrent->marked = (struct census){0};
    concurrent->allocated_before = gc__pace_allocated(&heap->pace);
    concurrent->begun_ns = gc__os_clock_ns();
    gc__events_put(heap, GC_EVENT_BEGIN, 0, 0);
    go_on_with(heap, PHASE_SWEEP);
    get_going(heap);
    return true;
}

static void sweep(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (concurrent->chunk >= heap->region.accessible)
        go_on_with(heap, heap->snapshot.now ? PHASE_COPY : PHASE_QUIET);
    else
        gc__sweep_chunk(&heap->region, concurrent->chunk++);
}

static void empty_magazines(struct heap *heap)
{
    gc__runs_empty_magazines(heap);
    heap->concurrent.no_magazines = true;
    gc__observe_swept(heap);
}

static void quiet(struct heap *heap)
{
    if (gc__pause(heap, empty_magazines))
        go_on_with(heap, heap->minor.now ? PHASE_WHITEN : PHASE_WATCH);
    else
        gc__concurrent_drop(heap);
}

/* The old, of which the last cycle tells; where much of what is young lives, too, or
 * nothing was told, all. */
static bool watches_all(const struct heap *heap)
{
    return heap->concurrent.given_up > 0 || heap->pace.survival_percent > GC_WATCH_ALL_PERCENT;
}

static void watch(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (concurrent->chunk >= heap->region.accessible)
        go_on_with(heap, PHASE_WHITEN);
    else if (!gc__watch_chunk(&heap->region, concurrent->chunk++, watches_all(heap)))
        fail(heap);
}

static void whiten(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (concurrent->chunk >= gc__region_span(&heap->region) >> GC_CHUNK_SHIFT)
        go_on_with(heap, PHASE_SNAPSHOT);
    else
        gc__sweep_whiten_chunk(&heap->region, concurrent->chunk++, heap->minor.now);
}

/* ---- Marking ----------------------------------------------------------------------- */

static void take_snapshot(struct heap *heap)
{
    struct marker *leader = gc__gang_leader(&heap->gang);

    gc__gang_begin(&heap->gang);
    leader->company = BESIDE_MUTATORS;
    leader->span = heap->region.chunks << GC_CHUNK_SHIFT; /* it may grow under way */
    gc__roots_mark_mutators(heap);
}

static void snapshot(struct heap *heap)
{
    if (!gc__pause(heap, take_snapshot)) {
        gc__concurrent_drop(heap);
        return;
    }
    gc__root_watch_look(&heap->concurrent.roots);
    go_on_with(heap, PHASE_SEGMENTS);
}

/* What is written there is to be little at the finish, too. */
static void mark_again(struct heap *heap, void (*mark)(struct heap *heap, enum roots_scan how))
{
    struct concurrent *concurrent = &heap->concurrent;
    size_t written = concurrent->roots.written;

    mark(heap, ROOTS_AGAIN);
    concurrent->rescanned += concurrent->roots.written - written;
}

/* Large ones piece by piece. */
static void segments(struct heap *heap)
{
    if (gc__roots_watch_segments(heap))
        return;
    mark_again(heap, gc__roots_mark_segments);
    go_on_with(heap, PHASE_RANGES);
}

static void ranges(struct heap *heap)
{
    if (gc__roots_watch_ranges(heap, &heap->concurrent.chunk))
        return;
    mark_again(heap, gc__roots_mark_ranges);
    go_on_with(heap, PHASE_TRACE);
}

/* Pages that the last pause may scan. */
static size_t few_pages(const struct heap *heap)
{
    return (size_t)heap->options.pause_target_us * GC_FEW_PAGES_PERCENT / 100;
}

static bool passes_are_enough(const struct heap *heap)
{
    const struct concurrent *concurrent = &heap->concurrent;

    return concurrent->passes == GC_MAX_PASSES ||
           (concurrent->passes > 0 && concurrent->rescanned <= few_pages(heap) && concurrent->traced <= GC_FEW_STEPS);
}

/* Mutators that write about as fast as we scan are made to help, so that it comes to an
 * end: those that allocate, that is. */
static void slow_mutators_down(struct heap *heap)
{
    const struct concurrent *concurrent = &heap->concurrent;

    if (concurrent->passes > 1 && concurrent->rescanned > few_pages(heap) &&
        concurrent->rescanned > concurrent->rescanned_before / 2)
        gc__pace_make_due(&heap->pace);
}

static void trace(struct heap *heap)
{
    heap->concurrent.traced++;
    if (gc__marker_drain_beside(gc__gang_leader(&heap->gang), heap->concurrent.step_objects))
        go_on_with(heap, passes_are_enough(heap) ? PHASE_FINISH : PHASE_ASK);
}

static void begin_pass(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    slow_mutators_down(heap);
    concurrent->passes++;
    concurrent->rescanned_before = concurrent->rescanned;
    concurrent->rescanned = 0;
    concurrent->traced = 0;
    concurrent->written.next = 0;
    go_on_with(heap, PHASE_TAKE);
}

/* Of a part of the heap that is being moved the system may tell nothing, and it is
 * scanned; if it tells nothing at all, our file is closed. */
static void ask(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;
    size_t parts = gc__written_parts(&heap->region);

    if (concurrent->chunk == 0)
        concurrent->unknown_parts = 0;
    concurrent->unknown_parts += !gc__written_ask(&heap->region, concurrent->chunk);
    if (++concurrent->chunk < parts)
        return;
    if (concurrent->unknown_parts == parts)
        go_on_with(heap, PHASE_FAIL);
    else
        begin_pass(heap);
}

static void take(struct heap *heap)
{
    if (heap->concurrent.written.next == 0)
        gc__rescan_note_pinned(&heap->region, &heap->pinned);
    go_on_with(heap, gc__written_take(&heap->region, &heap->concurrent.written) ? PHASE_RESCAN : PHASE_STACKS);
}

static void rescan(struct heap *heap)
{
    struct written *written = &heap->concurrent.written;

    heap->concurrent.rescanned += written->count;
    heap->concurrent.rescanned_total += written->count;
    gc__written_scan(gc__gang_leader(&heap->gang), written);
    go_on_with(heap, PHASE_TAKE);
}

static void stacks(struct heap *heap)
{
    if (gc__pause(heap, gc__roots_mark_mutators))
        go_on_with(heap, PHASE_SEGMENTS);
    else
        gc__concurrent_drop(heap);
}

/* ---- The end ------------------------------------------------------------------------ */

/* Also what was taken and not scanned yet, if somebody finishes the cycle halfway. */
static void rescan_the_last(struct heap *heap)
{
    struct written *written = &heap->concurrent.written;

    gc__written_scan(gc__gang_leader(&heap->gang), written);
    for (written->next = 0; gc__written_take(&heap->region, written);)
        gc__written_scan(gc__gang_leader(&heap->gang), written);
}

/* A program may have kept ahead of the marker until now, by taking apart what it was
 * about to scan: all but the first of a list that loses its first one again and again,
 * say. While it stands, the marker gets ahead. */
static bool is_too_much(struct heap *heap)
{
    return heap->concurrent.put_off < GC_MAX_PUT_OFF &&
           !gc__marker_drain_beside(gc__gang_leader(&heap->gang), GC_FINISH_OBJECTS);
}

/* With all markers, as nobody else is at work. */
void gc__concurrent_complete(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;
    struct marker *leader = gc__gang_leader(&heap->gang);
    bool overflowed = leader->overflowed;
    struct keeping keeping = gc__runs_keep(heap);

    concurrent->unissued = keeping.unissued;
    concurrent->active = keeping.active;
    leader->company = ALONE;
    gc__gang_begin(&heap->gang);
    leader->overflowed = overflowed;
    gc__roots_trace(heap);
    gc__sweep_await_publication(&heap->region, &heap->bins);
}

static void finish_marking(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    gc__world_lend_cpus(&heap->world, heap->gang.markers); /* who leads may be no mutator */
    concurrent->unknown = !gc__written_ask_all(&heap->gang);
    if (concurrent->unknown)
        return;
    gc__rescan_note_pinned(&heap->region, &heap->pinned);
    rescan_the_last(heap);
    gc__roots_mark(heap, ROOTS_LAST);
    concurrent->too_much = is_too_much(heap);
    if (!concurrent->too_much)
        gc__concurrent_complete(heap);
}

/* There will be more than a few pages, by then. */
static void put_off(struct heap *heap)
{
    heap->concurrent.put_off++;
    heap->concurrent.rescanned = SIZE_MAX;
    go_on_with(heap, PHASE_TRACE);
}

/* Until all is published, nobody knows when the next cycle is due. */
static void note_finish(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    concurrent->allocated = gc__pace_allocated(&heap->pace);
    concurrent->runway_bytes = concurrent->allocated - gc__min(concurrent->allocated_before, concurrent->allocated);
    concurrent->given_up = 0;
    gc__pace_wait(&heap->pace);
}

static void begin_to_publish(struct heap *heap)
{
    note_finish(heap);
    go_on_with(heap, PHASE_PUBLISH);
    heap->concurrent.chunk = heap->region.accessible;
}

static void finish(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (!gc__pause(heap, finish_marking) || concurrent->unknown) {
        fail(heap);
        return;
    }
    if (concurrent->too_much) {
        put_off(heap);
        return;
    }
    concurrent->failures = 0;
    begin_to_publish(heap);
}

/* ---- By a copy of the process ------------------------------------------------------- */

static void by_copy(struct heap *heap)
{
    enum concurrent_phase next = gc__snapshot_step(heap);

    if (next == PHASE_PUBLISH)
        begin_to_publish(heap);
    else if (next != gc__concurrent_phase(&heap->concurrent))
        go_on_with(heap, next);
}

/* ---- Publishing --------------------------------------------------------------------- */

static void note_time(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;
    uint64_t ns = gc__os_clock_ns() - concurrent->begun_ns;

    if (!heap->minor.now) {
        concurrent->full_ns = ns;
        concurrent->full_bytes = concurrent->marked.scanned_bytes;
    }
    concurrent->minor_ns = heap->minor.now ? ns : 0;
}

static void note_published(struct heap *heap)
{
    struct keeping keeping = {heap->concurrent.unissued, heap->concurrent.active};

    heap->concurrent.marks_stand = !heap->snapshot.now;
    note_time(heap);
    gc__record_concurrent(heap, &heap->concurrent.marked, &keeping);
    gc__gang_trim(&heap->gang);
    gc__return_memory(heap);
    gc__events_note_end(heap);
    gc__observe_cycle(heap);
}

/* Downwards, as the lowest block is to be at the head of its list. Chunks that came
 * since the finish hold nothing that is white. */
static void publish(struct heap *heap)
{
    struct concurrent *concurrent = &heap->concurrent;

    if (concurrent->chunk > 0) {
        gc__sweep_publish_chunk(&heap->region, &heap->bins, --concurrent->chunk, &concurrent->marked);
        gc__watch_no_free_cells(&heap->region, concurrent->chunk);
        return;
    }
    end(heap);
    note_published(heap);
}

/* ---- What a step is ------------------------------------------------------------------- */

static const struct {
    void (*make)(struct heap *heap);
    bool wants_lock;
} steps[PHASE_COUNT] = {
    [PHASE_COPY] = {by_copy, true},       [PHASE_AWAIT] = {by_copy, false}, [PHASE_FETCH] = {by_copy, false},
    [PHASE_ADOPT] = {by_copy, true},      [PHASE_SWEEP] = {sweep, true},    [PHASE_QUIET] = {quiet, true},
    [PHASE_WHITEN] = {whiten, false},     [PHASE_WATCH] = {watch, true},    [PHASE_SNAPSHOT] = {snapshot, true},
    [PHASE_SEGMENTS] = {segments, false}, [PHASE_RANGES] = {ranges, true},  [PHASE_TRACE] = {trace, false},
    [PHASE_ASK] = {ask, false},           [PHASE_TAKE] = {take, true},      [PHASE_RESCAN] = {rescan, false},
    [PHASE_STACKS] = {stacks, true},      [PHASE_FINISH] = {finish, true},  [PHASE_FAIL] = {fail, true},
    [PHASE_PUBLISH] = {publish, true},
};

bool gc__concurrent_wants_lock(const struct concurrent *concurrent)
{
    return steps[gc__concurrent_phase(concurrent)].wants_lock;
}

void gc__concurrent_make(struct heap *heap, enum concurrent_phase phase)
{
    steps[phase].make(heap);
}
