/* gcbench.h - the work of gcbench.c, for one thread or for several.
 */
#ifndef BENCH_GCBENCH_H
#define BENCH_GCBENCH_H

#include "program.h"

enum { STRETCH_DEPTH = 20, LONG_LIVED_DEPTH = 18, MIN_DEPTH = 4, ARRAY_LENGTH = 500000 };

struct node {
    struct node *left, *right;
    int32_t i, j;
};

static struct node *new_node(struct node *left, struct node *right)
{
    struct node *node = bench_alloc(sizeof *node);
    node->left = left;
    node->right = right;
    return node;
}

static void populate(struct node *node, unsigned depth)
{
    if (depth == 0)
        return;
    node->left = new_node(NULL, NULL);
    node->right = new_node(NULL, NULL);
    populate(node->left, depth - 1);
    populate(node->right, depth - 1);
}

static struct node *top_down(unsigned depth)
{
    struct node *root = new_node(NULL, NULL);
    populate(root, depth);
    return root;
}

static struct node *bottom_up(unsigned depth)
{
    if (depth == 0)
        return new_node(NULL, NULL);
    struct node *left = bottom_up(depth - 1);
    struct node *right = bottom_up(depth - 1);
    return new_node(left, right);
}

static size_t tree_size(unsigned depth)
{
    return ((size_t)2 << depth) - 1;
}

static size_t count(const struct node *node)
{
    return node ? 1 + count(node->left) + count(node->right) : 0;
}

static void free_tree(struct node *node)
{
    if (!node)
        return;
    free_tree(node->left);
    free_tree(node->right);
    bench_free(node);
}

static void drop(struct node *tree)
{
    if (BENCH_FREES)
        free_tree(tree);
}

/* As many trees as make up two stretch trees; true when the last is whole. */
static bool build_and_drop(struct node *(*build)(unsigned), unsigned depth, unsigned stretch_depth)
{
    size_t trees = 2 * tree_size(stretch_depth) / tree_size(depth);
    for (size_t i = 1; i < trees; i++)
        drop(build(depth));
    struct node *last = build(depth);
    bool whole = count(last) == tree_size(depth);
    drop(last);
    return whole;
}

static double *new_array(void)
{
    double *array = bench_alloc_atomic(ARRAY_LENGTH * sizeof *array);
    for (size_t i = 0; i < ARRAY_LENGTH; i++)
        array[i] = 1.0 / (double)(i + 1);
    return array;
}

static bool array_intact(const double *array)
{
    for (size_t i = 0; i < ARRAY_LENGTH; i++)
        if (array[i] != 1.0 / (double)(i + 1))
            return false;
    return true;
}

/* Out of the function that keeps the long-lived objects: a dead spill slot in its
 * frame would keep the stretch tree for a conservative collector. */
static __attribute__((noinline)) void stretch(unsigned depth)
{
    drop(bottom_up(depth));
}

/* Sets *nodes to the size of the long-lived tree at the end. Returns whether
 * everything was whole. */
static bool gcbench(uint64_t *nodes)
{
    unsigned stretch_depth = bench_scaled_depth(STRETCH_DEPTH);
    unsigned long_lived_depth = bench_scaled_depth(LONG_LIVED_DEPTH);

    stretch(stretch_depth);

    struct node *long_lived = top_down(long_lived_depth);
    double *array = new_array();

    bool correct = true;
    for (unsigned depth = MIN_DEPTH; depth <= long_lived_depth; depth += 2) {
        correct &= build_and_drop(top_down, depth, stretch_depth);
        correct &= build_and_drop(bottom_up, depth, stretch_depth);
    }

    *nodes = count(long_lived);
    correct &= *nodes == tree_size(long_lived_depth) && array_intact(array);
    drop(long_lived);
    bench_free(array);
    return correct;
}

#endif
