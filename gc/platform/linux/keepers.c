#define _GNU_SOURCE
#include "gc/platform/linux/keepers.h"

#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char *const keepers[] = {
    "libfontconfig.so", /* arrays of patterns and character sets: by a difference */
    "libswipl.so",      /* SWI-Prolog's tables: by what would be the address of element 0 */
    "racket",           /* its numbers hold addresses: shifted */
};

bool gc__keepers_may_call;

/* ---- By name --------------------------------------------------------------------------- */

static bool is_in_list(const char *list, const char *name)
{
    for (size_t length; list != NULL && *list != '\0'; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        if (length > 0 && strncmp(name, list, length) == 0)
            return true;
    }
    return false;
}

/* The environment is the program's, which may change it: so what it said is kept. */
static char *named;

static bool is_keeper(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    for (size_t i = 0; i < sizeof keepers / sizeof keepers[0]; i++)
        if (strncmp(name, keepers[i], strlen(keepers[i])) == 0)
            return true;
    return is_in_list(named, name);
}

static const char *path_of(const char *name)
{
    return *name != '\0' ? name : program_invocation_name; /* the program's own */
}

static int look_at(struct dl_phdr_info *object, size_t bytes, void *unused)
{
    (void)bytes, (void)unused;
    gc__keepers_may_call |= is_keeper(path_of(object->dlpi_name));
    return gc__keepers_may_call;
}

void gc__keepers_begin(void)
{
    const char *list = getenv(GC_KEEP_FOR);

    if (list != NULL)
        named = strdup(list);
    dl_iterate_phdr(look_at, NULL);
}

/* ---- By address --------------------------------------------------------------------------- */

/* Pages of code whose owners are known: the number of the page, twice, and one for a
 * keeper's. */
static _Atomic uintptr_t known[GC_KEEPER_PAGES];

void gc__keepers_expect_more(void)
{
    for (size_t i = 0; i < GC_KEEPER_PAGES; i++)
        atomic_store_explicit(&known[i], 0, memory_order_relaxed);
    gc__keepers_may_call = true;
}

/* Without a lock, as unwinders ask (glibc 2.35): the loader's may be held by who waits for us. */
static __attribute__((noinline)) bool ask_loader(const void *code)
{
    struct dl_find_object found;

    return _dl_find_object((void *)(uintptr_t)code, &found) == 0 && is_keeper(path_of(found.dlfo_link_map->l_name));
}

bool gc__keepers_have(const void *code)
{
    uintptr_t page = (uintptr_t)code >> GC_PAGE_SHIFT;
    _Atomic uintptr_t *place = &known[page % GC_KEEPER_PAGES];
    uintptr_t is = atomic_load_explicit(place, memory_order_relaxed);

    if (is >> 1 != page) {
        is = page << 1 | ask_loader(code);
        atomic_store_explicit(place, is, memory_order_relaxed);
    }
    return (is & 1) != 0;
}
