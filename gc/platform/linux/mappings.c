/* mappings.c - what memory the process has: /proc/self/maps; and which pages of it
 * are its own: the PAGEMAP_SCAN ioctl (Linux 6.7), or reading
 * /proc/self/pagemap; where that cannot be opened, and of shared memory, those that are in
 * memory. By system calls alone, as the other threads stand. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/platform/linux/pagemap.h"
#include "gc/platform/linux/resident.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not /proc/self: the initial thread may have ended. */
#define MAPS "/proc/thread-self/maps"

/* ---- Opening files ------------------------------------------------------------------ */

static int open_within_limit(const char *path)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

/* Where the program has as many files as it may, the limit is raised as far as that goes,
 * for as long as it takes: other threads of it hardly come between. */
static int open_for_reading(const char *path)
{
    int file = open_within_limit(path);
    struct rlimit limit, raised;

    if (file >= 0 || errno != EMFILE || getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return file;
    raised = (struct rlimit){gc__min(limit.rlim_cur + 16, limit.rlim_max), limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
        return file;
    file = open_within_limit(path);
    setrlimit(RLIMIT_NOFILE, &limit);
    return file;
}

/* ---- Reading lines ---------------------------------------------------------------- */

/* The kernel gives whole lines, about a page of them at a time. A path may be as
 * long as that; what of a line does not fit is passed over. */
GC_OWN_STATE static struct {
    char text[8192];
    size_t used, next;
    int file;
} reader;

static bool fill(void)
{
    long got;

    do
        got = syscall(SYS_read, reader.file, reader.text, sizeof reader.text);
    while (got < 0 && errno == EINTR);
    reader.next = 0;
    reader.used = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

/* -1: the end; -2: an error. */
static int next_character(void)
{
    if (reader.next == reader.used && !fill())
        return -2;
    return reader.next < reader.used ? (unsigned char)reader.text[reader.next++] : -1;
}

/* The next line without its newline, cut to the capacity. Empty: there is none. */
static bool read_line(char *line, size_t capacity)
{
    size_t length = 0;
    int c;

    while ((c = next_character()) >= 0 && c != '\n')
        if (length < capacity - 1)
            line[length++] = (char)c;
    line[length] = '\0';
    return c != -2;
}

/* ---- Lines ------------------------------------------------------------------------- */

/* "start-end rwxp offset device inode     path" */
struct line {
    struct gc__range range;
    const char *rights;
    const char *path;
};

static const char *parse_hexadecimal(const char *text, uintptr_t *value)
{
    for (*value = 0; (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f'); text++)
        *value = *value * 16 + (uintptr_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    return text;
}

static const char *skip_fields(const char *text, unsigned fields)
{
    while (fields-- > 0) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return text;
}

static struct line parse(const char *text)
{
    struct line line;

    text = parse_hexadecimal(text, &line.range.start);
    text = parse_hexadecimal(*text == '-' ? text + 1 : text, &line.range.end);
    line.rights = skip_fields(text, 1);
    line.path = skip_fields(line.rights, 4);
    if (strlen(line.rights) < 4)
        line.range.end = line.range.start;
    return line;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* The kernel's own pages, [vvar] and its like; and those of devices, which need
 * not be memory: but for those that are. */
static bool holds_no_roots(const char *path)
{
    if (begins_with(path, "/dev/"))
        return !begins_with(path, "/dev/zero") && !begins_with(path, "/dev/shm/");
    return begins_with(path, "[v");
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* So is memory that is shared but anonymous, or of memfd_create: a file without a name. */
static bool has_a_name(const char *path)
{
    return !ends_with(path, " (deleted)") && !begins_with(path, "[anon_shmem:");
}

/* A private mapping of such a file has what was written to the file, too. What of those on disk
 * may run is a library, as a rule, that has been replaced. */
static bool is_shared(const struct line *line)
{
    return line->rights[3] != 'p' || begins_with(line->path, "/memfd:") ||
           (!has_a_name(line->path) && line->rights[2] != 'x');
}

/* Code of no file is as compilers at run time write it. */
static enum gc__mapping kind_of(const struct line *line)
{
    bool is_code = line->rights[2] == 'x' && (line->path[0] != '/' || !has_a_name(line->path));

    if (is_shared(line))
        return is_code ? GC_MAPPING_SHARED_CODE : GC_MAPPING_SHARED;
    return is_code ? GC_MAPPING_PRIVATE_CODE : GC_MAPPING_PRIVATE;
}

/* What may be written may be read, on x86-64 and aarch64. */
static bool is_wanted(const struct line *line, bool of_files)
{
    bool is_readable = line->rights[0] == 'r' || line->rights[1] == 'w';

    return line->range.start < line->range.end && is_readable && !holds_no_roots(line->path) &&
           (of_files || !is_shared(line) || !has_a_name(line->path));
}

bool gc__os_each_mapping(bool of_files, void (*visit)(struct gc__range range, enum gc__mapping kind, void *argument),
                         void *argument)
{
    static GC_OWN_STATE char text[PATH_MAX + 128];
    int saved_errno = errno;
    bool read;

    reader.file = open_for_reading(MAPS);
    reader.used = reader.next = 0;
    if (reader.file < 0) {
        errno = saved_errno;
        return false;
    }
    while ((read = read_line(text, sizeof text)) && text[0] != '\0') {
        struct line line = parse(text);

        if (is_wanted(&line, of_files))
            visit(line.range, kind_of(&line), argument);
    }
    syscall(SYS_close, reader.file);
    errno = saved_errno;
    return read;
}

/* ---- Pages by the ioctl -------------------------------------------------------------- */

struct visitor {
    void (*visit)(struct gc__range range, void *argument);
    void *argument;
    const struct gc__range *range; /* those that are asked for, by address, */
    size_t count;
    size_t next;          /* the first that may reach further */
    struct gc__range run; /* found side by side, and not visited yet */
};

/* What `found` and the ranges that were asked for have in common. `found` comes by
 * address. */
static void visit_common(struct visitor *to, struct gc__range found)
{
    while (to->next < to->count && to->range[to->next].end <= found.start)
        to->next++;
    for (size_t i = to->next; i < to->count && to->range[i].start < found.end; i++)
        to->visit((struct gc__range){gc__max(to->range[i].start, found.start), gc__min(to->range[i].end, found.end)},
                  to->argument);
}

static void visit_run(struct visitor *to)
{
    visit_common(to, to->run);
    to->run = (struct gc__range){0, 0};
}

/* Pages that lie side by side are visited together: a word may lie on two. */
static void note_found(struct visitor *to, struct gc__range found)
{
    if (found.start != to->run.end) {
        visit_run(to);
        to->run.start = found.start;
    }
    to->run.end = found.end;
}

/* Nothing that is written nowhere else: a page of a file, or shared, as the file has
 * it; or never touched. */
static bool scan_by_ioctl_without(uint64_t guards, int pagemap, struct gc__range range, struct visitor *to)
{
    static GC_OWN_STATE struct gc__page_region region[256];
    struct gc__page_scan scan = {
        .size = sizeof scan,
        .start = range.start,
        .end = range.end,
        .regions = (uintptr_t)region,
        .region_count = sizeof region / sizeof *region,
        .any_of = GC_PAGE_IS_PRESENT | GC_PAGE_IS_SWAPPED,
        .inverted = guards | GC_PAGE_IS_FILE,
        .all_of = guards | GC_PAGE_IS_FILE,
        .returned = GC_PAGE_IS_PRESENT,
    };

    while (scan.start < scan.end) {
        long found = ioctl(pagemap, GC_PAGE_SCAN, &scan);

        if (found < 0) {
            to->run = (struct gc__range){0, 0};
            return false;
        }
        for (long i = 0; i < found; i++)
            note_found(to, (struct gc__range){region[i].start, region[i].end});
        scan.start = scan.walk_end;
    }
    visit_run(to);
    return true;
}

/* A kernel that knows no guards has none, and refuses to be asked. */
static bool scan_by_ioctl(int pagemap, struct gc__range range, struct visitor *to)
{
    return scan_by_ioctl_without(GC_PAGE_IS_GUARD, pagemap, range, to) || scan_by_ioctl_without(0, pagemap, range, to);
}

/* ---- Pages by reading ---------------------------------------------------------------- */

#define PAGE_PRESENT ((uint64_t)1 << 63)
#define PAGE_SWAPPED ((uint64_t)1 << 62)
#define PAGE_OF_FILE ((uint64_t)1 << 61)
#define PAGE_IS_GUARD ((uint64_t)1 << 58)

static bool is_touched(uint64_t entry)
{
    return (entry & (PAGE_PRESENT | PAGE_SWAPPED)) != 0 && (entry & (PAGE_IS_GUARD | PAGE_OF_FILE)) == 0;
}

static bool scan_by_reading(int pagemap, struct gc__range range, struct visitor *to)
{
    static GC_OWN_STATE uint64_t entry[2048];
    size_t page = gc__os_page_bytes();

    for (uintptr_t at = gc__align_down(range.start, page); at < range.end;) {
        long got = syscall(SYS_pread64, pagemap, entry,
                           gc__min(sizeof entry, (range.end - at + page - 1) / page * sizeof *entry),
                           at / page * sizeof *entry);

        if (got < (long)sizeof *entry)
            return false;
        for (long i = 0; i < got / (long)sizeof *entry; i++, at += page)
            if (is_touched(entry[i]))
                note_found(to, (struct gc__range){at, at + page});
    }
    visit_run(to);
    return true;
}

/* ---- Pages that are in memory ----------------------------------------------------------- */

static void visit_page(struct gc__range page, void *to)
{
    note_found(to, page);
}

static void visit_resident(const struct visitor *to, size_t i, bool all)
{
    size_t page = gc__os_page_bytes();
    struct visitor one = *to;
    struct gc__range pages = {gc__align_down(to->range[i].start, page), gc__align_up(to->range[i].end, page)};

    one.range = &to->range[i];
    one.count = 1;
    one.next = 0;
    gc__each_resident(pages, all, visit_page, &one);
    visit_run(&one);
}

/* More than are the process's own: of files as well. What is not in memory was touched only
 * if it was swapped out. What had been when its turn came still is afterwards, as the other
 * threads stand; but the system may be about to bring it back, and count it as in memory: so
 * then all are visited. */
static void scan_by_residence(const struct visitor *to)
{
    for (size_t i = 0; i < to->count; i++)
        visit_resident(to, i, false);
    if (gc__process_may_be_swapped())
        for (size_t i = 0; i < to->count; i++)
            visit_resident(to, i, true);
}

/* ---- By what there is ------------------------------------------------------------------------------ */

/* To walk so much that was not asked for is no more work than another call. */
#define GAP_BYTES ((size_t)64 << 20)

/* From range `first` on those that lie close together. */
static size_t end_of_cluster(const struct gc__range *ranges, size_t count, size_t first)
{
    size_t end = first + 1;

    while (end < count && ranges[end].start - ranges[end - 1].end < GAP_BYTES)
        end++;
    return end;
}

static int open_pagemap(void)
{
    return open_for_reading("/proc/thread-self/pagemap");
}

static void close_pagemap(int pagemap)
{
    if (pagemap >= 0)
        syscall(SYS_close, pagemap);
}

/* The kernel may know only one way. */
static void visit_cluster(int pagemap, struct visitor *to, size_t first, size_t end)
{
    struct gc__range whole = {to->range[first].start, to->range[end - 1].end};

    to->next = first;
    if (scan_by_ioctl(pagemap, whole, to))
        return;
    for (size_t i = first; i < end; i++) {
        struct visitor one = *to;

        one.range = &to->range[i];
        one.count = 1;
        one.next = 0;
        if (!scan_by_reading(pagemap, to->range[i], &one))
            visit_resident(to, i, true);
    }
}

void gc__os_each_touched(const struct gc__range *ranges, size_t count,
                         void (*visit)(struct gc__range range, void *argument), void *argument)
{
    struct visitor to = {visit, argument, ranges, count, 0, {0, 0}};
    int saved_errno = errno;
    int pagemap = open_pagemap();

    if (pagemap < 0)
        scan_by_residence(&to);
    for (size_t first = 0, end; pagemap >= 0 && first < count; first = end) {
        end = end_of_cluster(ranges, count, first);
        visit_cluster(pagemap, &to, first, end);
    }
    close_pagemap(pagemap);
    errno = saved_errno;
}

/* The page table does not tell: it knows nothing of what this process, newly forked, or
 * another one has not touched itself, nor of what was swapped out. */
void gc__os_each_touched_by_any(const struct gc__range *ranges, size_t count,
                                void (*visit)(struct gc__range range, void *argument), void *argument)
{
    struct visitor to = {visit, argument, ranges, count, 0, {0, 0}};
    int saved_errno = errno;

    scan_by_residence(&to);
    errno = saved_errno;
}

/* ---- Pages of a large object ----------------------------------------------------------- */

struct noting {
    uintptr_t start;
    uint64_t *bits;
};

static void note_page(struct gc__range page, void *argument)
{
    const struct noting *noting = argument;
    size_t number = (page.start - noting->start) / gc__os_page_bytes();

    gc__bitmap_set(noting->bits, number, number + 1);
}

/* Not by the ioctl, which wants memory that several threads would share. */
static bool note_by_reading(uintptr_t start, size_t pages, uint64_t *bits)
{
    uint64_t entry[128];
    size_t first = start / gc__os_page_bytes();
    long got = 1, wanted = 1;
    int pagemap = open_pagemap();

    for (size_t page = 0; page < pages && got == wanted;) {
        size_t count = gc__min(pages - page, sizeof entry / sizeof *entry);

        wanted = (long)(count * sizeof *entry);
        got = syscall(SYS_pread64, pagemap, entry, wanted, (first + page) * sizeof *entry);
        for (size_t i = 0; i < count && got == wanted; i++, page++)
            if (is_touched(entry[i]))
                gc__bitmap_set(bits, page, page + 1);
    }
    close_pagemap(pagemap);
    return got == wanted;
}

/* Where nothing is swapped out, what was touched is in memory. That is asked first: for the
 * pagemap a page that is watched and was never touched looks like one that is swapped out. */
void gc__os_note_touched(uintptr_t start, size_t pages, uint64_t *bits)
{
    struct gc__range range = {start, start + pages * gc__os_page_bytes()};
    struct noting noting = {start, bits};
    int saved_errno = errno;
    bool noted = !gc__system_may_swap() && gc__note_resident(start, pages, bits);

    if (!noted && !note_by_reading(start, pages, bits))
        gc__each_resident(range, true, note_page, &noting);
    errno = saved_errno;
}
