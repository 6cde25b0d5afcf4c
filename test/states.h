/* states.h - the states of a model that have been visited, as a queue without
 * duplicates. A state is compared byte by byte, so its struct has no gaps. */
#ifndef TEST_STATES_H
#define TEST_STATES_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char *state;     /* as a queue, */
    uint32_t *place; /* and where in it, plus one, by hash */
    size_t bytes;    /* of a state */
    size_t room;
    size_t count;
} states;

/* For at most `room` states, a power of two. */
static inline void states_begin(size_t bytes, size_t room)
{
    states.state = malloc(room * bytes);
    states.place = calloc(2 * room, sizeof *states.place);
    cr_assert(states.state != NULL && states.place != NULL);
    states.bytes = bytes;
    states.room = room;
    states.count = 0;
}

static inline void states_end(void)
{
    free(states.state);
    free(states.place);
}

static inline const void *states_at(size_t i)
{
    return states.state + i * states.bytes;
}

static inline uint64_t states_hash(const char *state)
{
    uint64_t hash = 0, word = 0;

    for (size_t left = states.bytes; left > 0; word = 0) {
        size_t bytes = left < sizeof word ? left : sizeof word;

        memcpy(&word, state + states.bytes - left, bytes);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing: Knuth, volume 3, section 6.4 */
        hash ^= hash >> 32;
        left -= bytes;
    }
    return hash;
}

/* Returns its number, whether it is new or not. */
static inline size_t states_put(const void *state)
{
    size_t mask = 2 * states.room - 1, at = states_hash(state) & mask;

    for (; states.place[at] != 0; at = (at + 1) & mask)
        if (memcmp(states_at(states.place[at] - 1), state, states.bytes) == 0)
            return states.place[at] - 1;
    cr_assert_lt(states.count, states.room, "there are more states than there is room for");
    memcpy(states.state + states.count * states.bytes, state, states.bytes);
    states.place[at] = (uint32_t)++states.count;
    return states.count - 1;
}

#endif
