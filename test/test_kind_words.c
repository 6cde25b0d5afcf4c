/* test_kind_words.c - how the words of a kind's objects are read: exact addresses, tags. */
#include "test/held.h"

TestSuite(kinds, .init = make_roots);

/* ---- Of layouts --------------------------------------------------------------------------- */

static uintptr_t behind(uintptr_t address)
{
    return gc_usable_size((void *)address) > 16 ? address + 16 : address + 1;
}

Test(kinds, may_ask_for_exact_pointers)
{
    static const uint64_t map = 2;
    gc_kind *loose = layout_of(4, &map);
    gc_kind *exact =
        kind_of((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT, .exact = 1, .bytes = 32, .pointers = &map});
    gc_kind *words = kind_of((struct gc_kind_options){.exact = 1});

    check_held(loose, 32, 1, into);
    check_held(loose, 32, 1, behind);
    check_held(exact, 32, 1, plain);
    check_not_held(exact, 32, 1, into);
    check_not_held(exact, 32, 1, behind);
    check_held(words, 48, 5, plain);
    check_not_held(words, 48, 5, into);
    check_not_held(words, 48000, 5, behind);
}

static uintptr_t boxed(uintptr_t address)
{
    return address | UINT64_C(0xfffa) << 48;
}

static uintptr_t tagged(uintptr_t address)
{
    return address | 5;
}

static uintptr_t deep_tagged(uintptr_t address)
{
    return (address + 8) | 5;
}

static uintptr_t shifted(uintptr_t address)
{
    return address >> 4 | (uintptr_t)3 << 60;
}

Test(kinds, understand_tags)
{
    static const uint64_t map = 1;
    struct gc_kind_options options = {.tracing = GC_TRACE_LAYOUT, .bytes = 16, .pointers = &map};

    check_not_held(kind_of(options), 16, 0, boxed);
    options.tag_mask = UINT64_C(0xffff) << 48;
    check_held(kind_of(options), 16, 0, boxed);
    options.tag_mask = 7;
    options.exact = 1;
    check_held(kind_of(options), 16, 0, tagged);
    options.tag_mask = UINT64_C(0xf) << 60;
    options.tag_shift = 4;
    check_held(kind_of(options), 16, 0, shifted);
    check_not_held(kind_of(options), 16, 0, plain);
    options = (struct gc_kind_options){.tag_mask = UINT64_C(0xffff) << 48};
    check_held(kind_of(options), 160, 19, boxed);
}

/* ---- Of elements ------------------------------------------------------------------------------ */

/* The second word of each element. */
static gc_kind *tagged_elements(void)
{
    static const uint64_t map = 2;

    return kind_of((struct gc_kind_options){.tracing = GC_TRACE_LAYOUT,
                                            .bytes = 16,
                                            .element_bytes = 16,
                                            .element_pointers = &map,
                                            .exact = 1,
                                            .tag_mask = 7});
}

static void check_elements(gc_kind *kind, size_t count)
{
    size_t bytes = 16 + 16 * count, last = 2 + 2 * (count - 1);

    check_held(kind, bytes, 3, tagged);
    check_held(kind, bytes, last + 1, tagged);
    check_held(kind, bytes, last + 1, plain);
    check_not_held(kind, bytes, last, tagged);
    check_not_held(kind, bytes, 1, tagged);
    check_not_held(kind, bytes, last + 1, deep_tagged);
}

Test(kinds, understand_tags_in_elements)
{
    check_elements(tagged_elements(), 20);
}

Test(kinds, understand_tags_in_large_arrays)
{
    check_elements(tagged_elements(), 5000);
}

/* ---- Of callbacks ------------------------------------------------------------------------------- */

static void trace_range(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    uintptr_t *word = object;

    (void)bytes, (void)data;
    gc_trace_range(tracer, word + 1, word + 4);
}

static void trace_second(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    const uintptr_t *word = object;

    (void)bytes, (void)data;
    gc_trace_pointer(tracer, (void *)word[1]); /* NOLINT */
}

Test(kinds, understand_tags_in_ranges_of_callbacks)
{
    struct gc_kind_options options = {.tracing = GC_TRACE_CALLBACK, .bytes = 64, .trace = trace_range};

    check_not_held(kind_of(options), 64, 2, boxed);
    options.tag_mask = UINT64_C(0xffff) << 48;
    check_held(kind_of(options), 64, 2, boxed);
    check_held(kind_of(options), 64, 3, plain);
    check_not_held(kind_of(options), 64, 4, boxed);
    options.tag_mask = UINT64_C(0xf) << 60;
    options.tag_shift = 4;
    check_held(kind_of(options), 64, 1, shifted);
    check_not_held(kind_of(options), 64, 1, plain);
}

/* What a callback tells one by one it has read itself. */
Test(kinds, leave_tags_to_callbacks)
{
    struct gc_kind_options options = {.tracing = GC_TRACE_CALLBACK, .bytes = 64, .trace = trace_second};

    options.tag_mask = UINT64_C(0xffff) << 48;
    check_held(kind_of(options), 64, 1, plain);
    check_not_held(kind_of(options), 64, 1, boxed);
    options.tag_mask = UINT64_C(0xf) << 60;
    options.tag_shift = 4;
    check_held(kind_of(options), 64, 1, plain);
    check_not_held(kind_of(options), 64, 1, shifted);
}
