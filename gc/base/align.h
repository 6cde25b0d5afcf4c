/* align.h - rounding and checked arithmetic. */
#ifndef GC_BASE_ALIGN_H
#define GC_BASE_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool gc__is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* The largest power of two that is not above n, which is not 0. */
static inline size_t gc__power_of_two_in(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzl(n));
}

/* The smallest power of two that is not below n; 0: there is none. */
static inline size_t gc__power_of_two_for(size_t n)
{
    if (n > SIZE_MAX / 2 + 1)
        return 0;
    return n <= 1 ? 1 : gc__power_of_two_in(n - 1) * 2;
}

/* `to` is a power of two; the caller knows that the result does not overflow. */
static inline size_t gc__align_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

static inline size_t gc__align_down(size_t n, size_t to)
{
    return n & ~(to - 1);
}

static inline size_t gc__divide_up(size_t n, size_t by)
{
    return n / by + (n % by != 0);
}

static inline size_t gc__min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t gc__max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
