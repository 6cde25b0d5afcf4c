/* child.h - runs a function in a process of its own, to see what it writes to
 * stderr and how it ends. Criterion's assertions do not work in there.
 * Wants _GNU_SOURCE. */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    char text[64 << 10]; /* what it wrote to stderr */
    size_t length;
    unsigned writes; /* with how many calls, if none of them wrote more than a page */
    int status;      /* as of waitpid */
};

static inline void child_read(struct child *child, int pipe_end)
{
    ssize_t count;

    while ((count = read(pipe_end, child->text + child->length, sizeof child->text - 1 - child->length)) > 0) {
        child->length += (size_t)count;
        child->writes++;
    }
    child->text[child->length] = '\0';
}

/* Ends with status 0 when the function returns. */
static inline struct child child_run(void (*function)(void))
{
    static struct child child;
    int pipe_ends[2];
    pid_t pid;

    memset(&child, 0, sizeof child);
    if (pipe2(pipe_ends, O_DIRECT) != 0) /* a packet for each write */
        return child;
    pid = fork();
    if (pid == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        function();
        _exit(0);
    }
    close(pipe_ends[1]);
    child_read(&child, pipe_ends[0]);
    close(pipe_ends[0]);
    waitpid(pid, &child.status, 0);
    return child;
}

static inline bool child_wrote(const struct child *child, const char *text)
{
    return strstr(child->text, text) != NULL;
}

static inline bool child_returned(const struct child *child)
{
    return WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
}

static inline bool child_aborted(const struct child *child)
{
    return WIFSIGNALED(child->status) && WTERMSIG(child->status) == SIGABRT;
}

#endif
