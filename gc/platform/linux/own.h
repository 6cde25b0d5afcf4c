/* own.h - memory of this library's own, which is never a root.
 *
 * Threads: any. A range that there is no room to note is scanned like the
 * program's: what it holds may then live longer. */
#ifndef GC_PLATFORM_LINUX_OWN_H
#define GC_PLATFORM_LINUX_OWN_H

#include <stddef.h>
#include <stdint.h>

void gc__note_own(uintptr_t start, size_t bytes);
void gc__forget_own(uintptr_t start);

#endif
