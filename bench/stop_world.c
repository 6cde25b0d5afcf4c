/* stop_world.c - what it costs to stop other threads for a collection, and to let
 * them go on: the time of a full collection of next to nothing, first without
 * other threads, then beside 8 that compute, then beside 200 that sleep in a
 * system call. Prints the median and the 99th percentile of the collections beside
 * threads, less the median of those without; and, from the collector's own count,
 * of the pauses.
 *
 * There may be fewer processors than running threads: then a thread is stopped
 * when the kernel lets it run, and a collection takes as long as its time slices.
 *
 * Each thread has a list that only its stack leads to, and looks at it in the end.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "threads.h"

_Static_assert(!BENCH_FREES, "malloc stops nothing");

enum { COLLECTIONS = 200, RUNNING = 8, SLEEPING = 200, LIST_LENGTH = 16, GARBAGE = 256 };

struct node {
    struct node *next;
    uint64_t number;
};

/* In microseconds. */
struct figures {
    double median, p99, pause_median, pause_p99;
};

static pthread_barrier_t ready;
static atomic_bool done; /* ends those that run */
static int pipe_ends[2]; /* those that sleep read from it until it is closed */

static struct node *new_list(void)
{
    struct node *list = NULL;
    for (uint64_t number = 1; number <= LIST_LENGTH; number++) {
        struct node *node = bench_alloc(sizeof *node);
        node->number = number;
        node->next = list;
        list = node;
    }
    return list;
}

static uint64_t sum_list(const struct node *list)
{
    uint64_t sum = 0;
    for (; list; list = list->next)
        sum += list->number;
    return sum;
}

static bool check_list(const struct node *list, uint64_t *sum)
{
    *sum = sum_list(list);
    return *sum == LIST_LENGTH * (LIST_LENGTH + 1) / 2;
}

/* Lists that would show in place of one that was lost. */
static void make_garbage(void)
{
    for (int i = 0; i < GARBAGE; i++) {
        struct node *node = bench_alloc(sizeof *node);
        node->number = UINT64_C(1) << 32;
    }
}

static bool run(uint64_t *sum)
{
    struct node *list = new_list();
    pthread_barrier_wait(&ready);
    uint64_t random = 88172645463325252;
    while (!atomic_load_explicit(&done, memory_order_relaxed)) {
        for (int i = 0; i < 1000; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
        }
    }
    return check_list(list, sum) && random != 0;
}

static bool sleep_in_read(uint64_t *sum)
{
    struct node *list = new_list();
    pthread_barrier_wait(&ready);
    char byte;
    while (read(pipe_ends[0], &byte, 1) != 0) /* a signal may interrupt it */
        ;
    return check_list(list, sum);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static struct figures time_collections(size_t count)
{
    double *took = bench_checked(calloc(2 * count, sizeof *took));
    double *paused = took + count;
    for (size_t i = 0; i < count; i++) {
        make_garbage();
        uint64_t start_ns = bench_now_ns();
        bench_collect();
        took[i] = (double)(bench_now_ns() - start_ns) * 1e-3;
        paused[i] = (double)bench_counters().pause_last_ns * 1e-3;
    }
    qsort(took, count, sizeof *took, compare);
    qsort(paused, count, sizeof *paused, compare);
    size_t middle = count / 2, late = count * 99 / 100;
    struct figures figures = {took[middle], took[late], paused[middle], paused[late]};
    free(took);
    return figures;
}

static void print_one(const char *phase, const char *name, double us)
{
    char full_name[60];
    snprintf(full_name, sizeof full_name, "%s_%s_us", phase, name);
    bench_detail(full_name, us);
}

/* Prints the figures and returns the median, in seconds, less `alone_us`. */
static double print_figures(const char *phase, struct figures figures, double alone_us)
{
    double median = figures.median - alone_us, p99 = figures.p99 - alone_us;
    printf("%-8s median %10.1f us, 99th percentile %10.1f us; pauses: %10.1f us, %10.1f us\n", phase, median, p99,
           figures.pause_median, figures.pause_p99);
    print_one(phase, "median", median);
    print_one(phase, "p99", p99);
    print_one(phase, "pause_median", figures.pause_median);
    print_one(phase, "pause_p99", figures.pause_p99);
    return median > 0 ? median * 1e-6 : 0;
}

static struct figures time_beside(size_t threads, bench_work *work, size_t count, bool *correct, uint64_t *sum)
{
    atomic_store(&done, false);
    if (pipe(pipe_ends) != 0 || pthread_barrier_init(&ready, NULL, (unsigned)threads + 1) != 0)
        abort();
    struct bench_threads others = bench_start_threads(threads, work);
    pthread_barrier_wait(&ready);
    nanosleep(&(struct timespec){.tv_nsec = 50000000},
              NULL); /* they are past the barrier, and asleep if they are to be */

    struct figures figures = time_collections(count);

    atomic_store(&done, true);
    close(pipe_ends[1]);
    *correct &= bench_join_threads(others, sum);
    close(pipe_ends[0]);
    pthread_barrier_destroy(&ready);
    return figures;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(COLLECTIONS);
    bool correct = true;
    uint64_t sum = 0;

    /* Whatever a collector starts along with the first thread is there afterwards. */
    time_beside(1, sleep_in_read, 1, &correct, &sum);

    struct figures alone = time_collections(count);
    print_figures("alone", alone, 0);
    print_figures("running", time_beside(RUNNING, run, count, &correct, &sum), alone.median);
    bench.seconds =
        print_figures("sleeping", time_beside(SLEEPING, sleep_in_read, count, &correct, &sum), alone.median);
    return bench_finish(correct, sum);
}
