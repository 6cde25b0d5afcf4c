/* tunables.h - the constants that could have been chosen otherwise, each with its unit
 * and its reason.
 *
 * What a user may want to change at run time is not here but in the table of
 * options (gc/api/options.c), which takes its defaults from here. */
#ifndef GC_BASE_TUNABLES_H
#define GC_BASE_TUNABLES_H

#include <stddef.h>
#include <stdint.h>

/* ---- Geometry ---------------------------------------------------------- */

/* A granule is the alignment of every object and what one bit of the mark and
 * allocated bitmaps stands for. 16 bytes is what max_align_t needs. */
#define GC_GRANULE_SHIFT 4
#define GC_GRANULE_BYTES ((size_t)1 << GC_GRANULE_SHIFT)

/* What size classes are told apart by, and what an ambiguous word takes. */
#define GC_WORD_BYTES sizeof(uintptr_t)

/* The heap counts in pages of 4 KiB, also where the OS has larger ones. */
#define GC_PAGE_SHIFT 12
#define GC_PAGE_BYTES ((size_t)1 << GC_PAGE_SHIFT)

/* A unit is what a block is made of (one to four of them). 64 KiB: large
 * enough that a refill is rare, small enough that 100 half-used classes cost
 * little; smaller blocks made the descriptors miss the L2 cache in marking. */
#define GC_UNIT_SHIFT 16
#define GC_UNIT_BYTES ((size_t)1 << GC_UNIT_SHIFT)
#define GC_UNIT_GRANULES (GC_UNIT_BYTES >> GC_GRANULE_SHIFT)
#define GC_PAGES_PER_UNIT (GC_UNIT_BYTES >> GC_PAGE_SHIFT)
#define GC_MAX_BLOCK_UNITS 4

/* A chunk is a huge page of x86-64 and aarch64: the unit of huge pages and of
 * the accessible part's growth. */
#define GC_CHUNK_SHIFT 21
#define GC_CHUNK_BYTES ((size_t)1 << GC_CHUNK_SHIFT)
#define GC_PAGES_PER_CHUNK (GC_CHUNK_BYTES >> GC_PAGE_SHIFT)
#define GC_UNITS_PER_CHUNK (GC_CHUNK_BYTES >> GC_UNIT_SHIFT)

/* Objects up to here live in blocks, larger ones in page runs of their own:
 * from here on rounding up to pages loses less than an eighth. The largest cells
 * have a spare word, too (gc/heap/sizeclass.h). */
#define GC_LARGEST_CELL_BYTES ((size_t)32 << 10)
#define GC_SMALL_MAX_BYTES (GC_LARGEST_CELL_BYTES - GC_WORD_BYTES)

/* ---- Address space ------------------------------------------------------ */

/* Reserved, not used: 256 GiB costs nothing but page-table entries never made.
 * Less, an eighth at a time, when the system refuses. */
#define GC_RESERVE_BYTES ((size_t)256 << 30)
#define GC_RESERVE_MIN_BYTES ((size_t)4 << 20)

/* An upper half of addresses that is unlikely as an integer in a program: no
 * small number, no text, no float of ordinary size. */
#define GC_RESERVE_HINT ((uintptr_t)0x3b9c00000000)

/* The mark stack may grow to this share of the heap's range. One entry (eight
 * bytes) an object, and objects of at least 16 bytes, would need a half; depth
 * of that order is not seen, and overflow loses nothing. */
#define GC_MARK_STACK_SHARE 32
#define GC_MARK_STACK_STEP_BYTES ((size_t)16 << 10)

/* The accessible part of the range grows by this share of itself, so that the
 * number of system calls stays logarithmic. */
#define GC_GROWTH_SHARE 16

/* ---- Allocation --------------------------------------------------------- */

/* A mutator claims cells in runs of about this many bytes: what is zeroed at
 * once is then still in the L1 cache when the program writes it. */
#define GC_RUN_BYTES ((size_t)8 << 10)

/* Memory for a fresh block comes in pieces, the first so large and each further one as
 * large as all before; once the heap's range is so large, all at once for objects of
 * built-in kinds. */
#define GC_POPULATE_FIRST_BYTES ((size_t)8 << 10)
#define GC_POPULATE_WHOLE_BYTES ((size_t)8 << 20)

/* Tables that grow an entry at a time get memory in pieces of this size, as a fault
 * for each page takes longer. */
#define GC_POPULATE_STEP_BYTES ((size_t)64 << 10)

/* The first run of a mutator in a class, where there are several mutators. */
#define GC_FIRST_RUN_BYTES ((size_t)1 << 10)

/* Chunks that mutators prefer, where there are several, shared out among them: as
 * much as all claim between two collections of a small heap. Where there are more
 * mutators than that, none has one. */
#define GC_HOME_CHUNKS 8

/* What a mutator may claim before it looks at the counter that all share. */
#define GC_ALLOWANCE_BYTES ((size_t)64 << 10)

/* Dead stack is cleared to this far beyond where the deepest slow path was
 * seen (frames of the fast path lie deeper), but never more than this at once. */
#define GC_DEAD_STACK_MARGIN_BYTES ((size_t)256)
#define GC_DEAD_STACK_MAX_BYTES ((size_t)1 << 10)

/* Freed cells that a mutator keeps for each class and kind, and how many bytes they may be.
 * When there is no more room, half goes back, under the lock. */
#define GC_MAGAZINE_CELLS 128
#define GC_MAGAZINE_BYTES ((size_t)64 << 10)

/* From this size of an object on the system is asked whether it would give so much (it
 * refuses, as a rule, what is more than all memory): two system calls are nothing beside
 * what it takes to use so much. */
#define GC_ASK_SYSTEM_BYTES ((size_t)1 << 30)

/* From this size on gc_realloc moves page tables instead of bytes... */
#define GC_MOVE_MIN_BYTES ((size_t)1 << 20)

/* ...as long as fewer objects than this have been moved and not freed: each
 * splits the heap's mapping, of which a process has 65530 by default. */
#define GC_MOVE_MAX_OBJECTS 4096

/* What grows by no more than this part, and has to move for that, gets so much in addition:
 * with large objects side by side each step of each would be a move. */
#define GC_SLACK_SHARE 8

/* Where the first write to a watched page takes more, which is known once there was a cycle
 * that watched some, gc_realloc copies: after a move each page may take such a fault, if the
 * host keeps page tables of its own. */
#define GC_DEAR_FAULT_NS 5000

/* Of a stack that nobody told us of, a coroutine's, no more than this is
 * looked at: what lies readable behind it may be gigabytes of something else. */
#define GC_FOREIGN_STACK_BYTES ((size_t)64 << 20)

/* The upper end of a stack that has not run yet: where its first frame is laid, with
 * arguments. */
#define GC_STACK_START_BYTES ((size_t)512)

/* Descriptors of stacks are mapped so many at a time: seven hundred. */
#define GC_STACK_SLAB_BYTES ((size_t)64 << 10)

/* The first piece of an arena; each further one is twice as large, up to the second
 * figure. Objects beyond a quarter of a piece get one of their own. */
#define GC_ARENA_PIECE_BYTES ((size_t)4 << 10)
#define GC_ARENA_MAX_PIECE_BYTES ((size_t)256 << 10)
#define GC_ARENA_LARGE_SHARE 4

/* ---- Weak maps ----------------------------------------------------------- */

/* Buckets at first, and at least. */
#define GC_MAP_BUCKETS 16

/* Buckets that are looked through for cleared entries by each operation while there may
 * be any: enough that a map which is added to is soon rid of them, and that the work is
 * not noticed. */
#define GC_MAP_TIDY_BUCKETS 2

/* A table of which less than this share of the buckets is needed is made smaller. */
#define GC_MAP_SPARSE_SHARE 8

/* So many objects that moved are remembered, for the maps whose keys they are. A map that
 * was not used meanwhile looks at all its entries instead. */
#define GC_MOVES_KEPT 1024

/* ---- Threads ------------------------------------------------------------ */

/* The signal that stops threads: a real-time one that nobody else seems to take
 * by default. (34 is the first that a program may have.) */
#define GC_STOP_SIGNAL 41

/* Around the thread pointer, the C library's descriptor of a thread, which is 2.3 KiB. */
#define GC_DESCRIPTOR_BYTES ((size_t)8192)

/* So many ranges of malloc's memory can be write-protected at a time, as guards of stacks
 * are: 64 KiB of our data. */
#define GC_PROTECTED_RANGES 4096

/* Looks at the heap's lock before a thread sleeps: what it guards takes less
 * than a microsecond, a sleep several. */
#define GC_LOCK_SPINS 100

/* And looks so often whether another has taken the lock that it waited for: some fifty
 * microseconds, in which a thread wakes. */
#define GC_PASS_SPINS 4000

/* So often it is looked whether those who allocate stop by themselves, before
 * they are sent signals. */
#define GC_ASK_SPINS 500

/* Looks at the word that a stop waits for, before a thread sleeps: some three
 * hundred microseconds, which the collection of a small heap does not take. */
#define GC_STOP_SPINS 10000

/* A thread that was asked to stop is left alone for so long; then it is looked
 * whether it still lives. */
#define GC_STOP_PATIENCE_NS ((uint64_t)100 * 1000)

/* A thread that calls exec is sent no signal for so long. Unless the file lies far away,
 * the system needs a millisecond; and before the first word about a thread that
 * does not stop, it is asked again. */
#define GC_EXEC_NS ((uint64_t)500 * 1000 * 1000)

/* After so long it is also looked whether it is of those that take no signals,
 * which costs more. */
#define GC_STOP_DOUBT_NS ((uint64_t)5 * 1000 * 1000)

/* From when on it is looked at what a thread does that has not stopped, so that there
 * are two looks when it is to be said what keeps it. */
#define GC_STOP_LOOK_NS ((uint64_t)100 * 1000 * 1000)

/* A thread that blocks the signal in passing (in a handler of ours, or inside the C
 * library) needs some milliseconds of CPU at most to be out of it (the handler finds out
 * where the stack of a thread lies that it does not know); one that had so much, and is
 * not, blocks it for good. */
#define GC_STOP_MASKED_CPU_NS ((uint64_t)100 * 1000 * 1000)

/* A thread that nothing keeps but the want of a CPU, as it seems, is reported after so
 * long: on a machine that is far too busy it may take seconds. */
#define GC_STOP_STARVED_NS ((uint64_t)10 * 1000 * 1000 * 1000)

/* How often the system is asked which threads there are, as long as they are not
 * those that we know. */
#define GC_STOP_LISTINGS 100

/* Below its stack pointer a leaf function may use so many bytes (System V ABI
 * for x86-64; other ABIs have none, and it does no harm there). */
#define GC_RED_ZONE_BYTES 128

/* For calls of malloc that the heap cannot serve (gc/faces/arena.h): a few kilobytes
 * are used, as a rule. What is not used costs nothing. */
#define GC_ARENA_BYTES ((size_t)16 << 20)

/* ---- Marking ------------------------------------------------------------ */

/* A marker's prefetch FIFOs. Edges leave theirs in batches, each when the next
 * is complete: 16 took a third off the time of trees against one by one, longer
 * ones slow heaps in allocation order down. Objects, of which far fewer pass: 64
 * halved the time of a tree in allocation order against 8, and cost lists and
 * random graphs nothing. Powers of two. */
#define GC_EDGE_BATCH 16
#define GC_EDGE_RING_ENTRIES 128
#define GC_OBJECT_FIFO_ENTRIES 64

/* Words of the bitmap in which a marker in company has marks to set: a power of two. With
 * two processors that share no cache (230 ns from one to the other) two markers took 0.17 to
 * 0.19 s for a random graph of 4 million objects, instead of 0.26 to 0.29 with one such
 * word; one marker 0.33. 32 took trees a tenth longer than 256, and graphs as long. */
#define GC_PENDING_ENTRIES 128

/* An object's lines are prefetched one by one, up to so many bytes: not every processor
 * fetches those beside a line by itself. Objects of two lines were marked in 40 instead of
 * 98 ms a million, of eight in 27 instead of 60. 64 is the line of x86-64 and most aarch64. */
#define GC_PREFETCH_LINE_BYTES 64
#define GC_PREFETCH_MAX_BYTES ((size_t)512)

/* Large objects are scanned in pieces of this size, so that the FIFOs and the
 * mark stack serve them like everything else. */
#define GC_SCAN_PIECE_BYTES ((size_t)4 << 10)

/* ---- Minor cycles ---------------------------------------------------------- */

/* Not below so many bytes to scan: to mark them takes two milliseconds. */
#define GC_MINOR_MIN_BYTES ((size_t)8 << 20)

/* A minor cycle that scans more than this share of what a full one would does not
 * pay: watching pages has its price, too. After it come full cycles for a while, up
 * to so many. */
#define GC_MINOR_WORK_SHARE 2
#define GC_MINOR_MAX_REST 63

/* After so many failures in a row the system is not asked any more. */
#define GC_MINOR_MAX_FAILURES 3

/* After so many in a row a full one: it finds what was old and died. */
#define GC_MINOR_MAX_ROW 16

/* Cycles until a block is watched from which cells were claimed: those of the
 * last cycle are written for the first time still. */
#define GC_RESTLESS_CLAIMED_CYCLES 2

/* The same, after more than one in so many of its watched pages was written: a
 * fault costs about as much as marking a page of objects. */
#define GC_RESTLESS_SHARE 4
#define GC_RESTLESS_CYCLES 8

/* ---- Cycles beside the mutators -------------------------------------------- */

/* Written pages that are taken from the tables at once: to scan them takes some
 * forty microseconds. */
#define GC_WRITTEN_PAGES 64

/* And so many are looked at for that while the heap is locked. */
#define GC_WRITTEN_LOOKS 1024

/* So many pages in a row are worth a call that ends their being watched: it takes as long
 * as some faults. Up to so many between pages that are to be watched are watched with them,
 * as most would be anyway from the first pass on. */
#define GC_UNWATCHED_PAGES 16
#define GC_WATCHED_GAP_PAGES 64

/* Before a cycle all pages in use are watched, not only those of the old, where more than
 * this part of what was allocated before the last cycle survived it. */
#define GC_WATCH_ALL_PERCENT 50

/* Of so much memory a marker asks at once which pages were written, and has them watched
 * again: where all chunks were written, that takes some hundred microseconds. The same
 * while the world stands, when nothing is watched again: ten to eighty. */
#define GC_ASK_BYTES ((size_t)16 << 20)
#define GC_SEARCH_BYTES ((size_t)64 << 20)

/* Roots that are so large are watched for writes, and scanned in pieces of so much: to ask
 * the system takes as long as to scan some tens of kilobytes. */
#define GC_WATCHED_ROOTS_BYTES ((size_t)64 << 10)
#define GC_ROOTS_PIECE_BYTES ((size_t)1 << 20)

/* Ranges of the user's, at most, for them to be watched: each may split a mapping in three,
 * and the system allows some sixty thousand mappings. */
#define GC_WATCHED_ROOTS_COUNT 1024

/* Objects that a marker beside the mutators scans before it looks whether somebody
 * wants the heap: some fifty microseconds. */
#define GC_STEP_OBJECTS 4096

/* What was written last, and what came to life last, is left to the pause when it was
 * no more than this in the pass before: pages, of which one takes about a microsecond, in
 * percent of the microseconds that are aimed at; and steps to trace. Or after so many
 * passes. */
#define GC_FEW_PAGES_PERCENT 30
#define GC_FEW_STEPS 2
#define GC_MAX_PASSES 12

/* What the last pause finds is traced in it when it is no more than so many objects:
 * some hundred microseconds. Else the finish is put off, but not more than so often. */
#define GC_FINISH_OBJECTS 4096
#define GC_MAX_PUT_OFF 4

/* Where passes find about as much as the ones before, and when the budget is used up,
 * mutators that allocate make steps themselves, or wait for one, so many for each so many
 * bytes. */
#define GC_ASSIST_STEPS 3
#define GC_ASSIST_WAIT_NS ((uint64_t)100 * 1000)
#define GC_ASSIST_BYTES ((size_t)128 << 10)

/* A large object waits for no more than so many of these: it is granted a part each. */
#define GC_ASSIST_PARTS 4

/* Once this part of a full budget was granted, waiting does not do instead of a
 * step: on a busy machine he who makes one may not be running at all. */
#define GC_OVERDRAFT_SHARE 8

/* And once so many such parts were, the cycle is given up for one that stops mutators. */
#define GC_OVERDRAFTS_MAX 8

/* After so many failures in a row the system is not asked any more. And when so many
 * cycles in a row were given up, a collection stops the program. */
#define GC_CONCURRENT_MAX_FAILURES 3
#define GC_CONCURRENT_MAX_GIVEN_UP 3

/* The bytes of a process that the system is taken to copy in a microsecond, until that is
 * measured: sixteen milliseconds a gigabyte, where pages are small. With each collection
 * that stops the world, this part of what a slower copy was measured to be below it is
 * forgotten. */
#define GC_COPIED_BYTES_PER_US 65536
#define GC_COPY_BELIEF_SHARE 8

/* It is looked so often whether the copy has ended; and the copy looks after so many
 * objects whether anybody waits for it. */
#define GC_COPY_WAIT_NS ((uint64_t)500 * 1000)
#define GC_ORPHAN_OBJECTS 65536

/* Among so many cycles one stops the world, if anything is weak: only then weak links
 * can be cleared. */
#define GC_SNAPSHOT_ROW 4

/* The pause that is aimed at, and the bytes that a marker is taken to scan in a
 * microsecond while the world stands. */
#define GC_PAUSE_TARGET_US 1000
#define GC_MARKED_BYTES_PER_US 4096

/* What the first write to a watched page may take. Where it takes more, the pause that is
 * aimed at is longer in proportion, and such a page counts for more that were scanned. */
#define GC_WATCHED_WRITE_NS 1000

/* What a cycle beside the mutators is taken to get through, faults and rescans included,
 * until one has shown it. Where mutators would have to wait for it, a pause so many times
 * as long is the better choice; more where they leave the marker no processor. */
#define GC_TRACED_BYTES_PER_US 1024
#define GC_WAIT_PAUSES 4
#define GC_BUSY_WAIT_PAUSES 12

/* With each full cycle that stops the program, what the last one beside it took counts for
 * less by such a part: some time it is tried again. */
#define GC_FULL_TIME_FADES 16

/* Smaller heaps are marked while the world stands. */
#define GC_CONCURRENT_MIN_BYTES ((size_t)32 << 20)

/* What is kept back of the budget, for the mutators to use while a cycle runs. */
#define GC_RUNWAY_MIN_PERCENT 25
#define GC_RUNWAY_MAX_PERCENT 75

/* What they may claim in any case, of a full budget, before they have to help. */
#define GC_RUNWAY_LEAST_PERCENT 10

/* ---- Gang --------------------------------------------------------------- */

/* Markers that may work together. Memory is the limit: more than this have not
 * been seen to be faster. */
#define GC_MAX_MARKERS 16

/* One more marker for each so many bytes that may be live: marking them takes
 * about a millisecond, and waking a thread and waiting for it a twentieth. */
#define GC_MARKER_BYTES ((size_t)4 << 20)

/* Pages of code that call malloc, of which it is known whether that is for a library whose
 * memory is kept (gc/platform/linux/keepers.h). */
#define GC_KEEPER_PAGES 64

/* Of so many chunks a marker finishes the sweep and whitens, or counts the marked, before it
 * takes the next: some forty microseconds, about what it takes to wake a helper. */
#define GC_SWEEP_PART_CHUNKS 8

/* The helpers are called when so many objects were scanned and more are grey:
 * some forty microseconds, about what it takes to wake them. */
#define GC_CALL_OBJECTS 8192

/* Entries that one marker gives to others at once: an exchange costs two
 * misses of the cache, scanning so many objects some hundred. */
#define GC_PACKET_ENTRIES 256

/* Packets are given only while somebody waits and none is to be had, so there
 * are hardly ever more than there are markers. */
#define GC_POOL_PACKETS 32

/* So many objects are scanned before a marker looks whether somebody waits. */
#define GC_OFFER_INTERVAL 64

/* With fewer entries, and small objects in them, a marker gives nothing: it
 * would soon be the one who waits. */
#define GC_OFFER_MIN_ENTRIES 8

/* Who waits looks again this often with a pause of some ten nanoseconds, then
 * this often after letting others run, and then sleeps. */
#define GC_WAIT_RELAXED_ROUNDS 200
#define GC_WAIT_YIELDING_ROUNDS 20

/* The number of CPUs is asked for again after this time. */
#define GC_CPUS_FRESH_NS UINT64_C(1000000000)

/* Large objects are split among markers as spans of at most so many pieces; one
 * fits into the bits of an address that are zero for a piece. */
#define GC_SPAN_MAX_PIECES 1024

/* Of as many pieces as this in a row the kernel is asked which were ever touched: that
 * takes a twentieth of the time of scanning them. */
#define GC_SPARSE_MIN_PIECES 256

/* What several threads write must be so far apart: two lines of the cache, as
 * some processors fetch them in pairs. */
#define GC_CACHE_LINES_BYTES 128

/* ---- Pace --------------------------------------------------------------- */

/* Allocation between two collections never falls below this: a tiny live set
 * then cycles inside the L2 cache, and a cycle's fixed cost (roots, clock)
 * stays a few percent. */
#define GC_PACE_FLOOR_BYTES ((size_t)1536 << 10)

/* The same, where the kernel is asked for the roots, which takes a third of a
 * millisecond. */
#define GC_PACE_MAPPINGS_FLOOR_BYTES ((size_t)4 << 20)

/* Where several mutators allocate, so much for each, up to this many. To stop
 * another thread and let it go on takes twenty microseconds, in which each of
 * them could have allocated some hundred kilobytes. */
#define GC_PACE_MUTATOR_BYTES ((size_t)4 << 20)
#define GC_PACE_FLOOR_MUTATORS 4

/* A mutator that has claimed nothing before so many collections in a row does not
 * count as one that allocates. */
#define GC_IDLE_CYCLES 4

/* Otherwise it is this share of the live bytes that a cycle has to scan. Those
 * of pointer-free objects cost next to nothing to keep: only this part of them
 * counts, so heaps of text and numbers grow less. */
#define GC_PACE_GROWTH_PERCENT 100
#define GC_PACE_GROWTH_MIN_PERCENT 5 /* beyond these it is a mistake, or a collection for every few objects */
#define GC_PACE_GROWTH_MAX_PERCENT 1000
#define GC_PACE_ATOMIC_PERCENT 10

/* Pages of large objects that nobody has touched are asked for in each cycle, which takes a
 * hundredth of the time of scanning them, or less. */
#define GC_PACE_UNTOUCHED_PERCENT 1

/* And as much again as is live, up to this: small heaps may grow threefold. */
#define GC_PACE_SMALL_HEAP_BYTES ((size_t)8 << 20)

/* Memory that is held and free, after a peak say, is used before it goes back
 * to the OS: this part of it in each cycle. The rest stays free, goes back
 * after the delay, and so the heap shrinks all the same. */
#define GC_PACE_HELD_PERCENT 88

/* That is, no more than twice what the heap would grow by, or such a part of it if that is
 * more: a program that now and then had much, and has little, else collects that little all
 * the time. */
#define GC_PACE_HELD_PARTS 4

/* After a cycle beside the program, so much of the memory that is free counts as held. */
#define GC_PACE_BESIDE_PERCENT 35

/* When the program is idle, a collection comes this much of the budget early. */
#define GC_STEP_BUDGET_SHARE 4

/* ---- Limits ------------------------------------------------------------- */

/* Of the memory that the control group leaves the process, the heap's soft limit by
 * default: there are also stacks, libraries, and what the kernel counts. */
#define GC_LIMIT_GROUP_PERCENT 80

/* Of the same, what the heap does not go beyond, however much time that takes: the kernel
 * would end the process. */
#define GC_LIMIT_MOST_PERCENT 90

/* A limit that is smaller is a mistake: it would hold no chunk for blocks and one for
 * large objects. */
#define GC_LIMIT_LEAST_BYTES ((size_t)4 << 20)

/* The part of what is live, or of the hard limit, that is taken for lost between
 * cells. */
#define GC_LIMIT_SLACK_SHARE 16

/* The budget near a limit is at least this, whatever the clock says: the fixed cost
 * of a cycle. */
#define GC_LIMIT_MIN_BYTES ((size_t)256 << 10)

/* In the place of malloc: collections may take one in so many parts of the time, rather
 * than that the budget is larger; which is never less than a part of what the pace
 * wants, nor than so many bytes. And the first one: most processes are small and short. */
#define GC_THRIFT_TIME_SHARE 16
#define GC_THRIFT_MEMORY_SHARE 8 /* of the past is forgotten in each cycle */
#define GC_THRIFT_LEAST_SHARE 4
#define GC_THRIFT_MIN_BYTES ((size_t)1 << 20)
#define GC_THRIFT_FIRST_BYTES ((size_t)2 << 20)

/* ---- Giving memory back -------------------------------------------------- */

#define GC_DECOMMIT_DELAY_MS 1000

/* About so many pages go back at once: each takes the system up to a microsecond, and
 * whoever allocates may be waiting. */
#define GC_DECOMMIT_PAGES 256

#endif
