/* replaced.c - a program that knows of no collector. test_faces.c runs it, and those
 * like it, with the library broom-malloc in the place of malloc: it ends with status 0 if
 * all is well. This one is about the calls themselves.
 *
 *   replaced CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* ---- Contracts ---------------------------------------------------------------------------------- */

static bool is_zero(const char *bytes, size_t count)
{
    while (count > 0 && *bytes == 0)
        bytes++, count--;
    return count == 0;
}

static void check_sizes(void)
{
    for (size_t bytes = 0; bytes < 200000; bytes += 1 + bytes / 7) {
        char *object = malloc(bytes), *zeroed;

        REQUIRE(object != NULL && (uintptr_t)object % _Alignof(max_align_t) == 0);
        REQUIRE(malloc_usable_size(object) >= bytes);
        memset(object, 1, malloc_usable_size(object));
        object = realloc(object, 2 * bytes + 1);
        REQUIRE(object != NULL && (bytes == 0 || (object[0] == 1 && object[bytes - 1] == 1)));
        free(object);
        zeroed = calloc(bytes, 3);
        REQUIRE(zeroed != NULL && is_zero(zeroed, bytes * 3));
        memset(zeroed, 1, bytes * 3);
        free(zeroed);
    }
}

static void check_alignments(void)
{
    void *object;

    for (size_t alignment = 8; alignment <= (size_t)64 << 20; alignment *= 2)
        for (size_t bytes = 1; bytes < 5000000; bytes *= 60) {
            object = memalign(alignment, bytes);
            REQUIRE(object != NULL && (uintptr_t)object % alignment == 0 && malloc_usable_size(object) >= bytes);
            memset(object, 1, bytes);
            object = realloc(object, bytes + 100);
            REQUIRE(object != NULL && *(char *)object == 1);
            free(object);
            REQUIRE(posix_memalign(&object, alignment, bytes) == 0 && (uintptr_t)object % alignment == 0);
            free(object);
            object = aligned_alloc(alignment, bytes);
            REQUIRE(object != NULL && (uintptr_t)object % alignment == 0);
            free(object);
        }
    errno = 3;
    REQUIRE(posix_memalign(&object, 24, 10) == EINVAL && posix_memalign(&object, 2, 10) == EINVAL && errno == 3);
    object = valloc(100);
    REQUIRE((uintptr_t)object % 4096 == 0);
    object = pvalloc(100);
    REQUIRE((uintptr_t)object % 4096 == 0 && malloc_usable_size(object) >= 4096);
}

/* One that begins a chunk of the heap's is no different: it shrinks where it is. What has
 * a larger alignment lies inside of an object. */
static void check_resized(void)
{
    size_t chunk = (size_t)2 << 20;
    char *object = memalign(chunk, 4 * chunk);

    REQUIRE((uintptr_t)object % chunk == 0);
    object[chunk] = 7;
    REQUIRE(realloc(object, 3 * chunk) == object && object[chunk] == 7);
    for (size_t alignment = 2 * chunk; alignment <= 32 * chunk; alignment *= 2) {
        char *aligned = memalign(alignment, 100000), *moved;

        memset(aligned, 7, 100000);
        moved = realloc(aligned, 300000);
        REQUIRE(moved != NULL && moved[0] == 7 && moved[99999] == 7 && malloc_usable_size(moved) >= 300000);
    }
}

/* What is no alignment fails with EINVAL, and one that no memory has with ENOMEM. */
static void check_failing_alignments(void)
{
    static const volatile size_t wrong[] = {0, 1, 2, 4, 12, 24, 48, 4097, SIZE_MAX, SIZE_MAX / 2 + 2};
    static const volatile size_t too_large[] = {(size_t)1 << 62, (size_t)1 << 63};
    static const volatile size_t any[] = {0, 3, 17, 65, 4095}, power[] = {16, 16, 32, 128, 4096};
    volatile size_t chunk = (size_t)2 << 20, most = SIZE_MAX, half = (size_t)1 << 63;
    void *untouched = (void *)&chunk, *result = untouched;

    errno = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        REQUIRE(posix_memalign(&result, wrong[i], 100) == EINVAL && result == untouched);
    for (size_t i = 0; i < sizeof too_large / sizeof too_large[0]; i++)
        REQUIRE(posix_memalign(&result, too_large[i], 16) == ENOMEM && result == untouched);
    for (size_t alignment = 8; alignment <= 4 * chunk; alignment *= 2)
        REQUIRE(posix_memalign(&result, alignment, most - alignment) == ENOMEM && result == untouched);
    REQUIRE(errno == 7);
    for (size_t i = 0; i < sizeof too_large / sizeof too_large[0]; i++) {
        errno = 0;
        REQUIRE(memalign(too_large[i], 16) == NULL && errno == ENOMEM);
        errno = 0;
        REQUIRE(memalign(too_large[i] - 1, 16) == NULL && errno == ENOMEM);
    }
    for (size_t i = 1; i <= 16; i *= 2) {
        errno = 0;
        REQUIRE(memalign(half + i, 16) == NULL && errno == EINVAL);
    }
    for (size_t alignment = 1; alignment <= 4 * chunk; alignment *= 2) {
        errno = 0;
        REQUIRE(memalign(alignment, most - alignment) == NULL && errno == ENOMEM);
    }
    errno = 0;
    REQUIRE(valloc(most - 100) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(pvalloc(most - 100) == NULL && errno == ENOMEM);
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++) {
        result = memalign(any[i], 10);
        REQUIRE(result != NULL && (uintptr_t)result % power[i] == 0);
    }
}

/* The old block stays. */
static void check_failing_resizes(void)
{
    volatile size_t huge = SIZE_MAX / 2, most = SIZE_MAX;
    char *object = strcpy(malloc(100), "old");

    errno = 0;
    REQUIRE(realloc(object, huge + 1) == NULL && errno == ENOMEM && strcmp(object, "old") == 0);
    errno = 0;
    REQUIRE(realloc(object, most) == NULL && errno == ENOMEM && strcmp(object, "old") == 0);
    errno = 0;
    REQUIRE(reallocarray(object, huge, 3) == NULL && errno == ENOMEM && strcmp(object, "old") == 0);
    errno = 0;
    REQUIRE(reallocarray(NULL, huge, 4) == NULL && errno == ENOMEM);
    object = realloc(object, 200);
    REQUIRE(object != NULL && strcmp(object, "old") == 0);
    free(object);
    errno = 7;
    REQUIRE(reallocarray(malloc(50), 0, 8) == NULL && errno == 7);
}

static void check_failures(void)
{
    volatile size_t huge = SIZE_MAX / 2, most = PTRDIFF_MAX;
    void *object = malloc(10), *same = NULL;

    errno = 0;
    REQUIRE(malloc(most) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(calloc(huge, 4) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(realloc(object, most) == NULL && errno == ENOMEM);
    errno = 0;
    REQUIRE(memalign(16, most) == NULL && errno == ENOMEM);
    errno = 7;
    REQUIRE(posix_memalign(&same, 16, most) == ENOMEM && errno == 7 && same == NULL);
    free(object);
    free(NULL);
    REQUIRE(errno == 7 && malloc_usable_size(NULL) == 0);
    REQUIRE(realloc(malloc(10), 0) == NULL && errno == 7);
    object = malloc(0);
    same = malloc(0);
    REQUIRE(object != NULL && same != NULL && object != same);
}

static void check_information(void)
{
    char *text;
    size_t bytes;
    FILE *stream = open_memstream(&text, &bytes);
    struct mallinfo2 info;

    sink = malloc(100000);
    info = mallinfo2();
    REQUIRE(info.arena >= 100000 && info.uordblks + info.fordblks == info.arena);
    REQUIRE(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && malloc_trim(0) == 1);
    REQUIRE(malloc_info(0, stream) == 0 && malloc_info(1, stream) == EINVAL);
    fclose(stream);
    REQUIRE(strncmp(text, "<malloc version=", 16) == 0 && strstr(text, "</malloc>") != NULL);
}

/* Deprecated by that name. */
struct mallinfo mallinfo_by_int(void) __asm__("mallinfo");

/* Nothing else is allocated, so a collection has nothing else to find. */
static void check_figures(void)
{
    const char *means = getenv("BROOM_FREE");
    size_t bytes = (size_t)1 << 20, before;
    char *volatile object;

    sink = malloc(1000);
    before = mallinfo2().uordblks;
    REQUIRE(before >= 1000 && before < bytes);
    object = malloc(bytes);
    REQUIRE(mallinfo2().uordblks >= before + bytes);
    REQUIRE((size_t)mallinfo_by_int().uordblks >= before + bytes && mallinfo_by_int().fordblks >= 0);
    malloc_trim(0);
    REQUIRE(mallinfo2().uordblks >= bytes && mallinfo2().uordblks < 2 * bytes);
    malloc_stats();
    free(object);
    REQUIRE((mallinfo2().uordblks < bytes) == (means != NULL && strcmp(means, "honour") == 0));
}

static void check_contracts(void)
{
    check_sizes();
    check_alignments();
    check_resized();
    check_failures();
    check_failing_alignments();
    check_failing_resizes();
    check_information();
}

/* ---- free ------------------------------------------------------------------------------------------ */

/* The compiler knows what free does. */
static void (*volatile opaque_free)(void *object) = free;

static void check_ignored(void)
{
    struct kept *kept = make_kept("freed");

    opaque_free(kept->next);
    opaque_free(kept);
    opaque_free(kept);
    opaque_free((char *)kept + 8);
    opaque_free(&kept);
    litter(64);
    REQUIRE(is_kept(kept, "freed"));
}

/* What is freed is used again, without a collection between. */
static void check_honoured(void)
{
    char *kept[100];

    for (unsigned i = 0; i < 100; i++)
        kept[i] = strcpy(malloc(72), "kept");
    for (unsigned i = 0; i < 3000000; i++) {
        sink = malloc(i % 1000 == 0 ? 100000 : 72);
        opaque_free(sink);
    }
    REQUIRE(mallinfo2().arena < 2 << 20);
    for (unsigned i = 0; i < 100; i++)
        REQUIRE(strcmp(kept[i], "kept") == 0);
    opaque_free(&kept); /* not ours, and left alone */
}

static void check_twice(void)
{
    void *object = malloc(72);

    opaque_free(object);
    opaque_free(object);
}

/* What a module of its own allocator's might hand out. */
static void check_foreign(void)
{
    static _Alignas(16) char memory[64];

    sink = realloc(*(void *volatile *)&(void *){memory}, 128);
}

/* Twice what the machine has: the system would not give it to glibc's either, as a rule. */
static void check_huge(void)
{
    size_t bytes = 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    void *plain = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (plain != MAP_FAILED) {
        munmap(plain, bytes);
        return;
    }
    errno = 0;
    REQUIRE((sink = malloc(bytes)) == NULL && errno == ENOMEM);
    REQUIRE((sink = calloc(2, bytes / 2)) == NULL && (sink = malloc(100)) != NULL);
}

static volatile bool over;
static struct kept *_Atomic box[256];

/* What one thread allocates another frees. */
static void *pass_on(void *seed)
{
    unsigned state = *(unsigned *)seed;

    for (unsigned i = 0; i < 300000; i++) {
        size_t bytes;
        unsigned char *object, *old;

        state = state * 1103515245 + 12345;
        bytes = 16 + (state >> 8) % 300;
        object = (state >> 4) % 8 == 0 ? calloc(1, bytes) : malloc(bytes);
        REQUIRE((state >> 4) % 8 != 0 || is_zero((char *)object, bytes));
        memset(object, (int)bytes, bytes);
        old = (unsigned char *)atomic_exchange(&box[state >> 24], (struct kept *)object);
        REQUIRE(old == NULL || (old[1] == old[0] && old[15] == old[0]));
        opaque_free(old);
    }
    return NULL;
}

static void *collect_all_the_time(void *unused)
{
    while (!over) {
        malloc_trim(0);
        usleep(300);
    }
    return unused;
}

/* Freed cells are handed out again at once, while others collect: each to one only. */
static void check_freed(void)
{
    unsigned seed[3] = {1, 2, 3};
    pthread_t thread[4];

    for (unsigned i = 0; i < 3; i++)
        REQUIRE(pthread_create(&thread[i], NULL, pass_on, &seed[i]) == 0);
    REQUIRE(pthread_create(&thread[3], NULL, collect_all_the_time, NULL) == 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    over = true;
    pthread_join(thread[3], NULL);
}

/* Leaks 2 GB, and half of it in lists that point at themselves. */
static void check_leak(void)
{
    struct rusage usage;

    for (unsigned i = 0; i < 2000000; i++) {
        void **node = malloc(1000);

        node[0] = node;
    }
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
    if (usage.ru_maxrss > 64 << 10)
        fprintf(stderr, "%ld KiB\n", usage.ru_maxrss);
    REQUIRE(usage.ru_maxrss <= 64 << 10);
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

static const struct check checks[] = {
    {"foreign", check_foreign}, {"huge", check_huge},       {"contracts", check_contracts},
    {"ignored", check_ignored}, {"figures", check_figures}, {"honoured", check_honoured},
    {"twice", check_twice},     {"freed", check_freed},     {"leak", check_leak},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
