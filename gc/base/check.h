/* check.h - the three kinds of failure, never mixed.
 *
 *   exhaustion  is no failure: functions return NULL or false
 *   misuse      the caller's mistake: GC_MISUSE says which call and address
 *   our bug     GC_ASSERT where it is cheap, GC_AUDIT in O(heap) checks
 *
 * A message goes to stderr with the callers' names behind it, then to the
 * fatal hook, then the program aborts. Any thread; nothing of the heap is
 * allocated. */
#ifndef GC_BASE_CHECK_H
#define GC_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#define GC_LIKELY(x) __builtin_expect(!!(x), 1)
#define GC_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* For functions that read client memory as it is: words that no one has
 * written, stack that a sanitizer has fenced, thread-local variables of a
 * sanitizer's own. They alone are exempt from it. */
#define GC_SCANS_ANYTHING __attribute__((no_sanitize("address", "undefined", "thread")))

/* Until here the address stands in a register or on the stack, where a collection
 * sees it, also if the compiler has made something else of it. */
#define GC_HOLD_UNTIL_HERE(address) __asm__ volatile("" : : "g"(address) : "memory")

/* Assertions compile in every build and vanish where GC_DEBUG is 0. */
#ifndef GC_DEBUG
#define GC_DEBUG 0
#endif

#define GC_ASSERT(condition)                                                                                           \
    do {                                                                                                               \
        if (GC_DEBUG && GC_UNLIKELY(!(condition)))                                                                     \
            gc__check_failed(#condition, __FILE__, __LINE__);                                                          \
    } while (0)

/* Checked in every build: for the audit, which is asked for. */
#define GC_AUDIT(condition)                                                                                            \
    do {                                                                                                               \
        if (GC_UNLIKELY(!(condition)))                                                                                 \
            gc__check_failed(#condition, __FILE__, __LINE__);                                                          \
    } while (0)

/* See gc_set_fatal_hook. */
typedef void gc__fatal_hook_function(const char *message);
extern _Atomic(gc__fatal_hook_function *) gc__fatal_hook;

/* Appends the callers, a line each and from the return address `from` on, to
 * `text`, which holds `used` of `capacity` bytes; returns the new length.
 * Defined on a higher floor (gc/insight/backtrace_*.c), as naming callers is. */
size_t gc__write_callers(char *text, size_t used, size_t capacity, const void *from);

/* All of the text, on stderr, in one write if the system takes it. Not through
 * stdio: a stopped thread may hold its lock. Defined in gc/platform. */
void gc__write_message(const char *text);

/* "broom: " and the message and a newline, on stderr, in one write. */
void gc__message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Appends to `text` like snprintf; returns the new length, below capacity. */
size_t gc__append(char *text, size_t used, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As gc__message, with the callers behind it. */
void gc__report(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* Message, callers, hook, abort. */
_Noreturn void gc__fatal(const char *format, ...) __attribute__((format(printf, 1, 2), cold));
_Noreturn void gc__check_failed(const char *condition, const char *file, int line) __attribute__((cold));

/* `call` is the public function that was misused. */
#define GC_MISUSE(call, format, ...) gc__fatal("%s: " format, call, __VA_ARGS__)

#endif
