/* ordered_churn.c - a graph that lies in memory much as it was allocated: each
 * node has links to some of the nodes made just before it, as the nodes of a
 * parsed text or of a scene have. Each step takes out a stretch of consecutive
 * nodes and puts new ones in their place. The sibling of graph_churn, in whose
 * graph the nodes lie in no order.
 *
 * The links of those behind a stretch are turned to the new nodes in every
 * variant, so what malloc adds is the frees alone.
 */
#include "program.h"

enum { NODES = 200000, STEPS = 80000, LINKS = 4, REACH = 32, LONGEST_STRETCH = 256, LABEL_MAX = 48 };

struct node {
    struct node *links[LINKS];
    unsigned char back[LINKS]; /* links[i] is the node so many places before this one */
    char *label;               /* `id` characters modulo LABEL_MAX, all the same */
    size_t id;
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

/* The node that slots[at] is linked to; none before the first. */
static struct node *target(struct node **slots, size_t at, int link)
{
    size_t back = slots[at]->back[link];
    return back <= at ? slots[at - back] : NULL;
}

static void set_links(struct node **slots, size_t at)
{
    for (int i = 0; i < LINKS; i++)
        slots[at]->links[i] = target(slots, at, i);
}

static void put_node(struct node **slots, size_t at, size_t id)
{
    struct node *node = bench_alloc(sizeof *node);
    node->id = id;
    node->label = new_label(id);
    for (int i = 0; i < LINKS; i++)
        node->back[i] = (unsigned char)(1 + bench_random_below(REACH));
    slots[at] = node;
    set_links(slots, at);
}

static void take_node(struct node *node)
{
    bench_free(node->label);
    bench_free(node);
}

/* Replaces slots[from, to). */
static void replace_stretch(struct node **slots, size_t from, size_t to, size_t nodes, size_t *id)
{
    for (size_t at = from; at < to; at++)
        take_node(slots[at]);
    for (size_t at = from; at < to; at++)
        put_node(slots, at, (*id)++);
    for (size_t at = to; at < nodes && at < to + REACH; at++)
        set_links(slots, at);
}

static bool nodes_intact(struct node **slots, size_t nodes, uint64_t *checksum)
{
    for (size_t at = 0; at < nodes; at++) {
        if (!label_intact(slots[at]))
            return false;
        for (int i = 0; i < LINKS; i++) {
            const struct node *link = slots[at]->links[i];
            if (link != target(slots, at, i))
                return false;
            *checksum = *checksum * 31 + (link ? link->id : 0);
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t nodes = bench_scaled(NODES);
    size_t steps = bench_scaled(STEPS);

    struct node **slots = bench_alloc(nodes * sizeof *slots);
    size_t id = 0;
    for (size_t at = 0; at < nodes; at++)
        put_node(slots, at, id++);
    for (size_t step = 0; step < steps; step++) {
        size_t from = bench_random_below(nodes);
        size_t to = from + 1 + bench_random_below(LONGEST_STRETCH);
        replace_stretch(slots, from, to < nodes ? to : nodes, nodes, &id);
    }

    uint64_t checksum = 0;
    bool correct = nodes_intact(slots, nodes, &checksum);
    if (BENCH_FREES) {
        for (size_t at = 0; at < nodes; at++)
            take_node(slots[at]);
        bench_free(slots);
    }
    return bench_finish(correct, checksum);
}
