/* weak.h - weak links: words of the program's that are cleared when the object
 * they point at dies (GC Handbook, 2nd ed., section 12.2).
 *
 * Short links are cleared before finalizers are looked for, long ones when nothing
 * leads to the object any more, no finalizer either.
 *
 * An entry of the table: `object` is the target, `a` the link, by which it is found,
 * too; `note` as below. A
 * link that does not hold the target any more is left alone: the program has
 * written to it.
 *
 * Threads: under the heap's lock. */
#ifndef GC_RECLAIM_WEAK_H
#define GC_RECLAIM_WEAK_H

#include "gc/heap/attachments.h"

#define GC_WEAK_LONG 1u
#define GC_WEAK_IN_HEAP 2u /* the link lies in an object, and dies with it */

/* Whatever it was a link to before, it is one to `target`. False: no memory. */
bool gc__weak_add(struct attachments *table, const struct region *region, void **link, uintptr_t target, bool is_long);

/* Forgets the link. */
void gc__weak_remove(struct attachments *table, void **link);

/* The target is going to be freed: its links are cleared. */
void gc__weak_clear_links_to(struct attachments *table, uintptr_t target);

/* It has moved. */
void gc__weak_move_links(struct attachments *table, uintptr_t from, uintptr_t to);

/* While the world stands, marking done: clears short links to white objects. */
void gc__weak_clear_short(const struct region *region, struct attachments *table, size_t from);

/* Clears all links to white objects, and forgets those that died themselves. */
void gc__weak_clear(const struct region *region, struct attachments *table, size_t from);

#endif
