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

bool gc__os_catch_stop_signal(int signal, bool (*caught)(const struct gc__context *context))
{
    (void)signal, (void)caught;
    return true;
}

bool gc__os_regain_stop_signal(void)
{
    return false;
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

bool gc__os_thread_exists(long process_id, long thread_id)
{
    return syscall(SYS_tgkill, process_id, thread_id, 0) == 0 || errno != ESRCH;
}

int gc__os_stop_thread(long process_id, long thread_id)
{
    return gc__os_thread_exists(process_id, thread_id) ? 0 : ESRCH;
}
