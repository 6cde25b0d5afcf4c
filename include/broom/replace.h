/* broom/replace.h - malloc and its like are Broom's in a file that includes this before
 * all else, or is compiled with -include broom/replace.h. C and C++. Link with -lbroom.
 *
 * The linker sees other names; to the compiler the functions are what they were: they can
 * be pointed at, and members of these names stay what they are. (C++'s new is no call in
 * the file: link with -lbroom-malloc for that.)
 *
 * What other files and libraries get from the C library's malloc may be given to free,
 * realloc and malloc_usable_size here: it is told apart. What comes from here must not be
 * given to the C library's free, and its only pointer not be kept in memory from there.
 *
 * mallinfo, malloc_trim and their like stay the C library's, and tell of its heap. An
 * alignment of more than 2 MiB is refused with EINVAL, unlike there.
 *
 * What free does to Broom's objects says the option BROOM_FREE: by default nothing.
 *
 * Each function has the contract of the C library's; those that allocate may collect. */
#ifndef BROOM_REPLACE_H
#define BROOM_REPLACE_H

/* No header of the C library comes before the program has said which features it wants
 * of them: so sizes and lists have the compiler's names here. */
#define GC__EXPORT __attribute__((visibility("default"))) /* as in broom.h */
#define GC__SIZE_T __SIZE_TYPE__
#define GC__VA_LIST __builtin_va_list

#define GC__NOTHROW __attribute__((nothrow))
#define GC__IS(name) __asm__(#name) __attribute__((nothrow))
#ifdef __cplusplus
#undef GC__NOTHROW
#undef GC__IS
#define GC__NOTHROW noexcept
#define GC__IS(name) noexcept __asm__(#name)
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

/* With checks, as -D_FORTIFY_SOURCE has them. */
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
