/* mark_layouts.c - times full collections of random graphs in which half of each
 * object is pointers and half is data: as the collector finds it, and with layouts.
 * One million objects of 128 bytes, every other word a pointer; then with all
 * pointers in front.
 */
#include "attach.h"

enum { NODES = 1000000, WORDS = 16, EDGES = WORDS / 2 };

/* `stride` 2: every other word is a pointer; 1: the first half. */
static void **nodes;
static size_t made;

static void *new_node(bool typed)
{
    return typed ? bench_new_typed(WORDS * sizeof(uintptr_t)) : bench_alloc(WORDS * sizeof(uintptr_t));
}

static size_t build(size_t count, size_t stride, bool typed)
{
    size_t sum = 0;
    bench_pause_collecting();
    for (size_t i = 0; i < count; i++)
        nodes[i] = new_node(typed);
    for (size_t i = 0; i < count; i++) {
        uintptr_t *word = nodes[i];
        for (size_t w = 0; w < WORDS; w++)
            word[w] = bench_random() >> 1; /* no addresses, as numbers are */
        for (size_t e = 0; e < EDGES; e++)
            word[e * stride] = (uintptr_t)nodes[bench_random_below(count)];
        sum += word[WORDS - 1];
    }
    bench_resume_collecting();
    return sum;
}

static double measure(const char *name, size_t count, size_t stride, bool typed)
{
    made += build(count, stride, typed) != 0;
    printf("%s: ", name);
    bench_time_collections();
    bench_detail(name, bench.seconds * 1e3);
    memset(nodes, 0, count * sizeof *nodes);
    bench_collect();
    bench_collect();
    return bench.seconds;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(NODES);
    nodes = bench_alloc(count * sizeof *nodes);
    measure("mixed_ms", count, 2, false);
    bench_set_layout(WORDS * sizeof(uintptr_t), UINT64_C(0x5555));
    double mixed = measure("mixed_layout_ms", count, 2, true);
    measure("front_ms", count, 1, false);
    bench_set_layout(WORDS * sizeof(uintptr_t), UINT64_C(0x00ff));
    bench.seconds = mixed + measure("front_layout_ms", count, 1, true);
    return bench_finish(made == 4, made);
}
