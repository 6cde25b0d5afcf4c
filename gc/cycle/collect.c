#include "gc/cycle/collect.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/allowance.h"
#include "gc/cycle/observer.h"
#include "gc/mark/rescan.h"

/* Under stress so many cycles are full, the others minor if they can be. */
#define STRESS_FULL_EVERY 4

/* ---- Roots ----------------------------------------------------------------- */

static void mark_range(struct gc__range range, void *argument)
{
    struct marker *marker = argument;

    gc__marker_scan_roots(marker, range, marker->past_end_everywhere ? PAST_END_COUNTS : PAST_END_IGNORED);
}

static void mark_globals(struct heap *heap)
{
    struct marker *marker = gc__gang_leader(&heap->gang);
    uintptr_t oom_data = (uintptr_t)&heap->oom_data;

    gc__os_each_data_segment(mark_range, marker);
    for (size_t i = 0; i < heap->user_roots.count; i++)
        mark_range(heap->user_roots.range[i], marker);
    mark_range((struct gc__range){oom_data, oom_data + sizeof heap->oom_data}, marker);
    gc__marker_mark_root_kinds(marker);
}

/* A stack that lies in an object of the heap (a coroutine's) ends with it. The
 * stack pointer alone keeps it. */
static bool stack_in_heap(struct heap *heap, uintptr_t sp, struct gc__range *stack)
{
    struct object object;

    if (!gc__resolve(&heap->region, (struct ambiguous){sp}, &object))
        return false;
    gc__marker_mark(gc__gang_leader(&heap->gang), object);
    stack->start = sp;
    stack->end = (uintptr_t)gc__object_start(&heap->region, &object) + gc__object_bytes(&heap->region, &object);
    return true;
}

/* A signal handler's stack may be an object, and what it interrupted stand in
 * another, or anywhere. */
static unsigned find_stacks(struct heap *heap, const struct mutator *mutator, struct gc__range stacks[4])
{
    struct gc__context context = mutator->context;
    unsigned count = 0;

    if (stack_in_heap(heap, context.sp, &stacks[count]) &&
        context.interrupted_sp - stacks[count++].start < stacks[0].end - stacks[0].start) {
        stacks[count] = gc__os_whole_stack(mutator->stack);
        return count + 1;
    }
    if (count > 0) {
        context = (struct gc__context){.sp = context.interrupted_sp, .interrupted_sp = context.interrupted_sp};
        if (stack_in_heap(heap, context.sp, &stacks[count])) {
            stacks[count + 1] = gc__os_whole_stack(mutator->stack);
            return count + 2;
        }
    }
    return count + gc__os_stacks_in_use(&context, mutator->stack, &stacks[count]);
}

static void mark_stacks(struct heap *heap, const struct mutator *mutator)
{
    enum past_end past_end = heap->options.past_end == GC_PAST_END_NEVER ? PAST_END_IGNORED : PAST_END_COUNTS;
    struct gc__range stacks[4];
    unsigned count = find_stacks(heap, mutator, stacks);

    for (unsigned i = 0; i < count; i++)
        gc__marker_scan_roots(gc__gang_leader(&heap->gang), stacks[i], past_end);
}

static void mark_words(struct heap *heap, void *const *words, size_t count)
{
    mark_range((struct gc__range){(uintptr_t)words, (uintptr_t)(words + count)}, gc__gang_leader(&heap->gang));
}

static void mark_mutator(struct heap *heap, const struct mutator *mutator)
{
    mark_stacks(heap, mutator);
    if (mutator->thread_pointer != 0)
        gc__os_each_thread_area(mutator->thread_pointer, mark_range, gc__gang_leader(&heap->gang));
    mark_words(heap, mutator->held, 2);
}

/* Of threads that have not begun, and of those that nobody has joined. */
static void mark_threads_to_be(struct heap *heap)
{
    for (const struct mutator *mutator = heap->world.starting; mutator != NULL; mutator = mutator->next)
        mark_words(heap, &mutator->start.argument, 1);
    for (const struct mutator *mutator = heap->world.ended; mutator != NULL; mutator = mutator->next)
        mark_words(heap, &mutator->result, 1);
}

static void mark_mutators(struct heap *heap)
{
    for (const struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next) {
        if (gc__mutator_has_roots(mutator))
            mark_mutator(heap, mutator);
        mark_words(heap, &mutator->result, 1);
    }
    mark_threads_to_be(heap);
}

/* ---- Runs ---------------------------------------------------------------------- */

/* The cells of a run that were not handed out are the mutator's: black. They
 * are zero or pointer-free, so there is nothing to scan. */
static void blacken_run(struct region *region, const struct run *run, struct census *unissued)
{
    for (const char *cell = run->cur; cell < run->end; cell += run->cell_bytes) {
        size_t granule = gc__granule_of(region, cell);

        gc__bits_of(region, granule)->mark |= gc__bit_of(granule);
        unissued->objects++;
        unissued->bytes += run->cell_bytes;
    }
}

/* A mutator that stands in one of our calls gives up its runs for want of
 * memory: 240 of them can hold ten megabytes of units. Elsewhere it may have
 * been stopped halfway through the fast path. */
static bool gives_up_runs(const struct heap *heap, const struct mutator *mutator)
{
    return heap->hard && mutator->sp != 0;
}

static void keep_run(struct heap *heap, struct mutator *mutator, struct run *run, struct census *unissued)
{
    run->block = 0;
    run->freed = 0;
    run->claimed = 0;
    if (gives_up_runs(heap, mutator)) {
        mutator->claimed_bytes -= (size_t)(run->end - run->cur);
        run->cur = run->end = NULL;
    }
    blacken_run(&heap->region, run, unissued);
}

static void keep_runs_of(struct heap *heap, struct mutator *mutator, struct census *unissued)
{
    for (enum gc__kind kind = 0; kind < GC_KIND_COUNT; kind++)
        for (unsigned c = 0; (c = gc__mutator_used_class(mutator, kind, c)) < GC_CLASS_COUNT; c++) {
            struct run *run = &mutator->runs[kind][c];

            keep_run(heap, mutator, run, unissued);
            if (run->cur == run->end)
                gc__bitmap_clear(mutator->used[kind], c, c + 1);
        }
}

struct keeping {
    struct census unissued; /* black, and no object yet */
    size_t active;          /* mutators that have claimed lately */
};

/* One that did not come to claim anything between two collections, as it slept or
 * waited, will do so before long. */
static bool note_activity(struct mutator *mutator)
{
    if (mutator->claimed_bytes != mutator->claimed_before)
        mutator->idle_cycles = 0;
    else if (mutator->idle_cycles < GC_IDLE_CYCLES)
        mutator->idle_cycles++;
    return mutator->claimed_bytes != 0 && mutator->idle_cycles < GC_IDLE_CYCLES;
}

/* Mutators keep their runs across a collection, but not their blocks and
 * magazines: cells in those became free when everything was made white. */
static struct keeping keep_runs(struct heap *heap)
{
    struct keeping keeping = {{0}, 0};

    gc__region_forget_homes(&heap->region); /* some mutators ended without leaving theirs */
    for (struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next) {
        keeping.active += note_activity(mutator);
        keep_runs_of(heap, mutator, &keeping.unissued);
        gc__region_keep_homes(&heap->region, &mutator->homes);
        mutator->claimed_before = mutator->claimed_bytes;
        mutator->allowance = 0;
    }
    return keeping;
}

/* ---- The cycle --------------------------------------------------------------- */

static void note_pause(struct cycle_record *record, uint64_t pause_ns)
{
    record->pause_last_ns = pause_ns;
    record->pause_total_ns += pause_ns;
    record->pause_max_ns = pause_ns > record->pause_max_ns ? pause_ns : record->pause_max_ns;
}

/* Of a minor cycle: what it had to scan, and what it found beyond what was there. */
static void note_minor(struct heap *heap, const struct census *marked, size_t rescanned, size_t live_bytes)
{
    size_t before = heap->pace.live_bytes;

    heap->record.minor_collections++;
    if (heap->options.stress == 0)
        gc__minor_note_work(&heap->minor, rescanned + (live_bytes > before ? live_bytes - before : 0),
                            marked->scanned_bytes);
    gc__pace_go_on(&heap->pace, live_bytes);
}

static void note_marked(struct heap *heap, const struct census *marked, const struct keeping *keeping, size_t rescanned)
{
    size_t live_bytes = marked->bytes - keeping->unissued.bytes;

    heap->record.collections++;
    heap->record.live_bytes = live_bytes;
    heap->record.objects_marked = marked->objects - keeping->unissued.objects;
    if (heap->minor.now) {
        note_minor(heap, marked, rescanned, live_bytes);
    } else {
        gc__minor_note_full(&heap->minor);
        gc__pace_begin_again(&heap->pace, live_bytes, gc__min(marked->scanned_bytes, live_bytes),
                             heap->region.held_pages << GC_PAGE_SHIFT, keeping->active);
    }
}

/* Under stress minor cycles are tried whatever they are worth. */
static bool next_should_be_minor(const struct heap *heap, const struct census *marked)
{
    if (heap->options.stress != 0)
        return heap->record.collections % STRESS_FULL_EVERY != 0;
    return marked->scanned_bytes >= GC_MINOR_MIN_BYTES && gc__pace_prefers_minor(&heap->pace);
}

/* The world stands. A minor cycle differs from a full one in what is white at its
 * beginning, and in what is scanned besides the roots. */
static void cycle(struct heap *heap)
{
    bool minor = gc__minor_begin(&heap->minor, &heap->region, heap->full);
    struct keeping keeping;
    struct census marked;
    size_t rescanned = 0;

    gc__sweep_finish_and_whiten(&heap->region, &heap->bins, minor);
    gc__gang_begin(&heap->gang);
    if (minor)
        rescanned = gc__rescan_written(gc__gang_leader(&heap->gang));
    keeping = keep_runs(heap);

    mark_globals(heap);
    mark_mutators(heap);
    if (!gc__gang_drain_alone(&heap->gang)) {
        gc__world_lend_cpus(&heap->world, heap->gang.markers - 1);
        gc__gang_drain(&heap->gang);
    }
    gc__observe_marked(heap);

    marked = gc__sweep_publish_marks(&heap->region, &heap->bins);
    note_marked(heap, &marked, &keeping, rescanned);
    gc__minor_prepare(&heap->minor, &heap->region, next_should_be_minor(heap, &marked));
    gc__gang_trim(&heap->gang);
    gc__return_memory(heap);
    gc__observe_swept(heap);
}

/* Between its calls to us a thread may be found at any point; those that come
 * later know. */
static bool stop_world(struct heap *heap)
{
    bool stopped = gc__world_stop(&heap->world);

    heap->region.threaded |= gc__world_has_several_mutators(&heap->world);
    return stopped;
}

/* Where the world cannot be stopped for want of memory nothing is collected. */
static void stop_and_cycle(void *argument)
{
    struct heap *heap = argument;
    uint64_t start_ns = gc__os_clock_ns();
    bool stopped;

    heap->region.now_ns = start_ns;
    stopped = stop_world(heap);
    if (stopped)
        cycle(heap);
    gc__world_resume(&heap->world);
    if (!stopped)
        return;
    note_pause(&heap->record, gc__os_clock_ns() - start_ns);
    gc__observe_cycle(heap);
}

/* Before the world stops, as threads may have to be started. Those of the gang
 * are no mutators. */
static void prepare_gang(struct heap *heap)
{
    gc__gang_prepare(&heap->gang, heap->region.used_pages << GC_PAGE_SHIFT); /* so many live bytes at most */
    if (heap->region.threaded)
        heap->world.cpus = gc__gang_cpus(&heap->gang);
    while (heap->world.helpers < heap->gang.helpers)
        gc__world_note_helper(&heap->world, heap->gang.helper[heap->world.helpers + 1].thread_id);
}

/* Under the lock. No library comes or goes while the world stands: a stopped
 * thread may be halfway through that otherwise. */
static void collect(struct heap *heap, bool full)
{
    struct mutator *mutator = gc__mutator;

    if (heap->collecting) /* by this very thread: a hook at work */
        return;
    heap->collecting = true;
    heap->full = full;
    prepare_gang(heap);
    mutator->context = gc__os_context_of(mutator->sp);
    gc__os_hold_loader(stop_and_cycle, heap);
    heap->collecting = false;
}

static void lock_and_collect(struct heap *heap, bool full)
{
    gc__world_lock(&heap->world);
    collect(heap, full);
    gc__world_unlock(&heap->world);
}

void gc__collect(struct heap *heap)
{
    lock_and_collect(heap, true);
}

/* Unless another mutator did so while this one waited for the lock. */
static void collect_once(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    gc__world_lock(&heap->world);
    if (gc__allowance_is_used_up(heap, mutator, bytes))
        collect(heap, false);
    gc__world_unlock(&heap->world);
}

/* Counts allocations under stress; then every one comes by here. */
static bool stress_wants_one(struct heap *heap)
{
    return GC_UNLIKELY(heap->options.stress != 0) && ++heap->stress_count % heap->options.stress == 0;
}

void gc__collect_if_due(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    bool stress = stress_wants_one(heap);

    if (gc__collections_are_disabled(heap))
        return;
    if (GC_UNLIKELY(stress))
        lock_and_collect(heap, false);
    if (gc__allowance_is_used_up(heap, mutator, bytes))
        collect_once(heap, mutator, bytes);
}

void gc__become_threaded(struct heap *heap)
{
    gc__world_lock(&heap->world);
    if (!heap->region.threaded && gc__world_has_several_mutators(&heap->world)) {
        stop_world(heap);
        gc__world_resume(&heap->world);
    }
    gc__world_unlock(&heap->world);
}

void gc__return_memory(struct heap *heap)
{
    uint64_t delay = heap->decommit_delay_ns, now_ns;

    if (heap->region.held_pages == heap->region.used_pages || delay == UINT64_MAX)
        return;
    now_ns = gc__os_clock_ns();
    heap->region.now_ns = now_ns;
    if (now_ns < heap->next_decommit_ns)
        return;
    heap->next_decommit_ns = now_ns + delay / 4;
    if (now_ns >= delay)
        gc__region_decommit(&heap->region, now_ns - delay);
}

void gc__collect_hard(struct heap *heap)
{
    gc__world_lock(&heap->world);
    heap->hard = true;
    collect(heap, true);
    heap->hard = false;
    gc__region_decommit(&heap->region, UINT64_MAX);
    gc__world_unlock(&heap->world);
}
