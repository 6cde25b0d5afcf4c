#include "gc/insight/verify.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/base/check.h"
#include "gc/cycle/roots.h"
#include "gc/mark/trace.h"

static bool is_marked(const struct region *region, const struct object *object)
{
    return (gc__bits_of(region, object->granule)->mark & gc__bit_of(object->granule)) != 0;
}

/* No smaller object holds a stack that a thread can be stopped on. */
#define LEAST_STACK_BYTES ((size_t)1 << 10)

/* A coroutine's stack may be an object, and a thread stand in it: below its stack
 * pointer lie our own frames, which have changed since they were scanned, also
 * those of a thread that waits for our lock, or of a function that
 * gc_thread_blocking runs. */
static const uintptr_t *first_settled_word(const struct heap *heap, const struct object *object)
{
    uintptr_t start = (uintptr_t)gc__object_start(&heap->region, object), settled = start;
    size_t bytes = gc__object_bytes(&heap->region, object);

    if (bytes < LEAST_STACK_BYTES)
        return (const uintptr_t *)start;
    for (const struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next) {
        uintptr_t sp = mutator->context.sp, interrupted_sp = mutator->context.interrupted_sp;

        if (sp - start < bytes && sp > settled)
            settled = sp;
        if (interrupted_sp - start < bytes && interrupted_sp > settled)
            settled = interrupted_sp;
    }
    return (const uintptr_t *)gc__align_up(settled, sizeof(uintptr_t));
}

static bool was_written(const struct region *region, const uintptr_t *word)
{
    return gc__bitmap_test(region->written, gc__region_offset(region, (uintptr_t)word) >> GC_PAGE_SHIFT);
}

/* Since cells were last claimed from it: large objects do not say. */
static bool may_be_born_since(const struct object *target)
{
    return target->block == NULL || target->block->restless != 0;
}

/* Whether the cycle had no need to look at the word. That may be the address of a cell
 * that was free when it last did: by chance, or as the program freed an object that
 * others still point at. */
static bool is_passed_over(const struct heap *heap, const struct object *object, const uintptr_t *word,
                           const struct object *target)
{
    const struct region *region = &heap->region;

    if (gc__concurrent_is_under_way(&heap->concurrent) && !heap->snapshot.now)
        return !was_written(region, word) && may_be_born_since(target);
    if (!heap->minor.now ||
        (object->block == NULL && (*gc__large_flags(region, gc__object_head(object)) & GC_LARGE_WATCHED) == 0))
        return false;
    return !was_written(region, word);
}

struct verifying {
    struct gc_tracer tracer;
    const struct heap *heap;
    const struct object *object;
    const uintptr_t *settled;
};

static void verify_edge(struct gc_tracer *tracer, uintptr_t address)
{
    const struct verifying *verifying = (const struct verifying *)tracer;
    const struct region *region = &verifying->heap->region;
    const struct object *object = verifying->object;
    struct object target;

    if (!gc__resolve(region, (struct ambiguous){address}, &target) || is_marked(region, &target))
        return;
    if (tracer->kind->exact && (uintptr_t)gc__object_start(region, &target) != address)
        return;
    if (tracer->word != NULL &&
        (tracer->word < verifying->settled || is_passed_over(verifying->heap, object, tracer->word, &target)))
        return;
    gc__fatal("a bug in Broom: the object at %p (%zu bytes) is marked, but the one at %p that its word at %p "
              "(%#zx) points at is not",
              (void *)gc__object_start(region, object), gc__object_bytes(region, object),
              (void *)gc__object_start(region, &target), (const void *)tracer->word, (size_t)address);
}

/* Of a large object what was touched, as the marker does: the rest is zero, and would be made
 * resident. */
static bool is_sparse(const struct traced *traced)
{
    return traced->kind->form == KIND_WORDS && traced->bytes >= GC_SPARSE_MIN_PIECES * GC_SCAN_PIECE_BYTES &&
           gc__os_page_bytes() == GC_SCAN_PIECE_BYTES;
}

static void trace_touched(struct gc_tracer *tracer, const struct traced *whole)
{
    uintptr_t end = whole->start + whole->bytes;
    struct traced piece = *whole;

    piece.bytes = GC_SCAN_PIECE_BYTES;
    for (uintptr_t span = whole->start; span < end; span += GC_SPAN_MAX_PIECES * GC_SCAN_PIECE_BYTES) {
        uint64_t touched[GC_SPAN_MAX_PIECES / GC_WORD_BITS] = {0};
        size_t pieces = gc__min((end - span) / GC_SCAN_PIECE_BYTES, GC_SPAN_MAX_PIECES);

        gc__os_note_touched(span, pieces, touched);
        for (size_t i = 0; i < pieces; i++)
            if (gc__bitmap_test(touched, i)) {
                piece.start = span + i * GC_SCAN_PIECE_BYTES;
                gc__trace(tracer, &piece);
            }
    }
}

static void verify_object(const struct heap *heap, const struct object *object)
{
    struct traced traced = gc__traced(&heap->region, object);
    struct verifying verifying = {
        .tracer.visit = verify_edge, .heap = heap, .object = object, .settled = first_settled_word(heap, object)};

    /* What a callback tells of a stack that runs may be dead frames. */
    if (traced.kind->form == KIND_CALLBACK && (uintptr_t)verifying.settled != traced.start)
        return;
    if (is_sparse(&traced))
        trace_touched(&verifying.tracer, &traced);
    else
        gc__trace(&verifying.tracer, &traced);
}

static void verify_block(const struct heap *heap, struct block *block)
{
    const struct region *region = &heap->region;
    size_t first = gc__block_first_granule(region, block);

    for (size_t granule = first; granule < first + block->units * GC_UNIT_GRANULES; granule += 64) {
        const struct bits *bits = gc__bits_of(region, granule);

        for (uint64_t marked = bits->mark & bits->allocated; marked != 0; marked &= marked - 1) {
            struct object object = {granule + (size_t)__builtin_ctzll(marked), block};
            verify_object(heap, &object);
        }
    }
}

void gc__verify_no_black_to_white(const struct heap *heap)
{
    const struct region *region = &heap->region;
    size_t head, page = 0;

    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&region->blocks[unit]))
            verify_block(heap, &region->blocks[unit]);
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head)) {
        struct object object = {gc__large_granule(head), NULL};
        if (is_marked(region, &object))
            verify_object(heap, &object);
    }
}

/* ---- A second mark ------------------------------------------------------------------------ */

/* Words of the bitmap. */
static size_t words_of(const struct region *region)
{
    return region->accessible * (GC_BITS_BYTES_PER_CHUNK / sizeof(struct bits));
}

static void take_marks(struct region *region, uint64_t *marks)
{
    for (size_t i = 0; i < words_of(region); i++) {
        marks[i] = region->bits[i].mark;
        region->bits[i].mark = 0;
    }
}

static void give_marks_back(struct region *region, const uint64_t *marks)
{
    for (size_t i = 0; i < words_of(region); i++)
        region->bits[i].mark = marks[i];
}

/* What a copy of the process found dead: no object that was freed and made anew since is
 * among that, as who freed it could reach it. */
static bool is_adopting(const struct heap *heap)
{
    return gc__concurrent_phase(&heap->concurrent) == PHASE_ADOPT;
}

/* The words of a stack may have been in no frame when the copy was made, and be in one now,
 * though nobody has written them: what they point at is dead all the same. */
static void mark_from_nothing(struct heap *heap)
{
    gc__roots_mark_segments(heap, ROOTS_WHOLE);
    gc__roots_mark_ranges(heap, ROOTS_WHOLE);
    if (!is_adopting(heap))
        gc__roots_mark_mutators(heap);
    gc__marker_drain(gc__gang_leader(&heap->gang));
}

static const char *kind_of_cycle(const struct heap *heap)
{
    if (heap->snapshot.now && gc__concurrent_is_under_way(&heap->concurrent))
        return "snapshot";
    return heap->minor.now ? "minor" : "concurrent";
}

static _Noreturn void tell_of_loss(const struct heap *heap, size_t granule)
{
    const struct region *region = &heap->region;
    const void *address = gc__granule_address(region, granule);
    struct object object;

    gc__fatal("a bug in Broom: the object at %p (%zu bytes) can be reached, and the %s cycle did not mark it", address,
              gc__resolve(region, gc__ambiguous(address), &object) ? gc__object_bytes(region, &object) : 0,
              kind_of_cycle(heap));
}

static bool has_coroutines(const struct heap *heap)
{
    return heap->stacks.count > 0 || heap->stacks.unregistered;
}

/* A word may point at what the program has freed, or, as far as its kind says that this does
 * not count, into an object that is gone, or one past the end of a neighbour, or lie in a dead
 * frame of a coroutine (whose stack may be a range of roots), and the marker have seen it when
 * that cell was free. (The third is rare, and debug builds are for us.) */
static bool words_may_be_stale(const struct heap *heap)
{
    return gc__world_freed_bytes(&heap->world) > 0 || gc__kind_count > GC_KIND_COUNT || has_coroutines(heap);
}

static bool is_lost(const struct heap *heap, size_t granule)
{
    const void *address = gc__granule_address(&heap->region, granule);
    struct object object;

    if (is_adopting(heap))
        return !has_coroutines(heap);
    return (GC_DEBUG && !words_may_be_stale(heap)) || !gc__resolve(&heap->region, gc__ambiguous(address), &object) ||
           !may_be_born_since(&object);
}

static void compare_marks(const struct heap *heap, const uint64_t *marks)
{
    for (size_t i = 0; i < words_of(&heap->region); i++)
        for (uint64_t bits = heap->region.bits[i].mark & ~marks[i]; bits != 0; bits &= bits - 1) {
            size_t granule = i * GC_WORD_BITS + (size_t)__builtin_ctzll(bits);

            if (is_lost(heap, granule))
                tell_of_loss(heap, granule);
        }
}

void gc__verify_second_mark(struct heap *heap)
{
    size_t bytes = gc__align_up(words_of(&heap->region) * sizeof(uint64_t), gc__os_page_bytes());
    uint64_t *marks = gc__os_map(bytes);

    if (marks == NULL)
        return;
    take_marks(&heap->region, marks);
    mark_from_nothing(heap);
    compare_marks(heap, marks);
    give_marks_back(&heap->region, marks);
    gc__os_release(marks, bytes);
}
