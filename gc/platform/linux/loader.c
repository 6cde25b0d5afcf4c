#define _GNU_SOURCE
#include "gc/platform/linux/loader.h"

#include "gc/platform/platform.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <unistd.h>

struct held {
    void (*body)(void *argument);
    void *argument;
};

/* Called for the first object, under the lock, which is a recursive one. */
static int run_body(struct dl_phdr_info *object, size_t size, void *argument)
{
    const struct held *held = argument;

    (void)object, (void)size;
    held->body(held->argument);
    return 1;
}

void gc__os_hold_loader(void (*body)(void *argument), void *argument)
{
    struct held held = {body, argument};

    dl_iterate_phdr(run_body, &held);
}

/* In a static executable there is nothing to load by, and to call it by name would give a
 * warning of the linker's. */
void *gc__os_load(const char *library)
{
    void *(*load)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_DEFAULT, "dlopen");

    return load != NULL ? load(library, RTLD_LAZY) : NULL;
}

void *gc__os_function_of(void *library, const char *name)
{
    return dlsym(library != NULL ? library : RTLD_DEFAULT, name);
}

/* ---- Forks -------------------------------------------------------------------------- *
 * In the child glibc (2.36) makes the loader's locks new, but for the one that guards the
 * list of libraries. If another thread had that, dlopen and dl_iterate_phdr would wait
 * there for ever. It has no name, but lies in an object that
 * has one, and shows while it is held. */

GC_OWN_STATE static struct {
    pthread_mutex_t *list; /* NULL: not glibc, or not known */
    bool interrupted;
} lock;

static bool is_held_by(const pthread_mutex_t *mutex, int thread_id)
{
    return mutex->__data.__owner == thread_id && mutex->__data.__lock != 0 && mutex->__data.__count == 1 &&
           mutex->__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP;
}

/* A constructor that dlopen runs holds another one, which lies before it, and may be in
 * there as well: the last is ours, or one that glibc makes new anyway. */
static void find_held(void *state)
{
    Dl_info info;
    ElfW(Sym) * symbol;
    char *end;
    int thread_id = gettid();

    if (dladdr1(state, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL || info.dli_saddr != state)
        return;
    end = (char *)state + symbol->st_size;
    for (char *at = state; at + sizeof *lock.list <= end; at += sizeof(void *))
        if (is_held_by((pthread_mutex_t *)(void *)at, thread_id))
            lock.list = (pthread_mutex_t *)(void *)at;
}

void gc__loader_find_lock(void)
{
    void *state = dlsym(RTLD_DEFAULT, "_rtld_global");

    if (state != NULL)
        gc__os_hold_loader(find_held, state);
}

void gc__loader_note_child(void)
{
    if (lock.list == NULL || lock.list->__data.__lock == 0)
        return;
    *lock.list = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    lock.interrupted = true;
}

bool gc__loader_was_interrupted(void)
{
    return lock.interrupted;
}
