#include <broom.h>

#include <stdio.h>
#include <string.h>

static char *copy_of(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? gc_malloc_atomic(length + 1) : NULL;

    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *gc_strdup(const char *text)
{
    return copy_of(text, strlen(text));
}

char *gc_strndup(const char *text, size_t max_bytes)
{
    return copy_of(text, strnlen(text, max_bytes));
}

int gc_vasprintf(char **result, const char *format, va_list arguments)
{
    va_list again;
    int length;

    *result = NULL;
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return -1;
    *result = gc_malloc_atomic((size_t)length + 1);
    if (*result == NULL)
        return -1;
    return vsnprintf(*result, (size_t)length + 1, format, arguments);
}

int gc_asprintf(char **result, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = gc_vasprintf(result, format, arguments);
    va_end(arguments);
    return length;
}
