/* Built with --without-libunwind: a message says what it then lacks. */

#include "gc/base/check.h"
#include "gc/insight/backtrace.h"

bool gc__backtrace_load(void)
{
    return false;
}

size_t gc__write_callers(char *text, size_t used, size_t capacity, const void *from)
{
    (void)from;
    return gc__append(text, used, capacity, "  (callers are not named: Broom was built without libunwind)\n");
}
