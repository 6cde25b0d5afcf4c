/* backtrace.h - the callers in messages (gc__write_callers, in gc/base/check.h). */
#ifndef GC_INSIGHT_BACKTRACE_H
#define GC_INSIGHT_BACKTRACE_H

#include <stdbool.h>

/* Readies what names callers, for messages that are written under the heap's lock: there
 * nothing is loaded any more. False: they will not be named. Not under that lock. */
bool gc__backtrace_load(void);

#endif
