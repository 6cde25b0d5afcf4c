/* stop_by_asking.c - in place of gc/platform/linux/stop.c: threads are asked to
 * stop, and never sent the signal, which ThreadSanitizer keeps back until it
 * sees fit. Each comes when it calls the collector next. */
#define _GNU_SOURCE
#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int gc__os_stop_signal(void)
{
    return GC_STOP_SIGNAL;
}

bool gc__os_catch_stop_signal(int signal, void (*caught)(const struct gc__context *context))
{
    (void)signal, (void)caught;
    return true;
}

void gc__os_unblock_stop_signal(void)
{
}

uint64_t gc__os_hold_signals(void)
{
    return 0;
}

void gc__os_release_signals(uint64_t blocked)
{
    (void)blocked;
}

bool gc__os_thread_exists(long thread_id)
{
    return syscall(SYS_tgkill, getpid(), thread_id, 0) == 0 || errno != ESRCH;
}

int gc__os_stop_thread(long thread_id)
{
    return gc__os_thread_exists(thread_id) ? 0 : ESRCH;
}
