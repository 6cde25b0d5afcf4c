/* sweep.h - lazy sweeping, block by block (GC Handbook, 2nd ed., section 2.5;
 * bitmaps instead of free lists: Boehm, ISMM 2000, "Reducing garbage collector
 * cache misses").
 *
 * A collection leaves blocks in which nothing was marked, whose units are free
 * at once, and unswept ones. Those lie in the bin of their lane,
 * lowest address first, until allocation takes them: only then are the dead
 * subtracted, with an AND over the bitmap. Dead objects are never touched.
 *
 * Both ends of a cycle, sweeping what is left and publishing the marks, are done
 * chunk by chunk, so that several markers can share them, or a cycle can do them beside
 * the mutators.
 *
 * Threads: under the heap's lock.
 *
 * Invariants (checked by gc__sweep_audit):
 *  1. a block is in the list that its state names, and in no other
 *  2. a block that is neither listed nor current is full */
#ifndef GC_RECLAIM_SWEEP_H
#define GC_RECLAIM_SWEEP_H

#include "gc/mark/gang.h"

/* Lists of blocks by unit plus one; 0 ends them. */
struct bin {
    uint32_t unswept;
    uint32_t partial;
    uint32_t shared; /* one current block, from which mutators claim that want little */
};

struct bins {
    struct bin bin[GC_MAX_LANES];
};

/* The first step of a cycle: sweeps what is left, then makes every object white,
 * or, if marks are `sticky`, none that has been marked. The bins are empty then. */
void gc__sweep_finish_and_whiten(struct gang *gang, struct bins *bins, bool sticky);

/* Whether helpers of the gang are wanted for this, and for its counterpart at the end: who
 * stands then had better not spin. */
bool gc__sweep_is_shared(const struct gang *gang);

/* What a collection found to be marked. */
struct census {
    uint64_t objects;
    uint64_t bytes;           /* of them, as far as they were touched */
    uint64_t scanned_bytes;   /* the same, of those that may hold pointers */
    uint64_t untouched_bytes; /* the rest: they take no memory */
};

/* The last step: gives back the blocks without a marked object, and the large
 * objects that are white; puts the other blocks into their bins, but for those
 * without a free cell. */
struct census gc__sweep_publish_marks(struct gang *gang, struct bins *bins);

/* The same steps beside the mutators. Sweeps the blocks of chunk `c` and leaves them
 * in their lists; makes every object of it white, or, if marks are `sticky`, nothing but what is no object
 * any more; for that no lock is needed, and everything swept and no magazines. */
void gc__sweep_chunk(struct region *region, size_t c);
void gc__sweep_whiten_chunk(struct region *region, size_t c, bool sticky);

/* Marking is given up: any block may have marks; what was condemned goes. */
void gc__sweep_give_marks_up(struct region *region);

/* Marking is done, and the world stands: no block is claimed from until its chunk
 * is published. Large objects are to be born black until all are. */
void gc__sweep_await_publication(struct region *region, struct bins *bins);
void gc__sweep_publish_chunk(struct region *region, struct bins *bins, size_t c, struct census *census);

/* A block off its list, or NULL; it is current then, or, if `*unswept`, still to
 * be swept by gc__sweep_block, which needs no lock. It may turn out to be full: whoever claims
 * from it finds that out. */
struct block *gc__sweep_take_block(struct region *region, struct bins *bins, unsigned lane, bool *unswept);
void gc__sweep_block(struct region *region, struct block *block);

/* There are no more free cells behind the cursor of a current block. */
void gc__sweep_retire_block(struct region *region, struct bins *bins, struct block *block);

/* Nobody will claim from a current block for now. */
void gc__sweep_abandon_block(struct region *region, struct bins *bins, struct block *block);

/* A cell of the block at `granule` became free. */
void gc__sweep_note_free(struct region *region, struct bins *bins, struct block *block, size_t granule);

void gc__sweep_audit(const struct region *region, const struct bins *bins);

#endif
