/* binary_trees.h - the work of binary_trees.c, for one thread or for several.
 */
#ifndef BENCH_BINARY_TREES_H
#define BENCH_BINARY_TREES_H

#include "program.h"

enum { MAX_DEPTH = 18, MIN_DEPTH = 4 };

struct tree {
    struct tree *left, *right;
};

static struct tree *build(unsigned depth)
{
    struct tree *tree = bench_alloc(sizeof *tree);
    if (depth > 0) {
        tree->left = build(depth - 1);
        tree->right = build(depth - 1);
    }
    return tree;
}

static size_t count(const struct tree *tree)
{
    return tree->left ? 1 + count(tree->left) + count(tree->right) : 1;
}

static void free_tree(struct tree *tree)
{
    if (tree->left) {
        free_tree(tree->left);
        free_tree(tree->right);
    }
    bench_free(tree);
}

static size_t count_and_drop(struct tree *tree)
{
    size_t nodes = count(tree);
    if (BENCH_FREES)
        free_tree(tree);
    return nodes;
}

static size_t tree_size(unsigned depth)
{
    return ((size_t)2 << depth) - 1;
}

/* Sets *total to the number of nodes walked. Returns whether all trees were
 * whole. */
static bool binary_trees(uint64_t *total)
{
    unsigned max_depth = bench_scaled_depth(MAX_DEPTH);

    size_t stretch = count_and_drop(build(max_depth + 1));
    bool correct = stretch == tree_size(max_depth + 1);

    struct tree *long_lived = build(max_depth);
    *total = stretch;
    for (unsigned depth = MIN_DEPTH; depth <= max_depth; depth += 2) {
        size_t trees = (size_t)1 << (max_depth - depth + MIN_DEPTH);
        size_t nodes = 0;
        for (size_t i = 0; i < trees; i++)
            nodes += count_and_drop(build(depth));
        correct &= nodes == trees * tree_size(depth);
        *total += nodes;
    }
    return correct & (count_and_drop(long_lived) == tree_size(max_depth));
}

#endif
