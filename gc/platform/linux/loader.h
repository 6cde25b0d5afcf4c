/* loader.h - the C library's lock of the list of libraries, and what a fork does to it. */
#ifndef GC_PLATFORM_LINUX_LOADER_H
#define GC_PLATFORM_LINUX_LOADER_H

#include <stdbool.h>

/* Finds the lock. Takes it, so before any of ours; once. */
void gc__loader_find_lock(void);

/* In the child of a fork: frees the lock, if another thread had it. */
void gc__loader_note_child(void);

/* Another thread had it: a library may be listed and not be there. */
bool gc__loader_was_interrupted(void);

#endif
