/* mark_list.c - times the full collection of one list of twenty million
 * 16-byte nodes, the last one allocated first. Each node is known only once the
 * one before it was read. The list is built with collections paused.
 */
#include "collection.h"

enum { NODES = 20000000 };

struct node {
    struct node *next;
    uint64_t number;
};

static struct node *root;

static struct node *build(size_t count)
{
    struct node *list = NULL;
    for (size_t i = 0; i < count; i++) {
        struct node *node = bench_alloc(sizeof *node);
        node->number = i;
        node->next = list;
        list = node;
    }
    return list;
}

static size_t count_intact(const struct node *list, size_t count)
{
    size_t intact = 0;
    for (; list; list = list->next)
        intact += list->number == --count;
    return intact;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(NODES);
    bench_pause_collecting();
    root = build(count);
    bench_resume_collecting();
    bench_time_collections();
    size_t intact = count_intact(root, count);
    return bench_finish(intact == count, intact);
}
