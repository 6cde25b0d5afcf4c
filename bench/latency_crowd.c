/* latency_crowd.c - a crowd: eight threads make small trees as fast as can be, beside a
 * forest of 256 MB that 64 MB of global data lead to, and two hundred threads sleep.
 * Each of the eight plants every sixteenth tree in a place of the forest that is its own.
 * latency.h says what is measured, of the first thread.
 *
 * With fewer than eight processors most of its gaps are those in which another ran; the
 * pauses that the collector tells of are not.
 */
#include "latency_forest.h"

#include <stdatomic.h>

#include "threads.h"

enum { MUTATORS = 8, SLEEPERS = 200, FOREST_BYTES = 256 << 20, PLACES = (64 << 20) / sizeof(void *) };

static struct node *place[PLACES]; /* every so many has a tree, and each thread a stretch of them */
static size_t trees, places_between;
static atomic_uint started;
static atomic_bool done; /* ends the others */
static int pipe_ends[2]; /* who sleeps reads from it until it is closed */

/* A stretch of the forest and numbers of its own. */
struct gardener {
    size_t first, trees;
    uint64_t random;
};

static struct gardener new_gardener(void)
{
    unsigned which = atomic_fetch_add(&started, 1);
    return (struct gardener){trees / MUTATORS * which, trees / MUTATORS, 88172645463325252 + which};
}

static void make_a_tree(struct gardener *gardener)
{
    struct node *tree = new_tree(TREE_DEPTH, 1);
    gardener->random = gardener->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    uint64_t drawn = gardener->random >> 32;
    if (drawn % PLANTED_EVERY == 0)
        place[(gardener->first + drawn / PLANTED_EVERY % gardener->trees) * places_between] = tree;
}

static bool work(uint64_t *sum)
{
    struct gardener gardener = new_gardener();
    while (!atomic_load_explicit(&done, memory_order_relaxed))
        make_a_tree(&gardener);
    *sum = 0;
    return true;
}

static bool sleep_until_the_end(uint64_t *sum)
{
    char byte;
    *sum = 0;
    return read(pipe_ends[0], &byte, 1) == 0;
}

int main(int argc, char **argv)
{
    latency_start(argc, argv);
    trees = bench_scaled(FOREST_BYTES / (TREE_NODES * sizeof(struct node)));
    places_between = PLACES / (trees + 1);
    if (trees < MUTATORS || places_between == 0 || pipe(pipe_ends) != 0)
        return 2;
    for (size_t i = 0; i < trees; i++)
        place[i * places_between] = new_tree(TREE_DEPTH, 1);

    struct bench_threads sleepers = bench_start_threads(SLEEPERS, sleep_until_the_end);
    struct gardener gardener = new_gardener();
    struct bench_threads mutators = bench_start_threads(MUTATORS - 1, work);
    while (latency_goes_on())
        make_a_tree(&gardener);

    uint64_t sum = 0;
    atomic_store(&done, true);
    close(pipe_ends[1]);
    bool correct = bench_join_threads(mutators, &sum);
    correct &= bench_join_threads(sleepers, &sum);
    for (size_t i = 0; i < trees; i++)
        correct &= is_intact(place[i * places_between], TREE_DEPTH, 1);
    return latency_finish(correct, trees);
}
