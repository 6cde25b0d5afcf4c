#define _GNU_SOURCE
#include "gc/platform/linux/real.h"

#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

_Thread_local volatile uintptr_t gc__thread_busy_at;

/* A static executable has no next definition, and nothing can be looked up; but
 * the archive of the C library has other names for its own: the flags that broom.pc
 * has for this make the linker take them. In a dynamic executable these are undefined. */
#define OTHER_NAME(name) extern char __##name[] __attribute__((weak))

OTHER_NAME(pthread_create);
OTHER_NAME(pthread_exit);
OTHER_NAME(pthread_join);
OTHER_NAME(pthread_tryjoin_np);
extern char ___pthread_timedjoin_np[] __attribute__((weak));
extern char ___pthread_clockjoin_np[] __attribute__((weak));
OTHER_NAME(pthread_detach);
OTHER_NAME(pthread_sigmask);
OTHER_NAME(sigprocmask);
OTHER_NAME(sigaction);
OTHER_NAME(sigwait);
OTHER_NAME(mq_notify);
extern char ___timer_create[] __attribute__((weak));
extern char ___timer_delete[] __attribute__((weak));
extern char ___sem_clockwait[] __attribute__((weak));

static const struct {
    const char *name;
    char *function;
} in_archive[] = {
    {"pthread_create", __pthread_create},
    {"pthread_exit", __pthread_exit},
    {"pthread_join", __pthread_join},
    {"pthread_tryjoin_np", __pthread_tryjoin_np},
    {"pthread_timedjoin_np", ___pthread_timedjoin_np},
    {"pthread_clockjoin_np", ___pthread_clockjoin_np},
    {"pthread_detach", __pthread_detach},
    {"pthread_sigmask", __pthread_sigmask},
    {"sigprocmask", __sigprocmask},
    {"sigaction", __sigaction},
    {"sigwait", __sigwait},
    {"mq_notify", __mq_notify},
    {"timer_create", ___timer_create},
    {"timer_delete", ___timer_delete},
    {"sem_clockwait", ___sem_clockwait},
};

#define NAMES (sizeof in_archive / sizeof in_archive[0])

/* Of these, as far as they were looked up. */
GC_OWN_STATE static void *known[NAMES];

static size_t number_of(const char *name)
{
    size_t i = 0;

    while (i < NAMES && strcmp(in_archive[i].name, name) != 0)
        i++;
    return i;
}

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

static void *look_up(const char *name)
{
    void *function = sanitizers_function(name);
    size_t number = number_of(name);

    if (function == NULL)
        function = dlsym(RTLD_NEXT, name);
    if (function == NULL && number < NAMES)
        function = in_archive[number].function;
    return function;
}

void *gc__os_find_function(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* A program that is not position-independent has an entry of its own for a function whose
 * address it takes: a symbol with a value, but without a section, that leads on to the
 * definition. */
bool gc__os_is_own(const void *function)
{
    Dl_info theirs, ours;
    const ElfW(Sym) *symbol = NULL;

    if (dladdr1(function, &theirs, (void **)&symbol, RTLD_DL_SYMENT) == 0)
        return false;
    if (symbol != NULL && symbol->st_shndx == SHN_UNDEF)
        return true;
    return dladdr((const void *)(uintptr_t)gc__os_is_own, &ours) != 0 && theirs.dli_fbase == ours.dli_fbase;
}

/* To ask of an address which file it is in (dladdr) would take reading all of its symbols. */
bool gc__os_next_is_anothers(const char *name)
{
    const void *next = dlsym(RTLD_NEXT, name);
    void *c_library = gc__os_load("libc.so.6");

    return next != NULL && c_library != NULL && next != gc__os_function_of(c_library, name);
}

const char *gc__os_file_of(const void *function)
{
    Dl_info info;

    return dladdr(function, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "something";
}

void gc__real_prepare(void)
{
    for (size_t i = 0; i < NAMES; i++)
        known[i] = look_up(in_archive[i].name);
}

static void *find(const char *name)
{
    size_t number = number_of(name);

    return number < NAMES && known[number] != NULL ? known[number] : look_up(name);
}

bool gc__real_exists(const char *name)
{
    return find(name) != NULL;
}

void *gc__real_function(const char *name)
{
    void *function = find(name);

    if (function == NULL)
        gc__fatal("there is no %s behind Broom's own: link a static executable with what"
                  " pkg-config --variable=static_executable says of broom, or of broom-malloc",
                  name);
    return function;
}
