/* Names the callers of a failed call, with libunwind. */

#include "gc/base/check.h"

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#define MAX_CALLERS 40

size_t gc__write_callers(char *text, size_t used, size_t capacity)
{
    unw_context_t context;
    unw_cursor_t cursor;

    if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0)
        return gc__append(text, used, capacity, "  (the callers cannot be found)\n");
    for (unsigned i = 0; i < MAX_CALLERS && unw_step(&cursor) > 0; i++) {
        unw_word_t address = 0, offset = 0;
        char name[256];

        unw_get_reg(&cursor, UNW_REG_IP, &address);
        if (unw_get_proc_name(&cursor, name, sizeof name, &offset) == 0)
            used = gc__append(text, used, capacity, "  at %s+%#lx\n", name, (unsigned long)offset);
        else
            used = gc__append(text, used, capacity, "  at %#lx\n", (unsigned long)address);
    }
    return used;
}
