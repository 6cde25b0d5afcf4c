/* interpose_waits.c - the C library's calls that wait for signals, or with a mask of
 * their own: the one that stops threads is left out of those. In the library
 * broom-malloc alone, as programs that know nothing of that signal may ask for all. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/platform/linux/real.h"

#include <signal.h>
#include <sys/select.h>

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
