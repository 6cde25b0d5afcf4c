/* threads.h - how threads come to the heap and leave it.
 *
 * A thread enters with its first call, or before it begins, where pthread_create
 * tells of it. It leaves when its last destructor has run. */
#ifndef GC_API_THREADS_H
#define GC_API_THREADS_H

#include <stdbool.h>

/* From now on threads that begin and end, and forks, are told of. Once. */
void gc__threads_watch(void);

/* The calling thread becomes a mutator. False: no memory. */
bool gc__threads_enter(void);

#endif
