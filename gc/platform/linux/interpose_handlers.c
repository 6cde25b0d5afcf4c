/* interpose_handlers.c - the older calls that set what a signal does. The C library's
 * own do not come by sigaction, which keeps the program off the signal that stops
 * threads (interpose.c): these do. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))

/* Those of which siginterrupt said that their handlers end system calls. */
static _Atomic uint64_t interrupting;

static uint64_t bit_of(int number)
{
    return number >= 1 && number < _NSIG ? UINT64_C(1) << (number - 1) : 0;
}

static __sighandler_t set(int number, __sighandler_t handler, int flags, bool masks_itself)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;

    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    if (masks_itself)
        sigaddset(&action.sa_mask, number);
    return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT __sighandler_t signal(int number, __sighandler_t handler)
{
    return set(number, handler, (interrupting & bit_of(number)) != 0 ? 0 : SA_RESTART, true);
}

__sighandler_t bsd_signal(int number, __sighandler_t handler);

EXPORT __sighandler_t bsd_signal(int number, __sighandler_t handler)
{
    return signal(number, handler);
}

EXPORT __sighandler_t ssignal(int number, __sighandler_t handler)
{
    return signal(number, handler);
}

EXPORT __sighandler_t __sysv_signal(int number, __sighandler_t handler)
{
    return set(number, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}

EXPORT __sighandler_t sysv_signal(int number, __sighandler_t handler)
{
    return __sysv_signal(number, handler);
}

EXPORT int siginterrupt(int number, int interrupts)
{
    struct sigaction action;

    if (sigaction(number, NULL, &action) != 0)
        return -1;
    action.sa_flags = interrupts ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    if (sigaction(number, &action, NULL) != 0)
        return -1;
    if (interrupts)
        interrupting |= bit_of(number);
    else
        interrupting &= ~bit_of(number);
    return 0;
}

/* ---- X/Open's ------------------------------------------------------------------------- */

/* The mask changes at last, and says what it was. */
static __sighandler_t change_mask(int how, int number, __sighandler_t before)
{
    sigset_t one, old;

    sigemptyset(&one);
    if (before == SIG_ERR || sigaddset(&one, number) != 0 || sigprocmask(how, &one, &old) != 0)
        return SIG_ERR;
    return sigismember(&old, number) ? SIG_HOLD : before;
}

EXPORT __sighandler_t sigset(int number, __sighandler_t disposition)
{
    struct sigaction now;

    if (disposition != SIG_HOLD)
        return change_mask(SIG_UNBLOCK, number, set(number, disposition, 0, false));
    return change_mask(SIG_BLOCK, number, sigaction(number, NULL, &now) == 0 ? now.sa_handler : SIG_ERR);
}

EXPORT int sighold(int number)
{
    return change_mask(SIG_BLOCK, number, SIG_DFL) == SIG_ERR ? -1 : 0;
}

EXPORT int sigignore(int number)
{
    return set(number, SIG_IGN, 0, false) == SIG_ERR ? -1 : 0;
}
