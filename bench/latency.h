/* latency.h - how long a program waits: for its collector, for pages, for the machine.
 *
 * The program makes short steps and reads the clock between them. What takes longer than
 * LATENCY_GAP_NS is a gap, whatever was the reason: a pause, a page fault, help for the
 * collector, another process. A program that only reads the clock (latency_control.c)
 * tells which gaps are the machine's own.
 *
 *     latency_start(argc, argv);
 *     ...set up...
 *     while (latency_goes_on())
 *         ...a step of some microseconds...
 *     return latency_finish(correct, checksum);
 *
 * The first fifth of the steps is not counted: the collectors find their pace in it.
 *
 * The report has the longest gap; how many pauses the collector told of, their median,
 * and the longest; steps in a millisecond; peak memory;
 * and mmu_1ms to mmu_100ms, the minimum mutator utilisation: in each window of that
 * length the program had at least such a share of the time (Cheng and Blelloch, PLDI
 * 2001), in percent. What is to be drawn is appended to the file that LATENCY_SERIES
 * names:
 *
 *     pause MICROSECONDS
 *     mmu MILLISECONDS PERCENT
 *     memory SECONDS MIB       resident
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "program.h"

enum {
    LATENCY_GAP_NS = 50000,
    LATENCY_MOST = 1 << 20, /* gaps, pauses and so on that are kept */
    LATENCY_SETTLING_SHARE = 5,
    LATENCY_MEMORY_EVERY_NS = 10000000
};

/* A list that no collector sees, as it is mapped. */
struct latency_list {
    struct latency_span {
        uint64_t start_ns, length;
    } * span;
    size_t count;
};

static struct {
    size_t seconds;
    bool settled;
    uint64_t begin_ns, end_ns, last_ns, memory_ns;
    uint64_t steps;
    int statm;
    struct latency_list gaps, pauses, memory; /* of the last, the length is in bytes */
    double *stolen_ns;                        /* in the gaps up to each */
} latency;

static inline void *latency_map(size_t bytes)
{
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return bench_checked(mapped == MAP_FAILED ? NULL : mapped);
}

static inline void latency_note(struct latency_list *list, uint64_t start_ns, uint64_t length)
{
    if (list->count < LATENCY_MOST)
        list->span[list->count++] = (struct latency_span){start_ns, length};
}

/* Called by the collector, perhaps while all threads stand. */
static inline void latency_note_pause(uint64_t start_ns, uint64_t end_ns)
{
    if (latency.settled)
        latency_note(&latency.pauses, start_ns, end_ns - start_ns);
}

static inline void latency_note_memory(void)
{
    char text[64] = "";
    unsigned long size, resident = 0;
    if (pread(latency.statm, text, sizeof text - 1, 0) > 0 && sscanf(text, "%lu %lu", &size, &resident) == 2)
        latency_note(&latency.memory, latency.last_ns, resident * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Optional arguments: the scale, and seconds. */
static inline void latency_start(int argc, char **argv)
{
    latency.seconds = 4;
    bench_start_with(argc, argv, ", seconds", &latency.seconds, 1);
    latency.gaps.span = latency_map(LATENCY_MOST * sizeof *latency.gaps.span);
    latency.pauses.span = latency_map(LATENCY_MOST * sizeof *latency.pauses.span);
    latency.memory.span = latency_map(LATENCY_MOST * sizeof *latency.memory.span);
    latency.stolen_ns = latency_map((LATENCY_MOST + 1) * sizeof *latency.stolen_ns);
    latency.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    bench_tell_pauses(latency_note_pause);
}

static inline void latency_begin(uint64_t now_ns, uint64_t length_ns)
{
    latency.begin_ns = latency.last_ns = now_ns;
    latency.end_ns = now_ns + length_ns;
    latency.steps = 0;
}

/* Also to be called in the midst of a step, where that has to wait for something. */
static inline uint64_t latency_look(void)
{
    uint64_t now_ns = bench_now_ns();
    if (now_ns - latency.last_ns > LATENCY_GAP_NS && latency.settled)
        latency_note(&latency.gaps, latency.last_ns, now_ns - latency.last_ns);
    latency.last_ns = now_ns;
    return now_ns;
}

static inline bool latency_goes_on(void)
{
    uint64_t now_ns = latency_look();
    if (latency.end_ns == 0) {
        latency_begin(now_ns, (uint64_t)latency.seconds * 1000000000 / LATENCY_SETTLING_SHARE);
    } else if (now_ns >= latency.end_ns && !latency.settled) {
        latency.settled = true;
        latency_begin(now_ns, (uint64_t)latency.seconds * 1000000000);
    } else if (now_ns - latency.memory_ns > LATENCY_MEMORY_EVERY_NS && latency.settled) {
        latency.memory_ns = now_ns;
        latency_note_memory();
    }
    latency.steps++;
    return now_ns < latency.end_ns;
}

/* ---- What is made of it ----------------------------------------------------------------- */

static inline int latency_compare(const void *a, const void *b)
{
    const struct latency_span *left = a, *right = b;
    return (left->length > right->length) - (left->length < right->length);
}

/* Of a sorted list, in milliseconds; 0 if it is empty. */
static inline double latency_quantile_ms(const struct latency_list *list, double share)
{
    return list->count == 0 ? 0 : (double)list->span[(size_t)((double)(list->count - 1) * share)].length / 1e6;
}

/* How much of the time before `ns` was in gaps. */
static inline double latency_stolen_before(double ns)
{
    size_t low = 0, high = latency.gaps.count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((double)latency.gaps.span[middle].start_ns < ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return 0;
    const struct latency_span *last = &latency.gaps.span[low - 1];
    return latency.stolen_ns[low - 1] + fmin((double)last->length, ns - (double)last->start_ns);
}

static inline double latency_stolen_between(double from_ns, double to_ns)
{
    return latency_stolen_before(to_ns) - latency_stolen_before(from_ns);
}

static inline void latency_sum_gaps(void)
{
    for (size_t i = 0; i < latency.gaps.count; i++)
        latency.stolen_ns[i + 1] = latency.stolen_ns[i] + (double)latency.gaps.span[i].length;
}

/* In percent. The worst window begins where a gap does, or ends there. */
static inline double latency_mmu(double window_ns)
{
    double begin_ns = (double)latency.begin_ns, last_ns = (double)latency.last_ns - window_ns, worst_ns = 0;
    for (size_t i = 0; i < latency.gaps.count; i++) {
        double start_ns = (double)latency.gaps.span[i].start_ns;
        double end_ns = start_ns + (double)latency.gaps.span[i].length - window_ns;
        start_ns = fmin(fmax(start_ns, begin_ns), last_ns);
        end_ns = fmin(fmax(end_ns, begin_ns), last_ns);
        worst_ns = fmax(worst_ns, latency_stolen_between(start_ns, start_ns + window_ns));
        worst_ns = fmax(worst_ns, latency_stolen_between(end_ns, end_ns + window_ns));
    }
    return 100 * fmax(0, 1 - worst_ns / window_ns);
}

static inline void latency_write_series(FILE *file)
{
    for (size_t i = 0; i < latency.pauses.count; i++)
        fprintf(file, "pause %.3f\n", (double)latency.pauses.span[i].length / 1e3);
    for (double exponent = -1; exponent <= 3.01; exponent += 0.125)
        if (pow(10, exponent) <= (double)latency.seconds * 1e3)
            fprintf(file, "mmu %.4g %.3f\n", pow(10, exponent), latency_mmu(pow(10, exponent) * 1e6));
    for (size_t i = 0; i < latency.memory.count; i++)
        fprintf(file, "memory %.3f %.1f\n", (double)(latency.memory.span[i].start_ns - latency.begin_ns) / 1e9,
                (double)latency.memory.span[i].length / 1048576);
}

static inline void latency_report_mmu(void)
{
    static const double windows_ms[] = {1, 3, 10, 30, 100};
    for (size_t i = 0; i < sizeof windows_ms / sizeof *windows_ms; i++) {
        char name[32];
        snprintf(name, sizeof name, "mmu_%gms", windows_ms[i]);
        bench_detail(name, latency_mmu(windows_ms[i] * 1e6));
    }
}

static inline void latency_report(double elapsed_ms)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(latency.gaps.span, latency.gaps.count, sizeof *latency.gaps.span, latency_compare);
    qsort(latency.pauses.span, latency.pauses.count, sizeof *latency.pauses.span, latency_compare);
    bench_detail("gap_longest_ms", latency_quantile_ms(&latency.gaps, 1));
    bench_detail("pauses", (double)latency.pauses.count);
    bench_detail("pause_median_ms", latency_quantile_ms(&latency.pauses, 0.5));
    bench_detail("pause_longest_ms", latency_quantile_ms(&latency.pauses, 1));
    bench_detail("steps_per_ms", (double)latency.steps / elapsed_ms);
    bench_detail("peak_mib", (double)usage.ru_maxrss / 1024);
}

static inline int latency_finish(bool correct, uint64_t checksum)
{
    const char *path = getenv("LATENCY_SERIES");
    FILE *file = path ? fopen(path, "a") : NULL;
    double elapsed_ns = (double)(latency.last_ns - latency.begin_ns);
    latency.settled = false; /* no more pauses */
    latency_sum_gaps();
    if (file) {
        latency_write_series(file);
        fclose(file);
    }
    latency_report_mmu();
    latency_report(elapsed_ns / 1e6);
    bench.seconds = elapsed_ns / 1e9;
    return bench_finish(correct, checksum);
}

#endif
