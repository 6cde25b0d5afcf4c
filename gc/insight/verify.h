/* verify.h - the tri-colour invariant, checked object by object. */
#ifndef GC_INSIGHT_VERIFY_H
#define GC_INSIGHT_VERIFY_H

#include "gc/cycle/heap.h"

/* At the end of marking: no word of a marked object resolves to an unmarked
 * one. A second, simpler reader of the heap than the marker: no FIFO, no
 * worklist, no prefetch. */
void gc__verify_no_black_to_white(const struct heap *heap);

/* At the same time, for a cycle that ran beside the mutators, or was minor: all that the
 * roots lead to is marked, as a second mark from nothing finds it, which asks nobody what
 * was written. As words may be stale, what may be born since they were last looked at is
 * passed over; but not in debug builds, as long as the program has freed nothing itself, has
 * no kinds of its own and runs no coroutines. What hangs on ephemerons and finalizers alone is left out; where a copy
 * of the process was marked, the copy does this with all roots, and the process, as it adopts
 * the result, with all but stacks. The marks are the same afterwards. The world stands. */
void gc__verify_second_mark(struct heap *heap);

#endif
