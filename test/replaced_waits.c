/* replaced_waits.c - a program that knows of no collector: as replaced.c, about calls that
 * wait.
 *
 *   replaced_waits CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <threads.h>
#include <time.h>

/* ---- For all signals ---------------------------------------------------------------------- */

static void *wait_for_all_signals(void *unused)
{
    sigset_t all;
    int number = 0;

    sigfillset(&all); /* blocked since before the thread began */
    while (number != SIGTERM)
        REQUIRE(sigwait(&all, &number) == 0 && (number == SIGTERM || number == SIGUSR1));
    return unused;
}

static int wake[2];

/* A byte comes for each; EINTR: a signal has stopped this thread meanwhile. */
static void *wait_with_all_blocked(void *unused)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd file = {wake[0], POLLIN, 0};
    int poll = epoll_create1(0);
    sigset_t all;

    sigfillset(&all);
    REQUIRE(poll >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, wake[0], &event) == 0);
    for (char byte = 0; byte != 'q';) {
        while (ppoll(&file, 1, NULL, &all) < 0)
            REQUIRE(errno == EINTR);
        REQUIRE(read(wake[0], &byte, 1) == 1);
        while (epoll_pwait(poll, &event, 1, -1, &all) < 0)
            REQUIRE(errno == EINTR);
        REQUIRE(read(wake[0], &byte, 1) == 1);
    }
    close(poll);
    return unused;
}

static void *read_all_signals(void *unused)
{
    struct signalfd_siginfo information = {0};
    sigset_t all;
    int file;

    sigfillset(&all);
    file = signalfd(-1, &all, SFD_CLOEXEC);
    while (information.ssi_signo != SIGTERM) {
        REQUIRE(read(file, &information, sizeof information) == sizeof information);
        REQUIRE(information.ssi_signo == SIGTERM || information.ssi_signo == SIGUSR1);
    }
    close(file);
    return unused;
}

/* Litters while the thread waits. */
static void disturb(void *body(void *), int signal, int last)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, body, NULL) == 0);
    for (unsigned i = 0; i < 20; i++) {
        litter(8);
        if (signal != 0)
            pthread_kill(thread, signal);
        else
            REQUIRE(write(wake[1], "..", 2) == 2);
    }
    if (last != 0)
        pthread_kill(thread, last);
    else
        REQUIRE(write(wake[1], ".q", 2) == 2);
    pthread_join(thread, NULL);
}

/* A thread that takes all signals does not get ours; of one that blocks them all nothing
 * is reported, which test_faces.c looks for. */
static void check_waits(void)
{
    sigset_t all;

    REQUIRE(pipe(wake) == 0);
    disturb(wait_with_all_blocked, 0, 0);
    sigfillset(&all);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
    disturb(wait_for_all_signals, SIGUSR1, SIGTERM);
    disturb(read_all_signals, SIGUSR1, SIGTERM);
}

/* ---- In full --------------------------------------------------------------------------------- */

enum { WAIT_MS = 300 };

static const struct timespec a_while = {0, WAIT_MS * 1000000};

static int by_nanosleep(void)
{
    struct timespec left = {0, 0};

    return nanosleep(&a_while, &left);
}

static int by_clock_nanosleep(void)
{
    return clock_nanosleep(CLOCK_REALTIME, 0, &a_while, NULL);
}

static int by_absolute_sleep(void)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int by_thrd_sleep(void)
{
    struct timespec left = {0, 0};

    return thrd_sleep(&a_while, &left);
}

static int by_usleep(void)
{
    return usleep(WAIT_MS * 1000);
}

static int by_sleep(void)
{
    return (int)sleep(1);
}

static int by_poll(void)
{
    return poll(NULL, 0, WAIT_MS);
}

static int by_ppoll(void)
{
    return ppoll(NULL, 0, &a_while, NULL);
}

static int by_select(void)
{
    struct timeval timeout = {0, WAIT_MS * 1000};

    return select(0, NULL, NULL, NULL, &timeout);
}

static int by_pselect(void)
{
    return pselect(0, NULL, NULL, NULL, &a_while, NULL);
}

static int by_epoll(void)
{
    int poll = epoll_create1(0), result;
    struct epoll_event event;

    result = epoll_wait(poll, &event, 1, WAIT_MS);
    close(poll);
    return result;
}

static int by_epoll_pwait(void)
{
    int poll = epoll_create1(0), result;
    struct epoll_event event;

    result = epoll_pwait(poll, &event, 1, WAIT_MS, NULL);
    close(poll);
    return result;
}

static int by_other_clock(void)
{
    struct timespec left = {0, 0};

    return clock_nanosleep(CLOCK_BOOTTIME, 0, &a_while, &left);
}

static int by_semaphore(void)
{
    struct timespec until;
    sem_t semaphore;

    REQUIRE(sem_init(&semaphore, 0, 0) == 0 && clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_nsec += WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return sem_timedwait(&semaphore, &until) == -1 && errno == ETIMEDOUT ? 0 : -1;
}

/* The kernel may be without these. */
static int by_semtimedop(void)
{
    int set = semget(IPC_PRIVATE, 1, 0600), result;
    struct sembuf down = {0, -1, 0};

    if (set < 0)
        return by_nanosleep();
    result = semtimedop(set, &down, 1, &a_while);
    result = result == -1 && errno == EAGAIN ? 0 : -1;
    semctl(set, 0, IPC_RMID);
    return result;
}

static void *raise_later(void *set)
{
    struct sembuf up = {0, 1, 0};

    by_nanosleep();
    by_nanosleep();
    REQUIRE(semop(*(int *)set, &up, 1) == 0);
    return NULL;
}

/* For ever, as some programs say it. */
static int by_longest_semtimedop(void)
{
    int set = semget(IPC_PRIVATE, 1, 0600), result;
    struct sembuf down = {0, -1, 0};
    struct timespec longest = {LONG_MAX, 0};
    pthread_t thread;

    if (set < 0)
        return by_nanosleep();
    REQUIRE(pthread_create(&thread, NULL, raise_later, &set) == 0);
    result = semtimedop(set, &down, 1, &longest);
    pthread_join(thread, NULL);
    semctl(set, 0, IPC_RMID);
    return result;
}

struct message {
    long type;
    char text[8];
};

static void *send_later(void *queue)
{
    struct message message = {1, "later"};

    by_nanosleep();
    by_nanosleep();
    REQUIRE(msgsnd(*(int *)queue, &message, sizeof message.text, 0) == 0);
    return NULL;
}

static int by_message(void)
{
    int queue = msgget(IPC_PRIVATE, 0600);
    struct message message;
    pthread_t thread;
    ssize_t got;

    if (queue < 0)
        return by_nanosleep();
    REQUIRE(pthread_create(&thread, NULL, send_later, &queue) == 0);
    got = msgrcv(queue, &message, sizeof message.text, 0, 0);
    pthread_join(thread, NULL);
    msgctl(queue, IPC_RMID, NULL);
    return got == sizeof message.text && strcmp(message.text, "later") == 0 ? 0 : -1;
}

/* Of the C library's, which its headers do not all tell of. */
int __sigpause(int signal_or_mask, int is_signal);
int __xpg_sigpause(int signal);
int sigpause_of_bsd(int mask) __asm__("sigpause");

static _Thread_local volatile bool was_signalled;

static void note_signal(int number)
{
    (void)number;
    was_signalled = true;
}

static void *signal_later(void *thread)
{
    by_nanosleep();
    by_nanosleep();
    REQUIRE(pthread_kill(*(pthread_t *)thread, SIGUSR2) == 0);
    return NULL;
}

enum sort { OF_XOPEN, OF_BOTH, OF_BSD };

/* It ends with the signal that another thread sends. */
static int sigpause_by(enum sort sort)
{
    pthread_t self = pthread_self(), other;
    sigset_t set;
    int result;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    REQUIRE(signal(SIGUSR2, note_signal) != SIG_ERR && pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    REQUIRE(pthread_create(&other, NULL, signal_later, &self) == 0);
    result = sort == OF_XOPEN  ? __xpg_sigpause(SIGUSR2)
             : sort == OF_BOTH ? __sigpause(SIGUSR2, 1)
                               : sigpause_of_bsd(1 << (SIGUSR1 - 1));
    result = result == -1 && errno == EINTR && was_signalled ? 0 : -1;
    pthread_join(other, NULL);
    return result;
}

static int by_sigpause(void)
{
    return sigpause_by(OF_XOPEN);
}

static int by_sigpause_of_both(void)
{
    return sigpause_by(OF_BOTH);
}

static int by_sigpause_of_bsd(void)
{
    return sigpause_by(OF_BSD);
}

static int (*const waits[])(void) = {
    by_nanosleep,
    by_clock_nanosleep,
    by_absolute_sleep,
    by_usleep,
    by_sleep,
    by_poll,
    by_ppoll,
    by_select,
    by_pselect,
    by_epoll,
    by_epoll_pwait,
    by_other_clock,
    by_semaphore,
    by_semtimedop,
    by_message,
    by_longest_semtimedop,
    by_thrd_sleep,
    by_sigpause,
    by_sigpause_of_both,
    by_sigpause_of_bsd,
};

enum { WAITS = sizeof waits / sizeof waits[0] };

static void *wait_in_full(void *number)
{
    int (*wait)(void) = waits[(uintptr_t)number];
    uint64_t begun = now_ns();
    int result = wait();

    if (result != 0 || now_ns() - begun < WAIT_MS * (uint64_t)1000000)
        fprintf(stderr, "wait %lu: %d %s\n", (unsigned long)(uintptr_t)number, result, strerror(errno));
    REQUIRE(result == 0 && now_ns() - begun >= WAIT_MS * (uint64_t)1000000);
    return NULL;
}

/* Collections come all the time, and nothing ends early for them. */
static void check_waits_in_full(void)
{
    pthread_t thread[WAITS];

    for (uintptr_t i = 0; i < WAITS; i++)
        REQUIRE(pthread_create(&thread[i], NULL, wait_in_full, (void *)i) == 0);
    for (uint64_t begun = now_ns(); now_ns() - begun < 1200 * (uint64_t)1000000;)
        litter(1);
    for (unsigned i = 0; i < WAITS; i++)
        pthread_join(thread[i], NULL);
}

static _Atomic unsigned woken;
static _Atomic bool waiting;

static void note_woken(int number)
{
    (void)number;
    woken++;
}

static void *pause_again_and_again(void *unused)
{
    for (unsigned i = 0; i < 40; i++) {
        sigset_t none;

        sigemptyset(&none);
        waiting = true;
        REQUIRE((i % 2 == 0 ? sigsuspend(&none) : ppoll(NULL, 0, NULL, &none)) == -1 && errno == EINTR);
        REQUIRE(woken == i + 1);
    }
    return unused;
}

/* The program's own signals end them, once each. */
static void check_woken(void)
{
    pthread_t thread;
    sigset_t set;

    REQUIRE(signal(SIGUSR1, note_woken) != SIG_ERR);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    REQUIRE(pthread_create(&thread, NULL, pause_again_and_again, NULL) == 0);
    for (unsigned i = 0; i < 40; i++) {
        while (!waiting)
            sched_yield();
        waiting = false;
        litter(4);
        pthread_kill(thread, SIGUSR1);
    }
    pthread_join(thread, NULL);
}

static void *sleep_long(void *unused)
{
    struct timespec hour = {3600, 0}, left = {0, 0};

    waiting = true;
    REQUIRE(nanosleep(&hour, &left) == -1 && errno == EINTR && left.tv_sec > 3000);
    waiting = true;
    REQUIRE(sleep(3600) > 3000);
    waiting = true;
    REQUIRE(poll(NULL, 0, -1) == -1 && errno == EINTR);
    waiting = true;
    REQUIRE(pause() == -1 && errno == EINTR);
    return unused;
}

static void check_wakes_sleepers(void)
{
    pthread_t thread;

    REQUIRE(signal(SIGUSR1, note_woken) != SIG_ERR);
    REQUIRE(pthread_create(&thread, NULL, sleep_long, NULL) == 0);
    for (unsigned i = 0; i < 4; i++) {
        while (!waiting)
            sched_yield();
        waiting = false;
        litter(16);
        while (!waiting && pthread_kill(thread, SIGUSR1) == 0 && i < 3) {
            litter(1);
            usleep(20000);
        }
    }
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        pthread_kill(thread, SIGUSR1);
        usleep(20000);
    }
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

/* ---- What is told of a signal ------------------------------------------------------------ */

/* raise is tgkill, and the C library says nothing of that. */
static void check_told(void)
{
    struct timespec no_time = {0, 0};
    siginfo_t information;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    REQUIRE(raise(SIGUSR1) == 0 && sigwaitinfo(&set, &information) == SIGUSR1);
    REQUIRE(information.si_code == SI_USER && information.si_pid == getpid());
    REQUIRE(raise(SIGUSR1) == 0 && sigtimedwait(&set, &information, &no_time) == SIGUSR1);
    REQUIRE(information.si_code == SI_USER);
    REQUIRE(sigtimedwait(&set, NULL, &no_time) == -1 && errno == EAGAIN);
}

static const struct check checks[] = {
    {"waits", check_waits}, {"waits_in_full", check_waits_in_full},
    {"woken", check_woken}, {"wakes_sleepers", check_wakes_sleepers},
    {"told", check_told},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
