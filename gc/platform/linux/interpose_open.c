/* interpose_open.c - what dlopen and dlmopen lead to, which are assembly (open.S); and dlclose.
 * In the library broom-malloc alone. */

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

__attribute__((visibility("default"))) int dlclose(void *library)
{
    int result;

    gc__keepers_begin_unloading();
    result = GC_REAL(dlclose)(library);
    gc__keepers_end_unloading();
    return result;
}
