/* thread_area.h - the thread-local blocks of libraries, by module.
 *
 * Threads: whoever holds the loader's lock. */
#ifndef GC_PLATFORM_LINUX_THREAD_AREA_H
#define GC_PLATFORM_LINUX_THREAD_AREA_H

#include "gc/platform/platform.h"

/* Bytes of each thread's stack that the static blocks and the descriptor take, about. */
size_t gc__thread_area_static_bytes(void);

/* Notes the libraries that have such a block, and how large it is. */
void gc__thread_area_forget_modules(void);
void gc__thread_area_note_module(size_t module, size_t bytes);

#endif
