/* latency_cache.c - a cache of at most 256 MB of values (lru.h), full from the
 * beginning: each request moves an entry to the front of the list, so that old objects
 * are written all over the heap. latency.h says what is measured.
 */
#include "latency.h"
#include "lru.h"

_Static_assert(!BENCH_FREES, "malloc does not pause");

enum { KEYS = 2000000, CAPACITY = 256000000 /* bytes, of the values */ };

int main(int argc, char **argv)
{
    latency_start(argc, argv);
    size_t keys = bench_scaled(KEYS), requests = 0;
    bool correct = true;
    make_cache(bench_scaled(CAPACITY));
    while (cache.bytes < cache.capacity_bytes / 16 * 15)
        correct &= request_any(keys, requests++);

    while (latency_goes_on())
        correct &= request_any(keys, requests++);

    uint64_t checksum = 0; /* of what depends on how far it came */
    correct &= cache_intact(&checksum);
    return latency_finish(correct, cache.capacity_bytes);
}
