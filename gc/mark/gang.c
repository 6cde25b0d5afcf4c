#include "gc/mark/gang.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

#include <stdatomic.h>
#include <string.h>

/* ---- The door ---------------------------------------------------------------------- */

#define CLOSED ((uint32_t)1 << 31)

static bool enter(struct gang *gang)
{
    uint32_t attendance = atomic_load_explicit(&gang->attendance, memory_order_relaxed);

    while ((attendance & CLOSED) == 0)
        if (atomic_compare_exchange_weak_explicit(&gang->attendance, &attendance, attendance + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void leave(struct gang *gang)
{
    if (atomic_fetch_sub_explicit(&gang->attendance, 1, memory_order_release) == CLOSED + 1)
        gc__os_wake(&gang->attendance, 1);
}

static void open_door(struct gang *gang)
{
    atomic_store_explicit(&gang->attendance, 0, memory_order_release);
}

/* Helpers inside are about to leave, as nothing is grey. */
static void close_door(struct gang *gang)
{
    uint32_t attendance = atomic_fetch_or_explicit(&gang->attendance, CLOSED, memory_order_acquire) | CLOSED;

    for (unsigned round = 0; attendance != CLOSED; round++) {
        if (round < GC_WAIT_RELAXED_ROUNDS)
            gc__os_relax();
        else
            gc__os_wait(&gang->attendance, attendance, UINT64_MAX);
        attendance = atomic_load_explicit(&gang->attendance, memory_order_acquire);
    }
}

/* ---- At work ----------------------------------------------------------------------- */

/* `packet` is the marker's first, or NULL. */
static void work_off(struct gang *gang, struct marker *marker, struct packet *packet)
{
    for (; packet != NULL; packet = gc__pool_next(&gang->pool)) {
        gc__marker_accept(marker, packet->entry, packet->count);
        gc__pool_put_back(&gang->pool, packet);
        gc__marker_drain_shared(marker);
    }
}

static void share_in(struct shared_work *work)
{
    size_t part;

    while ((part = atomic_fetch_add_explicit(&work->begun, 1, memory_order_relaxed)) < work->parts)
        work->do_part(part, work->argument);
}

/* Until there is nothing for the helper to do; false: nor will there be. */
static bool take_part(struct gang *gang, unsigned marker)
{
    bool more;

    if (!enter(gang))
        return false;
    more = marker < gang->markers && gang->shared.do_part == NULL;
    if (gang->shared.do_part != NULL)
        share_in(&gang->shared);
    if (more) {
        work_off(gang, &gang->marker[marker], gc__pool_wait(&gang->pool));
        more = !gc__pool_is_done(&gang->pool);
    }
    leave(gang);
    return more;
}

static void help(struct gang *gang, unsigned marker)
{
    while (take_part(gang, marker))
        gc__pool_sleep(&gang->pool);
}

static void be_helper(void *argument)
{
    struct helper *self = argument;

    for (uint32_t served = 0;;) {
        uint32_t calls = atomic_load_explicit(&self->calls, memory_order_acquire);

        if (calls == served) {
            gc__os_wait(&self->calls, calls, UINT64_MAX);
            continue;
        }
        served = calls;
        help(self->gang, self->marker);
    }
}

static void call_helpers(struct gang *gang)
{
    for (unsigned i = 1; i < gang->markers; i++) {
        atomic_fetch_add_explicit(&gang->helper[i].calls, 1, memory_order_release);
        gc__os_wake(&gang->helper[i].calls, 1);
    }
}

/* Overflow is rare and left to the leader, who is alone again. */
static void drain_together(struct gang *gang)
{
    struct marker *leader = gc__gang_leader(gang);

    gc__pool_open(&gang->pool, gang->markers);
    open_door(gang);
    call_helpers(gang);
    gc__marker_drain_shared(leader);
    work_off(gang, leader, gc__pool_next(&gang->pool));
    while (!gc__pool_is_done(&gang->pool)) {
        gc__pool_sleep(&gang->pool);
        work_off(gang, leader, gc__pool_wait(&gang->pool));
    }
    close_door(gang);
    for (unsigned i = 1; i < gang->markers; i++) {
        GC_ASSERT(gc__worklist_is_empty(&gang->marker[i].worklist));
        leader->overflowed |= gang->marker[i].overflowed;
    }
}

void gc__gang_share(struct gang *gang, size_t parts, void (*do_part)(size_t part, void *argument), void *argument)
{
    bool together = gang->markers > 1 && parts > 1;

    gang->shared = (struct shared_work){do_part, argument, parts, 0};
    if (together) {
        open_door(gang);
        call_helpers(gang);
    }
    share_in(&gang->shared);
    if (together)
        close_door(gang);
    gang->shared.do_part = NULL;
}

bool gc__gang_drain_alone(struct gang *gang)
{
    struct marker *leader = gc__gang_leader(gang);

    return gc__marker_drain_some(leader, gang->markers > 1 ? GC_CALL_OBJECTS : SIZE_MAX) && !leader->overflowed;
}

void gc__gang_drain(struct gang *gang)
{
    if (gang->markers > 1)
        drain_together(gang);
    gc__marker_drain(gc__gang_leader(gang));
}

/* ---- Who takes part ------------------------------------------------------------------ */

unsigned gc__gang_cpus(struct gang *gang)
{
    uint64_t now_ns = gc__os_clock_ns();

    if (gang->cpus_ns == 0 || now_ns - gang->cpus_ns > GC_CPUS_FRESH_NS) {
        gang->cpus = gc__os_cpus();
        gang->cpus_ns = now_ns;
    }
    return gang->cpus;
}

/* When it is first wanted: each is some kilobytes, and most processes are short. */
static void ready_marker(struct gang *gang, unsigned marker)
{
    gc__marker_init(&gang->marker[marker], gang->region);
    gang->marker[marker].pool = &gang->pool;
}

static bool start_helper(struct gang *gang, unsigned marker)
{
    struct helper *helper = &gang->helper[marker];

    ready_marker(gang, marker);
    *helper = (struct helper){.gang = gang, .marker = marker};
    return gc__os_start_helper(be_helper, helper, &helper->thread_id);
}

static void start_missing(struct gang *gang, unsigned helpers)
{
    while (gang->helpers < helpers && start_helper(gang, gang->helpers + 1))
        gang->helpers++;
}

/* Each marker of the cycle gets as much of the mark stack. All are empty. */
static void share_mark_stack(struct gang *gang)
{
    size_t share = gc__align_down(gang->region->mark_stack_bytes / gang->markers, gc__os_page_bytes());

    if (gang->shares == gang->markers)
        return;
    for (unsigned i = 0; i < gang->markers; i++)
        gc__worklist_init(&gang->marker[i].worklist, gang->region->mark_stack + i * share, share);
    gang->shares = gang->markers;
}

void gc__gang_assemble(struct gang *gang, unsigned markers)
{
    if (markers > 1 && !gc__pool_provide(&gang->pool))
        markers = 1;
    start_missing(gang, markers - 1);
    gang->markers = (unsigned)gc__min(markers, gang->helpers + 1);
    share_mark_stack(gang);
}

void gc__gang_prepare(struct gang *gang, size_t live_bytes)
{
    unsigned markers = (unsigned)gc__min(gang->max_markers, 1 + live_bytes / GC_MARKER_BYTES);

    if (markers > 1)
        markers = (unsigned)gc__min(markers, gc__gang_cpus(gang));
    gc__gang_assemble(gang, markers);
}

void gc__gang_forget_helpers(struct gang *gang)
{
    gang->helpers = 0;
    gang->markers = 1;
    gang->attendance = CLOSED;
    gang->pool.sleepers = 0;
    share_mark_stack(gang);
}

/* ---- A cycle ------------------------------------------------------------------------- */

void gc__gang_init(struct gang *gang, struct region *region, unsigned max_markers)
{
    memset(gang, 0, offsetof(struct gang, marker));
    gang->region = region;
    gang->max_markers = max_markers == 0 ? GC_MAX_MARKERS : (unsigned)gc__min(max_markers, GC_MAX_MARKERS);
    gang->markers = 1;
    gang->attendance = CLOSED;
    ready_marker(gang, 0);
    share_mark_stack(gang);
}

void gc__gang_begin(struct gang *gang)
{
    for (unsigned i = 0; i < gang->markers; i++) {
        gang->marker[i].unaligned = gc__gang_leader(gang)->unaligned;
        gc__marker_begin(&gang->marker[i]);
    }
}

void gc__gang_trim(struct gang *gang)
{
    for (unsigned i = 0; i < gang->markers; i++)
        gc__worklist_trim(&gang->marker[i].worklist);
}

size_t gc__gang_metadata_bytes(const struct gang *gang)
{
    size_t bytes = gc__pool_metadata_bytes(&gang->pool);

    for (unsigned i = 0; i < gang->markers; i++)
        bytes += gc__worklist_metadata_bytes(&gang->marker[i].worklist);
    return bytes;
}
