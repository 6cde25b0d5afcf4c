/* hindered.c - mutators that do not stop when they are asked to: those that are no more, that
 * block the signal, or wait where none reaches them; and the signal that others have taken. */

#include "gc/roots/stop.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/base/tunables.h"

static const char *reason_for(enum gc__hindrance hindrance, const struct mutator *mutator)
{
    if (mutator->unsent)
        return "the queue of signals is full";
    switch (hindrance) {
    case GC_HINDRANCE_MASK: return "it blocks the signal";
    case GC_HINDRANCE_DEEP: return "it waits where no signal wakes it";
    case GC_HINDRANCE_HALT: return "it has been halted";
    case GC_HINDRANCE_NONE: break;
    }
    return gc__os_blocks_stop_signal(mutator->look) ? "it blocks the signal, most of the time"
                                                    : "it gets no CPU, or somebody takes its signals";
}

static void report(const struct mutator *mutator, enum gc__hindrance hindrance, uint64_t waited_ns)
{
    char name[32];

    gc__os_thread_name(mutator->thread_id, name, sizeof name);
    gc__message("thread %ld (%s) has not stopped for %llu s, as signal %d asks it to: %s", mutator->thread_id, name,
                (unsigned long long)(waited_ns / NS_PER_SECOND), gc__os_stop_signal(), reason_for(hindrance, mutator));
}

/* What keeps it, as this look and the last one show. */
static enum gc__hindrance look_again(struct mutator *mutator)
{
    struct gc__thread_look now = gc__os_look_at_thread(mutator->thread_id);
    enum gc__hindrance hindrance = gc__os_hindrance(mutator->look, now);

    if (now.state != 'R' || mutator->look.state != 'R') /* else the CPU adds up */
        mutator->look = now;
    return hindrance;
}

/* A thread that only waits for a CPU, on a busy machine, is not worth a word. */
static void report_if_hindered(const struct mutator *mutator, enum gc__hindrance hindrance, uint64_t waited_ns)
{
    if (hindrance != GC_HINDRANCE_NONE || mutator->unsent || waited_ns >= GC_STOP_STARVED_NS)
        report(mutator, hindrance, waited_ns);
}

/* A thread that never called us; or, where the program knows of nothing, any that is not
 * halfway through a call to us. */
static bool may_be_left_alone(const struct world *world, const struct mutator *mutator)
{
    return mutator->met || (world->is_unknown && !mutator->inside);
}

/* It is scanned as it is, if it sleeps. Of its registers only the arguments of the call in which
 * it does are seen. Where it stands is noted later: until it is left alone it may wake, and say
 * so itself. */
static bool can_be_left_alone(const struct world *world, struct mutator *mutator)
{
    uintptr_t sp = may_be_left_alone(world, mutator) ? gc__os_sleep_of_thread(mutator->thread_id).sp : 0;

    if (sp == 0)
        return false;
    if (mutator->stack.end == 0)
        mutator->stack = gc__os_stack_around(sp);
    return true;
}

static void leave_alone(struct world *world, struct mutator *mutator)
{
    uint32_t asked = MUTATOR_ASKED;

    if (atomic_compare_exchange_strong(&mutator->state, &asked, MUTATOR_DEAF))
        atomic_fetch_sub(&world->unstopped, 1);
}

/* Those that take the signal again are asked again. */
void gc__stop_ask_the_deaf_again(struct world *world)
{
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        if (mutator->state == MUTATOR_DEAF && !gc__os_blocks_stop_signal(gc__os_look_at_thread(mutator->thread_id)))
            mutator->state = MUTATOR_RUNS;
}

/* Of the stack of one that never called us, only what a stop found in use is known. */
static struct gc__range all_of_stack(const struct mutator *mutator)
{
    struct gc__range stack = mutator->stack;

    if (mutator->met)
        stack.start = stack.end - gc__min(stack.end, GC_FOREIGN_STACK_BYTES);
    return gc__os_whole_stack(stack);
}

/* Where it stands now; all of its stack, if it runs. */
static void look_at_deaf(struct mutator *mutator)
{
    uintptr_t sp;

    mutator->sleep = gc__os_sleep_of_thread(mutator->thread_id);
    sp = mutator->sleep.sp == 0 ? all_of_stack(mutator).start : mutator->sleep.sp - GC_RED_ZONE_BYTES;
    mutator->context = (struct gc__context){.sp = sp, .interrupted_sp = sp};
}

void gc__stop_look_at_the_deaf(struct world *world)
{
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        if (mutator->state == MUTATOR_DEAF) {
            if (gc__os_thread_exists(world->process_id, mutator->thread_id))
                look_at_deaf(mutator);
            else
                mutator->thread_id = 0;
        }
}

/* A process's first thread remains listed when it has ended, and is sent signals
 * without an error. */
static bool has_ended(const struct world *world, long thread_id, uint64_t waited_ns)
{
    return !gc__os_thread_exists(world->process_id, thread_id) ||
           (waited_ns > GC_STOP_DOUBT_NS && gc__os_thread_sort(thread_id) == GC_THREAD_ASIDE);
}

/* The C library blocks all signals in a thread that is over, and may then wait for a
 * lock of its own that a stopped thread holds. So does one that was just made, where
 * its maker has more to do for it (its CPUs, its priority) and was stopped before it
 * let go: that one nobody knows yet but by what it is to do. (One that runs will be out
 * of this soon; and who starts a program in a destructor sleeps too deeply.) */
static bool waits_for_a_stopped_one(const struct world *world, struct mutator *mutator)
{
    if (!mutator->over && !(mutator->met && world->starting != NULL))
        return false;
    if (!gc__os_sleeps_inside_library(gc__os_look_at_thread(mutator->thread_id)))
        return false;
    return mutator->over || can_be_left_alone(world, mutator);
}

/* Runtimes have threads that block every signal from the beginning, such as the C
 * library's for timers and queues, or later, as the one of Go's that waits for signals:
 * these are left alone as soon as two looks have found them asleep, and are not waited for
 * twice. Some of the former wake now and then, so after a second it is enough that one
 * sleeps. The signal may also have been taken by sigwait, or refused for want of room. */
static void look_after_one(struct world *world, struct mutator *mutator, uint64_t waited_ns)
{
    enum gc__hindrance hindrance = GC_HINDRANCE_NONE;

    if (has_ended(world, mutator->thread_id, waited_ns)) {
        gc__stop_give_up(world, mutator);
        return;
    }
    if (waits_for_a_stopped_one(world, mutator)) {
        leave_alone(world, mutator);
        return;
    }
    if (waited_ns >= (mutator->met ? GC_STOP_DOUBT_NS : GC_STOP_LOOK_NS))
        hindrance = look_again(mutator);
    if (waited_ns >= NS_PER_SECOND)
        report_if_hindered(mutator, hindrance, waited_ns);
    if ((hindrance == GC_HINDRANCE_MASK || (mutator->met && waited_ns >= NS_PER_SECOND)) &&
        can_be_left_alone(world, mutator))
        leave_alone(world, mutator);
    else if (waited_ns >= NS_PER_SECOND || mutator->unsent)
        gc__stop_send_signal(world, mutator);
}

/* Runtimes that set every handler by system calls (Go's does) have got the signals. Once seen,
 * that is looked for before each stop. */
static void regain_signal(struct world *world)
{
    if (!gc__os_regain_stop_signal())
        return;
    world->regains_signal = true;
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next) {
        mutator->due = 0;
        if (gc__stop_is_asked(mutator))
            gc__stop_send_signal(world, mutator);
    }
}

void gc__stop_look_after(struct world *world, uint64_t waited_ns)
{
    regain_signal(world);
    for (struct mutator *mutator = world->first; mutator != NULL; mutator = mutator->next)
        if (gc__stop_is_asked(mutator))
            look_after_one(world, mutator, waited_ns);
}
