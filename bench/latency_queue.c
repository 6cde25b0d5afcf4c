/* latency_queue.c - a queue of 256 MB of messages: each step appends sixteen, and takes
 * the sixteen that have waited longest. So every message survives some collections, and
 * all die old. latency.h says what is measured.
 */
#include "latency.h"

_Static_assert(!BENCH_FREES, "malloc does not pause");

enum { QUEUE_BYTES = 256 << 20, MESSAGES_IN_A_STEP = 16, MOST_WORDS = 24 };

struct message {
    struct message *next;
    uint64_t number;
    uint64_t *text; /* all words are the message's number */
    size_t words;
};

static struct {
    struct message *first, *last;
    uint64_t appended, taken;
    size_t bytes, capacity_bytes;
} queue;

static size_t bytes_of(const struct message *message)
{
    return sizeof *message + message->words * sizeof *message->text;
}

static void append(void)
{
    struct message *message = bench_alloc(sizeof *message);
    message->number = queue.appended++;
    message->words = 1 + bench_random_below(MOST_WORDS);
    message->text = bench_alloc_atomic(message->words * sizeof *message->text);
    for (size_t i = 0; i < message->words; i++)
        message->text[i] = message->number;
    *(queue.last ? &queue.last->next : &queue.first) = message;
    queue.last = message;
    queue.bytes += bytes_of(message);
}

static bool take(void)
{
    struct message *message = queue.first;
    bool correct = message->number == queue.taken++;
    for (size_t i = 0; i < message->words; i++)
        correct &= message->text[i] == message->number;
    queue.first = message->next;
    queue.bytes -= bytes_of(message);
    message->next = NULL; /* or one word that looks like an old message would keep all since */
    return correct;
}

int main(int argc, char **argv)
{
    latency_start(argc, argv);
    bool correct = true;
    queue.capacity_bytes = bench_scaled(QUEUE_BYTES);
    while (queue.bytes < queue.capacity_bytes)
        append();

    while (latency_goes_on())
        for (size_t i = 0; i < MESSAGES_IN_A_STEP; i++) {
            append();
            correct &= take();
        }

    while (queue.taken < queue.appended)
        correct &= take();
    return latency_finish(correct, queue.capacity_bytes);
}
