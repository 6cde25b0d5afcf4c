/* interpose_open.c - what dlopen and dlmopen lead to, which are assembly (open.S). In the
 * library broom-malloc alone. */

#define _GNU_SOURCE
#include "gc/platform/linux/keepers.h"
#include "gc/platform/linux/real.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

/* Called by open.S alone. */
void *gc__real_dlopen(void);
void *gc__real_dlmopen(void);

void *gc__real_dlopen(void)
{
    gc__keepers_expect_more();
    return (void *)(uintptr_t)GC_REAL(dlopen);
}

void *gc__real_dlmopen(void)
{
    return (void *)(uintptr_t)GC_REAL(dlmopen);
}
