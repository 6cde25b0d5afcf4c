/* mark_graph.c - times the full collection of a random graph: two million
 * nodes of 64 bytes, each with four edges to random others and a pointer-free
 * label. Nearly every edge is a cache miss.
 *
 * The first edges form one cycle through all nodes, in random order: so all
 * are reachable from one root, and can be counted. The graph is built with
 * collections paused.
 */
#include "collection.h"

enum { NODES = 2000000, EDGES = 4, LABEL_LEAST = 8, LABEL_MOST = 40 };

struct node {
    struct node *edges[EDGES];
    char *label;
    uint64_t number;
    uint64_t unused[2];
};
_Static_assert(sizeof(struct node) == 64, "the node is one cache line");

static struct node *root;

static size_t label_length(uint64_t number)
{
    return LABEL_LEAST + number * 7 % (LABEL_MOST - LABEL_LEAST);
}

static char *new_label(uint64_t number)
{
    size_t length = label_length(number);
    char *label = bench_alloc_atomic(length + 1);
    memset(label, (int)('a' + number % 26), length);
    label[length] = '\0';
    return label;
}

static struct node *new_node(uint64_t number)
{
    struct node *node = bench_alloc(sizeof *node);
    node->number = number;
    node->label = new_label(number);
    return node;
}

static void shuffle(struct node **nodes, size_t count)
{
    for (size_t i = count - 1; i > 0; i--) {
        size_t other = bench_random_below(i + 1);
        struct node *node = nodes[i];
        nodes[i] = nodes[other];
        nodes[other] = node;
    }
}

static struct node *build(size_t count)
{
    struct node **nodes = malloc(count * sizeof *nodes); /* out of the collector's sight */
    if (!nodes)
        abort();
    for (size_t i = 0; i < count; i++)
        nodes[i] = new_node(i);
    shuffle(nodes, count);
    for (size_t i = 0; i < count; i++) {
        nodes[i]->edges[0] = nodes[(i + 1) % count];
        for (int edge = 1; edge < EDGES; edge++)
            nodes[i]->edges[edge] = nodes[bench_random_below(count)];
    }
    struct node *first = nodes[0];
    free(nodes);
    return first;
}

/* Goes once around the cycle. Returns the number of nodes that are whole. */
static size_t count_intact(const struct node *first)
{
    size_t count = 0;
    const struct node *node = first;
    do {
        size_t length = label_length(node->number);
        if (strlen(node->label) == length && node->label[length - 1] == (char)('a' + node->number % 26))
            count++;
        node = node->edges[0];
    } while (node != first);
    return count;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(NODES);
    bench_pause_collecting();
    root = build(count);
    bench_resume_collecting();
    bench_time_collections();
    size_t intact = count_intact(root);
    return bench_finish(intact == count, intact);
}
