/* writes.h - what changes of mappings mean for the tracking of writes. */
#ifndef GC_PLATFORM_LINUX_WRITES_H
#define GC_PLATFORM_LINUX_WRITES_H

#include <stddef.h>
#include <stdint.h>

/* [start, start + bytes) was mapped afresh: if it is in the range whose writes are
 * tracked, it is so again. All of it counts as written. */
void gc__track_writes_again(uintptr_t start, size_t bytes);

#endif
