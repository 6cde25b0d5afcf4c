/* thread_area.h - glibc's own part of a thread: the descriptor (struct
 * pthread) at its thread pointer, and the values of pthread_setspecific. */
#ifndef GC_PLATFORM_LINUX_THREAD_AREA_H
#define GC_PLATFORM_LINUX_THREAD_AREA_H

#include "gc/platform/platform.h"

/* Calls `visit` for what of it may hold pointers of the calling thread. Visits
 * nothing where glibc does not say how large its descriptor is. */
void gc__thread_area_each_range(void (*visit)(struct gc__range range, void *argument), void *argument);

#endif
