/* test_thread_numbers.c - a thread has ended, and before a collection notices the system
 * gives its number to another: nothing that was known of the first is true of that one.
 *
 * Which number is next can be written where the system says which was the last, by root as
 * a rule; and somebody else may be quicker. */
#define _GNU_SOURCE
#include "test/thread_work.h"

#include "gc/cycle/heap.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { WORDS = 64, STACK_BYTES = 64 << 10, TRIES = 12 };

static bool number_is_next(long number)
{
    char text[24];
    size_t length = (size_t)snprintf(text, sizeof text, "%ld", number - 1);
    int file = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    bool written = file >= 0 && write(file, text, length) == (ssize_t)length;

    close(file);
    return written;
}

static void *tell_number(void *number)
{
    *(_Atomic long *)number = gc__os_thread_id();
    return NULL;
}

/* A moment later: when a thread began is told in hundredths of a second. */
static long number_of_one_that_has_ended(void)
{
    _Atomic long number = 0;

    end_thread(begin_thread(tell_number, (void *)&number));
    while (gc__os_thread_exists(getpid(), number))
        sleep_ms(1);
    sleep_ms(25);
    return number;
}

/* Makes threads until one has the number of another that has ended. */
static void succeed_with(bool (*make)(long number))
{
    die_after(30);
    gc_init();
    gc_disable();
    for (unsigned i = 0; i < TRIES; i++) {
        long number = number_of_one_that_has_ended();

        if (!number_is_next(number))
            break;
        if (make(number))
            return;
    }
    fprintf(stderr, "no number can be chosen here\n");
}

static void check_successor(void (*function)(void))
{
    struct child child = child_run(function);

    forget_starvation(&child);
    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    if (child_wrote(&child, "no number"))
        cr_skip_test("%s", child.text);
    cr_assert(child.length == 0, "%s", child.text);
}

/* ---- A stranger ---------------------------------------------------------------------------- */

enum { THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };

static struct {
    bool sleeps; /* and blocks all signals */
    int pipe_ends[2];
    _Atomic uintptr_t words; /* hidden, once it is there */
    _Atomic bool over;
    _Atomic uint32_t runs; /* cleared by the system at its end */
} stranger;

/* What is thread-local is its maker's: it makes system calls at most. */
static int be_stranger(void *unused)
{
    uintptr_t words[WORDS] = {0};
    char byte;

    (void)unused;
    __asm__ volatile("" : : "r"(words) : "memory");
    stranger.words = hide(words).bits;
    while (!stranger.over)
        if (stranger.sleeps)
            syscall(SYS_read, stranger.pipe_ends[0], &byte, 1);
    __asm__ volatile("" : : "r"(words) : "memory");
    return 0;
}

static void set_mask(uint64_t blocked)
{
    REQUIRE(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked) == 0);
}

/* It has its maker's mask. */
static long begin_stranger(void)
{
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long number;

    REQUIRE(stack != MAP_FAILED && pipe(stranger.pipe_ends) == 0);
    stranger.words = 0;
    stranger.over = false;
    stranger.runs = 1;
    set_mask(stranger.sleeps ? ~UINT64_C(0) : 0);
    number =
        clone(be_stranger, stack + STACK_BYTES, THREAD_FLAGS | CLONE_CHILD_CLEARTID, NULL, NULL, NULL, &stranger.runs);
    set_mask(0);
    REQUIRE(number > 0);
    while (stranger.words == 0)
        sleep_ms(1);
    return number;
}

static void end_stranger(void)
{
    stranger.over = true;
    REQUIRE(write(stranger.pipe_ends[1], "", 1) == 1);
    while (stranger.runs != 0)
        sleep_ms(1);
    close(stranger.pipe_ends[0]);
    close(stranger.pipe_ends[1]);
}

static __attribute__((noinline)) void give_objects(struct hidden object[WORDS])
{
    void **word = reveal((struct hidden){stranger.words});

    for (size_t i = 0; i < WORDS; i++)
        object[i] = hide(word[i] = gc_malloc(64));
}

static bool make_stranger(long number)
{
    struct hidden object[WORDS];
    bool is_successor = begin_stranger() == number;

    if (is_successor) {
        give_objects(object);
        gc_enable();
        for (unsigned i = 0; i < 3; i++)
            collect_with_clear_stack();
        REQUIRE(count_alive(object, WORDS) == WORDS);
    }
    end_stranger();
    return is_successor;
}

static void succeed_with_one_that_sleeps(void)
{
    stranger.sleeps = true;
    succeed_with(make_stranger);
}

static void succeed_with_one_that_runs(void)
{
    succeed_with(make_stranger);
}

Test(thread_numbers, of_a_stranger_that_blocks_all_signals)
{
    check_successor(succeed_with_one_that_sleeps);
}

Test(thread_numbers, of_a_stranger_with_the_thread_local_variables_of_its_maker)
{
    check_successor(succeed_with_one_that_runs);
}

/* ---- A helper of the collector's ------------------------------------------------------------ */

static void help_nobody(void *unused)
{
    (void)unused;
    for (;;)
        pause();
}

/* As a collection does before it stops the others. */
static bool make_helper(long number)
{
    long thread_id = 0;

    gc__world_lock(&gc__heap.world);
    REQUIRE(gc__os_start_helper(help_nobody, NULL, &thread_id));
    gc__world_note_helper(&gc__heap.world, thread_id);
    gc__world_unlock(&gc__heap.world);
    if (thread_id != number)
        return false;
    REQUIRE(gc__world_thread(&gc__heap.world, number) == NULL);
    gc_enable();
    gc_collect();
    return true;
}

static void succeed_with_a_helper(void)
{
    succeed_with(make_helper);
}

Test(thread_numbers, of_a_helper)
{
    check_successor(succeed_with_a_helper);
}
