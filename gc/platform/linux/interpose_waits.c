/* interpose_waits.c - the C library's calls that wait for signals, or with a mask of
 * their own: the one that stops threads is left out of those. In the library
 * broom-malloc alone, as programs that know nothing of that signal may ask for all. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/check.h"
#include "gc/platform/linux/real.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static const sigset_t *without_ours(const sigset_t *set, sigset_t *rest)
{
    if (set == NULL)
        return NULL;
    *rest = *set;
    sigdelset(rest, gc__os_stop_signal());
    return rest;
}

EXPORT int sigwait(const sigset_t *set, int *signal)
{
    sigset_t rest;

    return GC_REAL(sigwait)(without_ours(set, &rest), signal);
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *information)
{
    sigset_t rest;

    return GC_REAL(sigwaitinfo)(without_ours(set, &rest), information);
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *information, const struct timespec *timeout)
{
    sigset_t rest;

    return GC_REAL(sigtimedwait)(without_ours(set, &rest), information, timeout);
}

EXPORT int sigsuspend(const sigset_t *mask)
{
    sigset_t rest;

    return GC_REAL(sigsuspend)(without_ours(mask, &rest));
}

EXPORT int pselect(int count, fd_set *in, fd_set *out, fd_set *except, const struct timespec *timeout,
                   const sigset_t *mask)
{
    sigset_t rest;

    return GC_REAL(pselect)(count, in, out, except, timeout, without_ours(mask, &rest));
}

/* ---- By system calls ----------------------------------------------------------------
 *
 * The archive of the C library has no other name for these. */

#define MASK_BYTES (_NSIG / 8) /* that the kernel knows of a sigset_t */

/* A thread may be cancelled while it waits. */
#define WAIT_IN_KERNEL(...)                                                                                            \
    ({                                                                                                                 \
        int type;                                                                                                      \
        long waited;                                                                                                   \
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);                                                     \
        waited = syscall(__VA_ARGS__, MASK_BYTES);                                                                     \
        pthread_setcanceltype(type, NULL);                                                                             \
        (int)waited;                                                                                                   \
    })

EXPORT int ppoll(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    struct timespec left;
    sigset_t rest;

    if (timeout != NULL)
        left = *timeout; /* the kernel writes what is left of it */
    return WAIT_IN_KERNEL(SYS_ppoll, files, count, timeout != NULL ? &left : NULL, without_ours(mask, &rest));
}

/* As programs call it that were compiled with _FORTIFY_SOURCE. */
int __ppoll_chk(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t files_bytes);

EXPORT int __ppoll_chk(struct pollfd *files, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t files_bytes)
{
    if (count > files_bytes / sizeof *files)
        gc__fatal("ppoll: %lu files are more than there is room for", (unsigned long)count);
    return ppoll(files, count, timeout, mask);
}

EXPORT int epoll_pwait(int poll, struct epoll_event *events, int count, int timeout_ms, const sigset_t *mask)
{
    sigset_t rest;

    return WAIT_IN_KERNEL(SYS_epoll_pwait, poll, events, count, timeout_ms, without_ours(mask, &rest));
}

EXPORT int epoll_pwait2(int poll, struct epoll_event *events, int count, const struct timespec *timeout,
                        const sigset_t *mask)
{
    sigset_t rest;

    return WAIT_IN_KERNEL(SYS_epoll_pwait2, poll, events, count, timeout, without_ours(mask, &rest));
}

EXPORT int signalfd(int file, const sigset_t *set, int flags)
{
    sigset_t rest;

    return (int)syscall(SYS_signalfd4, file, without_ours(set, &rest), MASK_BYTES, flags);
}
