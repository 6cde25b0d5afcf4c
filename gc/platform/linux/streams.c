/* streams.c - the lock of the C library's list of streams, which a fork takes. Who has it
 * may be waiting for a stream (as fflush(NULL) does), and who has that for the heap, as
 * getline allocates: so it comes before the heap's.
 *
 * glibc exports it for libraries that bring streams of their own; it counts how often a
 * thread takes it. */

#include "gc/platform/platform.h"

extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

static bool is_known(void)
{
    return _IO_list_lock != NULL && _IO_list_unlock != NULL && _IO_list_resetlock != NULL;
}

void gc__os_lock_streams(void)
{
    if (is_known())
        _IO_list_lock();
}

void gc__os_unlock_streams(void)
{
    if (is_known())
        _IO_list_unlock();
}

/* In the child, where glibc may have made it free already. */
void gc__os_free_streams(void)
{
    if (is_known())
        _IO_list_resetlock();
}
