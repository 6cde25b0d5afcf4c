/* threads_trees.c - binary_trees in several threads at once: each builds, walks
 * and drops as many trees as the program with one thread does.
 */
#include "binary_trees.h"
#include "threads.h"

int main(int argc, char **argv)
{
    size_t threads = bench_start_threaded(argc, argv);
    uint64_t total;
    bool correct = bench_in_threads(threads, binary_trees, &total);
    return bench_finish(correct, total);
}
