/* lru_cache.c - a cache of at most 64 MB of values (lru.h).
 */
#include "lru.h"

enum { KEYS = 500000, REQUESTS = 2000000, CAPACITY = 64000000 /* bytes, of the values */ };

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t keys = bench_scaled(KEYS);
    size_t requests = bench_scaled(REQUESTS);
    make_cache(bench_scaled(CAPACITY));

    bool correct = true;
    for (size_t i = 0; i < requests; i++)
        correct &= request_any(keys, i);

    uint64_t checksum = cache.hits;
    correct &= cache_intact(&checksum);
    if (BENCH_FREES) {
        while (cache.oldest)
            evict(cache.oldest);
        bench_free(cache.buckets);
    }
    return bench_finish(correct, checksum);
}
