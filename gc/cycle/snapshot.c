#include "gc/cycle/snapshot.h"

#include "gc/base/align.h"
#include "gc/cycle/observer.h"
#include "gc/cycle/pause.h"
#include "gc/cycle/roots.h"
#include "gc/cycle/runs.h"
#include "gc/mark/ephemeron.h"

#define WORDS_PER_CHUNK (GC_BITS_BYTES_PER_CHUNK / sizeof(struct bits))

void gc__snapshot_init(struct snapshot *snapshot, bool wanted)
{
    *snapshot = (struct snapshot){.wanted = wanted, .possible = wanted, .copied_per_us = GC_COPIED_BYTES_PER_US};
}

/* ---- The choice -------------------------------------------------------------------- */

static bool is_weak_any(const struct attached *attached)
{
    return attached->links.count + attached->ephemerons.count > 0;
}

/* The program may write all of it while the copy is at work. */
static bool there_is_room(const struct heap *heap)
{
    return heap->region.held_pages << GC_PAGE_SHIFT <= heap->limit.soft_bytes / 2;
}

static size_t stop_us(const struct heap *heap)
{
    size_t known = heap->snapshot.marked_per_us;

    return heap->pace.scanned_bytes / (known != 0 ? known : GC_MARKED_BYTES_PER_US * (size_t)heap->gang.markers);
}

/* It takes time from the mutators afterwards, too: so it is to be well below. */
static bool stops_for_less(const struct heap *heap)
{
    size_t copy_us = (heap->region.held_pages << GC_PAGE_SHIFT) / heap->snapshot.copied_per_us;

    return 2 * copy_us < stop_us(heap);
}

bool gc__snapshot_is_better(const struct heap *heap)
{
    const struct snapshot *snapshot = &heap->snapshot;

    if (!snapshot->possible || snapshot->failed)
        return false;
    if (is_weak_any(&heap->attached) && snapshot->row >= GC_SNAPSHOT_ROW - 1)
        return false;
    return heap->options.stress != 0 || (there_is_room(heap) && stops_for_less(heap));
}

static void prepare(struct heap *heap)
{
    struct region *region = &heap->region;

    if (!heap->snapshot.prepared)
        gc__os_prefer_huge_pages((void *)region->base, region->chunks << GC_CHUNK_SHIFT);
    heap->snapshot.prepared = true;
}

/* Where a copy is the only way, who wants a cycle has asked already whether it is better. */
bool gc__snapshot_choose(struct heap *heap)
{
    struct snapshot *snapshot = &heap->snapshot;
    bool asked = !gc__concurrent_may_watch(heap), watched = gc__concurrent_try_to_watch(heap);

    snapshot->now =
        !watched && snapshot->possible && (asked || gc__snapshot_is_better(heap)) && gc__roots_are_private(heap);
    if (snapshot->now)
        prepare(heap);
    gc__observe_way(heap, watched);
    return watched || snapshot->now;
}

/* ---- In the copy -------------------------------------------------------------------- */

static void mark_object(struct marker *marker, uintptr_t object)
{
    gc__marker_mark(marker, (struct object){(object - marker->base) >> GC_GRANULE_SHIFT, NULL});
}

static void mark_objects_of(struct marker *marker, const struct attachments *table)
{
    for (size_t i = 0; i < table->count; i++)
        mark_object(marker, table->entry[i].object);
}

/* False: nobody waits for the result. */
static bool drain(struct marker *marker)
{
    while (!gc__marker_drain_some(marker, GC_ORPHAN_OBJECTS))
        if (gc__os_copy_is_orphan())
            return false;
    gc__marker_drain(marker); /* what overflowed */
    return true;
}

static bool mark(struct heap *heap)
{
    struct marker *leader = gc__gang_leader(&heap->gang);

    gc__roots_mark(heap, ROOTS_WHOLE);
    mark_objects_of(leader, &heap->attached.links);
    mark_objects_of(leader, &heap->attached.ephemerons);
    if (!drain(leader))
        return false;
    gc__ephemerons_mark(leader, &heap->attached.ephemerons, 0);
    gc__observe_marked(heap);
    return true;
}

static void tell_dead_of_chunk(const struct heap *heap, size_t c)
{
    const struct bits *bits = &heap->region.bits[c * WORDS_PER_CHUNK];
    uint64_t *dead = &heap->snapshot.dead[c * WORDS_PER_CHUNK];

    for (size_t i = 0; i < WORDS_PER_CHUNK; i++)
        if ((bits[i].allocated & ~bits[i].mark) != 0)
            dead[i] = bits[i].allocated & ~bits[i].mark;
}

/* What follows is what a cycle does that stops the world, up to the publication; with
 * one marker, since other threads are not copied. */
static bool mark_and_tell(void *argument)
{
    struct heap *heap = argument;

    gc__gang_forget_helpers(&heap->gang);
    heap->stacks.warned = true; /* that is for a cycle whose memory is the process's */
    gc__sweep_finish_and_whiten(&heap->gang, &heap->bins, false);
    gc__gang_begin(&heap->gang);
    gc__runs_keep(heap);
    if (!mark(heap))
        return false;
    for (size_t c = 0; c < heap->snapshot.chunks; c++)
        if (heap->region.chunk[c].bits_touched)
            tell_dead_of_chunk(heap, c);
    return true;
}

/* ---- Making it ----------------------------------------------------------------------- */

static void note_speed(struct heap *heap, uint64_t ns)
{
    size_t bytes = heap->region.held_pages << GC_PAGE_SHIFT;

    heap->snapshot.copied_per_us = bytes / (ns / 1000 + 1) + 1;
}

static void make_copy(struct heap *heap)
{
    uint64_t start_ns;
    long copy;

    gc__runs_empty_magazines(heap);
    heap->concurrent.no_magazines = true;
    heap->snapshot.allocated_before = gc__pace_allocated(&heap->pace);
    gc__observe_swept(heap);
    start_ns = gc__os_clock_ns();
    copy = gc__os_copy_process(mark_and_tell, heap);
    heap->snapshot.copy = copy > 0 ? copy : 0;
    heap->snapshot.refusal = copy < 0 ? (int)-copy : 0;
    if (copy > 0)
        note_speed(heap, gc__os_clock_ns() - start_ns);
}

static size_t dead_bytes(const struct snapshot *snapshot)
{
    return gc__align_up(snapshot->chunks * WORDS_PER_CHUNK * sizeof(uint64_t), gc__os_page_bytes());
}

static bool take(struct heap *heap)
{
    struct snapshot *snapshot = &heap->snapshot;

    snapshot->chunks = heap->region.accessible;
    snapshot->process = gc__os_process_id();
    snapshot->spoilt = false;
    snapshot->fetched = 0;
    snapshot->dead = gc__os_map_shared(dead_bytes(snapshot));
    return snapshot->dead != NULL && gc__pause(heap, make_copy) && snapshot->copy != 0;
}

/* For a while, if it is at work. */
static enum concurrent_phase await(struct snapshot *snapshot)
{
    enum gc__copy_state state = gc__os_copy_state(snapshot->copy);
    _Atomic uint32_t nobody_wakes = 0;

    if (state == GC_COPY_WORKS) {
        gc__os_wait(&nobody_wakes, 0, GC_COPY_WAIT_NS);
        return PHASE_AWAIT;
    }
    snapshot->copy = 0;
    return state == GC_COPY_DONE ? PHASE_FETCH : PHASE_FAIL;
}

/* ---- Its result ---------------------------------------------------------------------- */

/* After a fork the first write to each page is a fault, also when the other process has
 * ended: the tables' are better taken before the pause. */
static void fetch_chunk(struct heap *heap, size_t c)
{
    char *bits = (char *)&heap->region.bits[c * WORDS_PER_CHUNK];
    const volatile char *dead = (const char *)&heap->snapshot.dead[c * WORDS_PER_CHUNK];

    for (size_t offset = 0; offset < GC_BITS_BYTES_PER_CHUNK; offset += gc__os_page_bytes())
        __atomic_fetch_or((uint64_t *)(bits + offset), 0, __ATOMIC_RELAXED); /* they may be changing */
    for (size_t offset = 0; offset < WORDS_PER_CHUNK * sizeof(uint64_t); offset += gc__os_page_bytes())
        (void)dead[offset];
}

static enum concurrent_phase fetch(struct heap *heap)
{
    if (heap->snapshot.fetched == heap->snapshot.chunks)
        return PHASE_ADOPT;
    fetch_chunk(heap, heap->snapshot.fetched++);
    return PHASE_FETCH;
}

/* What lies in chunks that came since was made since. */
static void adopt_chunk(struct heap *heap, size_t c)
{
    struct bits *bits = &heap->region.bits[c * WORDS_PER_CHUNK];
    const uint64_t *dead = c < heap->snapshot.chunks ? &heap->snapshot.dead[c * WORDS_PER_CHUNK] : NULL;

    for (size_t i = 0; i < WORDS_PER_CHUNK; i++) {
        uint64_t marked = bits[i].allocated & ~(dead != NULL ? dead[i] : 0);

        if (bits[i].mark != marked)
            bits[i].mark = marked;
    }
}

static void adopt_in_pause(struct heap *heap)
{
    size_t allocated = gc__pace_allocated(&heap->pace);

    heap->snapshot.born_bytes = allocated - gc__min(allocated, heap->snapshot.allocated_before);
    for (size_t c = 0; c < heap->region.accessible; c++)
        if (heap->region.chunk[c].bits_touched)
            adopt_chunk(heap, c);
    heap->snapshot.failures = 0;
    heap->snapshot.row++;
    gc__concurrent_complete(heap);
}

/* It is not the copy's fault if that cannot be. */
static enum concurrent_phase adopt(struct heap *heap)
{
    if (!heap->snapshot.spoilt && gc__pause(heap, adopt_in_pause))
        return PHASE_PUBLISH;
    heap->snapshot.spoilt = true;
    return PHASE_FAIL;
}

enum concurrent_phase gc__snapshot_step(struct heap *heap)
{
    switch (gc__concurrent_phase(&heap->concurrent)) {
    case PHASE_COPY: return take(heap) ? PHASE_AWAIT : PHASE_FAIL;
    case PHASE_AWAIT: return await(&heap->snapshot);
    case PHASE_FETCH: return fetch(heap);
    default: return adopt(heap);
    }
}

/* ---- The end --------------------------------------------------------------------------- */

/* Somebody may have killed it, as nobody knows it. */
void gc__snapshot_fail(struct heap *heap)
{
    struct snapshot *snapshot = &heap->snapshot;

    snapshot->failed = true;
    if (!snapshot->spoilt)
        snapshot->possible = ++snapshot->failures < GC_CONCURRENT_MAX_FAILURES;
    gc__observe_way(heap, false);
}

/* The child of a fork by the program has its parent's numbers, which are not its own to
 * kill. */
void gc__snapshot_end(struct snapshot *snapshot)
{
    if (snapshot->copy != 0 && snapshot->process == gc__os_process_id())
        gc__os_end_copy(snapshot->copy);
    snapshot->copy = 0;
    if (snapshot->dead != NULL)
        gc__os_release(snapshot->dead, dead_bytes(snapshot));
    snapshot->dead = NULL;
}

/* Where copying was found to be slow there will be no other copy by which it is found to
 * be faster now. */
static void believe_less(struct snapshot *snapshot)
{
    if (snapshot->copied_per_us < GC_COPIED_BYTES_PER_US)
        snapshot->copied_per_us += (GC_COPIED_BYTES_PER_US - snapshot->copied_per_us) / GC_COPY_BELIEF_SHARE;
}

void gc__snapshot_note_stopped(struct snapshot *snapshot, size_t scanned_bytes, uint64_t pause_ns)
{
    snapshot->marked_per_us = (uint32_t)gc__min(scanned_bytes / (pause_ns / 1000 + 1) + 1, UINT32_MAX);
    snapshot->row = 0;
    snapshot->failed = false;
    believe_less(snapshot);
}
