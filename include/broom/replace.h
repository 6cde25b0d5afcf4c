/* broom/replace.h - malloc and its like are Broom's in a file that includes this before
 * all else, or is compiled with -include broom/replace.h. C and C++. Link with -lbroom.
 *
 * The functions are renamed for the linker only; the compiler sees the usual declarations.
 * So their addresses may be taken, and struct members of the same names are not affected.
 * (C++'s new and delete are not replaced: for that, link with -lbroom-malloc instead of
 * including this header.)
 *
 * Not replaced: getcwd, realpath, wcsdup, scandir, getaddrinfo and whatever else of the C
 * library allocates inside it. What they return is the C library's.
 *
 * mallinfo, malloc_trim and their like are not replaced either, and concern the C library's
 * heap. There is no memory for an alignment of more than 2 MiB: ENOMEM.
 *
 * Memory that other files and libraries got from the C library's malloc may be given to
 * free, realloc and malloc_usable_size here: they recognise it. Memory that was allocated
 * here must not be given to the C library's free, nor may the only pointer to it be kept
 * in memory from the C library's malloc.
 *
 * What free does to an object of Broom's depends on the option BROOM_FREE: by default
 * nothing.
 *
 * Each function has the contract of the C library's; those that allocate may collect. */
#ifndef BROOM_REPLACE_H
#define BROOM_REPLACE_H

/* This file comes before the program's feature macros (_GNU_SOURCE and its like), so it
 * must not include a header of the C library: size_t and va_list go by the compiler's own
 * names here. */
#define GC__EXPORT __attribute__((visibility("default"))) /* as in broom.h */
#define GC__SIZE_T __SIZE_TYPE__
#define GC__VA_LIST __builtin_va_list

#define GC__NOTHROW __attribute__((nothrow))
#define GC__IS(name) __asm__(#name) __attribute__((nothrow))
#ifdef __cplusplus
#undef GC__NOTHROW
#undef GC__IS
#define GC__NOTHROW noexcept
#define GC__IS(name) GC__NOTHROW __asm__(#name)
#if __cplusplus < 201103L
#undef GC__NOTHROW
#define GC__NOTHROW throw()
#endif
extern "C" {
#endif
#define GC__IS_POINT_OF_CANCELLATION(name) __asm__(#name)

struct _IO_FILE;

GC__EXPORT void *gc_replace_malloc(GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void *gc_replace_calloc(GC__SIZE_T count, GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void *gc_replace_realloc(void *object, GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void *gc_replace_reallocarray(void *object, GC__SIZE_T count, GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void gc_replace_free(void *object) GC__NOTHROW;
GC__EXPORT void *gc_replace_memalign(GC__SIZE_T alignment, GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void *gc_replace_valloc(GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void *gc_replace_pvalloc(GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT void *gc_replace_aligned_alloc(GC__SIZE_T alignment, GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT int gc_replace_posix_memalign(void **result, GC__SIZE_T alignment, GC__SIZE_T bytes) GC__NOTHROW;
GC__EXPORT GC__SIZE_T gc_replace_usable_size(void *object) GC__NOTHROW;
GC__EXPORT char *gc_replace_strdup(const char *text) GC__NOTHROW;
GC__EXPORT char *gc_replace_strndup(const char *text, GC__SIZE_T max_bytes) GC__NOTHROW;
GC__EXPORT int gc_replace_asprintf(char **result, const char *format, ...) GC__NOTHROW;
GC__EXPORT int gc_replace_vasprintf(char **result, const char *format, GC__VA_LIST arguments) GC__NOTHROW;
GC__EXPORT long gc_replace_getdelim(char **line, GC__SIZE_T *bytes, int end, struct _IO_FILE *stream);
GC__EXPORT struct _IO_FILE *gc_replace_open_memstream(char **text, GC__SIZE_T *bytes) GC__NOTHROW;
GC__EXPORT long gc_replace_getline(char **line, GC__SIZE_T *bytes, struct _IO_FILE *stream);

/* The checking forms that -D_FORTIFY_SOURCE calls. */
GC__EXPORT int gc_replace_asprintf_chk(char **result, int flag, const char *format, ...) GC__NOTHROW;
GC__EXPORT int gc_replace_vasprintf_chk(char **result, int flag, const char *format, GC__VA_LIST arguments) GC__NOTHROW;

void *malloc(GC__SIZE_T) GC__IS(gc_replace_malloc);
void *calloc(GC__SIZE_T, GC__SIZE_T) GC__IS(gc_replace_calloc);
void *realloc(void *, GC__SIZE_T) GC__IS(gc_replace_realloc);
void *reallocarray(void *, GC__SIZE_T, GC__SIZE_T) GC__IS(gc_replace_reallocarray);
void free(void *) GC__IS(gc_replace_free);
void *aligned_alloc(GC__SIZE_T, GC__SIZE_T) GC__IS(gc_replace_aligned_alloc);
void *memalign(GC__SIZE_T, GC__SIZE_T) GC__IS(gc_replace_memalign);
void *valloc(GC__SIZE_T) GC__IS(gc_replace_valloc);
void *pvalloc(GC__SIZE_T) GC__IS(gc_replace_pvalloc);
int posix_memalign(void **, GC__SIZE_T, GC__SIZE_T) GC__IS(gc_replace_posix_memalign);
GC__SIZE_T malloc_usable_size(void *) GC__IS(gc_replace_usable_size);
char *strdup(const char *) GC__IS(gc_replace_strdup);
char *strndup(const char *, GC__SIZE_T) GC__IS(gc_replace_strndup);
int asprintf(char **, const char *, ...) GC__IS(gc_replace_asprintf);
int vasprintf(char **, const char *, GC__VA_LIST) GC__IS(gc_replace_vasprintf);
int __asprintf_chk(char **, int, const char *, ...) GC__IS(gc_replace_asprintf_chk);
int __vasprintf_chk(char **, int, const char *, GC__VA_LIST) GC__IS(gc_replace_vasprintf_chk);
struct _IO_FILE *open_memstream(char **, GC__SIZE_T *) GC__IS(gc_replace_open_memstream);
long getdelim(char **, GC__SIZE_T *, int, struct _IO_FILE *) GC__IS_POINT_OF_CANCELLATION(gc_replace_getdelim);
long __getdelim(char **, GC__SIZE_T *, int, struct _IO_FILE *) GC__IS_POINT_OF_CANCELLATION(gc_replace_getdelim);
long getline(char **, GC__SIZE_T *, struct _IO_FILE *) GC__IS_POINT_OF_CANCELLATION(gc_replace_getline);

#ifdef __cplusplus
}
#endif

#endif
