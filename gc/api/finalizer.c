/* The public functions about finalizers, and the thread that runs them: see
 * broom/finalizer.h. */

#include "gc/api/finalizer.h"

#include "gc/api/enter.h"
#include "gc/base/align.h"
#include "gc/base/check.h"

#include <broom/kind.h>
#include <errno.h>

static struct finalizers *const finalizers = &gc__heap.attached.finalizers;

/* Finalizers that register again would never be done. */
#define MOST_ROUNDS 1000

static uint32_t index_of(const gc_finalizer_queue *queue)
{
    return queue != NULL ? queue->index : 0;
}

static gc_finalizer_queue *queue_at(const char *call, gc_finalizer_queue *queue)
{
    gc__enter(call);
    return &finalizers->queue[index_of(queue)];
}

/* ---- Cycles ----------------------------------------------------------------------- */

GC_OWN_STATE static _Atomic(gc_finalizer_cycle_report) cycle_report;

/* Where there is one there may be thousands: the message is for the first. */
static void tell_of_cycle(void *object)
{
    GC_OWN_STATE static _Atomic bool told;
    gc_finalizer_cycle_report report = cycle_report;

    if (report != NULL)
        report(object);
    else if (!atomic_exchange(&told, true))
        gc__message("the object at %p has an ordered finalizer and leads to itself: it will never be finalized, nor "
                    "others like it (see gc_set_finalizer_cycle_report)",
                    object);
}

gc_finalizer_cycle_report gc_set_finalizer_cycle_report(gc_finalizer_cycle_report report)
{
    return atomic_exchange(&cycle_report, report);
}

/* ---- Running ---------------------------------------------------------------------- */

static bool take(uint32_t queue, struct ready *taken)
{
    bool any;

    gc__world_lock(&gc__heap.world);
    any = gc__finalizers_take(finalizers, queue, taken);
    gc__world_unlock(&gc__heap.world);
    return any;
}

/* The next that is no report. */
static bool take_finalizer(uint32_t queue, struct ready *taken)
{
    while (take(queue, taken)) {
        if (taken->finalizer != NULL)
            return true;
        tell_of_cycle(taken->object);
    }
    return false;
}

/* While a thread runs finalizers its allocations run no others: those wait for the
 * next. A finalizer may leave by longjmp, which calls from further up the stack then
 * tell. Returns whether the thread was not at it before. */
static bool begin_finalizing(struct mutator *mutator, uintptr_t sp)
{
    if (mutator->finalizing_sp > sp)
        return false;
    mutator->finalizing_sp = sp;
    return true;
}

static bool any_ready(uint32_t mode)
{
    bool any = false;

    gc__world_lock(&gc__heap.world);
    for (uint32_t i = 0; i <= finalizers->queues; i++)
        any = any || (finalizers->queue[i].first != 0 && finalizers->queue[i].mode == mode);
    gc__world_unlock(&gc__heap.world);
    return any;
}

static void call_thread(void);

/* What was found meanwhile waits for the next who allocates; the thread need not. */
static void end_finalizing(struct mutator *mutator, bool began)
{
    if (!began)
        return;
    mutator->finalizing_sp = 0;
    if (any_ready(GC_FINALIZE_IN_THREAD))
        call_thread();
}

static size_t run(uint32_t queue, size_t max)
{
    struct ready taken;
    size_t ran = 0;

    for (; ran < max && take_finalizer(queue, &taken); ran++) {
        taken.finalizer(taken.object, taken.data);
        GC_HOLD_UNTIL_HERE(taken.object);
    }
    return ran;
}

static size_t count_ready(uint32_t queue)
{
    size_t count;

    gc__world_lock(&gc__heap.world);
    count = finalizers->queue[queue].count;
    gc__world_unlock(&gc__heap.world);
    return count;
}

/* What comes while that goes on waits its turn, or a finalizer that registers again
 * and collects would run for ever. And at least one try: for reports. */
static size_t run_those_ready(uint32_t queue, size_t max)
{
    return max == 0 ? 0 : run(queue, gc__min(max, gc__max(count_ready(queue), 1)));
}

static size_t run_here(uint32_t queue, size_t max)
{
    struct mutator *mutator = gc__mutator;
    bool began = begin_finalizing(mutator, (uintptr_t)__builtin_frame_address(0));
    size_t ran = run_those_ready(queue, max);

    end_finalizing(mutator, began);
    return ran;
}

size_t gc_finalizers_ready(gc_finalizer_queue *queue)
{
    return count_ready(queue_at("gc_finalizers_ready", queue)->index);
}

size_t gc_run_finalizers(gc_finalizer_queue *queue, size_t max)
{
    return run_here(queue_at("gc_run_finalizers", queue)->index, max);
}

bool gc_take_finalizable(gc_finalizer_queue *queue, void **object, gc_finalizer *finalizer, void **data)
{
    struct ready taken;

    if (!take_finalizer(queue_at("gc_take_finalizable", queue)->index, &taken))
        return false;
    if (object != NULL)
        *object = taken.object;
    if (finalizer != NULL)
        *finalizer = taken.finalizer;
    if (data != NULL)
        *data = taken.data;
    return true;
}

/* A round may only report cycles, and what is reported may break them. */
static size_t collect_and_run(uint32_t queue)
{
    size_t ready, all = 0;

    for (unsigned round = 0; round < MOST_ROUNDS; round++) {
        gc_collect();
        ready = count_ready(queue);
        if (ready == 0)
            break;
        all += run_those_ready(queue, ready);
    }
    return all;
}

/* The collections leave what they find to us, whoever else the queue is served by. */
size_t gc_collect_and_finalize(gc_finalizer_queue *queue)
{
    uint32_t index = queue_at("gc_collect_and_finalize", queue)->index;
    struct mutator *mutator = gc__mutator;
    bool began = begin_finalizing(mutator, (uintptr_t)__builtin_frame_address(0));
    size_t ran = collect_and_run(index);

    end_finalizing(mutator, began);
    return ran;
}

size_t gc_finalize_all(gc_finalizer_queue *queue)
{
    uint32_t index = queue_at("gc_finalize_all", queue)->index;

    gc__world_lock(&gc__heap.world);
    gc__finalizers_make_all_ready(finalizers, index);
    gc__heap.snapshot.spoilt = true; /* they may bring back what is dead to a copy */
    gc__world_unlock(&gc__heap.world);
    return run_here(index, SIZE_MAX);
}

/* ---- The thread -------------------------------------------------------------------- */

GC_OWN_STATE static struct {
    _Atomic bool runs;
    _Atomic uint32_t calls;
} thread;

static size_t run_queues_of(uint32_t mode)
{
    size_t ran = 0;

    for (uint32_t i = 0; i <= __atomic_load_n(&finalizers->queues, __ATOMIC_ACQUIRE); i++)
        if (__atomic_load_n(&finalizers->queue[i].mode, __ATOMIC_RELAXED) == mode)
            ran += run_those_ready(i, SIZE_MAX);
    return ran;
}

static void *await_call(void *served)
{
    while (thread.calls == (uint32_t)(uintptr_t)served)
        gc__os_wait(&thread.calls, (uint32_t)(uintptr_t)served, UINT64_MAX);
    return NULL;
}

static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        uint32_t served = thread.calls;

        while (run_queues_of(GC_FINALIZE_IN_THREAD) != 0)
            continue;
        gc_thread_blocking(await_call, (void *)(uintptr_t)served);
    }
    return NULL;
}

static void forget_thread(void *unused)
{
    (void)unused;
    gc__finalizers_forget_thread();
}

/* A finalizer may end it: then there is another when it is needed. */
static void *be_finalizer_thread(void *unused)
{
    return gc__os_run_cancellable(serve, unused, forget_thread, NULL);
}

/* If the system refuses a thread, the next who comes by tries again. */
static void call_thread(void)
{
    if (!atomic_exchange(&thread.runs, true) && !gc__os_start_thread(be_finalizer_thread, NULL)) {
        thread.runs = false;
        finalizers->news = true;
        return;
    }
    thread.calls++;
    gc__os_wake(&thread.calls, 1);
}

void gc__finalizers_forget_thread(void)
{
    thread.runs = false;
    finalizers->news = true; /* what was ready for it */
}

/* ---- Seeing to it --------------------------------------------------------------------- */

/* If a finalizer leaves by longjmp, others see to what is left. */
static void run_at_allocation(struct mutator *mutator)
{
    bool began = begin_finalizing(mutator, (uintptr_t)__builtin_frame_address(0));

    finalizers->news = true;
    run_queues_of(GC_FINALIZE_AT_ALLOCATION);
    finalizers->news = false;
    end_finalizing(mutator, began);
    if (any_ready(GC_FINALIZE_AT_ALLOCATION))
        finalizers->news = true;
}

/* Not inside of a finalizer or of an event's callback, which must return: what is ready
 * waits for it. */
void gc__finalizers_attend(void)
{
    const struct mutator *mutator = gc__mutator;
    int saved_errno = errno;

    if (mutator->finalizing_sp != 0 || mutator->telling_sp != 0 || !atomic_exchange(&finalizers->news, false))
        return;
    if (any_ready(GC_FINALIZE_IN_THREAD))
        call_thread();
    if (any_ready(GC_FINALIZE_AT_ALLOCATION))
        run_at_allocation(gc__mutator);
    errno = saved_errno;
}

/* ---- Setting ------------------------------------------------------------------------------ */

static int set_finalizer(const char *call, uint32_t queue, void *object, gc_finalizer finalizer, void *data,
                         uint32_t order)
{
    bool set;

    gc__enter_object(call, object);
    if (order > GC_FINALIZE_UNORDERED)
        return EINVAL;
    gc__world_lock(&gc__heap.world);
    gc__heap.attached.any = true;
    set = gc__finalizers_set(finalizers, queue, (uintptr_t)object, finalizer, data, order == GC_FINALIZE_ORDERED);
    gc__world_unlock(&gc__heap.world);
    GC_HOLD_UNTIL_HERE(object);
    return set ? 0 : ENOMEM;
}

int gc_set_finalizer(void *object, gc_finalizer finalizer, void *data)
{
    return set_finalizer("gc_set_finalizer", 0, object, finalizer, data, GC_FINALIZE_ORDERED);
}

int gc_set_finalizer_in(gc_finalizer_queue *queue, void *object, gc_finalizer finalizer, void *data, uint32_t order)
{
    return set_finalizer("gc_set_finalizer_in", index_of(queue), object, finalizer, data, order);
}

bool gc_get_finalizer(gc_finalizer_queue *queue, const void *object, gc_finalizer *finalizer, void **data)
{
    struct ready found;
    bool any;

    gc__enter_object("gc_get_finalizer", object);
    gc__world_lock(&gc__heap.world);
    any = gc__finalizers_get(finalizers, index_of(queue), (uintptr_t)object, &found);
    gc__world_unlock(&gc__heap.world);
    GC_HOLD_UNTIL_HERE(object);
    if (any && finalizer != NULL)
        *finalizer = found.finalizer;
    if (any && data != NULL)
        *data = found.data;
    return any;
}

int gc_set_finalizer_mode(gc_finalizer_queue *queue, uint32_t mode)
{
    gc_finalizer_queue *changed = queue_at("gc_set_finalizer_mode", queue);

    if (mode > GC_FINALIZE_IN_THREAD)
        return EINVAL;
    __atomic_store_n(&changed->mode, mode, __ATOMIC_RELAXED);
    finalizers->news = true; /* what is ready may be somebody else's business now */
    return 0;
}

gc_finalizer_queue *gc_finalizer_queue_new(uint32_t mode)
{
    gc_finalizer_queue *queue = NULL;

    gc__enter("gc_finalizer_queue_new");
    if (mode > GC_FINALIZE_IN_THREAD) {
        errno = EINVAL;
        return NULL;
    }
    gc__world_lock(&gc__heap.world);
    if (finalizers->queues + 1 < GC_FINALIZER_QUEUES) {
        uint32_t index = finalizers->queues + 1;

        queue = &finalizers->queue[index];
        *queue = (gc_finalizer_queue){.mode = mode, .index = index};
        __atomic_store_n(&finalizers->queues, index, __ATOMIC_RELEASE);
    }
    gc__world_unlock(&gc__heap.world);
    if (queue == NULL)
        errno = ENOMEM;
    return queue;
}
