/* loop.c - an event loop with a pool of threads, between which objects are handed
 * over, and nobody owns one.
 *
 *     loop [THREADS] < requests
 *
 * The loop reads requests from standard input, a line each, puts each into a queue
 * for the pool, and prints the answers in the order of the requests:
 *
 *     sort WORD...     the words in order
 *     count WORD...    how often each stands there
 *     tree DEPTH       the leaves of a binary tree that is made for it
 *
 * A job is made by the loop, lies in a queue, is worked on by a thread, lies in
 * another queue, and is printed. Its answer shares the text of the request, and
 * threads of the pool keep what they have answered for the next who asks the same.
 * With malloc somebody would have to know when the last has let go of it.
 *
 * When there is nothing to do the loop lets the collector work (gc_step), so that it
 * need not when there is.
 */
#include <broom/runtime.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MOST_THREADS = 64, MEMORIES = 64, IDLE_NS = 2000000 };

struct job {
    struct job *next;  /* in a queue */
    struct job *later; /* the next request */
    char *request;
    char *answer;
    bool done; /* as the loop knows */
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *must(void *memory)
{
    if (memory == NULL)
        fail("loop");
    return memory;
}

/* ---- Queues ---------------------------------------------------------------------- */

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct job *first, **end;
    bool closed;
};

static struct queue to_do = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &to_do.first, false};
static struct queue done = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &done.first, false};

static void put(struct queue *queue, struct job *job)
{
    pthread_mutex_lock(&queue->lock);
    *queue->end = job;
    queue->end = &job->next;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

/* NULL: there is none, and, if it waited, there will be none. */
static struct job *get(struct queue *queue, bool wait)
{
    struct job *job;

    pthread_mutex_lock(&queue->lock);
    while (wait && queue->first == NULL && !queue->closed)
        pthread_cond_wait(&queue->filled, &queue->lock);
    job = queue->first;
    if (job != NULL) {
        queue->first = job->next;
        if (queue->first == NULL)
            queue->end = &queue->first;
        job->next = NULL; /* it must not keep those behind it, wherever it goes */
    }
    pthread_mutex_unlock(&queue->lock);
    return job;
}

static void close_queue(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

/* ---- Work ------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The words of the text, sorted, and NULL. */
static char **sorted_words(const char *text)
{
    char *rest = must(gc_strdup(text)), **words = NULL;
    size_t count = 0;

    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        words = must(gc_reallocarray(words, count + 2, sizeof *words));
        words[count++] = word;
        words[count] = NULL;
    }
    if (words == NULL)
        return must(gc_calloc(1, sizeof *words));
    qsort(words, count, sizeof *words, compare);
    return words;
}

static char *sort(const char *text)
{
    char *answer = "";

    for (char **word = sorted_words(text); *word != NULL; word++)
        if (gc_asprintf(&answer, "%s%s%s", answer, *answer != '\0' ? " " : "", *word) < 0)
            fail("loop");
    return answer;
}

static char *count(const char *text)
{
    char *answer = "";

    for (char **word = sorted_words(text), **next; *word != NULL; word = next) {
        for (next = word; *next != NULL && strcmp(*next, *word) == 0; next++)
            continue;
        if (gc_asprintf(&answer, "%s%s%s %zu", answer, *answer != '\0' ? ", " : "", *word, (size_t)(next - word)) < 0)
            fail("loop");
    }
    return answer;
}

struct tree {
    struct tree *left, *right;
};

static struct tree *make_tree(int depth)
{
    struct tree *tree = must(GC_NEW(struct tree));

    if (depth > 0) {
        tree->left = make_tree(depth - 1);
        tree->right = make_tree(depth - 1);
    }
    return tree;
}

static size_t leaves(const struct tree *tree)
{
    return tree->left == NULL ? 1 : leaves(tree->left) + leaves(tree->right);
}

static char *tree(const char *text)
{
    int depth = atoi(text);
    char *answer;

    if (depth < 0 || depth > 20)
        return "too deep";
    if (gc_asprintf(&answer, "%zu leaves", leaves(make_tree(depth))) < 0)
        fail("loop");
    return answer;
}

static char *answer_to(const char *request)
{
    static const struct {
        const char *name;
        char *(*function)(const char *text);
    } commands[] = {{"sort ", sort}, {"count ", count}, {"tree ", tree}};

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        size_t length = strlen(commands[i].name);

        if (strncmp(request, commands[i].name, length) == 0)
            return commands[i].function(request + length);
    }
    return "?";
}

/* ---- The pool -------------------------------------------------------------------- */

static int bell; /* an eventfd: something is done */

/* The old jobs live on in here, with all that they lead to, until others take their
 * places. */
static void *work(void *unused)
{
    struct job *memory[MEMORIES] = {NULL};
    uint64_t one = 1;
    size_t at = 0;

    for (struct job *job; (job = get(&to_do, true)) != NULL; memory[at++ % MEMORIES] = job) {
        for (size_t i = 0; i < MEMORIES && job->answer == NULL; i++)
            if (memory[i] != NULL && strcmp(memory[i]->request, job->request) == 0)
                job->answer = memory[i]->answer;
        if (job->answer == NULL)
            job->answer = answer_to(job->request);
        put(&done, job);
        if (write(bell, &one, sizeof one) != (ssize_t)sizeof one)
            fail("write");
    }
    return unused;
}

/* ---- The loop -------------------------------------------------------------------- */

static struct {
    char *text; /* read, and not yet a line */
    size_t length;
    struct job *oldest, *newest; /* not printed */
    bool ended;
} input;

static void request(char *line)
{
    struct job *job = must(GC_NEW(struct job));

    job->request = line;
    if (input.oldest == NULL)
        input.oldest = job;
    else
        input.newest->later = job;
    input.newest = job;
    put(&to_do, job);
}

static void read_requests(void)
{
    char *end;

    input.text = must(gc_realloc(input.text, input.length + 4096 + 1));
    ssize_t got = read(STDIN_FILENO, input.text + input.length, 4096);
    if (got < 0 && errno != EINTR)
        fail("read");
    if (got == 0)
        input.ended = true;
    input.length += got > 0 ? (size_t)got : 0;
    while ((end = memchr(input.text, '\n', input.length)) != NULL) {
        size_t length = (size_t)(end - input.text);

        request(must(gc_strndup(input.text, length)));
        input.length -= length + 1;
        memmove(input.text, end + 1, input.length);
    }
}

static void print_answers(void)
{
    uint64_t rings;

    if (read(bell, &rings, sizeof rings) < 0 && errno != EAGAIN && errno != EINTR)
        fail("read");
    for (struct job *job; (job = get(&done, false)) != NULL;)
        job->done = true;
    for (struct job *job; (job = input.oldest) != NULL && job->done; job->later = NULL) {
        printf("%s: %s\n", job->request, job->answer);
        input.oldest = job->later;
    }
}

/* A collection interrupts poll, if only with EINTR. */
static bool wait_for_events(struct pollfd events[2], int timeout_ms)
{
    int ready = poll(events, 2, timeout_ms);

    if (ready < 0 && errno != EINTR)
        fail("poll");
    return ready > 0;
}

static void loop(void)
{
    while (!input.ended || input.oldest != NULL) {
        struct pollfd events[2] = {{.fd = bell, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

        if (input.ended)
            events[1].fd = -1;
        if (!wait_for_events(events, 0)) {
            gc_step(IDLE_NS);
            if (!wait_for_events(events, -1))
                continue;
        }
        if (events[0].revents != 0)
            print_answers();
        if (events[1].revents != 0)
            read_requests();
    }
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 4;
    pthread_t thread[MOST_THREADS];

    if (threads < 1 || threads > MOST_THREADS) {
        fprintf(stderr, "usage: %s [THREADS]\n", argv[0]);
        return 2;
    }
    bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell < 0)
        fail("eventfd");
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, NULL) != 0)
            fail("pthread_create");
    loop();
    close_queue(&to_do);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
