/* replaced.c - a program that knows of no collector. test_faces.c runs it with the
 * library broom-malloc in the place of malloc; it ends with status 0 if all is well.
 *
 *   replaced CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- What lives, and what dies ------------------------------------------------------------ */

static void check_static(void)
{
    static struct kept *in_bss;

    in_bss = make_kept("static");
    clear_stack();
    litter(64);
    REQUIRE(is_kept(in_bss, "static"));
}

static void check_mapped(void)
{
    size_t bytes = (size_t)64 << 20;
    struct kept **mapped =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    REQUIRE(mapped != MAP_FAILED);
    mapped[5000000] = make_kept("mapped");
    REQUIRE(mprotect(mapped, bytes, PROT_READ) == 0); /* as RELRO is */
    clear_stack();
    litter(64);
    REQUIRE(is_kept(mapped[5000000], "mapped"));
}

/* What nobody has touched of a large object is not read either. */
static void check_sparse(void)
{
    enum { PAGES = 16384 };
    static unsigned char resident[PAGES];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), touched = 0;
    struct kept **sparse = malloc((PAGES + 1) * page);

    sparse = (struct kept **)(((uintptr_t)sparse + page - 1) / page * page);
    for (size_t i = 0; i < PAGES; i += 1999) {
        sparse[i * (page / sizeof *sparse)] = make_kept("sparse");
        litter(8);
    }
    for (size_t i = 0; i < PAGES; i += 1999)
        REQUIRE(is_kept(sparse[i * (page / sizeof *sparse)], "sparse"));
    REQUIRE(mincore(sparse, PAGES * page, resident) == 0);
    for (size_t i = 0; i < PAGES; i++)
        touched += resident[i] & 1;
    REQUIRE(touched < PAGES / 8 || getenv("BROOM_STRESS") != NULL); /* the audit reads all */
}

static void check_brk(void)
{
    struct kept **place = sbrk(4096);

    REQUIRE(place != (void *)-1);
    *place = make_kept("brk");
    clear_stack();
    litter(64);
    REQUIRE(is_kept(*place, "brk"));
}

static void check_unaligned(void)
{
    struct __attribute__((packed)) {
        uint32_t number;
        struct kept *kept;
    } *packed = malloc(sizeof *packed);

    packed->kept = make_kept("unaligned");
    clear_stack();
    litter(64);
    REQUIRE(is_kept(packed->kept, "unaligned"));
}

static _Thread_local struct kept *thread_local_kept;
static pthread_key_t key, later_key;
static pthread_barrier_t barrier;

static void check_destroyed(void *value)
{
    litter(8);
    REQUIRE(is_kept(value, "specific"));
    sink = malloc(100);
}

static void *hold(void *argument)
{
    thread_local_kept = make_kept("thread-local");
    REQUIRE(pthread_setspecific(key, make_kept("specific")) == 0);
    REQUIRE(pthread_setspecific(later_key, make_kept("specific")) == 0);
    clear_stack();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    REQUIRE(is_kept(argument, "argument") && is_kept(thread_local_kept, "thread-local"));
    REQUIRE(is_kept(pthread_getspecific(key), "specific") && is_kept(pthread_getspecific(later_key), "specific"));
    return make_kept("result");
}

/* The later key's value lies in a block that the C library allocates. */
static void check_threads(void)
{
    pthread_t thread[8];

    pthread_key_create(&key, check_destroyed);
    for (unsigned i = 0; i < 60; i++)
        pthread_key_create(&later_key, i == 59 ? check_destroyed : NULL);
    for (unsigned round = 0; round < 4; round++) {
        pthread_barrier_init(&barrier, NULL, 9);
        for (unsigned i = 0; i < 8; i++)
            REQUIRE(pthread_create(&thread[i], NULL, hold, make_kept("argument")) == 0);
        pthread_barrier_wait(&barrier);
        litter(32);
        pthread_barrier_wait(&barrier);
        litter(16);
        for (unsigned i = 0; i < 8; i++) {
            void *result;

            REQUIRE(pthread_join(thread[i], &result) == 0 && is_kept(result, "result"));
        }
    }
}

static void check_at_exit_argument(int status, void *argument)
{
    litter(32);
    if (status != 0 || !is_kept(argument, "on_exit"))
        _exit(1);
}

static void check_at_exit(void)
{
    REQUIRE(on_exit(check_at_exit_argument, make_kept("on_exit")) == 0);
    clear_stack();
    litter(64);
    exit(0);
}

static void check_library(void)
{
    char *text = malloc(40), *line = NULL, *stream_text;
    size_t capacity = 0, stream_bytes;
    FILE *stream, *file = tmpfile();

    putenv(strcpy(text, "REPLACED=environment"));
    text = NULL;
    setenv("REPLACED_TOO", "set", 1);
    stream = open_memstream(&stream_text, &stream_bytes);
    REQUIRE(file != NULL && stream != NULL);
    for (unsigned i = 0; i < 3000; i++) {
        fprintf(stream, "%u ", i);
        fprintf(file, "line %u\n", i);
        if (i % 100 == 0)
            litter(2);
    }
    rewind(file);
    for (unsigned i = 0; i < 3000; i++)
        REQUIRE(getline(&line, &capacity, file) > 5 && (unsigned)atoi(line + 5) == i);
    fclose(stream);
    fclose(file);
    REQUIRE(stream_bytes == strlen(stream_text) && strstr(stream_text, " 2999 ") != NULL);
    REQUIRE(strcmp(getenv("REPLACED"), "environment") == 0 && strcmp(getenv("REPLACED_TOO"), "set") == 0);
}

static void check_epoll(void)
{
    int poll = epoll_create1(EPOLL_CLOEXEC), pipe_ends[2];
    struct epoll_event event = {.events = EPOLLIN}, got;

    REQUIRE(poll >= 0 && pipe(pipe_ends) == 0);
    event.data.ptr = make_kept("epoll");
    REQUIRE(epoll_ctl(poll, EPOLL_CTL_ADD, pipe_ends[0], &event) == 0);
    memset(&event, 0, sizeof event);
    clear_stack();
    litter(64);
    REQUIRE(write(pipe_ends[1], "x", 1) == 1 && epoll_wait(poll, &got, 1, 1000) == 1);
    REQUIRE(is_kept(got.data.ptr, "epoll"));
    REQUIRE(epoll_ctl(poll, EPOLL_CTL_DEL, pipe_ends[0], NULL) == 0);
}

/* Leaks 2 GB, and half of it in lists that point at themselves. */
static void check_leak(void)
{
    struct rusage usage;

    for (unsigned i = 0; i < 2000000; i++) {
        void **node = malloc(1000);

        node[0] = node;
    }
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
    if (usage.ru_maxrss > 64 << 10)
        fprintf(stderr, "%ld KiB\n", usage.ru_maxrss);
    REQUIRE(usage.ru_maxrss <= 64 << 10);
}

/* ---- Contracts ---------------------------------------------------------------------------------- */

static bool is_zero(const char *bytes, size_t count)
{
    while (count > 0 && *bytes == 0)
        bytes++, count--;
    return count == 0;
}

static void check_sizes(void)
{
    for (size_t bytes = 0; bytes < 200000; bytes += 1 + bytes / 7) {
        char *object = malloc(bytes), *zeroed;

        REQUIRE(object != NULL && (uintptr_t)object % _Alignof(max_align_t) == 0);
        REQUIRE(malloc_usable_size(object) >= bytes);
        memset(object, 1, malloc_usable_size(object));
        object = realloc(object, 2 * bytes + 1);
        REQUIRE(object != NULL && (bytes == 0 || (object[0] == 1 && object[bytes - 1] == 1)));
        free(object);
        zeroed = calloc(bytes, 3);
        REQUIRE(zeroed != NULL && is_zero(zeroed, bytes * 3));
        memset(zeroed, 1, bytes * 3);
        free(zeroed);
    }
}

static void check_alignments(void)
{
    void *object;

    for (size_t alignment = 8; alignment <= (size_t)64 << 20; alignment *= 2)
        for (size_t bytes = 1; bytes < 5000000; bytes *= 60) {
            object = memalign(alignment, bytes);
            REQUIRE(object != NULL && (uintptr_t)object % alignment == 0 && malloc_usable_size(object) >= bytes);
            memset(object, 1, bytes);
            object = realloc(object, bytes + 100);
            REQUIRE(object != NULL && *(char *)object == 1);
            free(object);
            REQUIRE(posix_memalign(&object, alignment, bytes) == 0 && (uintptr_t)object % alignment == 0);
            free(object);
            object = aligned_alloc(alignment, bytes);
            REQUIRE(object != NULL && (uintptr_t)object % alignment == 0);
            free(object);
        }
    errno = 3;
    REQUIRE(posix_memalign(&object, 24, 10) == EINVAL && posix_memalign(&object, 2, 10) == EINVAL && errno == 3);
    object = valloc(100);
    REQUIRE((uintptr_t)object % 4096 == 0);
    object = pvalloc(100);
    REQUIRE((uintptr_t)object % 4096 == 0 && malloc_usable_size(object) >= 4096);
}

static void check_failures(void)
{
    volatile size_t huge = SIZE_MAX / 2, most = PTRDIFF_MAX;
    void *object = malloc(10), *same = NULL;

    errno = 0;
    REQUIRE(malloc(most) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(calloc(huge, 4) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(realloc(object, most) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(reallocarray(object, huge, 4) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(memalign(16, most) == NULL && errno == ENOMEM);
    errno = 7;
    REQUIRE(posix_memalign(&same, 16, most) == ENOMEM && errno == 7 && same == NULL);
    free(object);
    free(NULL);
    REQUIRE(errno == 7 && malloc_usable_size(NULL) == 0);
    REQUIRE(realloc(malloc(10), 0) == NULL && errno == 7);
    object = malloc(0);
    same = malloc(0);
    REQUIRE(object != NULL && same != NULL && object != same);
}

static void check_information(void)
{
    char *text;
    size_t bytes;
    FILE *stream = open_memstream(&text, &bytes);
    struct mallinfo2 info;

    sink = malloc(100000);
    info = mallinfo2();
    REQUIRE(info.arena >= 100000 && info.uordblks + info.fordblks == info.arena);
    REQUIRE(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && malloc_trim(0) == 1);
    REQUIRE(malloc_info(0, stream) == 0 && malloc_info(1, stream) == EINVAL);
    fclose(stream);
    REQUIRE(strncmp(text, "<malloc version=", 16) == 0 && strstr(text, "</malloc>") != NULL);
}

static void check_contracts(void)
{
    check_sizes();
    check_alignments();
    check_failures();
    check_information();
}

/* ---- free ------------------------------------------------------------------------------------------ */

/* The compiler knows what free does. */
static void (*volatile opaque_free)(void *object) = free;

static void check_ignored(void)
{
    struct kept *kept = make_kept("freed");

    opaque_free(kept->next);
    opaque_free(kept);
    opaque_free(kept);
    opaque_free((char *)kept + 8);
    opaque_free(&kept);
    litter(64);
    REQUIRE(is_kept(kept, "freed"));
}

/* What is freed is used again, without a collection between. */
static void check_honoured(void)
{
    char *kept[100];

    for (unsigned i = 0; i < 100; i++)
        kept[i] = strcpy(malloc(72), "kept");
    for (unsigned i = 0; i < 3000000; i++) {
        sink = malloc(i % 1000 == 0 ? 100000 : 72);
        opaque_free(sink);
    }
    REQUIRE(mallinfo2().arena < 2 << 20);
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(strcmp(kept[i], "kept") == 0);
    opaque_free(&kept); /* not ours, and left alone */
}

static void check_twice(void)
{
    void *object = malloc(72);

    opaque_free(object);
    opaque_free(object);
}

static volatile bool over;
static struct kept *_Atomic box[256];

/* What one thread allocates another frees. */
static void *pass_on(void *seed)
{
    unsigned state = *(unsigned *)seed;

    for (unsigned i = 0; i < 300000; i++) {
        size_t bytes;
        unsigned char *object, *old;

        state = state * 1103515245 + 12345;
        bytes = 16 + (state >> 8) % 300;
        object = (state >> 4) % 8 == 0 ? calloc(1, bytes) : malloc(bytes);
        REQUIRE((state >> 4) % 8 != 0 || is_zero((char *)object, bytes));
        memset(object, (int)bytes, bytes);
        old = (unsigned char *)atomic_exchange(&box[state >> 24], (struct kept *)object);
        REQUIRE(old == NULL || (old[1] == old[0] && old[15] == old[0]));
        opaque_free(old);
    }
    return NULL;
}

static void *collect_all_the_time(void *unused)
{
    while (!over) {
        malloc_trim(0);
        usleep(300);
    }
    return unused;
}

/* Freed cells are handed out again at once, while others collect: each to one only. */
static void check_freed(void)
{
    unsigned seed[3] = {1, 2, 3};
    pthread_t thread[4];

    for (unsigned i = 0; i < 3; i++)
        REQUIRE(pthread_create(&thread[i], NULL, pass_on, &seed[i]) == 0);
    REQUIRE(pthread_create(&thread[3], NULL, collect_all_the_time, NULL) == 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    over = true;
    pthread_join(thread[3], NULL);
}

/* ---- In the middle of things ------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void allocate_in_handler(int number)
{
    int saved_errno = errno;

    (void)number;
    for (size_t bytes = 8; bytes < 20000; bytes *= 3) {
        char *object = malloc(bytes);

        memset(object, (int)bytes, bytes);
        object = realloc(object, bytes + 50);
        REQUIRE(object != NULL && object[0] == (char)bytes && object[bytes - 1] == (char)bytes);
        free(object);
    }
    signals++;
    errno = saved_errno;
}

struct cell {
    struct cell *next;
    size_t check, bytes;
};

static void check_signals(void)
{
    struct itimerval soon = {{0, 50}, {0, 50}};
    struct sigaction action = {.sa_handler = allocate_in_handler, .sa_flags = SA_RESTART};
    struct cell *cells = NULL;

    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0);
    for (unsigned i = 0; i < 3000000 && signals < 5000; i++) {
        size_t bytes = sizeof(struct cell) + i % 400;
        struct cell *cell = malloc(bytes);

        *cell = (struct cell){i % 100 == 0 ? NULL : cells, ~(uintptr_t)cell, bytes};
        cells = cell;
        for (unsigned count = 0; i % 100 == 99 && cell != NULL; cell = cell->next, count++)
            REQUIRE(cell->check == ~(uintptr_t)cell && cell->bytes >= sizeof *cell);
        if (i % 7 == 0)
            free(malloc(300));
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    REQUIRE(signals > 10);
}

static void *allocate_all_the_time(void *unused)
{
    while (!over)
        litter(1);
    return unused;
}

static void check_forks(void)
{
    pthread_t thread[3];

    for (unsigned i = 0; i < 3; i++)
        REQUIRE(pthread_create(&thread[i], NULL, allocate_all_the_time, NULL) == 0);
    for (unsigned i = 0; i < 60; i++) {
        int status;
        pid_t child = i % 3 == 2 ? vfork() : fork();

        if (child == 0 && i % 3 == 2)
            _exit(malloc(20) != NULL ? 0 : 1);
        if (child == 0) {
            litter(i % 3 == 0 ? 16 : 1);
            exit(0);
        }
        REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    over = true;
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

static _Atomic unsigned expired;

static void note_expired(union sigval value)
{
    REQUIRE(is_kept(value.sival_ptr, "a timer's"));
    expired++;
}

/* Of a timer that makes threads the C library knows the value; of others the kernel alone. */
static void check_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = note_expired};
    struct itimerspec often = {{0, 3000000}, {0, 3000000}};
    timer_t timer;

    event.sigev_value.sival_ptr = make_kept("a timer's");
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    event.sigev_value.sival_ptr = NULL;
    clear_stack();
    REQUIRE(timer_settime(timer, 0, &often, NULL) == 0);
    while (expired < 20)
        litter(4);
    timer_delete(timer);
}

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
    while (information.ssi_signo != SIGTERM)
        REQUIRE(read(file, &information, sizeof information) == sizeof information);
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

/* A thread that takes all signals does not take ours: that would be reported, and
 * each collection wait for a second. */
static void check_waits(void)
{
    time_t begun = time(NULL);
    sigset_t all;

    REQUIRE(pipe(wake) == 0);
    disturb(wait_with_all_blocked, 0, 0);
    sigfillset(&all);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
    disturb(wait_for_all_signals, SIGUSR1, SIGTERM);
    disturb(read_all_signals, SIGUSR1, SIGTERM);
    REQUIRE(time(NULL) - begun < 15);
}

static void *load_all_the_time(void *unused)
{
    while (!over) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL), *other = dlopen("libresolv.so.2", RTLD_NOW);

        if (library != NULL)
            dlsym(library, "there is no such function"); /* the message is allocated */
        dlopen("libdoesnotexist.so", RTLD_NOW);
        if (other != NULL)
            dlclose(other);
        if (library != NULL)
            dlclose(library);
    }
    return unused;
}

/* Who loads holds the loader's lock, and allocates; who collects must not wait for it. */
static void check_loads(void)
{
    pthread_t thread[2];

    for (unsigned i = 0; i < 2; i++)
        REQUIRE(pthread_create(&thread[i], NULL, load_all_the_time, NULL) == 0);
    litter(1024);
    over = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

int main(int count, char **argument)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } checks[] = {
        {"static", check_static},   {"mapped", check_mapped},       {"brk", check_brk},
        {"threads", check_threads}, {"unaligned", check_unaligned}, {"at_exit", check_at_exit},
        {"library", check_library}, {"epoll", check_epoll},         {"leak", check_leak},
        {"ignored", check_ignored}, {"contracts", check_contracts}, {"honoured", check_honoured},
        {"signals", check_signals}, {"forks", check_forks},         {"loads", check_loads},
        {"twice", check_twice},     {"waits", check_waits},         {"freed", check_freed},
        {"timer", check_timer},     {"sparse", check_sparse},
    };

    for (size_t i = 0; count == 2 && i < sizeof checks / sizeof checks[0]; i++)
        if (strcmp(argument[1], checks[i].name) == 0) {
            checks[i].function();
            return 0;
        }
    return 2;
}
