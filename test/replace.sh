#!/bin/sh
# replace.sh - broom/replace.h gives malloc and its like to C and C++ programs, which
# define what they want of the C library's headers, and include these, afterwards.
set -eu
: "${CC:=cc}" "${CXX:=c++}"
top=${top_srcdir:-.} build=${top_builddir:-.}
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/program.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wchar.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%d: %s\n", __LINE__, #condition);                                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct operations {
    void (*free)(void *object);
};

static char *keep[100];
static void *volatile sink;

static int is_honoured(void)
{
    const char *means = getenv("BROOM_FREE");

    return means != NULL && strcmp(means, "honour") == 0;
}

static void check_arrays(void)
{
    unsigned *array = (unsigned *)memset(malloc(400), 1, 400);
    volatile size_t huge = SIZE_MAX / 2;
    void *aligned;

    free(array);
    array = (unsigned *)calloc(100, sizeof *array);
    for (int i = 0; i < 100; i++)
        REQUIRE(array[i] == 0);
    array[99] = 7;
    array = (unsigned *)reallocarray(array, 2000, sizeof *array);
    REQUIRE(array[99] == 7 && array[0] == 0 && malloc_usable_size(array) >= 8000);
    errno = 0;
    REQUIRE((sink = reallocarray(array, huge, 4)) == NULL && errno == ENOMEM && array[99] == 7);
    REQUIRE(posix_memalign(&aligned, 4096, 100) == 0 && (uintptr_t)aligned % 4096 == 0);
    REQUIRE(posix_memalign(&aligned, 24, 100) == EINVAL);
    REQUIRE((sink = realloc(aligned, 0)) == NULL);
}

static int format(char **result, const char *text, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, text);
    length = vasprintf(result, text, arguments);
    va_end(arguments);
    return length;
}

static void check_text(void)
{
    char parts[] = "one;two;;last", *text = NULL;
    FILE *stream = fmemopen(parts, sizeof parts - 1, "r");
    size_t bytes = 0;

    REQUIRE(getdelim(&text, &bytes, ';', stream) == 4 && strcmp(text, "one;") == 0);
    REQUIRE(getdelim(&text, &bytes, ';', stream) == 4 && strcmp(text, "two;") == 0);
    REQUIRE(getdelim(&text, &bytes, ';', stream) == 1 && strcmp(text, ";") == 0);
    REQUIRE(getdelim(&text, &bytes, ';', stream) == 4 && strcmp(text, "last") == 0);
    REQUIRE(getdelim(&text, &bytes, ';', stream) == -1 && feof(stream));
    fclose(stream);
    REQUIRE(format(&text, "%d and %s", 12, "more") == 11 && strcmp(text, "12 and more") == 0);
}

/* What the C library allocated inside itself is freed, whatever free means; what is made larger
 * may hold pointers. */
static void check_of_c_library(void)
{
    wchar_t wide[1000];
    char **adopted, *folder = getcwd(NULL, 0);
    struct rusage usage;

    wmemset(wide, L'x', 999)[999] = L'\0';
    for (int i = 0; i < 100000; i++)
        free(wcsdup(wide));
    for (int i = 0; i < 100000; i++)
        sink = realloc(wcsdup(wide), 0);
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < 40 << 10);
    REQUIRE(folder != NULL && malloc_usable_size(folder) > strlen(folder));
    folder = (char *)realloc(folder, 10000);
    sink = getcwd(NULL, 0);
    REQUIRE(malloc_usable_size(folder) >= 10000 && strcmp(folder, (char *)sink) == 0);
    free(sink);
    adopted = (char **)realloc(wcsdup(wide), 800);
    for (int i = 0; i < 100; i++)
        REQUIRE(asprintf(&adopted[i], "adopted %d", i) > 0);
    for (int i = 0; i < 1000000; i++)
        sink = strdup("forgotten");
    for (int i = 0; i < 100; i++)
        REQUIRE(atoi(adopted[i] + 8) == i);
}

/* As of glibc, where memory of such an alignment cannot be had. */
static void check_failures(void)
{
    volatile size_t none[] = {1, 24, SIZE_MAX, ((size_t)1 << 63) + 8};
    volatile size_t large[] = {(size_t)4 << 20, (size_t)1 << 62, (size_t)1 << 63};
    volatile size_t huge = SIZE_MAX / 2, most = SIZE_MAX;
    char *volatile object = strcpy((char *)malloc(100), "old");
    void *result = object;

    errno = 7;
    for (int i = 0; i < 4; i++)
        REQUIRE(posix_memalign(&result, none[i], 16) == EINVAL && result == object);
    for (int i = 0; i < 3; i++)
        REQUIRE(posix_memalign(&result, large[i], most - large[i]) == ENOMEM && result == object);
    REQUIRE(posix_memalign(&result, 64, huge) == ENOMEM && result == object && errno == 7);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        REQUIRE(memalign(large[i], 16) == NULL && errno == ENOMEM);
        errno = 0;
        REQUIRE(memalign(large[i] - 1, 16) == NULL && errno == ENOMEM);
        errno = 0;
        REQUIRE(aligned_alloc(large[i], most - large[i]) == NULL && errno == ENOMEM);
    }
    errno = 0;
    REQUIRE(memalign(none[3], 16) == NULL && errno == EINVAL);
    errno = 0;
    REQUIRE(valloc(most - 100) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(pvalloc(most - 100) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(realloc(object, most) == NULL && errno == ENOMEM && strcmp(object, "old") == 0);
    errno = 0;
    REQUIRE(reallocarray(object, huge, 3) == NULL && errno == ENOMEM && strcmp(object, "old") == 0);
}

/* With an argument it frees twice. */
static void *read_line(void *stream)
{
    char *line = NULL;
    size_t bytes = 0;

    getline(&line, &bytes, (FILE *)stream);
    return NULL;
}

/* The stream is free again, as with the C library. */
static void check_cancelled_reader(void)
{
    int ends[2];
    pthread_t thread;
    FILE *stream;

    REQUIRE(pipe(ends) == 0 && (stream = fdopen(ends[0], "r")) != NULL);
    REQUIRE(pthread_create(&thread, NULL, read_line, stream) == 0);
    while (ftrylockfile(stream) == 0) { /* until it waits */
        funlockfile(stream);
        usleep(1000);
    }
    REQUIRE(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
    REQUIRE(ftrylockfile(stream) == 0);
}

int main(int count, char **argument)
{
    struct operations operations = {free};
    struct rusage usage;
    char *text = NULL, *buffer;
    size_t bytes = 0;
    FILE *stream;

    for (int i = 0; i < 100; i++)
        REQUIRE(asprintf(&keep[i], "kept %d", i) > 0);
    for (int i = 0; i < 1000000; i++) { /* a gigabyte, never freed */
        text = (char *)malloc(1000);
        text[999] = 1;
        text = strdup("forgotten");
    }
    for (int i = 0; i < 100; i++)
        REQUIRE(atoi(keep[i] + 5) == i);
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < 40 << 10);

    stream = open_memstream(&buffer, &bytes);
    for (int i = 0; i < 5000; i++)
        fprintf(stream, "line %d%s\n", i, i % 100 == 0 ? keep[0] : "");
    fclose(stream);
    stream = fmemopen(buffer, bytes, "r");
    text = NULL;
    bytes = 0;
    for (int i = 0; i < 5000; i++)
        REQUIRE(getline(&text, &bytes, stream) > 5 && atoi(text + 5) == i);
    REQUIRE(getline(&text, &bytes, stream) == -1 && feof(stream));
    rewind(stream);
    text = (char *)&usage; /* without a size it says nothing */
    bytes = 0;
    REQUIRE(getline(&text, &bytes, stream) > 5 && text != (char *)&usage && bytes > 5);
    fclose(stream);
    buffer = (char *)realloc(buffer, 100000);
    REQUIRE(strncmp(buffer, "line 0", 6) == 0 && malloc_usable_size(buffer) >= 100000);

    {
        char **grown = (char **)strdup("text that comes to hold pointers");

        grown = (char **)realloc(grown, 1000);
        for (int i = 0; i < 100; i++)
            asprintf(&grown[i], "grown %d", i);
        for (int i = 0; i < 1000000; i++)
            text = strdup("forgotten");
        for (int i = 0; i < 100; i++)
            REQUIRE(atoi(grown[i] + 6) == i);
    }
    stream = open_memstream(&text, &bytes);
    fputs("12345", stream);
    REQUIRE(fflush(stream) == 0 && bytes == 5 && strcmp(text, "12345") == 0);
    REQUIRE(fseek(stream, 8, SEEK_SET) == 0 && fputc('8', stream) == '8' && fclose(stream) == 0);
    REQUIRE(bytes == 9 && memcmp(text, "12345\0\0\0008", 10) == 0);
    REQUIRE((uintptr_t)memalign(24, 10) % 32 == 0 && (uintptr_t)valloc(10) % 4096 == 0);
    REQUIRE(malloc_usable_size(pvalloc(10)) >= 4096);

    operations.free(buffer);
    free(NULL);
    if (count > 1)
        free(buffer);
    REQUIRE(is_honoured() || strncmp(buffer, "line 0", 6) == 0);
    check_arrays();
    check_text();
    check_of_c_library();
    errno = 0;
    REQUIRE(calloc(SIZE_MAX / 2, 4) == NULL && errno == ENOMEM);
    REQUIRE((uintptr_t)aligned_alloc(256, 256) % 256 == 0);
    REQUIRE((text = (char *)aligned_alloc(24, 48)) != NULL && (uintptr_t)text % 32 == 0);
    REQUIRE((text = strndup("abcdef", 3)) != NULL && strcmp(text, "abc") == 0);
    check_failures();
    check_cancelled_reader();
    return argument == NULL;
}
END

replaced='malloc|calloc|realloc|reallocarray|free|aligned_alloc|memalign|valloc|pvalloc|posix_memalign|malloc_usable_size'
replaced="$replaced|strdup|strndup|v?asprintf|__v?asprintf_chk|open_memstream|(__)?getdelim|getline"

# What free means is chosen when the program runs.
run_program()
{
    "$work/program"
    "$work/program" twice
    BROOM_FREE=honour "$work/program"
    if BROOM_FREE=honour "$work/program" twice 2>"$work/errors" || ! grep -q 'free already' "$work/errors"; then
        echo "a second free is not noticed"
        exit 1
    fi
}

for how in '-O0' '-O2' '-O2 -D_FORTIFY_SOURCE=2'; do
    # shellcheck disable=SC2086 # words
    for compiler in "$CC" "$CXX -x c++ -U_GNU_SOURCE"; do
        command -v "${compiler%% *}" >/dev/null || continue
        $compiler $how -Wall -I"$top/include" -include broom/replace.h -o "$work/program" "$work/program.c" \
            -L"$build/.libs" -lbroom -Wl,-rpath,"$(cd "$build/.libs" && pwd)"
        if nm -u "$work/program" | grep -E "^ *[Uw] ($replaced)(@|\$)"; then
            echo "is not replaced ($compiler $how)"
            exit 1
        fi
        run_program
    done
done

# ---- The header alone, by every standard -------------------------------------------

cat >"$work/user.c" <<'END'
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *text = (char *)malloc(100);

    free(text);
    return text == NULL;
}
END

# compile STANDARD COMPILER...
compile()
{
    standard=$1
    shift
    "$@" "-std=$standard" -pedantic-errors -Wall -Wextra -Wundef -Werror -I"$top/include" -include broom/replace.h \
        -fsyntax-only "$work/user.c"
}

for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for standard in c99 c11 c17 gnu17 c2x; do
        compile "$standard" $compiler
        compile "$standard" $compiler -D_GNU_SOURCE
    done
done
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    for standard in c++98 c++11 c++14 c++17 c++20; do
        compile "$standard" $compiler -x c++
    done
done
