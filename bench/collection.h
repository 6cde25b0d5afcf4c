/* collection.h - times full collections, for the programs that time nothing
 * else: the median of five.
 */
#ifndef BENCH_COLLECTION_H
#define BENCH_COLLECTION_H

#include "program.h"

_Static_assert(!BENCH_FREES, "malloc has no collections to time");

static inline void bench_time_collections(void)
{
    enum { COLLECTIONS = 5 };
    double seconds[COLLECTIONS];
    for (int i = 0; i < COLLECTIONS; i++) {
        uint64_t start_ns = bench_now_ns();
        bench_collect();
        double took = (double)(bench_now_ns() - start_ns) * 1e-9;
        int at = i;
        for (; at > 0 && seconds[at - 1] > took; at--)
            seconds[at] = seconds[at - 1];
        seconds[at] = took;
    }
    bench.seconds = seconds[COLLECTIONS / 2];
    printf("collection: median %.4f s, %.4f to %.4f s\n", bench.seconds, seconds[0], seconds[COLLECTIONS - 1]);
}

#endif
