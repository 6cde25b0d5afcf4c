/* alloc_size.c - what one allocation costs, size by size, when next to nothing
 * is alive: 16 objects, in a ring. Each object's first and last word is
 * written. Prints nanoseconds an allocation, with the collections, or the
 * frees, that it brings about.
 *
 * Scanned objects are zeroed by every variant: malloc's are had from calloc.
 */
#include "program.h"

enum { RING = 16, SMALLEST = 16, LARGEST = 262144 };

/* For each size, whichever is less; it comes to about the same time for each. */
#define MOST_OBJECTS 4000000
#define MOST_BYTES ((size_t)512 << 20)

static uint64_t *ring[RING];

static void write_ends(uint64_t *object, size_t bytes, uint64_t value)
{
    object[0] = value;
    object[bytes / sizeof *object - 1] = value;
}

/* Two functions, so that the loops have no branch on the kind. */
static void allocate_scanned(size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t *object = bench_alloc(bytes);
        write_ends(object, bytes, i);
        bench_free(ring[i % RING]);
        ring[i % RING] = object;
    }
}

static void allocate_atomic(size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t *object = bench_alloc_atomic(bytes);
        write_ends(object, bytes, i);
        bench_free(ring[i % RING]);
        ring[i % RING] = object;
    }
}

static bool ring_intact(size_t count, size_t bytes)
{
    for (size_t i = count - RING; i < count; i++)
        if (ring[i % RING][0] != i || ring[i % RING][bytes / sizeof *ring[0] - 1] != i)
            return false;
    return true;
}

static void empty_ring(void)
{
    for (size_t i = 0; i < RING; i++) {
        bench_free(ring[i]);
        ring[i] = NULL;
    }
}

/* Returns whether the last objects hold what was written. */
static bool time_size(const char *kind, void (*allocate)(size_t, size_t), size_t count, size_t bytes)
{
    uint64_t start_ns = bench_now_ns();
    allocate(count, bytes);
    double ns = (double)(bench_now_ns() - start_ns) / (double)count;
    printf("%-8s %6zu bytes %10.1f ns\n", kind, bytes, ns);

    char name[40];
    snprintf(name, sizeof name, "%s_%zu_ns", kind, bytes);
    bench_detail(name, ns);
    bool correct = ring_intact(count, bytes);
    empty_ring();
    return correct;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    bool correct = true;
    uint64_t total = 0;
    for (size_t bytes = SMALLEST; bytes <= LARGEST; bytes *= 2) {
        size_t most = MOST_BYTES / bytes < MOST_OBJECTS ? MOST_BYTES / bytes : MOST_OBJECTS;
        size_t count = bench_scaled(most) + RING;
        correct &= time_size("scanned", allocate_scanned, count, bytes);
        correct &= time_size("atomic", allocate_atomic, count, bytes);
        total += count;
    }
    return bench_finish(correct, total);
}
