/* binary_trees.c - the "binary trees" of the Computer Language Benchmarks
 * Game: perfect trees of many depths are built, walked and dropped while one
 * stays alive.
 */
#include "binary_trees.h"

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    uint64_t total;
    bool correct = binary_trees(&total);
    return bench_finish(correct, total);
}
