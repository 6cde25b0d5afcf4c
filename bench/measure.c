/* measure - runs a command, and says what it took.
 *
 *   measure [-o FILE] [--] COMMAND [ARGUMENT...]
 *
 * Writes to FILE (default: stderr), one `key value` a line:
 *
 *   wall_seconds    from before the start to after the end
 *   user_seconds    processor time in the program
 *   system_seconds  processor time in the kernel on its behalf
 *   cpu_seconds     the sum of these two
 *   peak_kib        peak resident memory, in KiB
 *   status          the exit status, or 128 + the signal that killed it
 *
 * and exits with that status. When measure itself fails, it writes a message
 * and exits with 127 (no such command), 126 (it cannot be run) or 125.
 *
 * About peak_kib: it is ru_maxrss as wait4 gives it.
 * - Linux starts the count of a new program at the peak of the process that
 *   called exec; a fork of a large shell would be counted to the command. So
 *   measure is small and starts the command itself, by posix_spawn (a vfork in
 *   glibc and musl): its own one or two MiB are the least it can report.
 * - The times cover the command and those of its children it waited for; the
 *   peak is that of the largest one of them, not their sum.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MEASURE_FAILED = 125, CANNOT_RUN = 126, NOT_FOUND = 127, KILLED = 128 };

static __attribute__((noreturn)) void fail(const char *what, int error, int status)
{
    fprintf(stderr, "measure: %s: %s\n", what, strerror(error));
    exit(status);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static pid_t start(char **command)
{
    pid_t child;
    int error = posix_spawnp(&child, command[0], NULL, NULL, command, environ);
    if (error != 0)
        fail(command[0], error, error == ENOENT ? NOT_FOUND : CANNOT_RUN);
    return child;
}

static int wait_for(pid_t child, struct rusage *usage)
{
    int status;
    while (wait4(child, &status, 0, usage) < 0)
        if (errno != EINTR)
            fail("wait4", errno, MEASURE_FAILED);
    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static void report(FILE *to, double wall_seconds, const struct rusage *usage, int status)
{
    double user_seconds = seconds(usage->ru_utime), system_seconds = seconds(usage->ru_stime);
    fprintf(to, "wall_seconds %.6f\n", wall_seconds);
    fprintf(to, "user_seconds %.6f\n", user_seconds);
    fprintf(to, "system_seconds %.6f\n", system_seconds);
    fprintf(to, "cpu_seconds %.6f\n", user_seconds + system_seconds);
    fprintf(to, "peak_kib %ld\n", usage->ru_maxrss);
    fprintf(to, "status %d\n", status);
}

static __attribute__((noreturn)) void usage(void)
{
    fputs("usage: measure [-o FILE] [--] COMMAND [ARGUMENT...]\n", stderr);
    exit(MEASURE_FAILED);
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    for (int option; (option = getopt(argc, argv, "+o:")) != -1;) {
        if (option != 'o')
            usage();
        file = optarg;
    }
    if (optind >= argc)
        usage();
    FILE *to = file != NULL ? fopen(file, "we") : stderr;
    if (to == NULL)
        fail(file, errno, MEASURE_FAILED);

    struct rusage usage;
    double before_seconds = now_seconds();
    pid_t child = start(argv + optind);
    int status = wait_for(child, &usage);
    report(to, now_seconds() - before_seconds, &usage, status);
    if (fflush(to) != 0 || ferror(to))
        fail(file != NULL ? file : "standard error", errno, MEASURE_FAILED);
    return status;
}
