/* latency_forest.h - small trees, for the programs in which a forest of them lives: every
 * so many that are made take the place of another.
 */
#ifndef BENCH_LATENCY_FOREST_H
#define BENCH_LATENCY_FOREST_H

#include "latency.h"

_Static_assert(!BENCH_FREES, "malloc does not pause");

enum { TREE_DEPTH = 7, TREE_NODES = (1 << (TREE_DEPTH + 1)) - 1, PLANTED_EVERY = 16 };

struct node {
    struct node *left, *right;
    uint64_t number;
    uint64_t filler[5];
};

static inline struct node *new_tree(unsigned depth, uint64_t number)
{
    struct node *node = bench_alloc(sizeof *node);
    node->number = number;
    if (depth > 0) {
        node->left = new_tree(depth - 1, 2 * number);
        node->right = new_tree(depth - 1, 2 * number + 1);
    }
    return node;
}

static inline bool is_intact(const struct node *tree, unsigned depth, uint64_t number)
{
    if (tree == NULL || tree->number != number)
        return false;
    return depth == 0 ||
           (is_intact(tree->left, depth - 1, 2 * number) && is_intact(tree->right, depth - 1, 2 * number + 1));
}

#endif
