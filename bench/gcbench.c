/* gcbench.c - after the benchmark of John Ellis, Pete Kovac and Hans Boehm:
 * a large tree to stretch the heap, a tree and an array that live long, and
 * many short-lived trees of growing depth, built from the root down and from
 * the leaves up. The sizes are those of the original, two levels deeper.
 */
#include "gcbench.h"

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    uint64_t nodes;
    bool correct = gcbench(&nodes);
    return bench_finish(correct, nodes);
}
