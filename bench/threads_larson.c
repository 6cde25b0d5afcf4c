/* threads_larson.c - a server, after Larson and Krishnan's "Memory allocation
 * for long-running server applications": each thread has a set of objects and
 * replaces one at random, again and again; after each round the sets move on
 * to the next threads. As many are replaced in a round as there are, so of
 * those freed, two in three were allocated by another thread. Sizes are from 16
 * to 1023 bytes, the two kinds take turns.
 */
#include <stdatomic.h>

#include "threads.h"

enum { SLOTS = 5000, REPLACEMENTS = 5000, ROUNDS = 800, SMALLEST = 16, LARGEST = 1023 };

struct set {
    uint64_t random; /* goes with the set: the result does not depend on who has it when */
    uint64_t result;
    size_t made;
    bool correct;
    struct slot {
        unsigned char *object;
        size_t bytes;
        unsigned char tag;
    } slots[SLOTS];
};

static struct set **sets;
static size_t threads, rounds;
static atomic_size_t started;
static pthread_barrier_t end_of_round;

static size_t random_below(struct set *set, size_t limit)
{
    set->random ^= set->random << 13;
    set->random ^= set->random >> 7;
    set->random ^= set->random << 17;
    return (size_t)((set->random * UINT64_C(2685821657736338717) >> 32) * limit >> 32);
}

static void fill(struct set *set, struct slot *slot)
{
    slot->bytes = SMALLEST + random_below(set, LARGEST - SMALLEST + 1);
    slot->tag = (unsigned char)set->made++;
    slot->object = set->made % 2 ? bench_alloc(slot->bytes) : bench_alloc_atomic(slot->bytes);
    slot->object[0] = slot->tag;
    slot->object[slot->bytes - 1] = slot->tag;
}

static void empty(struct set *set, struct slot *slot)
{
    set->correct &= slot->object[0] == slot->tag && slot->object[slot->bytes - 1] == slot->tag;
    set->result = set->result * 31 + slot->object[0] + slot->bytes;
    bench_free(slot->object);
    slot->object = NULL;
}

static struct set *new_set(size_t number)
{
    struct set *set = bench_alloc(sizeof *set);
    set->random = 88172645463325252 + number;
    set->correct = true;
    for (size_t i = 0; i < SLOTS; i++)
        fill(set, &set->slots[i]);
    return set;
}

static void work_on(struct set *set)
{
    for (size_t i = 0; i < REPLACEMENTS; i++) {
        struct slot *slot = &set->slots[random_below(set, SLOTS)];
        empty(set, slot);
        fill(set, slot);
    }
}

static bool serve(uint64_t *result)
{
    size_t number = atomic_fetch_add(&started, 1);
    for (size_t round = 0; round < rounds; round++) {
        work_on(sets[(number + round) % threads]);
        pthread_barrier_wait(&end_of_round);
    }
    *result = 0;
    return true;
}

static bool finish_set(struct set *set, uint64_t *result)
{
    for (size_t i = 0; i < SLOTS; i++)
        empty(set, &set->slots[i]);
    *result += set->result;
    bool correct = set->correct;
    bench_free(set);
    return correct;
}

int main(int argc, char **argv)
{
    threads = bench_start_threaded(argc, argv);
    rounds = bench_scaled(ROUNDS);
    sets = bench_alloc(threads * sizeof *sets);
    for (size_t i = 0; i < threads; i++)
        sets[i] = new_set(i);
    if (pthread_barrier_init(&end_of_round, NULL, (unsigned)threads) != 0)
        abort();

    uint64_t result;
    bool correct = bench_in_threads(threads, serve, &result);

    for (size_t i = 0; i < threads; i++)
        correct &= finish_set(sets[i], &result);
    bench_free(sets);
    pthread_barrier_destroy(&end_of_round);
    return bench_finish(correct, result);
}
