/* probe.h - what memory is there, asked without touching it. */
#ifndef GC_PLATFORM_LINUX_PROBE_H
#define GC_PLATFORM_LINUX_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/* `page` is the address of one. Neither changes errno. */
bool gc__page_is_mapped(uintptr_t page);
bool gc__page_is_readable(uintptr_t page);

/* The first address behind the readable memory that `address` stands in, which
 * is readable itself; at most `limit`, rounded up to a page. */
uintptr_t gc__readable_end(uintptr_t address, uintptr_t limit);

/* Whether the process runs under a filter of system calls: it may be killed for one that nobody
 * expects. */
bool gc__calls_are_filtered(void);

/* Whether all of [start, end) is mapped. */
bool gc__all_is_mapped(uintptr_t start, uintptr_t end);

#endif
