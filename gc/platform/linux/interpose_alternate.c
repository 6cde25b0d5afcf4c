/* interpose_alternate.c - the call that sets an alternate signal stack. Of one that is
 * disarmed while a handler runs on it (SS_AUTODISARM) the kernel then says that there is
 * none: so it is remembered here. In the library broom-malloc alone. */

#define _GNU_SOURCE
#include "gc/platform/linux/stack.h"

#include <sys/syscall.h>
#include <unistd.h>

#ifndef SS_AUTODISARM /* Linux 4.7; headers may be older */
#define SS_AUTODISARM (1U << 31)
#endif

__attribute__((visibility("default"))) int sigaltstack(const stack_t *stack, stack_t *old)
{
    int result = (int)syscall(SYS_sigaltstack, stack, old);

    if (result == 0 && stack != NULL && ((unsigned)stack->ss_flags & SS_AUTODISARM) != 0)
        gc__disarming_stack = gc__alternate_stack(stack);
    return result;
}
