/* early_plugin.c - a library that replaced_library opens: while the loader still binds it,
 * it allocates, and puts the only pointer where the loader lets nobody write afterwards. */
#include "test/early_plugin.h"

#include <stdlib.h>
#include <string.h>

/* Written once, before its page is made read-only. */
static __attribute__((section(".data.rel.ro"))) char *early;

/* Enough for collections. */
static void allocate(void)
{
    early = malloc(EARLY_BYTES);
    strcpy(early, EARLY_TEXT);
    for (unsigned i = 0; i < 400000; i++) {
        void *volatile litter = malloc(EARLY_BYTES);

        memset(litter, 0x5a, EARLY_BYTES);
    }
}

static char **place(void)
{
    return &early;
}

typedef char **place_function(void);

static __attribute__((used)) place_function *resolve(void)
{
    allocate();
    return place;
}

/* Which function it is, the loader asks `resolve`; as nobody else sees the name, after it has bound
 * all else. */
__attribute__((visibility("hidden"))) char **early_place(void) __attribute__((ifunc("resolve")));

__attribute__((visibility("default"))) char **early_plugin_place(void)
{
    return early_place();
}
