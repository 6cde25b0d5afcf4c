/* interruption.h - whether it was the signal that stops threads that ended a wait. */
#ifndef GC_PLATFORM_LINUX_INTERRUPTION_H
#define GC_PLATFORM_LINUX_INTERRUPTION_H

#include <stdbool.h>
#include <stdint.h>

/* Where the calling thread waits; and that the signal came to there, not to a handler
 * that had come before it. */
struct gc__interruption {
    uintptr_t sp;
    bool came;
};

extern _Thread_local struct gc__interruption gc__interruption;

/* A handler's frame takes more, with the registers that are stored in it; a system
 * call's less. */
#define GC_CALL_BYTES 1024

/* In the handler: that is what it interrupted. */
static inline void gc__interruption_note(uintptr_t interrupted_sp)
{
    if (gc__interruption.sp - interrupted_sp < GC_CALL_BYTES)
        gc__interruption.came = true;
}

#endif
