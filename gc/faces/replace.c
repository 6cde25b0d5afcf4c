/* replace.c - what broom/replace.h puts in the place of malloc and its like. Beside
 * Broom's objects there are others here, of files that have the C library's malloc. */

#define _GNU_SOURCE
#include <broom/replace.h>

#include "gc/alloc/allocate.h"
#include "gc/api/enter.h"
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

/* Text holds no pointers, and is not scanned for any; what it is made larger for may. */
static void *move_text(void *text, size_t bytes)
{
    void *moved = gc_malloc(bytes);

    if (moved == NULL)
        return NULL;
    memcpy(moved, text, gc__min(bytes, gc_usable_size(text)));
    gc_replace_free(text);
    return moved;
}

static bool is_text(const void *object)
{
    struct object found = gc__enter_object("realloc", object);

    return gc__object_kind(&gc__heap.region, &found) == GC_KIND_ATOMIC;
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
    if (is_text(object))
        return move_text(object, bytes);
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

/* No memory is aligned to more than the heap knows. */
static void *allocate_aligned(size_t power, size_t bytes)
{
    if (power <= GC_CHUNK_BYTES)
        return gc_aligned_alloc(power, bytes);
    errno = ENOMEM;
    return NULL;
}

/* glibc rounds the alignment up to a power of two. */
void *gc_replace_memalign(size_t alignment, size_t bytes)
{
    size_t power = gc__power_of_two_for(alignment);

    if (power != 0)
        return allocate_aligned(power, bytes);
    errno = EINVAL;
    return NULL;
}

void *gc_replace_aligned_alloc(size_t alignment, size_t bytes)
{
    return gc_replace_memalign(alignment, bytes);
}

void *gc_replace_valloc(size_t bytes)
{
    return gc_aligned_alloc(gc__os_page_bytes(), bytes);
}

void *gc_replace_pvalloc(size_t bytes)
{
    size_t page = gc__os_page_bytes();

    if (bytes <= SIZE_MAX - page)
        return gc_aligned_alloc(page, gc__align_up(bytes, page));
    errno = ENOMEM;
    return NULL;
}

int gc_replace_posix_memalign(void **result, size_t alignment, size_t bytes)
{
    if (gc__is_power_of_two(alignment) && alignment > GC_CHUNK_BYTES)
        return ENOMEM;
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

struct reading {
    char **line;
    size_t *bytes;
    int end;
    FILE *stream;
};

/* The stream is locked. Without a size the line may be anything. */
static long read_line(void *argument)
{
    struct reading *to = argument;
    size_t length = 0;
    int c = 0;

    if (*to->line == NULL || *to->bytes == 0) {
        *to->line = NULL;
        *to->bytes = 0;
    }
    while ((length == 0 || c != to->end) && (c = getc_unlocked(to->stream)) != EOF) {
        if (!make_room(to->line, to->bytes, gc__max(length + 2, 120)))
            return -1;
        (*to->line)[length++] = (char)c;
    }
    if (length == 0)
        return -1;
    (*to->line)[length] = '\0';
    return (long)length;
}

long gc_replace_getdelim(char **line, size_t *bytes, int end, FILE *stream)
{
    struct reading reading = {line, bytes, (unsigned char)end, stream};

    if (line == NULL || bytes == NULL) {
        errno = EINVAL;
        return -1;
    }
    return gc__os_with_stream(stream, read_line, &reading);
}

long gc_replace_getline(char **line, size_t *bytes, FILE *stream)
{
    return gc_replace_getdelim(line, bytes, '\n', stream);
}

/* ---- A stream that writes to memory ---------------------------------------------------------- */

/* Uncollectable, as the C library's memory has the pointer to it. */
struct memory_stream {
    char **text; /* where the program wants them */
    size_t *bytes;
    char *buffer; /* zero behind `length` */
    size_t capacity, length, position;
};

static bool grow_buffer(struct memory_stream *stream, size_t wanted)
{
    size_t capacity = gc__max(gc__max(wanted, 2 * stream->capacity), 256);
    char *larger;

    if (wanted <= stream->capacity)
        return true;
    larger = gc_realloc(stream->buffer, capacity);
    if (larger == NULL)
        return false;
    memset(larger + stream->capacity, 0, capacity - stream->capacity);
    stream->buffer = larger;
    stream->capacity = capacity;
    return true;
}

/* The size is that up to where the stream stands, if less was written behind that. */
static void tell_of_buffer(const struct memory_stream *stream)
{
    *stream->text = stream->buffer;
    *stream->bytes = gc__min(stream->length, stream->position);
}

static ssize_t write_to_memory(void *cookie, const char *from, size_t bytes)
{
    struct memory_stream *stream = cookie;

    if (bytes > SIZE_MAX / 4 || !grow_buffer(stream, stream->position + bytes + 1))
        return 0;
    memcpy(stream->buffer + stream->position, from, bytes);
    stream->position += bytes;
    stream->length = gc__max(stream->length, stream->position);
    tell_of_buffer(stream);
    return (ssize_t)bytes;
}

static int seek_in_memory(void *cookie, off64_t *offset, int whence)
{
    struct memory_stream *stream = cookie;
    off64_t from = whence == SEEK_SET ? 0 : (off64_t)(whence == SEEK_CUR ? stream->position : stream->length);

    if (*offset < -from)
        return -1;
    *offset += from;
    stream->position = (size_t)*offset;
    return 0;
}

static int close_memory(void *cookie)
{
    tell_of_buffer(cookie);
    gc_free(cookie);
    return 0;
}

FILE *gc_replace_open_memstream(char **text, size_t *bytes)
{
    static const cookie_io_functions_t functions = {NULL, write_to_memory, seek_in_memory, close_memory};
    struct memory_stream *stream = gc_malloc_uncollectable(sizeof *stream);
    FILE *file;

    if (stream == NULL)
        return NULL;
    *stream = (struct memory_stream){.text = text, .bytes = bytes};
    file = grow_buffer(stream, 1) ? fopencookie(stream, "w", functions) : NULL;
    if (file == NULL)
        gc_free(stream);
    else
        tell_of_buffer(stream);
    return file;
}
