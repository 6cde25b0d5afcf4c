/* Names the callers of a failed call, with libunwind. That is loaded when there are callers
 * to be named, which in most processes there never are: with the libraries it needs, it
 * would take a tenth of the time in which a short process starts and ends. */

#include "gc/base/check.h"
#include "gc/cycle/heap.h"
#include "gc/insight/backtrace.h"

#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <string.h>

#define LIBRARY "libunwind.so.8"

#define MAX_CALLERS 40

/* A name of libunwind's is a macro for what it is on this processor. */
#define NAME_OF(function) AS_TEXT(function)
#define AS_TEXT(name) #name

/* As the C library lays it out. libunwind's may be shorter, by registers that it does not
 * look at. */
union context {
    unw_context_t registers;
    ucontext_t all;
};

static struct {
    int (*get_context)(union context *context); /* the C library's: libunwind's is not everywhere a function */
    int (*init)(unw_cursor_t *cursor, unw_context_t *registers);
    int (*step)(unw_cursor_t *cursor);
    int (*get_register)(unw_cursor_t *cursor, int number, unw_word_t *value);
    int (*get_name)(unw_cursor_t *cursor, char *name, size_t capacity, unw_word_t *offset);
    _Atomic bool known;
} unwind;

/* Twice at once does no harm. */
static bool look_up(void *library)
{
    unwind.get_context = (int (*)(union context *))gc__os_function_of(NULL, "getcontext");
    unwind.init = (int (*)(unw_cursor_t *, unw_context_t *))gc__os_function_of(library, NAME_OF(unw_init_local));
    unwind.step = (int (*)(unw_cursor_t *))gc__os_function_of(library, NAME_OF(unw_step));
    unwind.get_register = (int (*)(unw_cursor_t *, int, unw_word_t *))gc__os_function_of(library, NAME_OF(unw_get_reg));
    unwind.get_name =
        (int (*)(unw_cursor_t *, char *, size_t, unw_word_t *))gc__os_function_of(library, NAME_OF(unw_get_proc_name));
    return unwind.get_context != NULL && unwind.init != NULL && unwind.step != NULL && unwind.get_register != NULL &&
           unwind.get_name != NULL;
}

/* To load a library takes the loader's lock. A collector may hold that while it waits for
 * us, or a thread that waits for the collector: so it does not wait. */
static void *load(void)
{
    struct mutator *mutator = gc__mutator;
    uint64_t blocked;
    void *library;

    if (!gc__mutator_exists(mutator) || !mutator->inside || gc__mutator_is_safe(mutator))
        return gc__os_load(LIBRARY);
    blocked = gc__world_begin_wait(&gc__heap.world, mutator,
                                   mutator->sp != 0 ? mutator->sp : (uintptr_t)__builtin_frame_address(0));
    library = gc__os_load(LIBRARY);
    gc__world_end_wait(&gc__heap.world, mutator, blocked);
    return library;
}

/* Not under the lock: another that loads one may wait for it. */
bool gc__backtrace_load(void)
{
    void *library = NULL;

    if (!unwind.known && !gc__world_is_owned(&gc__heap.world))
        library = load();
    if (library != NULL)
        unwind.known = look_up(library);
    return unwind.known;
}

/* An assertion that fails does so under the lock, as a rule. */
static __attribute__((constructor)) void load_for_assertions(void)
{
    if (GC_DEBUG)
        gc__backtrace_load();
}

/* One line: the name, or the bare address of what has none. Our own helpers
 * are passed over. */
static size_t append_frame(char *text, size_t used, size_t capacity, unw_cursor_t *cursor, unw_word_t address)
{
    char name[256];
    unw_word_t offset = 0;

    if (unwind.get_name(cursor, name, sizeof name, &offset) != 0)
        return gc__append(text, used, capacity, "  at %#lx\n", (unsigned long)address);
    if (strncmp(name, "gc__", strlen("gc__")) == 0)
        return used;
    return gc__append(text, used, capacity, "  at %s+%#lx\n", name, (unsigned long)offset);
}

size_t gc__write_callers(char *text, size_t used, size_t capacity, const void *from)
{
    union context context;
    unw_cursor_t cursor;
    bool reached = false;

    if (!gc__backtrace_load())
        return gc__append(text, used, capacity,
                          "  (callers are not named: " LIBRARY " cannot be loaded, or not now)\n");
    if (unwind.get_context(&context) != 0 || unwind.init(&cursor, &context.registers) != 0)
        return gc__append(text, used, capacity, "  (the callers cannot be found)\n");
    for (unsigned i = 0; i < MAX_CALLERS && unwind.step(&cursor) > 0; i++) {
        unw_word_t address = 0;

        unwind.get_register(&cursor, UNW_REG_IP, &address);
        reached |= address == (unw_word_t)from;
        if (reached)
            used = append_frame(text, used, capacity, &cursor, address);
    }
    return used;
}
