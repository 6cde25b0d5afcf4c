/* test_mappings.c - which memory of the process may hold roots, as the system tells. */
#define _GNU_SOURCE
#include "gc/roots/mappings.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PAGES 64

/* What is visited of [start, start + PAGES pages): a flag for each page. */
static struct watch {
    uintptr_t start;
    bool visited[PAGES];
    bool in_part;  /* something of a page only */
    bool together; /* pages 4 to 8, by one call */
} watch;

static void note(struct gc__range range, void *unused)
{
    size_t page = gc__os_page_bytes();

    (void)unused;
    watch.together |= range.start <= watch.start + 4 * page && range.end >= watch.start + 9 * page;
    for (size_t i = 0; i < PAGES; i++) {
        uintptr_t at = watch.start + i * page;

        if (range.start <= at && range.end >= at + page)
            watch.visited[i] = true;
        else if (range.start < at + page && range.end > at)
            watch.in_part = true;
    }
}

static struct mappings mappings;
static struct world world;

/* Reads the mappings, and visits what was touched in them. */
static void look_at(const void *start, bool of_files)
{
    watch = (struct watch){.start = (uintptr_t)start};
    mappings.of_files = of_files;
    cr_assert(gc__mappings_read(&mappings, &world));
    cr_assert_gt(gc__mappings_each(&mappings, GC_MAPPING_PRIVATE, note, NULL), 0);
    gc__mappings_each(&mappings, GC_MAPPING_SHARED, note, NULL);
}

static char *map(int protection, int flags, int file)
{
    void *start = mmap(NULL, PAGES * gc__os_page_bytes(), protection, flags, file, 0);

    cr_assert_neq(start, MAP_FAILED);
    return start;
}

static char *page_of(char *start, size_t i)
{
    return start + i * gc__os_page_bytes();
}

static void check_visited(const size_t *pages, size_t count)
{
    size_t next = 0;

    for (size_t i = 0; i < PAGES; i++) {
        bool expected = next < count && pages[next] == i;

        cr_assert_eq(watch.visited[i], expected, "page %zu", i);
        next += expected;
    }
    cr_assert_not(watch.in_part);
}

static int of_pages(int file)
{
    cr_assert(file >= 0 && ftruncate(file, (off_t)(PAGES * gc__os_page_bytes())) == 0);
    return file;
}

static int file_of_pages(void)
{
    return of_pages(memfd_create("pages", MFD_CLOEXEC));
}

Test(mappings, are_visited_where_they_were_written)
{
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    *page_of(start, 3) = *page_of(start, 4) = *page_of(start, 63) = 1;
    look_at(start, false);
    check_visited((size_t[]){3, 4, 63}, 3);
}

Test(mappings, that_are_read_only_by_now_count)
{
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    *page_of(start, 7) = 1;
    cr_assert_eq(mprotect(start, PAGES * gc__os_page_bytes(), PROT_READ), 0);
    look_at(start, false);
    check_visited((size_t[]){7}, 1);
}

/* As the processor has it, it can be read. */
Test(mappings, that_are_for_writing_alone_count)
{
    char *start = map(PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    *page_of(start, 7) = 1;
    look_at(start, false);
    check_visited((size_t[]){7}, 1);
}

Test(mappings, that_cannot_be_read_do_not)
{
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    *page_of(start, 7) = *page_of(start, 8) = 1;
    cr_assert_eq(mprotect(page_of(start, 7), gc__os_page_bytes(), PROT_NONE), 0);
    look_at(start, false);
    check_visited((size_t[]){8}, 1);
}

Test(mappings, of_files_count_where_they_differ_from_the_file)
{
    char name[] = "test_mappings_XXXXXX";
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, of_pages(mkstemp(name)));
    volatile char *read = page_of(start, 5);

    (void)*read;
    *page_of(start, 9) = 1;
    look_at(start, false);
    unlink(name);
    check_visited((size_t[]){9}, 1);
}

/* The last page is there with the system's knowledge, but not of the process's page table. */
static void check_shared(char *start, bool of_files)
{
    *page_of(start, 2) = *page_of(start, 3) = *page_of(start, 63) = 1;
    cr_assert_eq(madvise(page_of(start, 63), gc__os_page_bytes(), MADV_DONTNEED), 0);
    look_at(start, of_files);
    check_visited((size_t[]){2, 3, 63}, 3);
}

Test(mappings, that_are_shared_and_anonymous_count)
{
    check_shared(map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1), false);
}

/* With the longest name there is. */
Test(mappings, of_files_without_a_name_count_if_they_are_shared)
{
    static char name[250];
    int file = memfd_create(memset(name, 'n', sizeof name - 1), MFD_CLOEXEC);

    check_shared(map(PROT_READ | PROT_WRITE, MAP_SHARED, file_of_pages()), false);
    cr_assert(file >= 0 && ftruncate(file, (off_t)(PAGES * gc__os_page_bytes())) == 0);
    check_shared(map(PROT_READ | PROT_WRITE, MAP_SHARED, file), false);
}

/* The system may have read ahead. */
Test(mappings, of_files_count_if_they_are_shared_and_that_is_asked_for)
{
    char name[] = "test_mappings_XXXXXX";
    int file = mkstemp(name);
    char *start;

    cr_assert(file >= 0 && ftruncate(file, (off_t)(PAGES * gc__os_page_bytes())) == 0);
    start = map(PROT_READ | PROT_WRITE, MAP_SHARED, file);
    *page_of(start, 2) = 1;
    look_at(start, false);
    check_visited(NULL, 0);
    look_at(start, true);
    cr_assert(watch.visited[2]);
    unlink(name);
    look_at(start, false);
    cr_assert(watch.visited[2]);
}

/* What is not there any more is not touched. */
Test(mappings, of_a_file_that_was_made_shorter_are_no_fault)
{
    int file = file_of_pages();
    char *start = map(PROT_READ | PROT_WRITE, MAP_SHARED, file);

    *page_of(start, 2) = *page_of(start, 9) = 1;
    cr_assert_eq(ftruncate(file, (off_t)(5 * gc__os_page_bytes())), 0);
    look_at(start, false);
    check_visited((size_t[]){2}, 1);
}

Test(mappings, of_our_own_do_not_count)
{
    size_t bytes = PAGES * gc__os_page_bytes();
    char *start = gc__os_reserve(bytes, gc__os_page_bytes(), 0);

    cr_assert(gc__os_commit(start, bytes));
    memset(start, 1, bytes);
    look_at(start, false);
    check_visited(NULL, 0);
    gc__os_release(start, bytes);
    cr_assert_eq(mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                 (void *)start);
    *page_of(start, 1) = 1;
    look_at(start, false);
    check_visited((size_t[]){1}, 1);
}

static void put_stack_behind_page(char *start, size_t page)
{
    struct mutator *mutator = gc__mutator_create();

    memset(start, 1, PAGES * gc__os_page_bytes());
    mutator->stack = (struct gc__range){(uintptr_t)page_of(start, page + 1), (uintptr_t)page_of(start, PAGES)};
    world.first = mutator;
}

Test(mappings, do_not_count_where_mutators_have_their_stacks)
{
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    put_stack_behind_page(start, 1);
    cr_assert_eq(mprotect(page_of(start, 1), gc__os_page_bytes(), PROT_NONE), 0);
    look_at(start, false);
    check_visited((size_t[]){0}, 1);
}

/* That may be the program's own memory, and something else at its lower end. */
Test(mappings, count_where_a_stack_has_no_guard)
{
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    put_stack_behind_page(start, PAGES - 3);
    look_at(start, false);
    cr_assert(watch.visited[0] && watch.visited[PAGES - 3] && watch.visited[PAGES - 2] && watch.visited[PAGES - 1]);
}

Test(mappings, of_data_and_bss_count)
{
    static _Alignas(65536) char bss[PAGES * 4096];

    bss[5 * gc__os_page_bytes()] = 1;
    look_at(bss, false);
    cr_assert(watch.visited[5]);
}

/* More of them than the kernel tells in one go, and far apart. */
Test(mappings, may_be_thousands)
{
    static char *start[3000];

    for (size_t i = 0; i < 3000; i++) {
        start[i] = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        *page_of(start[i], i % PAGES) = 1;
        cr_assert_eq(mprotect(page_of(start[i], PAGES - 1), gc__os_page_bytes(), PROT_NONE), 0); /* not to be joined */
    }
    for (size_t i = 0; i < 3000; i += 499) {
        look_at(start[i], false);
        check_visited((size_t[]){i % PAGES}, i % PAGES == PAGES - 1 ? 0 : 1);
    }
}

/* ---- Without /proc/self/pagemap ---------------------------------------------------- */

/* Who is not root any more may not open it. */
static bool pagemap_is_shut(void)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return false;
    prctl(PR_SET_DUMPABLE, 0);
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) < 0;
}

static bool may_swap(void)
{
    struct sysinfo information;

    return sysinfo(&information) != 0 || information.totalswap != 0;
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* More of them than are looked at in one go. */
Test(mappings, count_where_they_are_in_memory_if_nothing_else_is_told)
{
    size_t page = gc__os_page_bytes();
    char *start = mmap(NULL, 3000 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(start, MAP_FAILED);
    memset(start, 1, 2900 * page);
    start += 2880 * page;
    cr_assert_eq(madvise(start + 2 * page, 2 * page, MADV_DONTNEED), 0);
    *page_of(start, 63) = 1;
    madvise(page_of(start, 9), page, MADV_GUARD_INSTALL);
    if (!pagemap_is_shut())
        return;
    look_at(start, false);
    for (size_t i = 0; i < 20; i++)
        cr_assert(watch.visited[i] || i == 2 || i == 3 || i == 9, "page %zu", i);
    cr_assert(watch.visited[63] && !watch.in_part);
    cr_assert(watch.together, "a word that is not aligned may lie on two pages");
    cr_assert(may_swap() || (!watch.visited[2] && !watch.visited[3] && !watch.visited[62]));
}

Test(mappings, of_large_objects_count_where_they_are_in_memory)
{
    size_t page = gc__os_page_bytes();
    char *start = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    uint64_t touched = 0;

    *page_of(start, 5) = *page_of(start, 6) = 1;
    if (madvise(page_of(start, 20), page, MADV_GUARD_INSTALL) != 0 || !pagemap_is_shut())
        return;
    gc__os_note_touched((uintptr_t)start, PAGES, &touched);
    cr_assert_eq(touched & ((uint64_t)3 << 5), (uint64_t)3 << 5);
    cr_assert_eq(touched & ((uint64_t)1 << 20), 0, "a guard");
    cr_assert(may_swap() || touched == (uint64_t)3 << 5);
}
