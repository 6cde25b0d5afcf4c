#include "gc/api/options.h"

#include "gc/base/check.h"
#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(name) sizeof(((struct gc_options *)0)->name), offsetof(struct gc_options, name)

const struct option gc__options[] = {
    {"BROOM_INITIAL_HEAP", OPTION_BYTES, FIELD(initial_heap), 0, INT64_MAX, 0, "0",
     "bytes: heap size below which no collection starts; at least 1536K"},
    {"BROOM_MAX_HEAP", OPTION_BYTES, FIELD(max_heap), GC_LIMIT_LEAST_BYTES, INT64_MAX, 0, "no limit",
     "bytes that the heap may hold; beyond it allocation fails"},
    {"BROOM_GROWTH_PERCENT", OPTION_COUNT, FIELD(growth_percent), GC_PACE_GROWTH_MIN_PERCENT,
     GC_PACE_GROWTH_MAX_PERCENT, GC_PACE_GROWTH_PERCENT, "100",
     "percent of the live, pointer-bearing bytes that may be allocated before the next collection"},
    {"BROOM_PAST_END", OPTION_PAST_END, FIELD(past_end), GC_PAST_END_NEVER, GC_PAST_END_ALWAYS, GC_PAST_END_STACK,
     "stack", "which words may keep an object alive by pointing one past its end: never, stack, always"},
    {"BROOM_DECOMMIT_DELAY_MS", OPTION_TIME, FIELD(decommit_delay_ms), 0, INT32_MAX, GC_DECOMMIT_DELAY_MS, "1000",
     "milliseconds after which free memory goes back to the OS; never: it is kept"},
    {"BROOM_LOG", OPTION_COUNT, FIELD(log), 0, 1, 0, "0", "1: one line on stderr for each collection"},
    {"BROOM_STATS", OPTION_COUNT, FIELD(stats), 0, 1, 0, "0", "1: a summary on stderr at exit"},
    {"BROOM_STRESS", OPTION_COUNT, FIELD(stress), 0, INT32_MAX, 0, "0",
     "n: collect at every n-th allocation, and audit the heap"},
    {"BROOM_STOP_SIGNAL", OPTION_SIGNAL, FIELD(stop_signal), 1, 64, GC_STOP_SIGNAL, "41",
     "number of the signal that stops threads for a collection"},
    {"BROOM_NO_MINOR", OPTION_COUNT, FIELD(no_minor), 0, 1, 0, "0",
     "1: every collection is full; with no pause target, the kernel tracks no writes"},
    {"BROOM_MARKERS", OPTION_COUNT, FIELD(markers), 0, GC_MAX_MARKERS, 0, "0",
     "threads that mark together; 0: as many as there are CPUs"},
    {"BROOM_PAUSE_TARGET_US", OPTION_TIME, FIELD(pause_target_us), 0, INT32_MAX, GC_PAUSE_TARGET_US, "1000",
     "microseconds: a collection that would stop the program for longer runs concurrently; 0, or never: every "
     "collection stops the program"},
    {"BROOM_MEMORY_LIMIT", OPTION_BYTES, FIELD(memory_limit), GC_LIMIT_LEAST_BYTES, INT64_MAX, 0,
     "80 % of the container's",
     "bytes of heap and tables above which collections become more frequent, taking up to half of the time"},
    {"BROOM_CHECK_ARENAS", OPTION_COUNT, FIELD(check_arenas), 0, 1, 0, "0",
     "1: releasing an arena collects and reports pointers that still lead into it; returning an object to its pool "
     "twice is an error"},
    {"BROOM_ROOTS", OPTION_ROOTS, FIELD(roots), GC_ROOTS_SEGMENTS, GC_ROOTS_SHARED, GC_ROOTS_SEGMENTS, "segments",
     "where roots are looked for: segments, mappings (all memory but shared files), shared (these, too)"},
    {"BROOM_FREE", OPTION_FREE, FIELD(free), GC_FREE_IGNORE, GC_FREE_HONOUR, GC_FREE_IGNORE, "ignore",
     "what `free` does where Broom replaces malloc: ignore, honour"},
    {"BROOM_UNALIGNED", OPTION_COUNT, FIELD(unaligned), 0, 1, 0, "0",
     "1: pointers at odd multiples of 4 bytes count too, as in packed structs"},
    {"BROOM_NO_TRACKING", OPTION_COUNT, FIELD(no_tracking), 0, 1, 0, "0",
     "1: the kernel tracks no writes: every collection is full and, unless there are snapshots, stops the program"},
    {"BROOM_SNAPSHOT", OPTION_COUNT, FIELD(snapshot), 0, 1, 0, "0",
     "1: where the kernel tracks no writes, a large heap is marked in a copy of the process"},
};

const unsigned gc__option_count = sizeof gc__options / sizeof gc__options[0];

/* ---- Values ------------------------------------------------------------------- */

/* Of the values from 1 on. */
static const char *const past_end_names[] = {"never", "stack", "always", NULL};
static const char *const roots_names[] = {"segments", "mappings", "shared", NULL};
static const char *const free_names[] = {"ignore", "honour", NULL};

_Static_assert(GC_PAST_END_NEVER == 1 && GC_ROOTS_SEGMENTS == 1 && GC_FREE_IGNORE == 1, "the first names");

static bool parse_name(const char *const *names, const char *text, int64_t *value)
{
    for (int64_t i = 0; names[i] != NULL; i++)
        if (strcmp(text, names[i]) == 0) {
            *value = i + 1;
            return true;
        }
    return false;
}

/* How far to shift for a unit; -1: none of ours. */
static int unit_shift(char unit)
{
    switch (unit) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    case 't':
    case 'T': return 40;
    default: return -1;
    }
}

/* Digits, then for bytes perhaps one unit, then nothing. */
static bool parse_number(const char *text, bool with_unit, int64_t *value)
{
    int64_t number = 0;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
            return false;
    if (with_unit && unit_shift(*text) >= 0) {
        if (__builtin_mul_overflow(number, (int64_t)1 << unit_shift(*text), &number))
            return false;
        text++;
    }
    *value = number;
    return *text == '\0';
}

static bool parse_form(const struct option *option, const char *text, int64_t *value)
{
    switch (option->form) {
    case OPTION_BYTES: return parse_number(text, true, value);
    case OPTION_COUNT:
    case OPTION_SIGNAL: return parse_number(text, false, value);
    case OPTION_PAST_END: return parse_name(past_end_names, text, value);
    case OPTION_ROOTS: return parse_name(roots_names, text, value);
    case OPTION_FREE: return parse_name(free_names, text, value);
    case OPTION_TIME:
        if (strcmp(text, "never") != 0)
            return parse_number(text, false, value);
        *value = -1;
        return true;
    }
    return false;
}

static bool in_range(const struct option *option, int64_t value)
{
    if (option->form == OPTION_SIGNAL && !gc__os_can_catch((int)value))
        return false;
    return (value >= option->least && value <= option->most) || (option->form == OPTION_TIME && value == -1);
}

bool gc__option_parse(const struct option *option, const char *text, int64_t *value)
{
    return parse_form(option, text, value) && in_range(option, *value);
}

/* ---- What is allowed, in words -------------------------------------------------- */

static const char *const *names_of(enum option_form form)
{
    switch (form) {
    case OPTION_PAST_END: return past_end_names;
    case OPTION_ROOTS: return roots_names;
    case OPTION_FREE: return free_names;
    default: return NULL;
    }
}

/* "one, two or three". */
static void append_names(char *text, size_t capacity, const char *const *names)
{
    for (unsigned i = 0; names[i] != NULL; i++)
        gc__append(text, strlen(text), capacity, "%s%s", i == 0 ? "" : names[i + 1] != NULL ? ", " : " or ", names[i]);
}

static void append_size(char *text, size_t capacity, int64_t bytes)
{
    static const char *const units[] = {"", "K", "M", "G", "T"};
    unsigned unit = 0;

    for (; bytes > 0 && bytes % 1024 == 0 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        bytes /= 1024;
    gc__append(text, strlen(text), capacity, "%lld%s", (long long)bytes, units[unit]);
}

/* Nobody meets a bound that is as high as a number can be. */
static void append_range(char *text, size_t capacity, const struct option *option)
{
    gc__append(text, strlen(text), capacity, " from ");
    if (option->form == OPTION_BYTES)
        append_size(text, capacity, option->least);
    else
        gc__append(text, strlen(text), capacity, "%lld", (long long)option->least);
    if (option->most >= INT32_MAX)
        gc__append(text, strlen(text), capacity, " on");
    else
        gc__append(text, strlen(text), capacity, " to %lld", (long long)option->most);
}

void gc__option_allowed(const struct option *option, char *text, size_t capacity)
{
    *text = '\0';
    if (names_of(option->form) != NULL) {
        append_names(text, capacity, names_of(option->form));
        return;
    }
    if (option->form == OPTION_SIGNAL) {
        gc__append(text, 0, capacity, "the number of a signal that can be caught");
        return;
    }
    gc__append(text, 0, capacity, "a number%s",
               option->form == OPTION_BYTES ? ", perhaps with K, M, G or T behind it," : "");
    append_range(text, capacity, option);
    if (option->form == OPTION_TIME)
        gc__append(text, strlen(text), capacity, ", or never");
}

/* ---- Fields --------------------------------------------------------------------- */

static void set_field(struct gc_options *options, const struct option *option, int64_t value)
{
    int32_t narrow = (int32_t)value;
    char *field = (char *)options + option->field_offset;

    if (option->field_bytes == sizeof narrow)
        memcpy(field, &narrow, sizeof narrow);
    else
        memcpy(field, &value, sizeof value);
}

static int64_t get_field(const struct gc_options *options, const struct option *option)
{
    const char *field = (const char *)options + option->field_offset;
    int32_t narrow;
    int64_t wide;

    if (option->field_bytes != sizeof narrow) {
        memcpy(&wide, field, sizeof wide);
        return wide;
    }
    memcpy(&narrow, field, sizeof narrow);
    return narrow;
}

bool gc__options_are_valid(const struct gc_options *options)
{
    for (unsigned i = 0; i < gc__option_count; i++) {
        int64_t value = get_field(options, &gc__options[i]);

        if (value != 0 && !in_range(&gc__options[i], value))
            return false;
    }
    return true;
}

static void complain(const struct gc_options *options, const struct option *option, const char *text)
{
    bool preset = get_field(options, option) == option->preset;
    char allowed[GC_ALLOWED_BYTES];
    int64_t value;

    gc__option_allowed(option, allowed, sizeof allowed);
    gc__message("%s=%.60s is %s (%s); %s is used instead", option->variable, text,
                parse_form(option, text, &value) ? "out of range" : "not understood", allowed,
                preset ? option->preset_text : "the program's own value");
}

static void complete_from_environment(struct gc_options *options, const struct option *option)
{
    const char *text = getenv(option->variable);
    int64_t value;

    if (text == NULL || *text == '\0')
        return;
    if (gc__option_parse(option, text, &value))
        set_field(options, option, value);
    else
        complain(options, option, text);
}

void gc__options_complete(struct gc_options *options)
{
    for (unsigned i = 0; i < gc__option_count; i++) {
        if (get_field(options, &gc__options[i]) == 0)
            set_field(options, &gc__options[i], gc__options[i].preset);
        complete_from_environment(options, &gc__options[i]);
    }
}
