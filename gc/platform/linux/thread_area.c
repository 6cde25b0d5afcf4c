#define _GNU_SOURCE
#include "gc/platform/linux/thread_area.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/platform/linux/probe.h"
#include "gc/platform/linux/real.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

/* What glibc tells debuggers (nptl_db): looked up by name, for no program
 * should depend on it. A field is described by an element's size in bits, the
 * number of elements and the offset. */
struct field {
    uint32_t bits;
    uint32_t elements;
    uint32_t offset;
};

/* An entry of a thread's table of thread-local blocks; the first has a count of
 * generations, the one before it that of the entries. (Drepper, "ELF handling
 * for thread-local storage", section 3) */
struct tls_entry {
    uintptr_t value;
    uintptr_t to_free;
};

#define NOT_ALLOCATED (~(uintptr_t)0) /* the thread has not used this block yet */

GC_OWN_STATE static struct {
    const uint32_t *descriptor_bytes; /* NULL: not glibc, or not known */
    const uint32_t *values_bytes;     /* of a block of values of pthread_setspecific... */
    const struct field *values;       /* ...and the descriptor's pointers to such blocks */
    const struct field *tls_table;
    const struct field *thread_id;
    size_t static_bytes; /* of static thread-local blocks and descriptor together; 0: not known */
} layout;

/* Bytes of the modules' blocks, by number; as many as there is room for. */
#define MAX_MODULES ((size_t)1 << 16)
GC_OWN_STATE static struct {
    uint32_t *bytes;
    size_t count;
} modules;

/* The program's thread-local block, for want of anything better: where it lies is told by
 * the ABI (Drepper, section 3.4). In a static executable, names are not to be looked up. */
GC_OWN_STATE static struct {
    size_t bytes;
    size_t alignment;
} program_block;

static void look_at_program(void)
{
    const ElfW(Phdr) *header = (const ElfW(Phdr) *)getauxval(AT_PHDR);

    for (size_t i = getauxval(AT_PHNUM); i > 0 && header != NULL; i--, header++)
        if (header->p_type == PT_TLS) {
            program_block.bytes = header->p_memsz;
            program_block.alignment = gc__max(header->p_align, 1);
        }
}

typedef void static_info(size_t *bytes, size_t *alignment);

void gc__os_look_up_names(void)
{
    static_info *get_static_info = (static_info *)dlsym(RTLD_DEFAULT, "_dl_get_tls_static_info");
    size_t alignment;

    layout.descriptor_bytes = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
    layout.values_bytes = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread_key_data_level2");
    layout.values = dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific");
    layout.tls_table = dlsym(RTLD_DEFAULT, "_thread_db_pthread_dtvp");
    layout.thread_id = dlsym(RTLD_DEFAULT, "_thread_db_pthread_tid");
    if (get_static_info != NULL)
        get_static_info(&layout.static_bytes, &alignment);
    if (layout.descriptor_bytes == NULL)
        look_at_program();
    gc__real_prepare();
}

void gc__os_prepare_thread_areas(void)
{
    modules.bytes = gc__os_reserve(MAX_MODULES * sizeof *modules.bytes, gc__os_page_bytes(), 0);
    if (modules.bytes != NULL && !gc__os_commit(modules.bytes, MAX_MODULES * sizeof *modules.bytes))
        modules.bytes = NULL;
}

size_t gc__thread_area_static_bytes(void)
{
    return layout.static_bytes + program_block.bytes + program_block.alignment;
}

void gc__thread_area_forget_modules(void)
{
    for (size_t i = 0; i < modules.count; i++)
        modules.bytes[i] = 0;
    modules.count = 0;
}

void gc__thread_area_note_module(size_t module, size_t bytes)
{
    if (modules.bytes == NULL || module >= MAX_MODULES)
        return;
    modules.bytes[module] = (uint32_t)gc__min(bytes, UINT32_MAX);
    modules.count = gc__max(modules.count, module + 1);
}

/* ---- One thread -------------------------------------------------------------------- */

uintptr_t gc__os_thread_pointer(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

/* On x86 the thread pointer points at the descriptor, and the static blocks lie
 * before it; on ARM the descriptor lies before, and the static blocks behind. */
#if defined __x86_64__
static uintptr_t descriptor_of(uintptr_t thread_pointer)
{
    return thread_pointer;
}

static struct gc__range static_area(uintptr_t thread_pointer)
{
    uintptr_t end = thread_pointer + *layout.descriptor_bytes;

    if (layout.static_bytes <= *layout.descriptor_bytes)
        return (struct gc__range){thread_pointer, end};
    return (struct gc__range){gc__align_down(end - layout.static_bytes, sizeof(void *)), end};
}

static struct gc__range block_of_program(uintptr_t thread_pointer)
{
    size_t bytes = gc__align_up(program_block.bytes, program_block.alignment);

    return (struct gc__range){gc__align_down(thread_pointer - bytes, sizeof(void *)), thread_pointer};
}
#else
static uintptr_t descriptor_of(uintptr_t thread_pointer)
{
    return thread_pointer - *layout.descriptor_bytes;
}

static struct gc__range static_area(uintptr_t thread_pointer)
{
    return (struct gc__range){descriptor_of(thread_pointer), thread_pointer + 2 * sizeof(void *)};
}

static struct gc__range block_of_program(uintptr_t thread_pointer)
{
    uintptr_t start = thread_pointer + gc__align_up(2 * sizeof(void *), program_block.alignment);

    return (struct gc__range){start, gc__align_down(start + program_block.bytes, sizeof(void *))};
}
#endif

static const void *field_of(uintptr_t descriptor, const struct field *field)
{
    return (const char *)descriptor + field->offset;
}

bool gc__os_thread_pointer_is_own(void)
{
    if (layout.descriptor_bytes == NULL || layout.thread_id == NULL)
        return true;
    return *(const int *)field_of(descriptor_of(gc__os_thread_pointer()), layout.thread_id) == gettid();
}

/* The first block of values lies in the descriptor, the others in memory of
 * malloc's. */
static GC_SCANS_ANYTHING void visit_values(uintptr_t descriptor, void (*visit)(struct gc__range range, void *argument),
                                           void *argument)
{
    const uintptr_t *blocks = field_of(descriptor, layout.values);
    size_t count = (size_t)layout.values->bits * layout.values->elements / 8 / sizeof *blocks;

    for (size_t i = 0; i < count; i++)
        if (blocks[i] != 0 && blocks[i] - descriptor >= *layout.descriptor_bytes)
            visit((struct gc__range){blocks[i], blocks[i] + *layout.values_bytes}, argument);
}

/* A thread that has not looked since a library was unloaded still has the block
 * of that one, which may be shorter: no further than can be read. */
static GC_SCANS_ANYTHING void visit_blocks(uintptr_t descriptor, struct gc__range known,
                                           void (*visit)(struct gc__range range, void *argument), void *argument)
{
    const struct tls_entry *table = *(const struct tls_entry *const *)field_of(descriptor, layout.tls_table);
    size_t count = table != NULL ? gc__min(table[-1].value + 1, modules.count) : 0;

    for (size_t module = 1; module < count; module++) {
        uintptr_t start = table[module].value;
        uintptr_t end = start + modules.bytes[module];

        if (start == 0 || start == NOT_ALLOCATED || start == end || start - known.start < known.end - known.start)
            continue;
        if (!gc__page_is_readable(gc__align_down(start, gc__os_page_bytes())))
            continue; /* the thread was stopped when it had just given it back */
        visit((struct gc__range){start, gc__min(end, gc__readable_end(start, end))}, argument);
    }
}

/* Of a thread whose pointer is not the C library's nothing is known. */
GC_SCANS_ANYTHING bool gc__os_is_thread_pointer(uintptr_t thread_pointer)
{
    if (thread_pointer == 0 || thread_pointer % sizeof(void *) != 0)
        return false;
    if (!gc__page_is_readable(gc__align_down(thread_pointer, gc__os_page_bytes())))
        return false;
#if defined __x86_64__
    return *(const uintptr_t *)thread_pointer == thread_pointer;
#else
    return true;
#endif
}

static void visit_block_of_program(uintptr_t thread_pointer, void (*visit)(struct gc__range range, void *argument),
                                   void *argument)
{
    struct gc__range block = block_of_program(thread_pointer);

    if (block.start < block.end && gc__page_is_readable(gc__align_down(block.start, gc__os_page_bytes())) &&
        gc__readable_end(block.start, block.end) >= block.end)
        visit(block, argument);
}

void gc__os_each_thread_area(uintptr_t thread_pointer, void (*visit)(struct gc__range range, void *argument),
                             void *argument)
{
    struct gc__range known;

    if (layout.descriptor_bytes == NULL) {
        visit_block_of_program(thread_pointer, visit, argument);
        return;
    }
    known = static_area(thread_pointer);
    visit(known, argument);
    if (layout.values_bytes != NULL && layout.values != NULL)
        visit_values(descriptor_of(thread_pointer), visit, argument);
    if (layout.tls_table != NULL)
        visit_blocks(descriptor_of(thread_pointer), known, visit, argument);
}
