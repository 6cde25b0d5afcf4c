/* minor.h - which cycles are minor: those that keep the marks of the last, and
 * trace only what is young (gc/mark/rescan.h).
 *
 * They need a system that tells which pages were written, and pay where most of
 * what is old is not written, and most of what is young dies. Both are measured:
 * after a minor cycle that had to scan too much there are only full ones for a
 * while, twice as long each time, and nothing is watched.
 *
 * Threads: under the heap's lock. */
#ifndef GC_CYCLE_MINOR_H
#define GC_CYCLE_MINOR_H

#include "gc/cycle/pace.h"
#include "gc/mark/gang.h"

struct minor {
    bool possible;     /* as far as is known */
    bool now;          /* the cycle under way is minor, or the last one was */
    bool tracked;      /* the system was told of our range */
    bool watched;      /* since the last cycle: the next may be minor */
    uint64_t write_ns; /* that the first write to a watched page takes; 0: not known */
    unsigned failures; /* to track or watch, in a row */
    unsigned row;      /* minor cycles since the last full one */
    unsigned rest;     /* full cycles to come before minor ones are tried again */
    unsigned last_rest;
};

void gc__minor_init(struct minor *minor, bool wanted);

/* The world stands. Whether this cycle is minor: then it is known which pages were
 * written. Not if it is to be `full`. */
bool gc__minor_begin(struct minor *minor, struct gang *gang, bool full);

/* What a fault is worth, in bytes scanned. */
size_t gc__minor_fault_bytes(const struct minor *minor);

/* At the end of a full cycle; of a minor one, which scanned `scanned` bytes of `all`. */
void gc__minor_note_full(struct minor *minor);
void gc__minor_note_work(struct minor *minor, size_t scanned, size_t all);

/* Tells the system of our range, for a cycle that watches writes itself. */
bool gc__minor_track(struct minor *minor, const struct region *region);

/* At the end of each cycle: `wanted` if the next had better be minor. */
void gc__minor_prepare(struct minor *minor, struct region *region, bool wanted);

#endif
