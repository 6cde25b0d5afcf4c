/* graph_churn.c - an undirected random graph whose nodes come and go: each step
 * takes a node out, with its edges, and puts a new one in, tied to random
 * others. The survivors are of every age and lie in no order.
 *
 * Taking a node out unlinks it from its neighbours in every variant, so what
 * malloc adds is the frees alone.
 */
#include "program.h"

enum { NODES = 100000, STEPS = 2000000, NEW_EDGES = 2, LABEL_MAX = 48 };

struct edge {
    struct edge *next;
    struct node *to;
};

struct node {
    struct edge *edges;
    char *label; /* `id` characters modulo LABEL_MAX, all the same */
    size_t id;
    size_t degree;
};

static char *new_label(size_t id)
{
    size_t length = id % LABEL_MAX;
    char *label = bench_alloc_atomic(length + 1);
    memset(label, (int)('a' + id % 26), length);
    label[length] = '\0';
    return label;
}

static bool label_intact(const struct node *node)
{
    size_t length = strlen(node->label);
    return length == node->id % LABEL_MAX && (length == 0 || node->label[length - 1] == (char)('a' + node->id % 26));
}

static void add_edge(struct node *from, struct node *to)
{
    struct edge *edge = bench_alloc(sizeof *edge);
    edge->to = to;
    edge->next = from->edges;
    from->edges = edge;
    from->degree++;
}

static void remove_edge(struct node *from, const struct node *to)
{
    struct edge **link = &from->edges;
    while ((*link)->to != to)
        link = &(*link)->next;
    struct edge *edge = *link;
    *link = edge->next;
    from->degree--;
    bench_free(edge);
}

/* Puts a new node into slots[at], tied to NEW_EDGES of slots[0, others). */
static void put_node(struct node **slots, size_t at, size_t others, size_t id)
{
    struct node *node = bench_alloc(sizeof *node);
    node->id = id;
    node->label = new_label(id);
    slots[at] = node;
    for (int i = 0; i < NEW_EDGES && others > 0; i++) {
        struct node *other = slots[bench_random_below(others)];
        if (other != node) {
            add_edge(node, other);
            add_edge(other, node);
        }
    }
}

static void take_node(struct node *node)
{
    while (node->edges) {
        struct edge *edge = node->edges;
        remove_edge(edge->to, node);
        node->edges = edge->next;
        bench_free(edge);
    }
    bench_free(node->label);
    bench_free(node);
}

/* Counts the edges on the way; false when a node is not what it was made. */
static bool nodes_intact(struct node **slots, size_t nodes, uint64_t *checksum)
{
    for (size_t i = 0; i < nodes; i++) {
        size_t degree = 0;
        for (const struct edge *edge = slots[i]->edges; edge; edge = edge->next) {
            *checksum = *checksum * 31 + edge->to->id;
            degree++;
        }
        if (degree != slots[i]->degree || !label_intact(slots[i]))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t nodes = bench_scaled(NODES);
    size_t steps = bench_scaled(STEPS);

    struct node **slots = bench_alloc(nodes * sizeof *slots);
    for (size_t i = 0; i < nodes; i++)
        put_node(slots, i, i, i);
    for (size_t step = 0; step < steps; step++) {
        size_t at = bench_random_below(nodes);
        take_node(slots[at]);
        put_node(slots, at, nodes, nodes + step);
    }

    uint64_t checksum = 0;
    bool correct = nodes_intact(slots, nodes, &checksum);
    if (BENCH_FREES) {
        for (size_t i = 0; i < nodes; i++)
            take_node(slots[i]);
        bench_free(slots);
    }
    return bench_finish(correct, checksum);
}
