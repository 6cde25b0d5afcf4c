/* interpose_waits.c - the C library's calls that wait for signals, or with a mask of
 * their own: the one that stops threads is left out of those. And those waits that any
 * handler ends: that signal's does not. In the library broom-malloc alone, as programs
 * that know nothing of that signal may ask for all, and expect no EINTR.
 *
 * So that no other signal is lost, all are blocked outside of the system call, which
 * alone lets them in, by a mask. It ends with the first that comes; where that was ours,
 * it is made again. Threads that block all signals for that long still stop: the system
 * call comes next. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/check.h"
#include "gc/platform/linux/interruption.h"
#include "gc/platform/linux/real.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#define NS_PER_SECOND 1000000000L

static const sigset_t *without_ours(const sigset_t *set, sigset_t *rest)
{
    if (set == NULL)
        return NULL;
    *rest = *set;
    sigdelset(rest, gc__os_stop_signal());
    return rest;
}

/* ---- One system call ------------------------------------------------------------------ */

#define MASK_BYTES (_NSIG / 8) /* that the kernel knows of a sigset_t */

struct wait {
    long number; /* of the system call */
    long argument[6];
    long *mask; /* where it takes a pointer to the mask: one of the arguments, or behind one */
    struct timespec
        *left; /* what is left of the time, where the kernel does not write it; NULL: it does, or for ever */
    struct timespec until; /* by the monotonic clock */
    bool in_ms;            /* argument[3] is the time */
};

#define ADDRESS(pointer) ((long)(uintptr_t)(pointer))

static struct timespec monotonic_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

static struct timespec difference(struct timespec from, struct timespec to)
{
    struct timespec left = {to.tv_sec - from.tv_sec, to.tv_nsec - from.tv_nsec};

    if (left.tv_nsec < 0) {
        left.tv_nsec += NS_PER_SECOND;
        left.tv_sec--;
    }
    return left.tv_sec < 0 ? (struct timespec){0, 0} : left;
}

/* For ever, if that is too much for the type. */
static struct timespec sum(struct timespec time, struct timespec more)
{
    if (more.tv_sec > LONG_MAX - time.tv_sec - 1)
        return (struct timespec){LONG_MAX, 0};
    time.tv_nsec += more.tv_nsec;
    time.tv_sec += more.tv_sec + time.tv_nsec / NS_PER_SECOND;
    time.tv_nsec %= NS_PER_SECOND;
    return time;
}

/* Without a frame of ours that the handler's could be taken for. */
static __attribute__((noinline)) long call(const struct wait *wait, bool *was_ours)
{
    struct gc__interruption before = gc__interruption;
    const long *argument = wait->argument;
    long result;

    gc__interruption = (struct gc__interruption){(uintptr_t)__builtin_dwarf_cfa(), false};
    result = syscall(wait->number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
    *was_ours = result == -1 && errno == EINTR && gc__interruption.came;
    gc__interruption = before;
    return result;
}

/* After an interruption. */
static void shorten(struct wait *wait)
{
    if (wait->left == NULL)
        return;
    *wait->left = difference(monotonic_time(), wait->until);
    if (wait->in_ms)
        wait->argument[3] = wait->left->tv_sec * 1000 + (wait->left->tv_nsec + 999999) / 1000000;
}

static long call_until_not_ours(struct wait *wait)
{
    bool was_ours;
    long result;

    while ((result = call(wait, &was_ours)) == -1 && was_ours)
        shorten(wait);
    return result;
}

static void restore_mask(void *mask)
{
    GC_REAL(pthread_sigmask)(SIG_SETMASK, mask, NULL);
}

/* Those that take no mask. A signal of the program's that comes between ours and the next
 * try has its handler called, but does not end the wait. */
static long call_without_mask(struct wait *wait)
{
    int type, error;
    long result;

    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    result = call_until_not_ours(wait);
    error = errno;
    pthread_setcanceltype(type, NULL);
    errno = error;
    return result;
}

/* A thread may be cancelled while it waits. */
static long call_cancellably(struct wait *wait, sigset_t *blocked)
{
    int type, error;
    long result;

    pthread_cleanup_push(restore_mask, blocked);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    result = call_until_not_ours(wait);
    error = errno;
    pthread_setcanceltype(type, NULL);
    pthread_cleanup_pop(0);
    errno = error;
    return result;
}

/* `mask`: what is blocked meanwhile; NULL: what is blocked anyway. A single thread is
 * stopped by nobody. */
static long wait_with(struct wait *wait, const sigset_t *mask)
{
    sigset_t all, blocked, rest;
    bool was_ours;
    long result;
    int error;

    if (__libc_single_threaded) {
        *wait->mask = ADDRESS(without_ours(mask, &rest));
        return call(wait, &was_ours);
    }
    if (wait->left != NULL)
        wait->until = sum(monotonic_time(), *wait->left);
    pthread_testcancel();
    sigfillset(&all);
    GC_REAL(pthread_sigmask)(SIG_SETMASK, &all, &blocked);
    *wait->mask = ADDRESS(without_ours(mask != NULL ? mask : &blocked, &rest));
    result = call_cancellably(wait, &blocked);
    error = errno;
    restore_mask(&blocked);
    errno = error;
    return result;
}

/* ---- Polling ------------------------------------------------------------------------------ */

/* The kernel writes what is left to `left`. */
static int poll_for(struct pollfd *files, nfds_t count, struct timespec *left, const sigset_t *mask)
{
    struct wait wait = {SYS_ppoll, {ADDRESS(files), (long)count, ADDRESS(left), 0, MASK_BYTES}, .mask = NULL};

    wait.mask = &wait.argument[3];
    return (int)wait_with(&wait, mask);
}

EXPORT int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    struct timespec left;

    if (timeout != NULL)
        left = *timeout;
    return poll_for(files, count, timeout != NULL ? &left : NULL, mask);
}

EXPORT int poll(struct pollfd *files, nfds_t count, int timeout_ms)
{
    struct timespec left = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

    return poll_for(files, count, timeout_ms >= 0 ? &left : NULL, NULL);
}

/* As programs call them that were compiled with _FORTIFY_SOURCE. */
int __ppoll_chk(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t files_bytes);
int __poll_chk(struct pollfd *files, nfds_t count, int timeout_ms, size_t files_bytes);

static void check_room(const struct pollfd *files, nfds_t count, size_t files_bytes)
{
    if (count > files_bytes / sizeof *files)
        gc__fatal("poll: %lu files are more than there is room for", (unsigned long)count);
}

EXPORT int __ppoll_chk(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t files_bytes)
{
    check_room(files, count, files_bytes);
    return ppoll(files, count, timeout, mask);
}

EXPORT int __poll_chk(struct pollfd *files, nfds_t count, int timeout_ms, size_t files_bytes)
{
    check_room(files, count, files_bytes);
    return poll(files, count, timeout_ms);
}

/* The same. */
static int select_for(int count, fd_set *in, fd_set *out, fd_set *except, struct timespec *left, const sigset_t *mask)
{
    long last[2] = {0, MASK_BYTES};
    struct wait wait = {
        SYS_pselect6, {count, ADDRESS(in), ADDRESS(out), ADDRESS(except), ADDRESS(left), ADDRESS(last)}, .mask = last};

    return (int)wait_with(&wait, mask);
}

EXPORT int pselect(int count, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
                   const sigset_t *mask)
{
    struct timespec left;

    if (timeout != NULL)
        left = *timeout;
    return select_for(count, in, out, except, timeout != NULL ? &left : NULL, mask);
}

/* Linux says what is left. */
EXPORT int select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
    struct timespec left;
    int selected;

    if (timeout == NULL)
        return select_for(count, in, out, except, NULL, NULL);
    left = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000};
    selected = select_for(count, in, out, except, &left, NULL);
    *timeout = (struct timeval){left.tv_sec, left.tv_nsec / 1000};
    return selected;
}

EXPORT int epoll_pwait(int poll, struct epoll_event *events, int count, int timeout_ms, const sigset_t *mask)
{
    struct timespec left = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    struct wait wait = {SYS_epoll_pwait,
                        {poll, ADDRESS(events), count, timeout_ms, 0, MASK_BYTES},
                        .left = timeout_ms > 0 ? &left : NULL,
                        .in_ms = true};

    wait.mask = &wait.argument[4];
    return (int)wait_with(&wait, mask);
}

EXPORT int epoll_wait(int poll, struct epoll_event *events, int count, int timeout_ms)
{
    return epoll_pwait(poll, events, count, timeout_ms, NULL);
}

EXPORT int epoll_pwait2(int poll, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask)
{
    struct timespec left = timeout != NULL ? *timeout : (struct timespec){0, 0};
    struct wait wait = {SYS_epoll_pwait2,
                        {poll, ADDRESS(events), count, ADDRESS(timeout != NULL ? &left : NULL), 0, MASK_BYTES},
                        .left = timeout != NULL ? &left : NULL};

    wait.mask = &wait.argument[4];
    return (int)wait_with(&wait, mask);
}

/* ---- Sleeping ------------------------------------------------------------------------------- *
 * The system calls for it take no mask; to poll no files is to sleep. */

EXPORT int nanosleep(const struct timespec *time, struct timespec *left_over)
{
    struct timespec left = *time;
    int result = poll_for(NULL, 0, &left, NULL);

    if (result != 0 && left_over != NULL)
        *left_over = left;
    return result;
}

/* By the kernel's own call, where the clock may be set meanwhile, or is of another sort:
 * it writes what is left. */
static int sleep_by_clock(clockid_t clock, int flags, const struct timespec *time, struct timespec *left_over)
{
    struct timespec left = *time;
    struct wait wait = {SYS_clock_nanosleep, {clock, flags, ADDRESS(&left), ADDRESS(&left)}, .mask = NULL};
    int saved_errno = errno, error = call_without_mask(&wait) == 0 ? 0 : errno;

    errno = saved_errno;
    if (error == EINTR && left_over != NULL && (flags & TIMER_ABSTIME) == 0)
        *left_over = left;
    return error;
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    bool is_absolute = (flags & TIMER_ABSTIME) != 0;
    bool is_valid = time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < NS_PER_SECOND;
    struct timespec difference_now;
    int error, saved_errno = errno;

    if (!is_valid || (clock != CLOCK_MONOTONIC && (clock != CLOCK_REALTIME || is_absolute)))
        return sleep_by_clock(clock, flags, time, left);
    difference_now = is_absolute ? difference(monotonic_time(), *time) : *time;
    error = nanosleep(&difference_now, is_absolute ? NULL : left) == 0 ? 0 : errno;
    errno = saved_errno;
    return error;
}

EXPORT unsigned sleep(unsigned seconds)
{
    struct timespec time = {seconds, 0};

    return nanosleep(&time, &time) == 0 ? 0 : (unsigned)time.tv_sec;
}

EXPORT int usleep(useconds_t microseconds)
{
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000L};

    return nanosleep(&time, NULL);
}

/* In the C library it does not come by the others. */
EXPORT int thrd_sleep(const struct timespec *time, struct timespec *left)
{
    int error = clock_nanosleep(CLOCK_REALTIME, 0, time, left);

    return error == 0 ? 0 : error == EINTR ? -1 : -2;
}

/* ---- Waiting for messages and semaphores ------------------------------------------------------ */

EXPORT ssize_t msgrcv(int queue, void *message, size_t bytes, long type, int flags)
{
    struct wait wait = {SYS_msgrcv, {queue, ADDRESS(message), (long)bytes, type, flags}, .mask = NULL};

    return call_without_mask(&wait);
}

EXPORT int msgsnd(int queue, const void *message, size_t bytes, int flags)
{
    struct wait wait = {SYS_msgsnd, {queue, ADDRESS(message), (long)bytes, flags}, .mask = NULL};

    return (int)call_without_mask(&wait);
}

EXPORT int semtimedop(int set, struct sembuf *operations, size_t count, const struct timespec *timeout)
{
    struct timespec left = timeout != NULL ? *timeout : (struct timespec){0, 0};
    struct wait wait = {SYS_semtimedop,
                        {set, ADDRESS(operations), (long)count, ADDRESS(timeout != NULL ? &left : NULL)},
                        .left = timeout != NULL ? &left : NULL};

    if (timeout != NULL)
        wait.until = sum(monotonic_time(), left);
    return (int)call_without_mask(&wait);
}

EXPORT int semop(int set, struct sembuf *operations, size_t count)
{
    return semtimedop(set, operations, count, NULL);
}

/* The C library goes on after a signal where there is no time; with one the kernel does
 * not, whatever SA_RESTART says. */
EXPORT int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    struct gc__interruption before = gc__interruption;
    bool was_ours;
    int result;

    do {
        gc__interruption = (struct gc__interruption){(uintptr_t)__builtin_dwarf_cfa(), false};
        result = GC_REAL(sem_clockwait)(semaphore, clock, until);
        was_ours = result == -1 && errno == EINTR && gc__interruption.came;
        gc__interruption = before;
    } while (was_ours);
    return result;
}

EXPORT int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
    return sem_clockwait(semaphore, CLOCK_REALTIME, until);
}

/* ---- Waiting for signals --------------------------------------------------------------------- */

EXPORT int sigsuspend(const sigset_t *mask)
{
    return poll_for(NULL, 0, NULL, mask);
}

EXPORT int pause(void)
{
    return poll_for(NULL, 0, NULL, NULL);
}

/* The headers call BSD's sigpause by none of these names, and X/Open's by the second. */
int __sigpause(int signal_or_mask, int is_signal);
int __xpg_sigpause(int signal);
int sigpause_of_bsd(int mask) __asm__("sigpause");

static int sigpause_without(int signal)
{
    sigset_t blocked;

    GC_REAL(pthread_sigmask)(SIG_BLOCK, NULL, &blocked);
    return sigdelset(&blocked, signal) == 0 ? sigsuspend(&blocked) : -1;
}

EXPORT int __xpg_sigpause(int signal)
{
    return sigpause_without(signal);
}

/* The mask is of the signals from 1 to 32. */
EXPORT int sigpause_of_bsd(int mask)
{
    sigset_t blocked;

    sigemptyset(&blocked);
    for (int signal = 1; signal <= 32; signal++)
        if ((1U << (signal - 1) & (unsigned)mask) != 0)
            sigaddset(&blocked, signal);
    return sigsuspend(&blocked);
}

EXPORT int __sigpause(int signal_or_mask, int is_signal)
{
    return is_signal != 0 ? sigpause_without(signal_or_mask) : sigpause_of_bsd(signal_or_mask);
}

EXPORT int sigwait(const sigset_t *set, int *signal)
{
    sigset_t rest;

    return GC_REAL(sigwait)(without_ours(set, &rest), signal);
}

/* Those that it waits for are blocked. Others may end it. */
static int wait_for(const sigset_t *set, siginfo_t *information, struct timespec *left)
{
    siginfo_t unused;
    long no_mask;
    sigset_t rest;
    struct wait wait = {SYS_rt_sigtimedwait,
                        {ADDRESS(without_ours(set, &rest)), ADDRESS(information != NULL ? information : &unused),
                         ADDRESS(left), MASK_BYTES},
                        .mask = &no_mask,
                        .left = left};
    sigset_t blocked;
    int signal;

    if (left != NULL)
        wait.until = sum(monotonic_time(), *left);
    GC_REAL(pthread_sigmask)(SIG_BLOCK, NULL, &blocked);
    signal = (int)call_cancellably(&wait, &blocked);
    if (signal != -1 && information != NULL && information->si_code == SI_TKILL)
        information->si_code = SI_USER; /* as the C library has it, for which raise is kill */
    return signal;
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *information)
{
    return wait_for(set, information, NULL);
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *information, const struct timespec *timeout)
{
    struct timespec left;

    if (timeout != NULL)
        left = *timeout;
    return wait_for(set, information, timeout != NULL ? &left : NULL);
}

EXPORT int signalfd(int file, const sigset_t *set, int flags)
{
    sigset_t rest;

    return (int)syscall(SYS_signalfd4, file, without_ours(set, &rest), MASK_BYTES, flags);
}
