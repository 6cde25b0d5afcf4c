/* test_refusal.c - a system that refuses memory, at any call or at a limit of
 * the process: no crash and no loss, NULL and ENOMEM at most.
 *
 * The collector's calls to the functions below come by here first, by the
 * linker's --wrap. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/exhaustion.h"

#include "gc/cycle/heap.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* ---- A system that refuses -------------------------------------------------------- */

enum system_call { CALL_MMAP = 1, CALL_MPROTECT = 2, CALL_MADVISE = 4, CALL_MREMAP = 8, CALL_ALL = 15 };

static struct {
    unsigned refused; /* these calls... */
    size_t from;      /* ...are refused: from this one on, the first is number 0, */
    size_t count;     /* so many */
    size_t calls;     /* of these, until now */
    bool no_proc;     /* there are no files in /proc */
} os = {.from = SIZE_MAX};

static bool refuses(enum system_call call)
{
    size_t number = os.calls;

    if ((os.refused & call) == 0)
        return false;
    os.calls++;
    if (number < os.from || number - os.from >= os.count)
        return false;
    errno = ENOMEM;
    return true;
}

void *__real_mmap(void *start, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *start, size_t bytes, int protection, int flags, int file, off_t offset);
int __real_mprotect(void *start, size_t bytes, int protection);
int __wrap_mprotect(void *start, size_t bytes, int protection);
int __real_madvise(void *start, size_t bytes, int advice);
int __wrap_madvise(void *start, size_t bytes, int advice);
void *__real_mremap(void *start, size_t old_bytes, size_t new_bytes, int flags, ...);
void *__wrap_mremap(void *start, size_t old_bytes, size_t new_bytes, int flags, ...);
size_t __real_gc__os_thread_count(void);
size_t __wrap_gc__os_thread_count(void);
bool __real_gc__read_file(const char *path, char *text, size_t capacity);
bool __wrap_gc__read_file(const char *path, char *text, size_t capacity);

void *__wrap_mmap(void *start, size_t bytes, int protection, int flags, int file, off_t offset)
{
    return refuses(CALL_MMAP) ? MAP_FAILED : __real_mmap(start, bytes, protection, flags, file, offset);
}

int __wrap_mprotect(void *start, size_t bytes, int protection)
{
    return refuses(CALL_MPROTECT) ? -1 : __real_mprotect(start, bytes, protection);
}

int __wrap_madvise(void *start, size_t bytes, int advice)
{
    return refuses(CALL_MADVISE) ? -1 : __real_madvise(start, bytes, advice);
}

void *__wrap_mremap(void *start, size_t old_bytes, size_t new_bytes, int flags, ...)
{
    va_list arguments;
    void *to;

    va_start(arguments, flags);
    to = va_arg(arguments, void *);
    va_end(arguments);
    return refuses(CALL_MREMAP) ? MAP_FAILED : __real_mremap(start, old_bytes, new_bytes, flags, to);
}

bool __wrap_gc__read_file(const char *path, char *text, size_t capacity)
{
    return !(os.no_proc && strncmp(path, "/proc/", 6) == 0) && __real_gc__read_file(path, text, capacity);
}

size_t __wrap_gc__os_thread_count(void)
{
    return os.no_proc ? 0 : __real_gc__os_thread_count();
}

static void refuse(unsigned calls, size_t from, size_t count)
{
    os.refused = calls;
    os.from = from;
    os.count = count;
    os.calls = 0;
}

static void refuse_nothing(void)
{
    refuse(0, SIZE_MAX, 0);
}

/* ---- A system that refuses, from the first call to the last -------------------------------------------- */

/* One object through many sizes; something stands behind it each time. */
static bool grow_and_shrink(void)
{
    size_t bytes = 100;
    char *object = gc_malloc(bytes), *resized;

    if (object == NULL)
        return false;
    memset(object, 'x', bytes);
    for (size_t wanted = 300; wanted < 6 * MIB; wanted *= 4) {
        char *barrier = gc_malloc_atomic(40000);
        resized = gc_realloc(object, wanted);
        REQUIRE(resized != NULL || gc_base(object) == object);
        if (resized == NULL)
            break;
        object = resized;
        REQUIRE(object[0] == 'x' && memcmp(object, object + 1, bytes - 1) == 0 && object[wanted - 1] == 0);
        memset(object, 'x', wanted);
        bytes = wanted;
        if (barrier != NULL)
            memset(barrier, 1, 40000);
    }
    resized = gc_realloc(object, 1000);
    if (resized == NULL)
        return false;
    REQUIRE(resized[bytes < 1000 ? bytes - 1 : 999] == 'x');
    return bytes > 3 * MIB;
}

/* A root range each; that they do not touch makes them many. */
static bool add_many_roots(void)
{
    static uintptr_t words[2000];
    bool all = true;

    for (size_t i = 0; i < 2000; i += 2) {
        int error = gc_add_roots(words + i, words + i + 1);
        REQUIRE(error == 0 || error == ENOMEM);
        all &= error == 0;
    }
    for (size_t i = 0; i < 2000; i += 2) {
        int error = gc_remove_roots(words + i, words + i + 1);
        REQUIRE(error == 0 || error == ENOMEM);
    }
    return all;
}

/* Uses all there is of the heap; returns whether nothing failed. */
static bool use_heap(void)
{
    bool all = true;
    size_t nodes = count_nodes();

    for (size_t bytes = 24; bytes < 2 * MIB; bytes = bytes * 5 / 2)
        for (unsigned i = 0; i < 3; i++) {
            bool added = add_node(bytes);
            nodes += added;
            all &= added;
        }
    all &= grow_and_shrink();
    REQUIRE(count_nodes() == nodes);
    all &= add_many_roots();
    for (unsigned i = 0; i < 20; i++)
        all &= gc_malloc_atomic(MIB / 4) != NULL; /* dead */
    gc_collect();
    gc_free(gc_malloc(3 * MIB));
    REQUIRE(count_nodes() == nodes);
    return all;
}

static struct {
    unsigned calls;
    size_t from;
    size_t count;
    volatile size_t *calls_made; /* shared with the child */
} trial;

static void use_heap_that_is_refused(void)
{
    struct gc_options options = {.decommit_delay_ms = 1};

    unsetenv("BROOM_DECOMMIT_DELAY_MS");
    node_list = calloc(1, sizeof(struct node *));
    refuse(trial.calls, trial.from, trial.count);
    if (gc_init_options(&options, sizeof options) != 0) {
        os.refused = 0;
        REQUIRE(gc_init_options(&options, sizeof options) == 0); /* it may be tried again */
    }
    os.refused = trial.calls;
    if (gc_add_roots(node_list, node_list + 1) != 0) {
        os.refused = 0;
        REQUIRE(gc_add_roots(node_list, node_list + 1) == 0);
    }
    os.refused = trial.calls;
    use_heap();
    gc__heap_audit(&gc__heap);
    *trial.calls_made = os.calls;
    refuse_nothing();
    REQUIRE(use_heap());
    gc__heap_audit(&gc__heap);
}

/* From the first call to the last that there is. */
static void check_trials(unsigned calls, size_t count)
{
    trial.calls = calls;
    trial.count = count;
    trial.calls_made = __real_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (trial.from = 0; trial.from <= 200; trial.from += is_sanitized() || is_stressed() ? 3 : 1) {
        struct child child = child_run(use_heap_that_is_refused);
        cr_assert(child_returned(&child), "refused from call %zu on: status %d: %s", trial.from, child.status,
                  child.text);
        cr_assert(child.length == 0, "refused from call %zu on: %s", trial.from, child.text);
        if (*trial.calls_made < trial.from)
            return;
    }
}

Test(refusal, refused_from_some_call_on)
{
    check_trials(CALL_ALL, SIZE_MAX);
}

Test(refusal, refused_once)
{
    check_trials(CALL_ALL, 1);
}

Test(refusal, refused_a_few_times)
{
    check_trials(CALL_ALL, 7);
}

/* One kind of call alone. */
Test(refusal, mmap_refused)
{
    check_trials(CALL_MMAP, SIZE_MAX);
}

Test(refusal, mprotect_refused)
{
    check_trials(CALL_MPROTECT, SIZE_MAX);
}

/* That memory goes back, and moves, are not needed: all works without. */
static void use_heap_without_luxury(void)
{
    start_list();
    refuse(CALL_MADVISE | CALL_MREMAP, 0, SIZE_MAX);
    for (unsigned i = 0; i < 5; i++) {
        REQUIRE(use_heap());
        drop_list();
        gc_collect();
    }
    gc__heap_audit(&gc__heap);
}

Test(refusal, madvise_and_mremap_refused)
{
    check_child(use_heap_without_luxury);
}

/* ---- No memory to remember grey objects in ------------------------------------------------ */

enum { LEAVES = 50000, LARGE_LEAVES = 30 };

/* Everything in it is grey at the same time, and large objects are in pieces. */
static __attribute__((noinline)) uintptr_t ***new_wide_object(void)
{
    uintptr_t ***array = gc_malloc((LEAVES + LARGE_LEAVES) * sizeof(uintptr_t **));

    for (size_t i = 0; i < LEAVES + LARGE_LEAVES; i++) {
        size_t words = i < LEAVES ? 2 + i % 5 : 20000;
        array[i] = gc_malloc(words * sizeof(uintptr_t *));
        array[i][words - 1] = gc_malloc(sizeof(uintptr_t));
        *array[i][words - 1] = i;
    }
    return array;
}

static void mark_without_memory(void)
{
    uintptr_t ***array;

    gc_disable();
    array = new_wide_object();
    for (size_t from = 0; from < 8; from++) {
        refuse(CALL_ALL, from, SIZE_MAX);
        gc_collect();
        refuse_nothing();
        gc__heap_audit(&gc__heap);
        for (size_t i = 0; i < LEAVES + LARGE_LEAVES; i++) {
            uintptr_t *leaf = array[i][(i < LEAVES ? 2 + i % 5 : 20000) - 1];
            REQUIRE(gc_base(leaf) == leaf && *leaf == i);
        }
    }
}

Test(refusal, marking)
{
    check_child(mark_without_memory);
}

/* ---- No memory to begin with ----------------------------------------------------------------- */

static void start_without_memory(void)
{
    refuse(CALL_ALL, 0, SIZE_MAX);
    gc_init();
}

static void allocate_without_memory(void)
{
    refuse(CALL_ALL, 0, SIZE_MAX);
    REQUIRE(gc_malloc(1) != NULL);
}

/* Nothing can be had to begin with: told, and the end. */
Test(refusal, no_address_space)
{
    struct child child = child_run(start_without_memory);

    cr_assert(child_aborted(&child) && strncmp(child.text, "broom: gc_init: ", 16) == 0, "%s", child.text);
    child = child_run(allocate_without_memory);
    cr_assert(child_aborted(&child) && strncmp(child.text, "broom: gc_malloc: ", 18) == 0, "%s", child.text);
}

/* ---- A limit of the process ------------------------------------------------------------------------------ */

/* main: NAME --limited KIB NO_PROC BYTES LEAST_MIB: as after `ulimit -v KIB`. */
static int run_limited(char **arguments)
{
    rlim_t kib = strtoul(arguments[0], NULL, 10);
    struct rlimit limit = {.rlim_cur = kib * KIB, .rlim_max = kib * KIB};
    size_t bytes = strtoul(arguments[2], NULL, 10), least = strtoul(arguments[3], NULL, 10) * MIB, first, again;

    os.no_proc = strcmp(arguments[1], "1") == 0;
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    start_list();
    first = fill_heap(bytes);
    if (first < least)
        fprintf(stderr, "%zu KiB for objects of %zu bytes\n", first / KIB, bytes);
    REQUIRE(first >= least);
    drop_list();
    again = fill_heap(bytes);
    REQUIRE(again >= first / 100 * 98);
    drop_list();
    REQUIRE(fill_heap(bytes * 3 / 2) >= least / 100 * 95);
    /* Threads and libraries must live, too. */
    REQUIRE(__real_mmap(NULL, kib / 4 * KIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    return 0;
}

static char *limited_arguments[] = {"limited", "--limited", "0", "0", "0", "0", NULL};

static void execute_limited(void)
{
    static char *environment[] = {NULL};

    execve("/proc/self/exe", limited_arguments, environment);
    _exit(127);
}

static void check_limited(size_t kib, bool no_proc, size_t bytes, size_t least_mib)
{
    size_t number[] = {kib, no_proc, bytes, least_mib};
    char text[4][32];
    struct child child;

    if (is_sanitized())
        cr_skip_test("a sanitizer wants all the address space");
    for (unsigned i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "%zu", number[i]);
        limited_arguments[2 + i] = text[i];
    }
    child = child_run(execute_limited);
    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    cr_assert(child.length == 0, "%s", child.text);
}

Test(refusal, address_space_of_300_mb_small_objects)
{
    check_limited(300000, false, sizeof(struct node), 100);
}

Test(refusal, address_space_of_300_mb_medium_objects)
{
    check_limited(300000, false, 5000, 100);
}

Test(refusal, address_space_of_300_mb_large_objects)
{
    check_limited(300000, false, 100000, 100);
    check_limited(300000, false, 3 * MIB, 100);
}

Test(refusal, address_space_of_100_mb)
{
    check_limited(100000, false, 640, 25);
}

/* Without /proc it is not known how much is used: in a container, say. */
Test(refusal, address_space_of_300_mb_without_proc)
{
    check_limited(300000, true, 640, 100);
}

static void use_heap_without_proc(void)
{
    os.no_proc = true;
    start_list();
    REQUIRE(use_heap());
    gc_collect();
    REQUIRE(gc__heap.record.collections > 0);
}

Test(refusal, without_proc)
{
    check_child(use_heap_without_proc);
}

/* Criterion finds it by its name. */
__attribute__((visibility("default"))) int main(int count, char **arguments)
{
    struct criterion_test_set *tests;
    int result = 0;

    if (count == 6 && strcmp(arguments[1], "--limited") == 0)
        return run_limited(arguments + 2);
    tests = criterion_initialize();
    if (criterion_handle_args(count, arguments, true))
        result = !criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return result;
}
