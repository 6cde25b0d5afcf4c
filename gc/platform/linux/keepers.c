#define _GNU_SOURCE
#include "gc/platform/linux/keepers.h"

#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const char *const keepers[] = {
    "libfontconfig", /* arrays of patterns and character sets: by a difference */
    "libswipl",      /* SWI-Prolog's tables: by what would be the address of element 0 */
    "racket",        /* its numbers hold addresses: shifted */
};

/* Until it is known which libraries the program begins with: they may allocate before that. */
bool gc__keepers_may_call = true;
static bool begun, expects_more;

/* A program without a loader begins with none, and its look-up allocates before it is ready. */
static bool can_ask(void)
{
    return environ != NULL && (begun || getauxval(AT_BASE) != 0);
}

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
    return is_in_list(begun ? named : getenv(GC_KEEP_FOR), name);
}

/* The program's own file, and as what it was called: it may call itself otherwise later. */
static char file_of_program[PATH_MAX];
static char *name_of_program;

static bool is_keeper_of(const char *name)
{
    if (*name != '\0')
        return is_keeper(name);
    return is_keeper(file_of_program) || is_keeper(begun ? name_of_program : program_invocation_name);
}

static int look_at(struct dl_phdr_info *object, size_t bytes, void *found)
{
    (void)bytes;
    *(bool *)found = *(bool *)found || is_keeper_of(object->dlpi_name);
    return *(bool *)found;
}

/* ---- By address --------------------------------------------------------------------------- */

/* Pages of code whose owners are known: the number of the page, twice, and one for a
 * keeper's; above that, of which age that is. */
static _Atomic uintptr_t known[GC_KEEPER_PAGES];
static _Atomic uintptr_t age;
static _Atomic unsigned unloading; /* so many threads are */

#define AGE_SHIFT 45 /* bits of a page's number, and one */

void gc__keepers_begin(void)
{
    const char *list = getenv(GC_KEEP_FOR);
    bool found = false;

    if (list != NULL)
        named = strdup(list);
    if (readlink("/proc/self/exe", file_of_program, sizeof file_of_program - 1) < 0)
        file_of_program[0] = '\0';
    name_of_program = strdup(program_invocation_name);
    begun = name_of_program != NULL;
    dl_iterate_phdr(look_at, &found);
    gc__keepers_may_call = found || expects_more;
    age++;
}

void gc__keepers_expect_more(void)
{
    expects_more = gc__keepers_may_call = true;
    age++;
}

/* What is asked while a library goes may be asked by it, or by one that takes its place. */
void gc__keepers_begin_unloading(void)
{
    unloading++;
}

void gc__keepers_end_unloading(void)
{
    age++;
    unloading--;
}

/* Without a lock, as unwinders ask (glibc 2.35): the loader's may be held by who waits for us. */
static __attribute__((noinline)) bool ask_loader(const void *code)
{
    struct dl_find_object found;

    return _dl_find_object((void *)(uintptr_t)code, &found) == 0 && is_keeper_of(found.dlfo_link_map->l_name);
}

bool gc__keepers_have(const void *code)
{
    uintptr_t page = (uintptr_t)code >> GC_PAGE_SHIFT;
    _Atomic uintptr_t *place = &known[page % GC_KEEPER_PAGES];
    uintptr_t is, wanted = age << AGE_SHIFT | page << 1;

    if (!can_ask())
        return false;
    if (unloading != 0)
        return ask_loader(code);
    is = atomic_load_explicit(place, memory_order_relaxed);
    if ((is & ~(uintptr_t)1) != wanted) {
        is = wanted | ask_loader(code);
        atomic_store_explicit(place, is, memory_order_relaxed);
    }
    return (is & 1) != 0;
}
