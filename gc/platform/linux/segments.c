#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/align.h"
#include "gc/platform/linux/loader.h"
#include "gc/platform/linux/probe.h"
#include "gc/platform/linux/thread_area.h"

#include <link.h>
#include <string.h>

/* The linker marks the bounds of the section behind GC_OWN_STATE. */
extern char __start_broom_state[] __attribute__((visibility("hidden")));
extern char __stop_broom_state[] __attribute__((visibility("hidden")));

struct visitor {
    void (*visit)(struct gc__range range, void *argument);
    void *argument;
};

/* A library that is listed and not there may have given its place to others. */
static uintptr_t end_of_what_is_there(uintptr_t start, uintptr_t end)
{
    if (!gc__loader_was_interrupted())
        return end;
    return gc__page_is_readable(gc__align_down(start, gc__os_page_bytes())) ? gc__min(end, gc__readable_end(start, end))
                                                                            : start;
}

static void visit_range(const struct visitor *to, uintptr_t start, uintptr_t end)
{
    start = gc__align_up(start, sizeof(void *));
    end = gc__align_down(end_of_what_is_there(start, end), sizeof(void *));
    if (start < end)
        to->visit((struct gc__range){start, end}, to->argument);
}

/* A writable segment, less our own state if it lies inside. */
static void visit_segment(const struct visitor *to, uintptr_t start, uintptr_t end)
{
    uintptr_t own_start = (uintptr_t)__start_broom_state;
    uintptr_t own_end = (uintptr_t)__stop_broom_state;

    if (own_start >= start && own_end <= end) {
        visit_range(to, start, own_start);
        visit_range(to, own_end, end);
    } else {
        visit_range(to, start, end);
    }
}

/* The libunwind that we load keeps caches of tens of kilobytes, and nothing of a program. */
static bool holds_no_roots(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    return strncmp(name, "libunwind.so.8", strlen("libunwind.so.8")) == 0;
}

static bool has_headers(const struct dl_phdr_info *object)
{
    uintptr_t start = (uintptr_t)object->dlpi_phdr, end = start + object->dlpi_phnum * sizeof *object->dlpi_phdr;

    return end_of_what_is_there(start, end) == end;
}

static int visit_object(struct dl_phdr_info *object, size_t size, void *argument)
{
    const struct visitor *to = argument;

    (void)size;
    if (!has_headers(object) || holds_no_roots(object->dlpi_name))
        return 0;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + header->p_vaddr;

        if (header->p_type == PT_LOAD && (header->p_flags & PF_W) != 0)
            visit_segment(to, start, start + header->p_memsz);
        if (header->p_type == PT_TLS)
            gc__thread_area_note_module(object->dlpi_tls_modid, header->p_memsz);
    }
    return 0;
}

void gc__os_each_data_segment(void (*visit)(struct gc__range range, void *argument), void *argument)
{
    struct visitor to = {visit, argument};

    gc__thread_area_forget_modules();
    dl_iterate_phdr(visit_object, &to);
}
