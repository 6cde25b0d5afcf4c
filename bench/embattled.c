/* embattled.c - two structures that one stale word turns into a leak without
 * bound. See Boehm, "Bounding space usage of conservative garbage collectors",
 * POPL 2002, and Wentworth, "Pitfalls of conservative garbage collection", 1990.
 *
 * queue  A first-in-first-out queue of 1000 links, moved along ten million
 *        times. A link that was taken out still points at the next one, so
 *        that a stale word that holds any old link holds all that came later.
 * cells  Twenty live cells, each of which once pointed at a list of a million
 *        nodes. The word was overwritten, the list is dead; a stale word that
 *        holds its head holds all of it.
 *
 * A recursive function that looks at the newest object leaves words behind on
 * the stack, as real programs do. The memory must stay bounded: the program
 * fails when its resident size ever was above the bound.
 */
#include <sys/resource.h>

#include "program.h"

enum {
    QUEUE_LENGTH = 1000,
    QUEUE_STEPS = 10000000,
    CELLS = 20,
    LIST_NODES = 1000000,
    LOOK_EVERY = 50000, /* steps of the queue */
    LOOK_DEPTH = 40
};

/* A list of a million 32-byte nodes is 32 MB, and one is alive at a time. All
 * that ever dies is 640 MB and more. */
#define BOUND_BYTES ((size_t)256 << 20)

struct link {
    struct link *next;
    uint64_t number;
};

struct cell {
    struct cell *next;
    struct link *list; /* once a million nodes, then none */
    uint64_t sum;
};

/* Leaves `link` in LOOK_DEPTH dead frames. */
static __attribute__((noinline)) uint64_t look(struct link *volatile link, int depth)
{
    struct link *volatile stale[4] = {link, link, link, link};
    return depth == 0 ? stale[0]->number : look(stale[3], depth - 1) + (stale[1] != stale[2]);
}

static struct link *new_link(uint64_t number)
{
    struct link *link = bench_alloc(sizeof *link);
    link->number = number;
    return link;
}

/* Moves the queue along; true when the links came out in order. */
static bool run_queue(size_t steps)
{
    struct link *head = new_link(0);
    struct link *tail = head;
    bool correct = true;
    for (uint64_t number = 1; number < steps + QUEUE_LENGTH; number++) {
        tail->next = new_link(number);
        tail = tail->next;
        if (number < QUEUE_LENGTH)
            continue;
        struct link *out = head;
        head = head->next;
        correct &= out->number == number - QUEUE_LENGTH;
        bench_free(out);
        if (number % LOOK_EVERY == 0)
            correct &= look(head, LOOK_DEPTH) == head->number;
    }
    while (BENCH_FREES && head) {
        struct link *next = head->next;
        bench_free(head);
        head = next;
    }
    return correct;
}

static struct link *new_list(size_t nodes)
{
    struct link *list = NULL;
    for (uint64_t number = 0; number < nodes; number++) {
        struct link *link = new_link(number);
        link->next = list;
        list = link;
    }
    return list;
}

static uint64_t sum_and_drop(struct link *list)
{
    uint64_t sum = 0;
    while (list) {
        struct link *next = list->next;
        sum += list->number;
        bench_free(list);
        list = next;
    }
    return sum;
}

/* Returns the sum over the cells, which is that over their lists. */
static uint64_t run_cells(size_t nodes)
{
    struct cell *cells = NULL;
    for (int i = 0; i < CELLS; i++) {
        struct cell *cell = bench_alloc(sizeof *cell);
        cell->next = cells;
        cells = cell;
        cell->list = new_list(nodes);
        cell->sum = look(cell->list, LOOK_DEPTH) - (nodes - 1);
        cell->sum += sum_and_drop(cell->list);
        cell->list = NULL;
    }
    uint64_t sum = 0;
    while (cells) {
        struct cell *next = cells->next;
        sum += cells->sum;
        bench_free(cells);
        cells = next;
    }
    return sum;
}

static size_t resident_peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    bool correct = run_queue(bench_scaled(QUEUE_STEPS));
    size_t nodes = bench.scale < 1 ? bench_scaled(LIST_NODES) : LIST_NODES; /* larger lists: a larger bound */
    uint64_t sum = run_cells(nodes);
    correct &= sum == CELLS * ((uint64_t)nodes * (nodes - 1) / 2);

    size_t peak = resident_peak_bytes();
    if (peak > BOUND_BYTES) {
        fprintf(stderr, "memory is not bounded: %zu MiB\n", peak >> 20);
        correct = false;
    }
    return bench_finish(correct, sum);
}
