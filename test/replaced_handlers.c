/* replaced_handlers.c - a program that knows of no collector: as replaced.c, where a signal's
 * handler calls more than malloc in the middle of it, while another thread collects.
 *
 *   replaced_handlers CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { OBJECTS = 100, PAGE_BYTES = 4096, THREADS = 200 };

static atomic_bool over, is_child;
static atomic_uint handled;
static pthread_t interrupted;
static pthread_t threads[THREADS];
static char *page;

/* What the handler is to call, and how often: as long as that takes. And what the collecting
 * thread leaves to others that want the heap. */
static void (*call)(void);
static unsigned times, pause_us;

static void handle(int number)
{
    int saved_errno = errno;

    (void)number;
    call();
    handled++;
    errno = saved_errno;
}

static void *collect_and_interrupt(void *unused)
{
    for (unsigned sent = 0; sent < times; malloc_trim(0)) {
        if (handled == sent) {
            REQUIRE(pthread_kill(interrupted, SIGUSR2) == 0);
            sent++;
        }
        usleep(pause_us);
    }
    while (handled < times)
        usleep(100);
    over = true;
    return unused;
}

/* They come to be free, and are handed out again. */
static void check_objects(void)
{
    uintptr_t *object[OBJECTS];

    for (unsigned i = 0; i < OBJECTS; i++) {
        object[i] = malloc(16 + i * 31 % 700);
        *object[i] = (uintptr_t)object[i];
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        REQUIRE(*object[i] == (uintptr_t)object[i]);
        free(object[i]);
    }
}

static void call_in_handler(void (*function)(void), unsigned count)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    pthread_t thread;

    call = function;
    times = count;
    interrupted = pthread_self();
    REQUIRE(sigaction(SIGUSR2, &action, NULL) == 0);
    REQUIRE(pthread_create(&thread, NULL, collect_and_interrupt, NULL) == 0);
    while (!over)
        check_objects();
    for (unsigned i = 0; is_child && i < 3; i++) {
        check_objects();
        malloc_trim(0);
    }
    if (is_child)
        _exit(0);
    REQUIRE(pthread_join(thread, NULL) == 0);
}

/* ---- What they call ---------------------------------------------------------------------- */

/* The child ends, or goes on with what was interrupted. */
static void call_fork(void)
{
    pid_t child = fork();
    int status;

    if (child == 0 && handled % 2 == 0)
        _exit(0);
    if (child == 0) {
        is_child = over = true;
        return;
    }
    while (waitpid(child, &status, 0) < 0)
        REQUIRE(errno == EINTR);
    REQUIRE(status == 0);
}

static void check_fork(void)
{
    call_in_handler(call_fork, 200);
}

static void call_mprotect(void)
{
    REQUIRE(mprotect(page, PAGE_BYTES, PROT_READ) == 0 && mprotect(page, PAGE_BYTES, PROT_READ | PROT_WRITE) == 0);
}

static void check_mprotect(void)
{
    page = memalign(PAGE_BYTES, PAGE_BYTES);
    call_in_handler(call_mprotect, 2000);
}

static void *be_over(void *unused)
{
    return unused;
}

/* Nobody waits for it in the handler: it may have to wait until that returns. */
static void call_pthread_create(void)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, be_over, NULL) == 0);
    threads[handled] = thread;
}

static void check_pthread_create(void)
{
    pause_us = 100;
    call_in_handler(call_pthread_create, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
}

/* ---- Cancelled anywhere ------------------------------------------------------------------ */

static void *protect_for_ever(void *unused)
{
    REQUIRE(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    for (;;)
        call_mprotect();
    return unused;
}

static void check_cancelled(void)
{
    page = memalign(PAGE_BYTES, PAGE_BYTES);
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;

        REQUIRE(pthread_create(&thread, NULL, protect_for_ever, NULL) == 0);
        usleep(10 * (i % 20));
        REQUIRE(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
        call_mprotect();
    }
}

/* ---- Which ------------------------------------------------------------------------------- */

static const struct check checks[] = {
    {"fork", check_fork},
    {"mprotect", check_mprotect},
    {"pthread_create", check_pthread_create},
    {"cancelled", check_cancelled},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
