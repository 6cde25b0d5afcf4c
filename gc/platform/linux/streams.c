/* streams.c - locks of the C library's streams: that of one, while a line is read; and that of
 * their list, which a fork takes. Who has that one may be waiting for a stream (as fflush(NULL)
 * does), and who has a stream for the heap, as getline allocates: so it comes before the heap's.
 *
 * glibc exports it for libraries that bring streams of their own; it counts how often a
 * thread takes it. */

#include "gc/platform/platform.h"

#include <pthread.h>
#include <stdio.h>

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

static void unlock(void *stream)
{
    funlockfile(stream);
}

long gc__os_with_stream(void *stream, long (*function)(void *argument), void *argument)
{
    long result;

    flockfile(stream);
    pthread_cleanup_push(unlock, stream);
    result = function(argument);
    pthread_cleanup_pop(1);
    return result;
}
