#include "gc/mark/trace.h"

struct traced gc__traced(const struct region *region, const struct object *object)
{
    return (struct traced){
        .kind = gc__kind_at(gc__object_kind(region, object)),
        .start = (uintptr_t)gc__object_start(region, object),
        .bytes = gc__object_bytes(region, object),
        .usable = gc__object_usable_bytes(region, object),
    };
}

static GC_SCANS_ANYTHING void visit_word(void *to, const uintptr_t *word)
{
    struct gc_tracer *tracer = to;

    tracer->word = word;
    tracer->visit(tracer, gc__kind_decode(tracer->kind, *word));
}

static void trace_words(struct gc_tracer *tracer, const struct traced *object)
{
    const uintptr_t *word = (const uintptr_t *)object->start;

    for (size_t i = 0; i < object->bytes / GC_WORD_BYTES; i++)
        visit_word(tracer, &word[i]);
}

void gc__trace(struct gc_tracer *tracer, const struct traced *object)
{
    const struct gc_kind *kind = object->kind;

    tracer->kind = kind;
    tracer->word = NULL;
    if (!kind->scanned)
        return;
    if (kind->form == KIND_EPHEMERON)
        visit_word(tracer, &((const struct ephemeron *)object->start)->value);
    if (kind->form == KIND_CALLBACK)
        kind->trace((void *)object->start, object->usable, tracer, kind->data);
    else if (kind->form != KIND_WORDS)
        gc__layout_each(object, (struct gc__range){object->start, object->start + object->bytes}, visit_word, tracer);
    else
        trace_words(tracer, object);
}
