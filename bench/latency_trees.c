/* latency_trees.c - trees with churn: a forest of 1 GiB lives; small trees are made as
 * fast as can be, and each sixteenth is planted in place of another of the forest.
 * latency.h says what is measured.
 */
#include "latency.h"

_Static_assert(!BENCH_FREES, "malloc does not pause");

enum { FOREST_BYTES = 1 << 30, TREE_DEPTH = 7, TREE_NODES = (1 << (TREE_DEPTH + 1)) - 1, PLANTED_EVERY = 16 };

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

int main(int argc, char **argv)
{
    latency_start(argc, argv);
    size_t trees = bench_scaled(FOREST_BYTES / (TREE_NODES * sizeof(struct node)));
    struct node **forest = bench_alloc(trees * sizeof *forest);
    for (size_t i = 0; i < trees; i++)
        forest[i] = new_tree(TREE_DEPTH, 1);

    while (latency_goes_on()) {
        struct node *tree = new_tree(TREE_DEPTH, 1);
        if (latency.steps % PLANTED_EVERY == 0)
            forest[bench_random_below(trees)] = tree;
    }

    bool correct = true;
    for (size_t i = 0; i < trees; i++)
        correct &= is_intact(forest[i], TREE_DEPTH, 1);
    return latency_finish(correct, trees);
}
