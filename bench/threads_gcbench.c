/* threads_gcbench.c - gcbench in several threads at once: each has long-lived
 * objects of its own, and does as much as the program with one thread does.
 */
#include "gcbench.h"
#include "threads.h"

int main(int argc, char **argv)
{
    size_t threads = bench_start_threaded(argc, argv);
    uint64_t nodes;
    bool correct = bench_in_threads(threads, gcbench, &nodes);
    return bench_finish(correct, nodes);
}
