/* mark_layouts.c - times full collections of heaps in which half of each object is
 * pointers and half is data: as the collector finds it, and with layouts.
 *
 *   mixed   a million objects of 128 bytes in a random graph, every other word a pointer
 *   front   the same, with all pointers in front
 *   nodes   half a million of 256 bytes, as those of B-trees are, children in front: a
 *           tree in order of allocation
 *   wide    125 000 of a kilobyte in a random graph, all pointers in front
 */
#include "attach.h"

enum { NODES = 1000000, WORDS_MAX = 128 };

struct heap {
    const char *name, *name_with_layout; /* as the figures are called */
    size_t share;                        /* of NODES, in thousandths */
    size_t words;                        /* of an object */
    size_t stride;                       /* from pointer to pointer */
    bool tree;
};

static const struct heap heaps[] = {
    {"mixed_ms", "mixed_layout_ms", 1000, 16, 2, false},
    {"front_ms", "front_layout_ms", 1000, 16, 1, false},
    {"nodes_ms", "nodes_layout_ms", 500, 32, 1, true},
    {"wide_ms", "wide_layout_ms", 125, 128, 1, false},
};

static void **nodes;
static size_t made;

static void *target(const struct heap *heap, size_t from, size_t edge, size_t count)
{
    size_t child = from * (heap->words / 2) + edge + 1;

    if (!heap->tree)
        return nodes[bench_random_below(count)];
    return child < count ? nodes[child] : NULL;
}

static size_t build(const struct heap *heap, size_t count, bool typed)
{
    size_t bytes = heap->words * sizeof(uintptr_t), sum = 0;

    bench_pause_collecting();
    for (size_t i = 0; i < count; i++)
        nodes[i] = typed ? bench_new_typed(bytes) : bench_alloc(bytes);
    for (size_t i = 0; i < count; i++) {
        uintptr_t *word = nodes[i];
        for (size_t w = 0; w < heap->words; w++)
            word[w] = bench_random() >> 1; /* no addresses, as numbers are */
        for (size_t e = 0; e < heap->words / 2; e++)
            word[e * heap->stride] = (uintptr_t)target(heap, i, e, count);
        sum += word[heap->words - 1];
    }
    bench_resume_collecting();
    return sum;
}

static double measure(const struct heap *heap, const char *name, bool typed)
{
    size_t count = bench_scaled(NODES / 1000 * heap->share);

    made += build(heap, count, typed) != 0;
    printf("%s: ", name);
    bench_time_collections();
    bench_detail(name, bench.seconds * 1e3);
    memset(nodes, 0, count * sizeof *nodes);
    bench_collect();
    bench_collect();
    return bench.seconds;
}

static double measure_both(const struct heap *heap)
{
    uint64_t map[WORDS_MAX / 64] = {0};

    for (size_t e = 0; e < heap->words / 2; e++)
        map[e * heap->stride / 64] |= UINT64_C(1) << e * heap->stride % 64;
    measure(heap, heap->name, false);
    bench_set_layout(heap->words * sizeof(uintptr_t), map);
    return measure(heap, heap->name_with_layout, true);
}

int main(int argc, char **argv)
{
    double seconds = 0;

    bench_start(argc, argv);
    nodes = bench_alloc(bench_scaled(NODES) * sizeof *nodes);
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++)
        seconds += measure_both(&heaps[i]);
    bench.seconds = seconds;
    return bench_finish(made == 2 * sizeof heaps / sizeof *heaps, made);
}
