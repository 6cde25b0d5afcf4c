/* replaced_roots.c - a program that knows of no collector: as replaced.c, about where it
 * keeps its pointers.
 *
 *   replaced_roots CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

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

/* It is elsewhere then, and larger. */
static void check_moved(void)
{
    size_t bytes = (size_t)1 << 20;
    struct kept **mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *place = mmap(NULL, 4 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE(mapped != MAP_FAILED && place != MAP_FAILED);
    mapped[1000] = make_kept("moved");
    clear_stack();
    litter(16);
    mapped = mremap(mapped, bytes, 4 * bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    REQUIRE(mapped == place);
    litter(64);
    REQUIRE(is_kept(mapped[1000], "moved"));
}

enum { SHARED = 100 };

static void are_kept(struct kept **shared)
{
    litter(64);
    for (unsigned i = 0; i < SHARED; i++)
        REQUIRE(is_kept(shared[1000 * i], "shared"));
}

/* A child has touched nothing of it yet. */
static void check_memory(struct kept **shared)
{
    pid_t child;
    int status;

    REQUIRE(shared != MAP_FAILED);
    for (unsigned i = 0; i < SHARED; i++)
        shared[1000 * i] = make_kept("shared");
    clear_stack();
    child = fork();
    if (child == 0) {
        are_kept(shared);
        _exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    are_kept(shared);
}

static void check_shared(void)
{
    check_memory(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

static int file_of(int file)
{
    REQUIRE(file >= 0 && ftruncate(file, 1 << 20) == 0);
    return file;
}

static void check_memfd(void)
{
    check_memory(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file_of(memfd_create("kept", 0)), 0));
}

/* What was written to the file stands in a mapping of one's own, too. */
static void check_private_memfd(void)
{
    int file = file_of(memfd_create("kept", 0));
    struct kept **mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    REQUIRE(mapped != MAP_FAILED);
    for (unsigned i = 0; i < SHARED; i++)
        mapped[1000 * i] = make_kept("shared");
    REQUIRE(munmap(mapped, 1 << 20) == 0);
    mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    REQUIRE(mapped != MAP_FAILED);
    clear_stack();
    are_kept(mapped);
}

/* Words that are not aligned, half on one page and half on the next. */
static void check_astride(void)
{
    enum { PAGES = 256, PAGE_BYTES = 4096 };
    char *mapped = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kept *kept;

    REQUIRE(mapped != MAP_FAILED);
    for (size_t i = 1; i < PAGES; i++) {
        kept = make_kept("astride");
        memcpy(mapped + i * PAGE_BYTES - 4, &kept, sizeof kept);
    }
    clear_stack();
    litter(64);
    for (size_t i = 1; i < PAGES; i++) {
        memcpy(&kept, mapped + i * PAGE_BYTES - 4, sizeof kept);
        REQUIRE(is_kept(kept, "astride"));
    }
}

/* Another process takes it away, again and again; this one has no reason to look there. */
static void check_cut_short(void)
{
    enum { BYTES = 16 << 20 };
    int file = file_of(memfd_create("cut short", 0)), status;
    char *mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pid_t child;

    REQUIRE(mapped != MAP_FAILED && ftruncate(file, BYTES) == 0);
    memset(mapped, 1, BYTES);
    child = fork();
    while (child == 0) {
        REQUIRE(ftruncate(file, 0) == 0 && ftruncate(file, BYTES) == 0);
        for (int page = 0; page < BYTES / 4; page += 4096)
            REQUIRE(pwrite(file, "", 1, page) == 1);
    }
    litter(100);
    REQUIRE(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status)); /* it went on until then */
}

/* With an option these are roots, too. */
static void check_file(void)
{
    char name[] = "replaced_roots_XXXXXX";

    check_memory(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file_of(mkstemp(name)), 0));
    unlink(name);
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
        litter(getenv("BROOM_STRESS") == NULL ? 8 : 1);
    }
    for (size_t i = 0; i < PAGES; i += 1999)
        REQUIRE(is_kept(sparse[i * (page / sizeof *sparse)], "sparse"));
    REQUIRE(mincore(sparse, PAGES * page, resident) == 0);
    for (size_t i = 0; i < PAGES; i++)
        touched += resident[i] & 1;
    REQUIRE(touched < PAGES / 8);
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

enum { CODE_BYTES = 4096, CODE_POINTERS = 64 };

/* Each at another distance from a multiple of eight; the last at the end. */
static unsigned char *pointer_in(unsigned char *code, size_t number)
{
    return number == CODE_POINTERS - 1 ? code + CODE_BYTES - sizeof(void *) : code + 17 * number + 1;
}

static __attribute__((noinline)) void fill(unsigned char *code)
{
    for (size_t i = 0; i < CODE_POINTERS; i++) {
        struct kept *kept = make_kept("code");

        memcpy(pointer_in(code, i), &kept, sizeof kept);
    }
}

/* As in instructions that load constants. */
static void check_code_that_is_written_at(unsigned char *writable, unsigned char *code)
{
    REQUIRE(writable != MAP_FAILED && code != MAP_FAILED);
    fill(writable);
    clear_stack();
    litter(64);
    for (size_t i = 0; i < CODE_POINTERS; i++) {
        struct kept *kept;

        memcpy(&kept, pointer_in(code, i), sizeof kept);
        REQUIRE(is_kept(kept, "code"));
    }
}

static void check_code(void)
{
    int rights = PROT_READ | PROT_WRITE | PROT_EXEC;
    unsigned char *code = mmap(NULL, CODE_BYTES, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    check_code_that_is_written_at(code, code);
}

/* Mapped twice, as memory that may be written must not be executable. */
static void check_shared_code(void)
{
    int file = file_of(memfd_create("code", 0));

    check_code_that_is_written_at(mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
                                  mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0));
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

#define ENDS 1800 /* for 9 sizes by 5 calls, 40 each */

static size_t size_of_end(unsigned i)
{
    return i % 9 < 8 ? 16 * (1 + i % 9) : i % 2 == 0 ? 4096 : 65536;
}

static void *allocate_in_turn(size_t bytes, unsigned turn)
{
    switch (turn % 5) {
    case 0: return calloc(1, bytes);
    case 1: return realloc(malloc(1), bytes);
    case 2: return realloc(malloc(4 * bytes), bytes);
    case 3: return aligned_alloc(bytes & -bytes, bytes);
    default: return malloc(bytes);
    }
}

static __attribute__((noinline)) void make_ends(char **end)
{
    for (unsigned i = 0; i < ENDS; i++) {
        size_t bytes = size_of_end(i);
        char *object = allocate_in_turn(bytes, i / 9);

        REQUIRE(object != NULL && malloc_usable_size(object) >= bytes);
        end[i] = (char *)memset(object, (int)i, bytes) + bytes;
    }
}

/* The only pointer to an object, in another one, is one past its end: as of an array of
 * which element -1 was made first, and no other. */
static void check_past_end(void)
{
    char **end = malloc(ENDS * sizeof *end);

    make_ends(end);
    clear_stack();
    for (unsigned i = 0; i < 200000; i++)
        sink = memset(malloc(size_of_end(i % 8)), 0x5a, size_of_end(i % 8));
    for (unsigned i = 0; i < ENDS; i++) {
        size_t bytes = size_of_end(i);

        if (end[i][-1] != (char)i || end[i][-(ptrdiff_t)bytes] != (char)i)
            fprintf(stderr, "%zu bytes, call %u\n", bytes, i / 9 % 5);
        REQUIRE(end[i][-1] == (char)i && end[i][-(ptrdiff_t)bytes] == (char)i);
    }
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

/* Each file's own value, which another replaces, and a call that fails does not. */
enum { POLLED = 600 };

static void poll_each(int poll, int operation, const int *file, int error)
{
    for (unsigned i = 0; i < POLLED; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = make_kept("epoll")};

        errno = 0;
        REQUIRE((epoll_ctl(poll, operation, file[i], &event) == 0) == (error == 0) && errno == error);
    }
    clear_stack();
    litter(64);
}

static void check_polled(int poll)
{
    static struct epoll_event got[POLLED];

    REQUIRE(epoll_wait(poll, got, POLLED, 1000) == POLLED);
    for (unsigned i = 0; i < POLLED; i++)
        REQUIRE(is_kept(got[i].data.ptr, "epoll"));
    memset(got, 0, sizeof got);
}

static void check_epoll(void)
{
    int poll = epoll_create1(EPOLL_CLOEXEC), pipe_ends[2], file[POLLED];

    REQUIRE(poll >= 0 && pipe(pipe_ends) == 0 && write(pipe_ends[1], "x", 1) == 1);
    for (unsigned i = 0; i < POLLED; i++)
        REQUIRE((file[i] = dup(pipe_ends[0])) >= 0);
    poll_each(poll, EPOLL_CTL_ADD, file, 0);
    check_polled(poll);
    poll_each(poll, EPOLL_CTL_ADD, file, EEXIST);
    check_polled(poll);
    poll_each(poll, EPOLL_CTL_MOD, file, 0);
    check_polled(poll);
    for (unsigned i = 0; i < POLLED; i++)
        REQUIRE(epoll_ctl(poll, EPOLL_CTL_DEL, file[i], NULL) == 0 && close(file[i]) == 0);
    poll_each(poll, EPOLL_CTL_ADD, file, EBADF);
}

static _Atomic unsigned expired;

static void note_expired(union sigval value)
{
    REQUIRE(is_kept(value.sival_ptr, "a timer's"));
    expired++;
}

/* Of a timer that makes threads the C library knows the value. */
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

enum { SIGNALLING_TIMERS = 300 }; /* more than there is room for beforehand */

static void note_signalled(int number, siginfo_t *information, void *context)
{
    (void)number, (void)context;
    REQUIRE(is_kept(information->si_value.sival_ptr, "a signal's"));
    expired++;
}

static __attribute__((noinline)) timer_t make_signalling_timer(void *value)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    timer_t timer;

    event.sigev_value.sival_ptr = value;
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    event.sigev_value.sival_ptr = NULL;
    return timer;
}

/* What was given to those that are gone is not kept. */
static void make_short_lived_timers(void)
{
    struct rusage usage;

    for (unsigned i = 0; i < 5000; i++)
        REQUIRE(timer_delete(make_signalling_timer(memset(malloc(40000), 1, 40000))) == 0);
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < 64 << 10);
}

/* Of one that sends a signal the kernel alone knows the value. */
static void check_signalling_timer(void)
{
    struct sigaction action = {.sa_sigaction = note_signalled, .sa_flags = SA_SIGINFO};
    struct itimerspec soon = {{0, 0}, {0, 1}};
    static timer_t timer[SIGNALLING_TIMERS];

    REQUIRE(sigaction(SIGRTMIN + 3, &action, NULL) == 0);
    make_short_lived_timers();
    for (unsigned i = 0; i < SIGNALLING_TIMERS; i++)
        timer[i] = make_signalling_timer(make_kept("a signal's"));
    clear_stack();
    litter(64);
    for (unsigned i = 0; i < SIGNALLING_TIMERS; i++)
        REQUIRE(timer_settime(timer[i], 0, &soon, NULL) == 0);
    while (expired < SIGNALLING_TIMERS)
        litter(1);
}

enum { QUEUES = 8 };

static _Atomic unsigned notified;

static void note_message(union sigval value)
{
    REQUIRE(is_kept(value.sival_ptr, "a queue's"));
    notified++;
}

/* CPUs in the attributes are a part of them that is allocated. */
static __attribute__((noinline)) void ask_for_message(mqd_t queue)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = note_message};
    pthread_attr_t attributes;
    cpu_set_t cpus;

    REQUIRE(sched_getaffinity(0, sizeof cpus, &cpus) == 0 && pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus) == 0);
    event.sigev_notify_attributes = &attributes;
    event.sigev_value.sival_ptr = make_kept("a queue's");
    REQUIRE(mq_notify(queue, &event) == 0);
    pthread_attr_destroy(&attributes);
    memset(&event, 0, sizeof event);
}

/* What a message queue is to tell a new thread the kernel alone holds. */
static void check_queue(void)
{
    struct mq_attr small = {.mq_maxmsg = 1, .mq_msgsize = 8};
    mqd_t queue[QUEUES];
    char name[40];

    for (unsigned i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "/replaced_roots_%ld_%u", (long)getpid(), i);
        queue[i] = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &small);
        if (i == 0 && queue[0] == (mqd_t)-1 && errno == ENOSYS)
            return; /* this kernel has none */
        REQUIRE(queue[i] != (mqd_t)-1 && mq_unlink(name) == 0);
        ask_for_message(queue[i]);
    }
    clear_stack();
    litter(64);
    for (unsigned i = 0; i < 100000; i++) /* where copies of attributes were, if they are lost */
        sink = memset(malloc(sizeof(pthread_attr_t)), 0x5a, sizeof(pthread_attr_t));
    for (unsigned i = 0; i < QUEUES; i++)
        REQUIRE(mq_send(queue[i], "x", 1, 0) == 0);
    while (notified < QUEUES)
        litter(4);
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

static const struct check checks[] = {
    {"static", check_static},
    {"mapped", check_mapped},
    {"sparse", check_sparse},
    {"brk", check_brk},
    {"unaligned", check_unaligned},
    {"code", check_code},
    {"shared_code", check_shared_code},
    {"threads", check_threads},
    {"epoll", check_epoll},
    {"timer", check_timer},
    {"queue", check_queue},
    {"signalling_timer", check_signalling_timer},
    {"past_end", check_past_end},
    {"moved", check_moved},
    {"shared", check_shared},
    {"memfd", check_memfd},
    {"private_memfd", check_private_memfd},
    {"astride", check_astride},
    {"cut_short", check_cut_short},
    {"file", check_file},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
