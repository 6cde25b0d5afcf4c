/* random.h - random numbers that are the same in every run. Another seed can
 * be had with TEST_SEED in the environment; a test prints the one it uses. */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state;

/* The first call of a test that wants random numbers. */
static inline void random_begin(const char *test)
{
    const char *text = getenv("TEST_SEED");

    random_state = text != NULL ? strtoull(text, NULL, 0) : 20250309;
    printf("%s: TEST_SEED=%llu\n", test, (unsigned long long)random_state);
    fflush(stdout);
}

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
 * OOPSLA 2014. */
static inline uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* One of 0 ... limit - 1. */
static inline size_t random_below(size_t limit)
{
    return random_next() % limit;
}

/* One of least ... most. */
static inline size_t random_between(size_t least, size_t most)
{
    return least + random_below(most - least + 1);
}

/* True once in `n` times. */
static inline bool random_once_in(size_t n)
{
    return random_below(n) == 0;
}

#endif
