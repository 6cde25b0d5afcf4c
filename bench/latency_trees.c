/* latency_trees.c - trees with churn: a forest of 1 GiB lives; small trees are made as
 * fast as can be, and each sixteenth is planted in place of another of the forest.
 * latency.h says what is measured.
 */
#include "latency_forest.h"

enum { FOREST_BYTES = 1 << 30 };

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
