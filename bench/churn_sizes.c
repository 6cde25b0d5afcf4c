/* churn_sizes.c - 8 GB allocated and dropped in sizes from 1 byte to 4 MiB, of
 * both kinds in turn at random, the last 256 objects kept: mostly about how
 * much memory that takes.
 *
 * Small sizes are common, and large ones hold most of the bytes. From 256 bytes
 * up, a size twice as large is half as likely: as many bytes lie between 1 and
 * 2 KiB as between 1 and 2 MiB, 6 % of all. Half of the objects have less than
 * 32 bytes, 3 % more than 1 KiB; the mean is 378 bytes. The objects kept come to
 * 100 KB on average, and to several megabytes when large ones meet. Of the
 * distributions tried, this is the one for which the peak of Debian's bdwgc
 * hardly varies from run to run, at about 25 MB; others gave 18 to 41 MiB.
 *
 * Each object's first and last byte and one in every page between are written,
 * so that the memory is really had.
 */
#include "program.h"

enum { KEPT = 256, PAGE = 4096, MOST_DOUBLINGS = 21 };
#define TOTAL_BYTES 8000000000

static struct {
    unsigned char *object;
    size_t bytes;
} kept[KEPT];

/* Evenly from [2^doublings, 2^(doublings + 1)): up to seven doublings, all
 * numbers alike, then one more for each time that a coin falls heads (for each
 * leading zero of a random number). */
static size_t random_size(void)
{
    unsigned doublings;
    do
        doublings = (unsigned)bench_random_below(8) + (unsigned)__builtin_clzll(bench_random());
    while (doublings > MOST_DOUBLINGS);
    return ((size_t)1 << doublings) + bench_random_below((size_t)1 << doublings);
}

static unsigned char tag(size_t bytes)
{
    return (unsigned char)(bytes * 37 + 11);
}

static void write_pages(unsigned char *object, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PAGE)
        object[at] = tag(bytes);
    object[bytes - 1] = tag(bytes);
}

static bool pages_intact(const unsigned char *object, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PAGE)
        if (object[at] != tag(bytes))
            return false;
    return object[bytes - 1] == tag(bytes);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t total = bench_scaled(TOTAL_BYTES);

    bool correct = true;
    size_t allocated = 0;
    size_t objects = 0;
    for (; allocated < total; objects++) {
        size_t bytes = random_size();
        bool atomic = bench_random() >> 63;
        size_t slot = objects % KEPT;
        if (kept[slot].object) {
            correct &= pages_intact(kept[slot].object, kept[slot].bytes);
            bench_free(kept[slot].object);
            kept[slot].object = NULL;
        }
        kept[slot].object = atomic ? bench_alloc_atomic(bytes) : bench_alloc(bytes);
        kept[slot].bytes = bytes;
        write_pages(kept[slot].object, bytes);
        allocated += bytes;
    }
    if (BENCH_FREES)
        for (size_t slot = 0; slot < KEPT; slot++)
            bench_free(kept[slot].object);
    return bench_finish(correct, objects * 31 + allocated);
}
