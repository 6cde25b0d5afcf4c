/* Names the callers of a failed call, with libunwind. */

#include "gc/base/check.h"

#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <string.h>

#define MAX_CALLERS 40

/* One line: the name, or the bare address of what has none. Our own helpers
 * are passed over. */
static size_t append_frame(char *text, size_t used, size_t capacity, unw_cursor_t *cursor, unw_word_t address)
{
    char name[256];
    unw_word_t offset = 0;

    if (unw_get_proc_name(cursor, name, sizeof name, &offset) != 0)
        return gc__append(text, used, capacity, "  at %#lx\n", (unsigned long)address);
    if (strncmp(name, "gc__", strlen("gc__")) == 0)
        return used;
    return gc__append(text, used, capacity, "  at %s+%#lx\n", name, (unsigned long)offset);
}

size_t gc__write_callers(char *text, size_t used, size_t capacity, const void *from)
{
    unw_context_t context;
    unw_cursor_t cursor;
    bool reached = false;

    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0)
        return gc__append(text, used, capacity, "  (the callers cannot be found)\n");
    for (unsigned i = 0; i < MAX_CALLERS && unw_step(&cursor) > 0; i++) {
        unw_word_t address = 0;

        unw_get_reg(&cursor, UNW_REG_IP, &address);
        reached |= address == (unw_word_t)from;
        if (reached)
            used = append_frame(text, used, capacity, &cursor, address);
    }
    return used;
}
