#define _GNU_SOURCE
#include "gc/platform/linux/real.h"

#include <dlfcn.h>
#include <stddef.h>

/* Clang links its sanitizers into the program, where they come behind us under
 * their own names only. */
static void *sanitizers_function(const char *name)
{
    char wrapped[64] = "__interceptor_";
    size_t length = sizeof "__interceptor_" - 1;

    while (*name != '\0' && length < sizeof wrapped - 1)
        wrapped[length++] = *name++;
    return dlsym(RTLD_DEFAULT, wrapped);
}

void *gc__real_function(const char *name)
{
    void *function = sanitizers_function(name);

    return function != NULL ? function : dlsym(RTLD_NEXT, name);
}
