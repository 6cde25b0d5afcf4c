/* threads_handover.c - what one thread allocates, another checks and frees:
 * pairs of a producer and a consumer, between them a queue of at most 64
 * batches of 32 small objects. After the xmalloc-test of Lever and Boreham.
 */
#include <stdatomic.h>

#include "threads.h"

enum { BATCHES = 300000, BATCH_OBJECTS = 32, QUEUE_BATCHES = 64, SMALLEST = 16, LARGEST = 256 };

/* Its first word says how many bytes it has; the last byte is their number, too. */
struct object {
    size_t bytes;
    unsigned char rest[];
};

struct batch {
    struct object *objects[BATCH_OBJECTS];
};

/* A ring in the allocator's memory, where the collectors see what is under way. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* of the two, only one thread waits at a time */
    struct batch *batches[QUEUE_BATCHES];
    size_t put, taken; /* how many ever */
};

static struct queue **queues; /* one for each pair */
static size_t batches;
static atomic_size_t started;

static struct queue *new_queue(void)
{
    struct queue *queue = bench_alloc(sizeof *queue);
    if (pthread_mutex_init(&queue->lock, NULL) != 0 || pthread_cond_init(&queue->changed, NULL) != 0)
        abort();
    return queue;
}

static void free_queue(struct queue *queue)
{
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    bench_free(queue);
}

static void put(struct queue *queue, struct batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put - queue->taken == QUEUE_BATCHES)
        pthread_cond_wait(&queue->changed, &queue->lock);
    queue->batches[queue->put++ % QUEUE_BATCHES] = batch;
    if (queue->put - queue->taken == 1)
        pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static struct batch *take(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put == queue->taken)
        pthread_cond_wait(&queue->changed, &queue->lock);
    size_t at = queue->taken++ % QUEUE_BATCHES;
    struct batch *batch = queue->batches[at];
    queue->batches[at] = NULL;
    if (queue->put - queue->taken == QUEUE_BATCHES - 1)
        pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

static struct object *new_object(size_t bytes)
{
    struct object *object = bench_alloc(bytes);
    object->bytes = bytes;
    ((unsigned char *)object)[bytes - 1] = (unsigned char)bytes;
    return object;
}

static bool intact(const struct object *object)
{
    const unsigned char *bytes = (const unsigned char *)object;
    return object->bytes >= SMALLEST && object->bytes <= LARGEST &&
           bytes[object->bytes - 1] == (unsigned char)object->bytes;
}

static void produce(struct queue *queue)
{
    uint64_t random = 88172645463325252;
    for (size_t i = 0; i < batches; i++) {
        struct batch *batch = bench_alloc(sizeof *batch);
        for (size_t at = 0; at < BATCH_OBJECTS; at++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            batch->objects[at] = new_object(SMALLEST + random % (LARGEST - SMALLEST + 1));
        }
        put(queue, batch);
    }
}

static bool consume(struct queue *queue, uint64_t *result)
{
    bool correct = true;
    for (size_t i = 0; i < batches; i++) {
        struct batch *batch = take(queue);
        for (size_t at = 0; at < BATCH_OBJECTS; at++) {
            correct &= intact(batch->objects[at]);
            *result = *result * 31 + batch->objects[at]->bytes;
            bench_free(batch->objects[at]);
        }
        bench_free(batch);
    }
    return correct;
}

static bool produce_or_consume(uint64_t *result)
{
    size_t number = atomic_fetch_add(&started, 1);
    struct queue *queue = queues[number / 2];
    *result = 0;
    if (number % 2 == 1)
        return consume(queue, result);
    produce(queue);
    return true;
}

int main(int argc, char **argv)
{
    size_t pairs = 1;
    bench_start_with(argc, argv, " [pairs, 1 by default]", &pairs, 1);
    batches = bench_scaled(BATCHES);
    queues = bench_alloc(pairs * sizeof *queues);
    for (size_t i = 0; i < pairs; i++)
        queues[i] = new_queue();

    uint64_t result;
    bool correct = bench_in_threads(2 * pairs, produce_or_consume, &result);

    for (size_t i = 0; i < pairs; i++)
        free_queue(queues[i]);
    bench_free(queues);
    return bench_finish(correct, result);
}
