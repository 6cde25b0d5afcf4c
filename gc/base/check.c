#include "gc/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A message with forty callers fits. */
#define TEXT_BYTES 8192

_Atomic(gc__fatal_hook_function *) gc__fatal_hook;

static size_t append_list(char *text, size_t used, size_t capacity, const char *format, va_list arguments)
{
    int length = vsnprintf(text + used, capacity - used, format, arguments);

    if (length < 0)
        return used;
    used += (size_t)length;
    return used < capacity ? used : capacity - 1;
}

size_t gc__append(char *text, size_t used, size_t capacity, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    used = append_list(text, used, capacity, format, arguments);
    va_end(arguments);
    return used;
}

void gc__message(const char *format, ...)
{
    char text[1024];
    size_t used = gc__append(text, 0, sizeof text - 1, "broom: ");
    va_list arguments;

    va_start(arguments, format);
    used = append_list(text, used, sizeof text - 1, format, arguments);
    va_end(arguments);
    text[used++] = '\n';
    text[used] = '\0';
    gc__write_message(text);
}

/* Ends the message and appends the callers. */
static size_t append_callers(char *text, size_t used, size_t capacity, const void *from)
{
    static _Thread_local bool naming;

    used = gc__append(text, used, capacity, "\n");
    if (naming) /* a failure while naming the callers names none */
        return used;
    naming = true;
    used = gc__write_callers(text, used, capacity, from);
    naming = false;
    return used;
}

/* What a report says before the callers; returns its length. */
static size_t start_report(char *text, size_t capacity, const char *format, va_list arguments)
{
    return append_list(text, gc__append(text, 0, capacity, "broom: "), capacity, format, arguments);
}

void gc__report(const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    size_t used;

    va_start(arguments, format);
    used = start_report(text, sizeof text, format, arguments);
    va_end(arguments);
    append_callers(text, used, sizeof text, __builtin_return_address(0));
    gc__write_message(text);
}

/* Tells the whole message, then gives the hook its chance, then aborts. */
static _Noreturn void fail(char *text, size_t used, size_t capacity, const void *from)
{
    gc__fatal_hook_function *hook = gc__fatal_hook;

    append_callers(text, used, capacity, from);
    gc__write_message(text);
    if (hook != NULL)
        hook(text);
    abort();
}

void gc__fatal(const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;
    size_t used;

    va_start(arguments, format);
    used = start_report(text, sizeof text, format, arguments);
    va_end(arguments);
    fail(text, used, sizeof text, __builtin_return_address(0));
}

void gc__check_failed(const char *condition, const char *file, int line)
{
    char text[TEXT_BYTES];
    size_t used =
        gc__append(text, 0, sizeof text, "broom: a bug in Broom: %s does not hold (%s:%d)", condition, file, line);

    fail(text, used, sizeof text, __builtin_return_address(0));
}
