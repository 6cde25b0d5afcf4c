/* pagemap.h - the ioctl that tells what state pages are in (Linux 6.7), which not
 * all headers have yet. The structs are the kernel's. */
#ifndef GC_PLATFORM_LINUX_PAGEMAP_H
#define GC_PLATFORM_LINUX_PAGEMAP_H

#include <stdint.h>
#include <sys/ioctl.h>

struct gc__page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct gc__page_scan {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end; /* how far the kernel came */
    uint64_t regions;
    uint64_t region_count;
    uint64_t max_pages;
    uint64_t inverted; /* categories that a page is to lack, of those in the next two */
    uint64_t all_of;
    uint64_t any_of;
    uint64_t returned;
};

#define GC_PAGE_SCAN _IOWR('f', 16, struct gc__page_scan)

/* Flags. */
#define GC_PAGE_SCAN_PROTECT_MATCHING 1
#define GC_PAGE_SCAN_CHECK_WP_ASYNC 2

/* Categories. */
#define GC_PAGE_IS_WRITTEN 2
#define GC_PAGE_IS_FILE 4
#define GC_PAGE_IS_PRESENT 8
#define GC_PAGE_IS_SWAPPED 16
#define GC_PAGE_IS_GUARD 256 /* not to be read: MADV_GUARD_INSTALL. Older kernels know neither */

#endif
