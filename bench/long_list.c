/* long_list.c - one long list is built, with as much garbage alongside, and
 * walked after every quarter. The live data only grows: a collector that
 * collects too often while it does pays for it here. Marking a list leaves
 * nothing to do in parallel or ahead.
 */
#include "program.h"

enum { NODES = 10000000, QUARTERS = 4, GARBAGE_MAX = 64 };

struct node {
    struct node *next;
    uint64_t value;
};

static struct node *grow(struct node *list, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        unsigned char *garbage = bench_alloc_atomic(1 + bench_random_below(GARBAGE_MAX));
        garbage[0] = (unsigned char)i;
        struct node *node = bench_alloc(sizeof *node);
        node->value = i + (garbage[0] != (unsigned char)i);
        node->next = list;
        list = node;
        bench_free(garbage);
    }
    return list;
}

static uint64_t sum(const struct node *list)
{
    uint64_t total = 0;
    for (; list; list = list->next)
        total += list->value;
    return total;
}

static void free_list(struct node *list)
{
    while (list) {
        struct node *next = list->next;
        bench_free(list);
        list = next;
    }
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t quarter = bench_scaled(NODES / QUARTERS);

    struct node *list = NULL;
    bool correct = true;
    uint64_t checksum = 0;
    for (size_t i = 0; i < QUARTERS; i++) {
        list = grow(list, i * quarter, (i + 1) * quarter);
        size_t nodes = (i + 1) * quarter;
        uint64_t total = sum(list);
        correct &= total == (uint64_t)nodes * (nodes - 1) / 2;
        checksum = checksum * 31 + total;
    }
    if (BENCH_FREES)
        free_list(list);
    return bench_finish(correct, checksum);
}
