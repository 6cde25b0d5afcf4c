/* at_limit.c - a program whose live data are 70 % of what it may have: binary trees
 * in slots, of which one at random is replaced each time, and eight are looked
 * through. Under the soft limit, the hard limit, and RLIMIT_AS, with collections that
 * always stop the program and with those of the default, each in a process of its own.
 * Prints what part of the time the program stood, and how long other threads ran as a
 * part of it: collections take the sum. And the most that was held. Broom only.
 */
#include "program.h"

#include <broom/limit.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIMIT_MIB = 256,
    LEAST_MIB = 16,
    LIVE_PERCENT = 70,
    DEPTH = 8,
    NODES = (2 << DEPTH) - 1,
    TURNOVERS = 4,
    LOOKS = 8 /* 0: nothing but allocation */
};

struct node {
    struct node *left, *right;
    uint64_t number, padding;
};

struct figures {
    double seconds, stood, beside, held_mib;
    bool correct;
};

enum mode { STOPPED, BESIDE, MODES };
static const char *const mode_names[MODES] = {"stopped", "beside"};

enum sort { SOFT, HARD, ADDRESS_SPACE, SORTS };
static const char *const names[SORTS] = {"soft", "hard", "rlimit"};

static struct node *new_tree(unsigned depth, uint64_t number)
{
    struct node *node = bench_alloc(sizeof *node);
    node->number = number;
    if (depth > 0) {
        node->left = new_tree(depth - 1, number);
        node->right = new_tree(depth - 1, number);
    }
    return node;
}

static size_t count(const struct node *node, uint64_t number)
{
    return node ? (node->number == number) + count(node->left, number) + count(node->right, number) : 0;
}

/* Returns how many bytes may be held. */
static size_t set_limit(enum sort sort, enum mode mode)
{
    size_t mib = bench_scaled(LIMIT_MIB), bytes = (mib > LEAST_MIB ? mib : LEAST_MIB) << 20;
    struct rlimit limit = {2 * bytes, 2 * bytes};
    struct gc_stats stats;
    if (sort == ADDRESS_SPACE && setrlimit(RLIMIT_AS, &limit) != 0)
        abort();
    if (mode == STOPPED)
        setenv("BROOM_PAUSE_TARGET_US", "never", 1);
    bench_init();
    gc_set_memory_limit(sort == SOFT ? bytes : 0);
    if (sort == HARD && gc_set_hard_limit(bytes) != 0)
        abort();
    gc_get_stats(&stats, sizeof stats);
    return sort == ADDRESS_SPACE ? (size_t)stats.reserved_bytes / 16 * 15 : bytes;
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* That threads other than this one have run. */
static double seconds_beside(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

static struct figures run(enum sort sort, enum mode mode)
{
    size_t slots = set_limit(sort, mode) / 100 * LIVE_PERCENT / (NODES * sizeof(struct node));
    struct node **slot = bench_alloc(slots * sizeof *slot);
    struct figures figures = {.correct = true};
    struct gc_stats before, after;
    for (size_t i = 0; i < slots; i++)
        slot[i] = new_tree(DEPTH, i);
    gc_get_stats(&before, sizeof before);
    double beside = seconds_beside();
    uint64_t start_ns = bench_now_ns();
    for (size_t i = 0; i < TURNOVERS * slots; i++) {
        size_t at = bench_random_below(slots);
        slot[at] = new_tree(DEPTH, at);
        for (int look = 0; look < LOOKS; look++) {
            at = bench_random_below(slots);
            figures.correct &= count(slot[at], at) == NODES;
        }
    }
    figures.seconds = (double)(bench_now_ns() - start_ns) * 1e-9;
    gc_get_stats(&after, sizeof after);
    figures.beside = (seconds_beside() - beside) / figures.seconds;
    figures.stood = (double)(after.pause_total_ns - before.pause_total_ns) * 1e-9 / figures.seconds;
    figures.held_mib = (double)(after.heap_peak_bytes + after.metadata_bytes) / (1 << 20);
    for (size_t i = 0; i < slots; i++)
        figures.correct &= count(slot[i], i) == NODES;
    return figures;
}

static struct figures run_in_child(enum sort sort, enum mode mode)
{
    struct figures figures = {0};
    int pipe_ends[2], status;
    if (pipe(pipe_ends) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        figures = run(sort, mode);
        if (write(pipe_ends[1], &figures, sizeof figures) != (ssize_t)sizeof figures)
            abort();
        _exit(0);
    }
    close(pipe_ends[1]);
    if (read(pipe_ends[0], &figures, sizeof figures) != (ssize_t)sizeof figures)
        figures.correct = false;
    close(pipe_ends[0]);
    waitpid(child, &status, 0);
    figures.correct &= status == 0;
    return figures;
}

/* The children start the allocator. */
int main(int argc, char **argv)
{
    bool correct = true;
    bench.seconds = 0;
    if (argc > 1)
        bench.scale = strtod(argv[1], NULL);
    for (unsigned i = 0; i < SORTS * MODES; i++) {
        enum sort sort = i % SORTS;
        enum mode mode = i / SORTS;
        struct figures figures = run_in_child(sort, mode);
        char name[60];
        printf("%-6s %-7s %6.2f s, the program stood for %3.0f %% of them, others ran for %3.0f %%, at most %6.1f MiB "
               "held\n",
               names[sort], mode_names[mode], figures.seconds, 100 * figures.stood, 100 * figures.beside,
               figures.held_mib);
        snprintf(name, sizeof name, "%s_%s_stood_percent", names[sort], mode_names[mode]);
        bench_detail(name, 100 * figures.stood);
        snprintf(name, sizeof name, "%s_%s_beside_percent", names[sort], mode_names[mode]);
        bench_detail(name, 100 * figures.beside);
        snprintf(name, sizeof name, "%s_%s_held_mib", names[sort], mode_names[mode]);
        bench_detail(name, figures.held_mib);
        bench.seconds += figures.seconds;
        correct &= figures.correct;
    }
    return bench_finish(correct, LIVE_PERCENT);
}
