/* interpose_epoll.c - what a program gives to epoll is held by the kernel alone, and in
 * events that are packed: so it is kept.
 *
 * An entry stays until its pair of files is given something else, or is deleted: not
 * when one of them is closed. Of each pair one object at most is kept too long. */

#define _GNU_SOURCE
#include "gc/platform/linux/kept.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Kept before the kernel may hand it to another thread. Where the call fails, what was
 * there before is kept still. */
__attribute__((visibility("default"))) int epoll_ctl(int poll, int operation, int file, struct epoll_event *event)
{
    uint64_t key = gc__kept_key(GC_KEPT_EPOLL, poll, file);
    struct gc__kept kept = {NULL, 0};
    int result;

    if (operation != EPOLL_CTL_DEL && event != NULL)
        kept = gc__keep(key, event->data.u64);
    result = (int)syscall(SYS_epoll_ctl, poll, operation, file, event);
    if (result != 0)
        gc__keep_as_before(kept);
    else if (operation == EPOLL_CTL_DEL)
        gc__forget_kept(key);
    return result;
}
