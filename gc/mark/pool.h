/* pool.h - what the markers of a gang share: packets of grey objects (grey
 * packets: Ossia et al., "A parallel, incremental and concurrent GC for
 * servers", PLDI 2002; GC Handbook, 2nd ed., section 14.4), and the knowledge
 * of who still works, from which all of them learn that marking has ended.
 *
 * A packet is full, free, or held by one marker. Full and free packets lie in
 * two lock-free stacks (Treiber 1986); each push and each pop gives the head
 * of its stack a new tag.
 *
 * A marker works or waits. Steps, each of them atomic:
 *     give   (works)  a full packet is pushed
 *     take   (works)  a full packet is popped, and is now the marker's own
 *     rest   (works)  has nothing grey of its own: `working` less one
 *     rise   (waits)  sees a full packet: `working` and one, and then takes;
 *                     who comes too late for the packet rests again
 *     look   (waits)  three reads: the full stack is empty; `working` is 0; the
 *                     full stack's head, tag and all, is as before. Then quits.
 *
 * Why nothing is grey when somebody quits. A grey object that is in the hands
 * of a marker is in those of one who works: it takes only when it works, and
 * does not rest before it has scanned what it took. All others are in full
 * packets. At the moment of the second read nobody worked, so nothing was in
 * anybody's hands; and the stack was empty at that moment, too, as its tag did
 * not change between the first read and the third. From then on nobody can
 * turn an object grey, so everybody who still waits finds the same: nobody
 * quits early, and nobody has to be told.
 *
 * Why somebody quits. The last who rests looks after that; only rising changes
 * what it sees, and who rises wants to look again later. Every rise that ends
 * without a packet is one that another marker's take made vain.
 *
 * By the same three reads a marker that works learns that it is the only one:
 * `working` is 1. What the others did before they rested it then sees; they
 * cannot do more until it gives something.
 *
 * Who waits for long sleeps. It says so (`sleepers`), and then looks once more;
 * who gives a packet, or quits, does that first and then looks for sleepers.
 * All four are sequentially consistent: one of the two sees the other. `news`
 * changes before a sleeper is woken, so it cannot fall asleep in between.
 *
 * A marker that was called but has not come yet is simply one that waits.
 * test/test_termination.c goes through all interleavings of a model. */
#ifndef GC_MARK_POOL_H
#define GC_MARK_POOL_H

#include "gc/base/tunables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct packet {
    uint32_t below; /* in its stack: index plus one; 0: it is the last */
    uint32_t count;
    uintptr_t entry[GC_PACKET_ENTRIES];
};

/* The head of a stack of packets: index plus one of the first, 0 if there is
 * none; above it the tag. */
struct packet_stack {
    _Alignas(GC_CACHE_LINES_BYTES) uint64_t head;
};

struct pool {
    struct packet *packets; /* NULL: no memory yet */
    uint32_t markers;       /* of this cycle */
    struct packet_stack full;
    struct packet_stack free;
    _Alignas(GC_CACHE_LINES_BYTES) uint32_t working;
    _Alignas(GC_CACHE_LINES_BYTES) uint32_t sleepers;
    _Atomic uint32_t news;
};

/* Gets the packets their memory, once. */
bool gc__pool_provide(struct pool *pool);
size_t gc__pool_metadata_bytes(const struct pool *pool);

/* Begins a cycle of so many markers, of which one, the caller, works. Nobody
 * else uses the pool yet. */
void gc__pool_open(struct pool *pool, unsigned markers);

/* Whether somebody waits and finds nothing. Cheap, and may be wrong. */
bool gc__pool_wants(const struct pool *pool);

/* Whether nobody but the caller, who works, has or can get anything grey, until
 * it gives something. */
bool gc__pool_is_left_to_one(const struct pool *pool);

/* Makes a full packet of entries; false: there is no free one. */
bool gc__pool_give(struct pool *pool, const uintptr_t *entries, size_t count);

/* A full packet, for a marker that works and has nothing left: it waits until
 * there is one. NULL: nothing is grey any more, quit. */
struct packet *gc__pool_next(struct pool *pool);

/* As gc__pool_next, for a marker that does not work yet. */
struct packet *gc__pool_wait(struct pool *pool);

/* The packet was emptied. */
void gc__pool_put_back(struct pool *pool, struct packet *packet);

#endif
