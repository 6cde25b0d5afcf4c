/* program.h - what every benchmark program does besides allocating: read its
 * scale, draw random numbers that are the same in each variant and run, check
 * its own result, and report.
 *
 * The report is one line of key=value words, on stderr or appended to the file
 * that the environment variable BENCH_REPORT names. bench/run reads it.
 */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <inttypes.h>
#include <string.h>

#include "alloc.h"

static struct {
    double scale;
    uint64_t random;
    double seconds; /* what the program timed itself; negative: the runner times the process */
    char details[4096];
} bench = {.scale = 1, .random = 88172645463325252, .seconds = -1};

/* Reads the optional arguments and starts the allocator. The first argument is
 * the factor by which the problem is made larger or smaller; up to `most` whole
 * numbers may follow, which replace the defaults in `numbers`. */
static inline void bench_start_with(int argc, char **argv, const char *numbers_usage, size_t *numbers, int most)
{
    char *end = NULL;
    bool valid = argc <= 2 + most;
    if (argc > 1) {
        bench.scale = strtod(argv[1], &end);
        valid &= !*end && bench.scale > 0 && bench.scale <= 1000;
    }
    for (int i = 0; valid && i < argc - 2; i++) {
        numbers[i] = strtoul(argv[i + 2], &end, 10);
        valid = !*end && numbers[i] > 0 && numbers[i] <= 1 << 20;
    }
    if (!valid) {
        fprintf(stderr, "usage: %s [scale, 1 by default%s]\n", argv[0], numbers_usage);
        exit(2);
    }
    bench_init();
}

static inline void bench_start(int argc, char **argv)
{
    bench_start_with(argc, argv, "", NULL, 0);
}

static inline size_t bench_scaled(size_t count)
{
    double scaled = (double)count * bench.scale;
    return scaled < 1 ? 1 : (size_t)scaled;
}

/* The depth of a binary tree that is `scale` times as large. */
static inline unsigned bench_scaled_depth(unsigned depth)
{
    double scale = bench.scale;
    for (; scale >= 2; scale /= 2)
        depth++;
    for (; scale <= 0.5 && depth > 6; scale *= 2)
        depth--;
    return depth;
}

/* Marsaglia's xorshift64, with a multiplication for the high bits. */
static inline uint64_t bench_random(void)
{
    bench.random ^= bench.random << 13;
    bench.random ^= bench.random >> 7;
    bench.random ^= bench.random << 17;
    return bench.random * UINT64_C(2685821657736338717);
}

/* Evenly from [0, limit), for limits below 2^32. */
static inline size_t bench_random_below(size_t limit)
{
    return (size_t)((bench_random() >> 32) * limit >> 32);
}

/* A figure of the program's own, by a name without blanks. */
static inline void bench_detail(const char *name, double value)
{
    size_t used = strlen(bench.details);
    snprintf(bench.details + used, sizeof bench.details - used, " %s=%.2f", name, value);
}

static inline void bench_write_report(FILE *out, uint64_t checksum)
{
    char version[32];
    bench_version(version, sizeof version);
    fprintf(out, "variant=%s version=%s checksum=%" PRIx64, BENCH_VARIANT, version, checksum);
    struct bench_counters counters = bench_counters();
    if (counters.known)
        fprintf(out,
                " collections=%" PRIu64 " heap_peak_bytes=%" PRIu64 " pause_max_ns=%" PRIu64 " pause_total_ns=%" PRIu64,
                counters.collections, counters.heap_peak_bytes, counters.pause_max_ns, counters.pause_total_ns);
    if (bench.seconds >= 0)
        fprintf(out, " seconds=%.6f", bench.seconds);
    fprintf(out, "%s\n", bench.details);
}

/* Reports; returns the exit status of the program. The checksum is the same in
 * every variant, or one of them is wrong. */
static inline int bench_finish(bool correct, uint64_t checksum)
{
    const char *path = getenv("BENCH_REPORT");
    FILE *file = path ? fopen(path, "a") : NULL;
    bench_write_report(file ? file : stderr, checksum);
    if (file)
        fclose(file);
    if (!correct)
        fputs("WRONG RESULT\n", stderr);
    return correct ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
