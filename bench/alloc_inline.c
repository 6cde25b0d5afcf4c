/* alloc_inline.c - what the allocation of small objects of constant size costs
 * when next to nothing is alive, as in the inner loop of an interpreter: called,
 * and, where the allocator has that, inlined into the program. Each object's
 * first and last word is written; 16 are alive, in a ring.
 */
#include "program.h"

enum { RING = 16, OBJECTS = 10000000 };

static uint64_t *ring[RING];

static inline __attribute__((always_inline)) void keep(uint64_t *object, size_t bytes, size_t i)
{
    object[0] = i;
    object[bytes / sizeof *object - 1] = i;
    bench_free(ring[i % RING]);
    ring[i % RING] = object;
}

#define LOOPS(bytes)                                                                                                   \
    static void call_##bytes(size_t count)                                                                             \
    {                                                                                                                  \
        for (size_t i = 0; i < count; i++)                                                                             \
            keep(bench_alloc(bytes), bytes, i);                                                                        \
    }                                                                                                                  \
    static void inline_##bytes(size_t count)                                                                           \
    {                                                                                                                  \
        for (size_t i = 0; i < count; i++)                                                                             \
            keep(bench_alloc_inline(bytes), bytes, i);                                                                 \
    }

LOOPS(16)
LOOPS(24)
LOOPS(32)
LOOPS(64)
LOOPS(128)

static const struct loop {
    size_t bytes;
    void (*call)(size_t count);
    void (*inlined)(size_t count);
} loops[] = {
    {16, call_16, inline_16}, {24, call_24, inline_24},    {32, call_32, inline_32},
    {64, call_64, inline_64}, {128, call_128, inline_128},
};

static bool ring_intact(size_t count, size_t bytes)
{
    for (size_t i = count - RING; i < count; i++)
        if (ring[i % RING][0] != i || ring[i % RING][bytes / sizeof *ring[0] - 1] != i)
            return false;
    return true;
}

/* Returns whether the last objects hold what was written. */
static bool time_loop(const char *how, void (*loop)(size_t), size_t count, size_t bytes)
{
    char name[40];
    uint64_t start_ns = bench_now_ns();
    loop(count);
    snprintf(name, sizeof name, "%s_%zu_ns", how, bytes);
    bench_detail(name, (double)(bench_now_ns() - start_ns) / (double)count);

    bool correct = ring_intact(count, bytes);
    for (size_t i = 0; i < RING; i++) {
        bench_free(ring[i]);
        ring[i] = NULL;
    }
    return correct;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(OBJECTS) + RING;
    bool correct = true;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        correct &= time_loop("called", loops[i].call, count, loops[i].bytes);
        correct &= time_loop("inlined", loops[i].inlined, count, loops[i].bytes);
    }
    return bench_finish(correct, count);
}
