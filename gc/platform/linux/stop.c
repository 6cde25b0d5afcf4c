#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/tunables.h"
#include "gc/platform/linux/exec.h"
#include "gc/platform/linux/interruption.h"
#include "gc/platform/linux/raw.h"
#include "gc/platform/linux/real.h"
#include "gc/platform/linux/stack.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct gc__interruption gc__interruption;

#define BIT_OF(signal) (UINT64_C(1) << ((signal)-1))

/* As the kernel has it. */
struct action {
    void (*handler)(int signal, siginfo_t *information, void *interrupted);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

GC_OWN_STATE static struct {
    int signal;
    bool (*caught)(const struct gc__context *context);
    struct action ours;
    struct action theirs; /* that was found in its place; without a handler: none was */
    _Atomic bool on_no_alternate_stack;
} stop = {.signal = GC_STOP_SIGNAL};

/* ---- The handler -------------------------------------------------------------------- */

/* By SIG_DFL nothing is done either: before there was theirs, ours did nothing. */
static bool has_handler(const struct action *action)
{
    return (uintptr_t)action->handler > (uintptr_t)SIG_IGN;
}

/* As if theirs had been called: with its mask, but for ours, which is to stop a thread there,
 * too. It may have kept ours to pass on to, with the same context: that is the end of it. */
static void pass_on(int signal, siginfo_t *information, ucontext_t *user)
{
    struct action theirs = stop.theirs;
    uint64_t mask = (*(const uint64_t *)&user->uc_sigmask | theirs.mask) & ~BIT_OF(signal);
    bool was_passed_on = user->uc_link == user;

    if (was_passed_on || !has_handler(&theirs))
        return;
    user->uc_link = user; /* of no use to the kernel */
    if ((theirs.flags & SA_RESETHAND) != 0)
        stop.theirs.handler = NULL;
    gc__raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof mask, 0, 0);
    theirs.handler(signal, information, user);
}

/* The kernel has stored every register, the vector ones too, between this frame
 * and the words that the interrupted code may use below its stack pointer. Nothing here
 * touches errno, not even to restore it: a stranger without thread-local variables of its own
 * sees its maker's, who runs. */
static void handle(int signal, siginfo_t *information, void *interrupted)
{
    ucontext_t *user = interrupted;
    struct gc__context context = {
        .sp = (uintptr_t)__builtin_frame_address(0),
        .interrupted_sp = gc__interrupted_sp(user) - GC_RED_ZONE_BYTES,
        .alternate = gc__alternate_stack_at(&user->uc_stack, gc__interrupted_sp(user)),
        .has_stacks_within = gc__has_stacks_within,
        .is_addressed = information->si_code == SI_TKILL,
    };

    if (stop.caught(&context) || !has_handler(&stop.theirs))
        gc__interruption_note(gc__interrupted_sp(user));
    else
        pass_on(signal, information, user);
}

/* ---- Catching the signal ------------------------------------------------------------- */

static bool change_action(const struct action *action, struct action *old)
{
    return gc__raw_call(SYS_rt_sigaction, stop.signal, (long)action, (long)old, sizeof action->mask, 0, 0) == 0;
}

int gc__os_stop_signal(void)
{
    return stop.signal;
}

/* A stopped thread runs no other handler. That goes for the one by which the C library
 * cancels threads, too, which sigfillset leaves out: it would leave our handler, and run
 * the thread's cleanups, while the world stands. (The second of the C library's own
 * signals, by which setuid and the like reach all threads, is waited for.) */
static sigset_t all_but_setuid(void)
{
    sigset_t set;

    sigfillset(&set);
    *(unsigned long *)&set |= 1ul << (__SIGRTMIN - 1);
    return set;
}

/* A thread may run where there is little room, as a coroutine or in Go. */
static bool set_handler(void)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};

    if (!stop.on_no_alternate_stack)
        action.sa_flags |= SA_ONSTACK;
    action.sa_mask = all_but_setuid();
    return GC_REAL(sigaction)(stop.signal, &action, NULL) == 0 && change_action(NULL, &stop.ours);
}

bool gc__os_catch_stop_signal(int signal, bool (*caught)(const struct gc__context *context))
{
    stop.signal = signal;
    stop.caught = caught;
    gc__exec_note_handler();
    return set_handler();
}

void gc__os_stop_on_no_alternate_stack(void)
{
    if (!atomic_exchange(&stop.on_no_alternate_stack, true) && stop.caught != NULL)
        set_handler();
}

/* By a system call; sigaction refuses (interpose.c). */
bool gc__os_regain_stop_signal(void)
{
    struct action now;

    if (!change_action(NULL, &now) || now.handler == stop.ours.handler)
        return false;
    stop.theirs = now; /* before ours is there, which passes on to it */
    return change_action(&stop.ours, NULL);
}

void gc__os_unblock_stop_signal(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, stop.signal);
    GC_REAL(pthread_sigmask)(SIG_UNBLOCK, &set, NULL);
}

#define OF_FAULTS (BIT_OF(SIGSEGV) | BIT_OF(SIGBUS) | BIT_OF(SIGILL) | BIT_OF(SIGFPE) | BIT_OF(SIGTRAP))

/* The C library's own, which cancel threads and set their user, come before those of the
 * program. Not by its functions, as tools have them, too. */
static uint64_t hold_signals_but(uint64_t others)
{
    uint64_t held = ~(OF_FAULTS | others), blocked = 0;

    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &held, &blocked, sizeof held);
    return blocked;
}

uint64_t gc__os_hold_signals(void)
{
    return hold_signals_but((BIT_OF(SIGRTMIN) - BIT_OF(__SIGRTMIN)) | BIT_OF(stop.signal));
}

/* For so short a time the C library's may wait, too. */
uint64_t gc__os_hold_all_signals(void)
{
    return hold_signals_but(0);
}

void gc__os_release_signals(uint64_t blocked)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked);
}

int gc__os_stop_thread(long process_id, long thread_id)
{
    int saved_errno = errno, error = EAGAIN;

    if (gc__exec_begin_signal())
        error = syscall(SYS_tgkill, process_id, thread_id, stop.signal) == 0 ? 0 : errno;
    gc__exec_end_signal();
    errno = saved_errno;
    return error;
}

bool gc__os_thread_exists(long process_id, long thread_id)
{
    int saved_errno = errno;
    bool exists = syscall(SYS_tgkill, process_id, thread_id, 0) == 0 || errno != ESRCH;

    errno = saved_errno;
    return exists;
}
