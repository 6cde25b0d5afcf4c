/* copy.c - whether the process is a copy of the one that we knew: a child of fork, as by
 * _Fork or clone of which no handler is told. The child of a vfork has the parent's
 * memory. The kernel wipes one page in a copy (Linux 4.14). */

#include "gc/platform/platform.h"

#include "gc/platform/linux/exec.h"

#include <sys/mman.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* NULL: it is not known. */
GC_OWN_STATE static uint32_t *known;

void gc__os_know_process(void)
{
    size_t page = gc__os_page_bytes();

    gc__exec_note_process();
    if (known == NULL && (known = gc__os_map(page)) != NULL && madvise(known, page, MADV_WIPEONFORK) != 0) {
        gc__os_release(known, page);
        known = NULL;
    }
    if (known != NULL)
        *known = 1;
}

bool gc__os_process_is_copy(void)
{
    return known != NULL && *known == 0;
}
