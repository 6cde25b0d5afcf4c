/* effort.h - how much work a test does: sanitizers and stress take ten to a
 * hundred times as long for each allocation. */
#ifndef TEST_EFFORT_H
#define TEST_EFFORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __has_feature
#define EFFORT_HAS_FEATURE(name) __has_feature(name)
#else
#define EFFORT_HAS_FEATURE(name) 0
#endif

/* AddressSanitizer: it wants the address space for itself, and leaves words in
 * frames that are larger than they look. */
static inline bool is_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return EFFORT_HAS_FEATURE(address_sanitizer);
#endif
}

/* The value of a variable of the environment that is a number. */
static inline uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static inline bool is_stressed(void)
{
    return number_from_environment("BROOM_STRESS", 0) != 0;
}

/* `full` in an ordinary run, a share of it in a slow one. */
static inline size_t effort(size_t full)
{
    if (is_stressed())
        full /= 3;
    return is_sanitized() ? full / 2 : full;
}

/* For tests that count collections, or make so large a heap that a collection
 * at every n-th allocation takes minutes. Before the first allocation. */
static inline void without_stress(void)
{
    unsetenv("BROOM_STRESS");
}

#endif
