/* replace.c - what broom/replace.h puts in the place of malloc and its like. Beside
 * Broom's objects there are others here, of files that have the C library's malloc. */

#define _GNU_SOURCE
#include <broom/replace.h>

#include "gc/alloc/allocate.h"
#include "gc/api/enter.h"
#include "gc/api/finalizer.h"
#include "gc/base/align.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The C library's, which have other names in this file. */
extern void c_library_free(void *object) __asm__("free");
extern size_t c_library_usable_size(void *object) __asm__("malloc_usable_size");

static bool is_ours(const void *object)
{
    return gc__region_offset(&gc__heap.region, (uintptr_t)object) < gc__region_span(&gc__heap.region);
}

static bool frees_are_honoured(void)
{
    return gc__heap.options.free == GC_FREE_HONOUR;
}

/* ---- Objects ------------------------------------------------------------------------- */

void *gc_replace_malloc(size_t bytes)
{
    return gc_malloc(bytes);
}

void *gc_replace_calloc(size_t count, size_t bytes)
{
    return gc_calloc(count, bytes);
}

void gc_replace_free(void *object)
{
    if (!is_ours(object))
        c_library_free(object);
    else if (frees_are_honoured())
        gc_free(object);
}

/* The C library's object becomes ours, so that it may hold pointers to ours. */
static void *adopt(void *object, size_t bytes)
{
    void *adopted = gc_malloc(bytes);

    if (adopted == NULL)
        return NULL;
    memcpy(adopted, object, gc__min(bytes, c_library_usable_size(object)));
    c_library_free(object);
    return adopted;
}

static void *resize_spilled(uintptr_t sp, const char *call, uintptr_t object, uintptr_t bytes)
{
    struct object old = gc__enter_object(call, (void *)object);

    return gc__attended(
        gc__reallocate(&gc__heap, gc__enter_spilled(call, sp), old, (void *)object, bytes, frees_are_honoured()));
}

void *gc_replace_realloc(void *object, size_t bytes)
{
    if (object == NULL)
        return gc_malloc(bytes);
    if (bytes == 0) {
        gc_replace_free(object);
        return NULL;
    }
    if (!is_ours(object))
        return adopt(object, bytes);
    return gc__os_spill_registers(resize_spilled, "realloc", (uintptr_t)object, bytes);
}

void *gc_replace_reallocarray(void *object, size_t count, size_t bytes)
{
    size_t all;

    if (!__builtin_mul_overflow(count, bytes, &all))
        return gc_replace_realloc(object, all);
    errno = ENOMEM;
    return NULL;
}

void *gc_replace_aligned_alloc(size_t alignment, size_t bytes)
{
    return gc_aligned_alloc(alignment, bytes);
}

int gc_replace_posix_memalign(void **result, size_t alignment, size_t bytes)
{
    return gc_posix_memalign(result, alignment, bytes);
}

size_t gc_replace_usable_size(void *object)
{
    return is_ours(object) ? gc_usable_size(object) : c_library_usable_size(object);
}

/* ---- Text ------------------------------------------------------------------------------- */

char *gc_replace_strdup(const char *text)
{
    return gc_strdup(text);
}

char *gc_replace_strndup(const char *text, size_t max_bytes)
{
    return gc_strndup(text, max_bytes);
}

int gc_replace_vasprintf(char **result, const char *format, va_list arguments)
{
    return gc_vasprintf(result, format, arguments);
}

int gc_replace_asprintf(char **result, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = gc_vasprintf(result, format, arguments);
    va_end(arguments);
    return length;
}

int gc_replace_vasprintf_chk(char **result, int flag, const char *format, va_list arguments)
{
    (void)flag;
    return gc_vasprintf(result, format, arguments);
}

int gc_replace_asprintf_chk(char **result, int flag, const char *format, ...)
{
    va_list arguments;
    int length;

    (void)flag;
    va_start(arguments, format);
    length = gc_vasprintf(result, format, arguments);
    va_end(arguments);
    return length;
}

/* ---- Lines --------------------------------------------------------------------------------- */

static bool make_room(char **line, size_t *bytes, size_t wanted)
{
    char *larger;

    if (*line != NULL && *bytes >= wanted)
        return true;
    larger = gc_replace_realloc(*line, gc__max(wanted, 2 * *bytes));
    if (larger == NULL)
        return false;
    *line = larger;
    *bytes = gc__max(wanted, 2 * *bytes);
    return true;
}

/* The stream is locked. */
static long read_up_to(char **line, size_t *bytes, int end, FILE *stream)
{
    size_t length = 0;
    int c = 0;

    while ((length == 0 || c != end) && (c = getc_unlocked(stream)) != EOF) {
        if (!make_room(line, bytes, gc__max(length + 2, 120)))
            return -1;
        (*line)[length++] = (char)c;
    }
    if (length == 0)
        return -1;
    (*line)[length] = '\0';
    return (long)length;
}

long gc_replace_getdelim(char **line, size_t *bytes, int end, FILE *stream)
{
    long length;

    if (line == NULL || bytes == NULL) {
        errno = EINVAL;
        return -1;
    }
    flockfile(stream);
    if (*line == NULL)
        *bytes = 0;
    length = read_up_to(line, bytes, (unsigned char)end, stream);
    funlockfile(stream);
    return length;
}

long gc_replace_getline(char **line, size_t *bytes, FILE *stream)
{
    return gc_replace_getdelim(line, bytes, '\n', stream);
}
