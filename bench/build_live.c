/* build_live.c - a program that fills its memory and keeps it: from an empty
 * heap to 1 GB of live trees of 64-byte nodes. There is no garbage at all,
 * so a collection is wasted, and a heap that grows in small steps has many.
 * Only the building is timed.
 */
#include "program.h"

enum { TREES = 4096, DEPTH = 11 }; /* a tree has 4095 nodes */

struct node {
    struct node *left, *right;
    uint64_t number; /* the root's is its tree's; below, as in a heap: 2 n and 2 n + 1 */
    uint64_t payload[5];
};
_Static_assert(sizeof(struct node) == 64, "in the documentation");

static struct node *build(uint64_t number, unsigned depth)
{
    struct node *node = bench_alloc(sizeof *node);
    node->number = number;
    for (size_t i = 0; i < sizeof node->payload / sizeof *node->payload; i++)
        node->payload[i] = number * i;
    if (depth > 0) {
        node->left = build(2 * number, depth - 1);
        node->right = build(2 * number + 1, depth - 1);
    }
    return node;
}

/* Adds the numbers of all nodes that are as they were built to *sum. Returns how many they are. */
static size_t count_intact(const struct node *node, uint64_t number, uint64_t *sum)
{
    if (!node || node->number != number)
        return 0;
    for (size_t i = 0; i < sizeof node->payload / sizeof *node->payload; i++)
        if (node->payload[i] != number * i)
            return 0;
    *sum += number;
    return 1 + count_intact(node->left, 2 * number, sum) + count_intact(node->right, 2 * number + 1, sum);
}

static void free_tree(struct node *node)
{
    if (!node)
        return;
    free_tree(node->left);
    free_tree(node->right);
    bench_free(node);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(TREES);

    uint64_t start_ns = bench_now_ns();
    struct node **trees = bench_alloc(count * sizeof *trees);
    for (size_t i = 0; i < count; i++)
        trees[i] = build(i + 1, DEPTH);
    bench.seconds = (double)(bench_now_ns() - start_ns) * 1e-9;

    size_t intact = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        intact += count_intact(trees[i], i + 1, &sum);
    for (size_t i = 0; BENCH_FREES && i < count; i++)
        free_tree(trees[i]);
    bench_free(trees);
    return bench_finish(intact == count * ((2 << DEPTH) - 1), sum);
}
