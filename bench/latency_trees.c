/* latency_trees.c - how long a program waits for its collector. A forest of 1 GiB
 * lives; one thread makes small trees as fast as it can, and in each sixteenth step
 * plants one in place of another of the forest. Each step is timed.
 *
 * Reports the longest step beside the longest of a loop that only reads the clock for
 * as long (what the machine itself does to a thread), and the median and the longest
 * of the pauses, as the collector counts them: several within one step count as one.
 *
 * Optional arguments: the scale, and seconds.
 */
#include "program.h"

_Static_assert(!BENCH_FREES, "malloc does not pause");

enum { FOREST_BYTES = 1 << 30, TREE_DEPTH = 7, TREE_NODES = (1 << (TREE_DEPTH + 1)) - 1, MAX_PAUSES = 1 << 16 };
enum { LONG_STEP_NS = 20000, SETTLING_SHARE = 4 };

struct node {
    struct node *left, *right;
    uint64_t number;
    uint64_t filler[5];
};

static struct node *new_tree(unsigned depth, uint64_t number)
{
    struct node *node = bench_alloc(sizeof *node);
    node->number = number;
    if (depth > 0) {
        node->left = new_tree(depth - 1, 2 * number);
        node->right = new_tree(depth - 1, 2 * number + 1);
    }
    return node;
}

static bool is_intact(const struct node *tree, unsigned depth, uint64_t number)
{
    if (tree == NULL || tree->number != number)
        return false;
    return depth == 0 ||
           (is_intact(tree->left, depth - 1, 2 * number) && is_intact(tree->right, depth - 1, 2 * number + 1));
}

static double pauses_us[MAX_PAUSES];
static size_t pause_count;
static uint64_t pause_total_ns;

/* Called after long steps alone, so that it costs nothing. */
static void note_pause(void)
{
    struct bench_counters counters = bench_counters();
    if (counters.pause_total_ns != pause_total_ns && pause_count < MAX_PAUSES)
        pauses_us[pause_count++] = (double)(counters.pause_total_ns - pause_total_ns) / 1e3;
    pause_total_ns = counters.pause_total_ns;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double longest_gap_ms(double seconds)
{
    uint64_t start_ns = bench_now_ns(), last_ns = start_ns, longest_ns = 0, now_ns;
    while ((now_ns = bench_now_ns()) - start_ns < (uint64_t)(seconds * 1e9)) {
        longest_ns = now_ns - last_ns > longest_ns ? now_ns - last_ns : longest_ns;
        last_ns = now_ns;
    }
    return (double)longest_ns / 1e6;
}

static struct node **forest;
static size_t trees, steps;
static double longest_step_ms;

static void make_steps(double seconds, bool settled)
{
    uint64_t start_ns = bench_now_ns(), last_ns = start_ns, now_ns;
    while ((now_ns = bench_now_ns()) - start_ns < (uint64_t)(seconds * 1e9)) {
        if (now_ns - last_ns > LONG_STEP_NS && settled)
            note_pause();
        if (settled && (double)(now_ns - last_ns) / 1e6 > longest_step_ms)
            longest_step_ms = (double)(now_ns - last_ns) / 1e6;
        last_ns = bench_now_ns();
        struct node *tree = new_tree(TREE_DEPTH, 1);
        if (steps++ % 16 == 0)
            forest[bench_random_below(trees)] = tree;
    }
}

int main(int argc, char **argv)
{
    size_t seconds = 4;
    bench_start_with(argc, argv, ", seconds", &seconds, 1);

    trees = bench_scaled(FOREST_BYTES / (TREE_NODES * sizeof(struct node)));
    forest = bench_alloc(trees * sizeof *forest);
    for (size_t i = 0; i < trees; i++)
        forest[i] = new_tree(TREE_DEPTH, 1);
    make_steps((double)seconds / SETTLING_SHARE, false);
    pause_total_ns = bench_counters().pause_total_ns;
    steps = 0;
    make_steps((double)seconds, true);

    bool correct = true;
    for (size_t i = 0; i < trees; i++)
        correct &= is_intact(forest[i], TREE_DEPTH, 1);
    qsort(pauses_us, pause_count, sizeof *pauses_us, compare);
    bench_detail("steps_per_ms", (double)steps / (double)seconds / 1e3);
    bench_detail("longest_step_ms", longest_step_ms);
    bench_detail("longest_gap_of_nothing_ms", longest_gap_ms((double)seconds / SETTLING_SHARE));
    bench_detail("pauses", (double)pause_count);
    bench_detail("pause_median_us", pause_count > 0 ? pauses_us[pause_count / 2] : 0);
    bench_detail("pause_longest_us", pause_count > 0 ? pauses_us[pause_count - 1] : 0);
    bench.seconds = (double)seconds;
    return bench_finish(correct, trees);
}
