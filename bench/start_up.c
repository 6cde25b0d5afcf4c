/* start_up.c - what an allocator adds to the start and the exit of a program:
 * this one runs itself again, 200 times, to start the allocator, make one
 * object and exit. Reported is the median, from before posix_spawn to after
 * waitpid.
 */
#include <spawn.h>
#include <sys/wait.h>

#include "program.h"

enum { RUNS = 200, OBJECT_BYTES = 64 };

extern char **environ;

static int be_the_child(void)
{
    bench_init();
    unsigned char *object = bench_alloc(OBJECT_BYTES);
    object[0] = 1;
    bool correct = object[0] == 1 && object[OBJECT_BYTES - 1] == 0;
    bench_free(object);
    return correct ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool run_child(char *program)
{
    char *arguments[] = {program, "child", NULL};
    pid_t child;
    int status;
    return posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0 &&
           waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "child") == 0)
        return be_the_child();

    bench_start(argc, argv);
    size_t runs = bench_scaled(RUNS);
    double *took_us = bench_checked(calloc(runs, sizeof *took_us));
    size_t succeeded = 0;
    for (size_t i = 0; i < runs; i++) {
        uint64_t start_ns = bench_now_ns();
        succeeded += run_child(argv[0]);
        took_us[i] = (double)(bench_now_ns() - start_ns) * 1e-3;
    }

    qsort(took_us, runs, sizeof *took_us, compare);
    double median_us = took_us[runs / 2];
    bench.seconds = median_us * 1e-6;
    bench_detail("least_us", took_us[0]);
    bench_detail("median_us", median_us);
    bench_detail("p90_us", took_us[runs * 9 / 10]);
    printf("least %.1f us, median %.1f us, 90th percentile %.1f us\n", took_us[0], median_us, took_us[runs * 9 / 10]);
    free(took_us);
    return bench_finish(succeeded == runs, succeeded);
}
