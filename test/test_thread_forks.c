/* test_thread_forks.c - forks at awkward moments, and in awkward threads. */
#define _GNU_SOURCE
#include "test/thread_work.h"

#include "gc/cycle/heap.h"
#include "test/plugin.h"

#include <link.h>

static void require_end(pid_t pid)
{
    int status;

    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    REQUIRE(status == 0);
}

/* ---- Handlers of the program's ------------------------------------------------------------------- */

static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool done;

static void lock_program(void)
{
    pthread_mutex_lock(&program_lock);
}

static void unlock_program(void)
{
    pthread_mutex_unlock(&program_lock);
}

static void *collect_under_lock(void *unused)
{
    while (!done) {
        lock_program();
        gc_collect();
        unlock_program();
    }
    return unused;
}

static void fork_beside_locks(void)
{
    pthread_t thread;

    die_after(60);
    REQUIRE(pthread_atfork(lock_program, unlock_program, unlock_program) == 0); /* before the heap starts */
    gc_init();
    thread = begin_thread(collect_under_lock, NULL);
    for (size_t i = 0; i < effort(200); i++) {
        pid_t pid = fork();

        if (pid == 0) {
            gc_collect();
            _exit(0);
        }
        require_end(pid);
    }
    done = true;
    end_thread(thread);
}

Test(thread_forks, handlers_of_the_program_may_lock_what_others_allocate_under)
{
    check_child(fork_beside_locks);
}

/* ---- In a blocking call ---------------------------------------------------------------------------- */

static void *fork_there(void *unused)
{
    *(pid_t *)unused = fork();
    return unused;
}

static void fork_in_blocking_call(void)
{
    pid_t pid;

    die_after(60);
    gc_thread_blocking(fork_there, &pid);
    if (pid == 0) {
        die_after(30);
        gc_collect();
        REQUIRE(gc_malloc(16) != NULL);
        _exit(0);
    }
    require_end(pid);
}

Test(thread_forks, the_child_returns_from_a_blocking_call)
{
    check_child(fork_in_blocking_call);
}

/* ---- By another thread than the first ------------------------------------------------------------- */

static __attribute__((noinline)) void keep_on_stack_of_child(void)
{
    void *objects[16];

    for (unsigned i = 0; i < 16; i++)
        objects[i] = gc_malloc(64);
    gc_collect();
    for (unsigned i = 0; i < 16; i++)
        REQUIRE(gc_base(objects[i]) == objects[i]);
}

static void *fork_and_begin(void *unused)
{
    pid_t pid = fork();

    if (pid == 0) {
        uintptr_t here = (uintptr_t)&pid;

        keep_on_stack_of_child();
        REQUIRE(here >= gc__mutator->stack.start && here < gc__mutator->stack.end);
        _exit(0);
    }
    require_end(pid);
    return unused;
}

static void begin_in_child_of_thread(void)
{
    die_after(60);
    end_thread(begin_thread(fork_and_begin, NULL));
}

Test(thread_forks, the_heap_starts_in_the_child_of_another_thread)
{
    check_child(begin_in_child_of_thread);
}

/* ---- Beside the loader ------------------------------------------------------------------------------ */

static _Atomic bool in_loader;

/* Under the loader's lock: for the first object, that is enough. */
static int stay_in_loader(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)object, (void)size, (void)unused;
    in_loader = true;
    while (!done)
        sleep_ms(1);
    return 1;
}

static void *list_libraries(void *unused)
{
    dl_iterate_phdr(stay_in_loader, NULL);
    return unused;
}

static void load_and_collect(void)
{
    void *plugin;

    die_after(30);
    gc_collect();
    REQUIRE((plugin = find_plugin()) != NULL);
    gc_collect();
    REQUIRE(dlclose(plugin) == 0);
    gc_collect();
}

static void fork_beside_loader(void)
{
    pthread_t thread = begin_thread(list_libraries, NULL);
    pid_t pid;

    die_after(60);
    while (!in_loader)
        sleep_ms(1);
    pid = fork();
    if (pid == 0) {
        load_and_collect();
        _exit(0);
    }
    require_end(pid);
    done = true;
    end_thread(thread);
    load_and_collect();
}

static void fork_with_heap_beside_loader(void)
{
    gc_init();
    fork_beside_loader();
}

Test(thread_forks, libraries_were_being_listed)
{
    check_child(fork_with_heap_beside_loader);
}

Test(thread_forks, libraries_were_being_listed_and_the_heap_starts_in_the_child)
{
    check_child(fork_beside_loader);
}
