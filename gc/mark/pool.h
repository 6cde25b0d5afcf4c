/* pool.h - what the markers of a gang share: packets of grey objects (grey
 * packets: Ossia et al., "A parallel, incremental and concurrent GC for
 * servers", PLDI 2002; GC Handbook, 2nd ed., section 14.4), and the knowledge
 * of who still works, from which all of them learn that marking has ended.
 *
 * A packet is full, free, or held by one marker. Full and free packets lie in
 * two lock-free stacks (Treiber 1986); each push and each pop gives the head
 * of its stack a new tag, so a head that is as before means a stack that is.
 *
 * A marker works or waits. Steps, each of them atomic:
 *     give   (works)  a full packet is pushed
 *     take   (works)  a full packet is popped, and is now the marker's own
 *     rest   (works)  has nothing grey of its own, and found no full packet
 *                     after it last gave one: `working` less one
 *     rise   (waits)  saw a full packet: `working` and one, and then takes;
 *                     who comes too late for the packet rests again
 *     quit   (waits)  saw that `working` is 0
 *
 * Why nothing is grey when somebody quits. A grey object that is in the hands
 * of a marker is in those of one who works: it takes only when it works, and
 * does not rest before it has scanned what it took. All others are in full
 * packets, and there are none when nobody works: of all who worked, consider
 * the one that was the last to find the stack empty before it rested. Nobody
 * gave anything after that, as each of them looked for packets after its last
 * gift. So `working` is 0 only when nothing is grey; then nobody can turn an
 * object grey, and it remains so but for somebody who rises late and in vain:
 * nobody quits early, and all the others find the same.
 *
 * In the same way a marker that works learns that it is the only one: no packet
 * is full, and then `working` is 1. What the others did before they rested it
 * then sees; they cannot do more until it gives something.
 *
 * Why somebody quits. The last who rests looks after that, and sees 0 unless
 * somebody rises, who will look later. Each time that somebody rises in vain,
 * somebody else has taken a packet.
 *
 * Who waits for long sleeps. It says so (`sleepers`), and then looks once more;
 * who gives a packet, or quits, does that first and then looks for sleepers.
 * All four are sequentially consistent: one of the two sees the other. `news`
 * changes before a sleeper is woken, so it cannot fall asleep in between. A helper
 * leaves the gang to sleep: the leader need not wait until the system lets it
 * run again, only to hear that there is nothing to do.
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
 * there is one. NULL: it need not wait any longer, as gc__pool_is_done, or it
 * should sleep. */
struct packet *gc__pool_next(struct pool *pool);

/* As gc__pool_next, for a marker that does not work. */
struct packet *gc__pool_wait(struct pool *pool);

/* Whether nothing is grey any more: then everybody quits. */
bool gc__pool_is_done(const struct pool *pool);

/* Sleeps until there may be a packet, or nothing is grey. Also for threads that
 * do not know whether the cycle has ended. */
void gc__pool_sleep(struct pool *pool);

/* The packet was emptied. */
void gc__pool_put_back(struct pool *pool, struct packet *packet);

#endif
