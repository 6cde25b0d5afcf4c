/* threads_alloc.c - how the throughput of allocation grows with threads, when
 * next to nothing is alive: each thread has 16 objects, in a ring. The first word
 * of each object is written. Prints, for each size, how many objects a second one
 * thread allocates, how many several threads allocate together, and the ratio,
 * which is the number of threads at best.
 */
#include "threads.h"

enum { RING = 16, SIZES = 3 };

/* For each thread and size, whichever is less. */
#define MOST_OBJECTS 10000000
#define MOST_BYTES ((size_t)2 << 30)

/* What every thread is to do: set before they start. */
static size_t count, bytes;

static bool allocate(uint64_t *result)
{
    uint64_t *ring[RING] = {NULL};
    for (size_t i = 0; i < count; i++) {
        uint64_t *object = bench_alloc(bytes);
        object[0] = i;
        bench_free(ring[i % RING]);
        ring[i % RING] = object;
    }
    bool correct = true;
    for (size_t i = count - RING; i < count; i++) {
        correct &= ring[i % RING][0] == i;
        bench_free(ring[i % RING]);
    }
    *result = count;
    return correct;
}

/* Objects a second. */
static double time_threads(size_t threads, bool *correct, uint64_t *total)
{
    size_t most = MOST_BYTES / bytes < MOST_OBJECTS ? MOST_BYTES / bytes : MOST_OBJECTS;
    count = bench_scaled(most) + RING;

    uint64_t allocated;
    uint64_t start_ns = bench_now_ns();
    *correct &= bench_in_threads(threads, allocate, &allocated);
    double seconds = (double)(bench_now_ns() - start_ns) * 1e-9;
    *total += allocated;

    double rate = (double)allocated / seconds;
    char name[40];
    snprintf(name, sizeof name, "threads_%zu_bytes_%zu_ns", threads, bytes);
    bench_detail(name, 1e9 / rate); /* not the rate: of all other figures, too, the lower is the better */
    return rate;
}

int main(int argc, char **argv)
{
    size_t numbers[] = {2, 0};
    bench_start_with(argc, argv, " [threads, 2 by default [bytes, 64, 256 and 1024 by default]]", numbers, 2);
    size_t threads = numbers[0];
    if (numbers[1] && numbers[1] < sizeof(uint64_t))
        numbers[1] = sizeof(uint64_t);
    const size_t default_sizes[SIZES] = {64, 256, 1024};
    const size_t *sizes = numbers[1] ? &numbers[1] : default_sizes;
    size_t size_count = numbers[1] ? 1 : SIZES;

    /* All sizes by one thread first: an allocator may take locks from the moment
     * that there is a second one. */
    bool correct = true;
    uint64_t total = 0;
    double alone[SIZES];
    for (size_t i = 0; i < size_count; i++) {
        bytes = sizes[i];
        alone[i] = time_threads(1, &correct, &total);
        printf("%6zu bytes  1 thread   %12.0f objects/s\n", bytes, alone[i]);
    }
    for (size_t i = 0; threads > 1 && i < size_count; i++) {
        bytes = sizes[i];
        double together = time_threads(threads, &correct, &total);
        printf("%6zu bytes %2zu threads  %12.0f objects/s, %.2f times as many\n", bytes, threads, together,
               together / alone[i]);
    }
    return bench_finish(correct, total);
}
