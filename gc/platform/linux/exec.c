/* exec.c - that nobody is sent the signal that stops threads while a thread calls exec.
 * Who sends it says so first, and then looks whether anybody is in exec; who goes there
 * says so first, and then waits for who is sending. */

#define _GNU_SOURCE
#include "gc/platform/linux/exec.h"

#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

GC_OWN_STATE static struct {
    bool is_caught;            /* the signal: before, it is the program's */
    long process;              /* whose threads these are, */
    _Atomic unsigned count;    /* so many of which are in exec, */
    _Atomic uint64_t begun_ns; /* the last of them since then */
    _Atomic unsigned refused;  /* signals that were not sent */
    _Atomic uintptr_t sender;  /* the thread pointer of who may be sending one; 0: nobody */
} in_exec;

/* The last one may have left by longjmp, from a handler: nobody would be stopped again. */
static bool is_anybody_in_exec(void)
{
    uint64_t begun_ns;

    if (atomic_load(&in_exec.count) == 0)
        return false;
    begun_ns = atomic_load(&in_exec.begun_ns); /* before the clock, which is later then */
    if (gc__os_clock_ns() - begun_ns < GC_EXEC_NS)
        return true;
    atomic_store(&in_exec.count, 0);
    return false;
}

bool gc__exec_begin_signal(void)
{
    atomic_store(&in_exec.sender, gc__os_thread_pointer());
    if (!is_anybody_in_exec())
        return true;
    atomic_fetch_add(&in_exec.refused, 1);
    return false;
}

void gc__exec_end_signal(void)
{
    atomic_store(&in_exec.sender, 0);
}

void gc__exec_note_handler(void)
{
    in_exec.is_caught = true;
}

void gc__exec_note_process(void)
{
    long process = gc__os_process_id();

    if (in_exec.process == process)
        return;
    atomic_store(&in_exec.count, 0);
    atomic_store(&in_exec.sender, 0);
    in_exec.process = process;
}

/* It may be this thread, which a handler has interrupted. */
static void wait_for_sender(void)
{
    uintptr_t sender;

    while ((sender = atomic_load(&in_exec.sender)) != 0 && sender != gc__os_thread_pointer())
        gc__os_yield();
}

static uint64_t ours(void)
{
    return UINT64_C(1) << (gc__os_stop_signal() - 1);
}

static uint64_t set_mask(int how, uint64_t set)
{
    uint64_t old = 0;

    syscall(SYS_rt_sigprocmask, how, &set, &old, sizeof set);
    return old;
}

/* Also if the program blocks it, as in a handler: the new one has the same mask. */
static bool take_pending(void)
{
    static const struct timespec at_once;
    uint64_t set = ours();
    bool found = false;

    while (in_exec.is_caught && syscall(SYS_rt_sigtimedwait, &set, NULL, &at_once, sizeof set) > 0)
        found = true;
    return found;
}

/* A thread that stopped in here would wait for others, who are sent no signals. */
struct gc__exec_hold gc__exec_begin(void)
{
    struct gc__exec_hold hold = {.is_held = gc__os_process_id() == in_exec.process};
    uint64_t blocked;

    if (!hold.is_held)
        return hold;
    blocked = set_mask(SIG_BLOCK, ours());
    atomic_store(&in_exec.begun_ns, gc__os_clock_ns());
    hold.refused = atomic_load(&in_exec.refused);
    atomic_fetch_add(&in_exec.count, 1);
    wait_for_sender();
    hold.was_taken = take_pending();
    set_mask(SIG_SETMASK, blocked);
    return hold;
}

/* Unless it was not waited for any longer. */
static void be_out_of_exec(void)
{
    unsigned count = atomic_load(&in_exec.count);

    while (count != 0 && !atomic_compare_exchange_weak(&in_exec.count, &count, count - 1))
        continue;
}

/* The collector asks again ever more seldom, and would not find a thread that calls exec
 * over and over. A signal too many does nothing. */
void gc__exec_end(struct gc__exec_hold hold)
{
    int saved_errno = errno;

    if (!hold.is_held)
        return;
    be_out_of_exec();
    if (hold.was_taken || atomic_load(&in_exec.refused) != hold.refused)
        syscall(SYS_tgkill, in_exec.process, gc__os_thread_id(), gc__os_stop_signal());
    errno = saved_errno;
}
