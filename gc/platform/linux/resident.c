#define _GNU_SOURCE
#include "gc/platform/linux/resident.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/base/tunables.h"
#include "gc/platform/linux/file.h"
#include "gc/platform/linux/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- Pages that can be read ------------------------------------------------------------ */

#define LISTED_PAGES 128

struct list {
    struct iovec page[LISTED_PAGES]; /* a byte of each */
    size_t count;
    void (*visit)(struct gc__range page, void *argument);
    void *argument;
};

/* How many of these can be read, from the first on, as far as one call tells. */
static size_t readable_pages(const struct iovec *page, size_t count)
{
    char byte[LISTED_PAGES];
    struct iovec local = {byte, count};
    ssize_t got = -1;

    if (!gc__calls_are_filtered() && (got = process_vm_readv(getpid(), &local, 1, page, count, 0)) < 0 &&
        errno == EFAULT)
        return 0;
    return got > 0 ? (size_t)got : gc__page_is_readable((uintptr_t)page->iov_base);
}

static void visit_listed(struct list *list)
{
    for (size_t i = 0, readable; i < list->count; i += gc__max(readable, 1)) {
        readable = readable_pages(&list->page[i], list->count - i);
        for (size_t j = i; j < i + readable; j++) {
            uintptr_t start = (uintptr_t)list->page[j].iov_base;

            list->visit((struct gc__range){start, start + gc__os_page_bytes()}, list->argument);
        }
    }
    list->count = 0;
}

static void add_page(struct list *list, uintptr_t start)
{
    if (list->count == LISTED_PAGES)
        visit_listed(list);
    list->page[list->count++] = (struct iovec){(void *)start, 1};
}

/* ---- Pages that are resident --------------------------------------------------------- */

#define BATCH_PAGES 1024

void gc__each_resident(struct gc__range range, bool all, void (*visit)(struct gc__range page, void *argument),
                       void *argument)
{
    unsigned char resident[BATCH_PAGES];
    struct list list = {.visit = visit, .argument = argument};
    size_t page = gc__os_page_bytes();

    for (size_t pages; range.start < range.end; range.start += pages * page) {
        pages = gc__min((range.end - range.start) / page, BATCH_PAGES);
        if (all || mincore((void *)range.start, pages * page, resident) != 0)
            memset(resident, 1, pages);
        for (size_t i = 0; i < pages; i++)
            if ((resident[i] & 1) != 0)
                add_page(&list, range.start + i * page);
    }
    visit_listed(&list);
}

/* A page that moves just now counts; a guard does not. */
bool gc__note_resident(uintptr_t start, size_t pages, uint64_t *bits)
{
    unsigned char resident[BATCH_PAGES];
    size_t page = gc__os_page_bytes();

    for (size_t first = 0, count; first < pages; first += count) {
        count = gc__min(pages - first, BATCH_PAGES);
        if (mincore((void *)(start + first * page), count * page, resident) != 0)
            return false;
        for (size_t i = 0; i < count; i++)
            if ((resident[i] & 1) != 0)
                gc__bitmap_set(bits, first + i, first + i + 1);
    }
    return true;
}

/* ---- Memory that others can take away ---------------------------------------------------- */

#define COPIED_PAGES 16

/* So many bytes came, of so many pages from `start`. Negative: the system does not do that. */
static ssize_t copy_pages(void *copy, uintptr_t start, size_t pages)
{
    size_t page = gc__os_page_bytes();
    struct iovec local = {copy, pages * page}, from[COPIED_PAGES];
    ssize_t got;

    for (size_t i = 0; i < pages; i++)
        from[i] = (struct iovec){(void *)(start + i * page), page};
    got = process_vm_readv(getpid(), &local, 1, from, pages, 0);
    return got < 0 && errno == EFAULT ? 0 : got;
}

void gc__os_visit_copy(struct gc__range range, void (*visit)(struct gc__range range, void *argument), void *argument)
{
    static GC_OWN_STATE uintptr_t copy[1 + COPIED_PAGES * GC_PAGE_BYTES / sizeof(uintptr_t)];
    size_t page = gc__os_page_bytes(), most = gc__calls_are_filtered() ? 0 : (sizeof copy - sizeof *copy) / page;
    int saved_errno = errno;
    ssize_t got = 0;

    for (copy[0] = 0; range.start < range.end && most > 0; range.start += gc__max((size_t)got, page)) {
        got = copy_pages(&copy[1], range.start, gc__min((range.end - range.start) / page, most));
        if (got < 0)
            break;
        visit((struct gc__range){(uintptr_t)copy, (uintptr_t)&copy[1] + (size_t)got}, argument);
        copy[0] = copy[(size_t)got / sizeof *copy]; /* a word may lie on two pages */
    }
    if (range.start < range.end)
        visit(range, argument);
    errno = saved_errno;
}

/* ---- Swap ------------------------------------------------------------------------------- */

bool gc__system_may_swap(void)
{
    struct sysinfo information;

    return sysinfo(&information) != 0 || information.totalswap != 0;
}

/* "Swap:  0 kB": counted page by page, as VmSwap in status is not. */
bool gc__process_may_be_swapped(void)
{
    static GC_OWN_STATE char text[2048];
    const char *swap;

    if (!gc__system_may_swap())
        return false;
    if (!gc__read_file("/proc/thread-self/smaps_rollup", text, sizeof text) || (swap = strstr(text, "\nSwap:")) == NULL)
        return true;
    swap += strlen("\nSwap:");
    swap += strspn(swap, " ");
    return !(swap[0] == '0' && swap[1] == ' ');
}
