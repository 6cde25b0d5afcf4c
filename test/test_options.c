#define _GNU_SOURCE
#include "gc/api/options.h"
#include "gc/base/align.h"
#include "gc/base/tunables.h"
#include "test/child.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB ((int64_t)1 << 10)
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)
#define TIB ((int64_t)1 << 40)

static const struct option *option(const char *variable)
{
    for (unsigned i = 0; i < gc__option_count; i++)
        if (strcmp(gc__options[i].variable, variable) == 0)
            return &gc__options[i];
    cr_assert_fail("there is no option %s", variable);
    return NULL;
}

/* Whoever runs the tests may have set some. */
static void forget_environment(void)
{
    for (unsigned i = 0; i < gc__option_count; i++)
        unsetenv(gc__options[i].variable);
}

/* ---- The table -------------------------------------------------------------------------- */

Test(table, has_a_line_for_each_field)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < gc__option_count; i++) {
        const struct option *this = &gc__options[i];

        bytes = gc__align_up(bytes, this->field_bytes);
        cr_assert_eq(this->field_offset, bytes, "%s", this->variable);
        bytes += this->field_bytes;
    }
    cr_assert_eq(gc__option_count, 19);
    cr_assert_eq(gc__align_up(bytes, _Alignof(struct gc_options)), sizeof(struct gc_options));
}

Test(table, is_complete_and_consistent)
{
    for (unsigned i = 0; i < gc__option_count; i++) {
        const struct option *this = &gc__options[i];

        cr_assert_eq(strncmp(this->variable, "BROOM_", 6), 0);
        cr_assert_leq(this->least, this->most);
        cr_assert(this->preset == 0 || (this->preset >= this->least && this->preset <= this->most), "%s",
                  this->variable);
        cr_assert(this->preset_text != NULL && *this->preset_text != '\0');
        cr_assert(this->meaning != NULL && *this->meaning != '\0');
    }
}

Test(table, says_the_defaults_as_they_are)
{
    for (unsigned i = 0; i < gc__option_count; i++) {
        const struct option *this = &gc__options[i];
        int64_t value;

        if (this->preset != 0) {
            cr_assert(gc__option_parse(this, this->preset_text, &value), "%s", this->variable);
            cr_assert_eq(value, this->preset, "%s: default %s", this->variable, this->preset_text);
        }
    }
}

/* ---- Values ----------------------------------------------------------------------------------- */

static void accept(const char *variable, const char *text, int64_t expected)
{
    int64_t value = -4711;

    cr_assert(gc__option_parse(option(variable), text, &value), "%s=%s", variable, text);
    cr_assert_eq(value, expected, "%s=%s", variable, text);
}

static void reject(const char *variable, const char *text)
{
    int64_t value;

    cr_assert_not(gc__option_parse(option(variable), text, &value), "%s=%s", variable, text);
}

Test(values, of_bytes_may_have_a_unit)
{
    accept("BROOM_INITIAL_HEAP", "0", 0);
    accept("BROOM_INITIAL_HEAP", "1", 1);
    accept("BROOM_INITIAL_HEAP", "123456789", 123456789);
    accept("BROOM_INITIAL_HEAP", "3k", 3 * KIB);
    accept("BROOM_INITIAL_HEAP", "3K", 3 * KIB);
    accept("BROOM_INITIAL_HEAP", "64m", 64 * MIB);
    accept("BROOM_INITIAL_HEAP", "64M", 64 * MIB);
    accept("BROOM_INITIAL_HEAP", "2g", 2 * GIB);
    accept("BROOM_INITIAL_HEAP", "2G", 2 * GIB);
    accept("BROOM_INITIAL_HEAP", "1t", TIB);
    accept("BROOM_INITIAL_HEAP", "1T", TIB);
    accept("BROOM_INITIAL_HEAP", "007", 7);
}

Test(values, that_are_no_numbers_are_rejected)
{
    static const char *const texts[] = {"",    " 1",  "1 ",  "-1",  "+1", "0x10", "1.5", "ten", "1e6",   "K",
                                        "1KB", "1KK", "1Ki", "1\n", "١",  "1_0",  "1,0", "--",  "never", "1P"};

    for (unsigned o = 0; o < gc__option_count; o++)
        for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            int64_t value;

            if (strcmp(texts[i], "never") == 0 && gc__options[o].form >= OPTION_TIME)
                continue;
            cr_assert_not(gc__option_parse(&gc__options[o], texts[i], &value), "%s=%s", gc__options[o].variable,
                          texts[i]);
        }
}

Test(values, that_overflow_are_rejected)
{
    accept("BROOM_INITIAL_HEAP", "9223372036854775807", INT64_MAX);
    reject("BROOM_INITIAL_HEAP", "9223372036854775808");
    reject("BROOM_INITIAL_HEAP", "18446744073709551616");
    reject("BROOM_INITIAL_HEAP", "18446744073709551617");
    reject("BROOM_INITIAL_HEAP", "99999999999999999999999999999");
    accept("BROOM_INITIAL_HEAP", "8388607T", 8388607 * TIB);
    reject("BROOM_INITIAL_HEAP", "8388608T");
    reject("BROOM_INITIAL_HEAP", "9007199254740992K");
    reject("BROOM_STRESS", "4294967297");
}

Test(values, only_bytes_have_units)
{
    reject("BROOM_GROWTH_PERCENT", "1K");
    reject("BROOM_STRESS", "1K");
    reject("BROOM_DECOMMIT_DELAY_MS", "1K");
    reject("BROOM_GROWTH_PERCENT", "60%");
    reject("BROOM_DECOMMIT_DELAY_MS", "5ms");
}

Test(values, have_ranges)
{
    accept("BROOM_MAX_HEAP", "4M", 4 * MIB);
    reject("BROOM_MAX_HEAP", "4194303");
    reject("BROOM_MAX_HEAP", "0");
    accept("BROOM_GROWTH_PERCENT", "5", 5);
    accept("BROOM_GROWTH_PERCENT", "1000", 1000);
    reject("BROOM_GROWTH_PERCENT", "4");
    reject("BROOM_GROWTH_PERCENT", "1001");
    accept("BROOM_LOG", "0", 0);
    accept("BROOM_LOG", "1", 1);
    reject("BROOM_LOG", "2");
    accept("BROOM_STATS", "0", 0);
    accept("BROOM_STATS", "1", 1);
    reject("BROOM_STATS", "2");
    accept("BROOM_STRESS", "0", 0);
    accept("BROOM_STRESS", "2147483647", INT32_MAX);
    reject("BROOM_STRESS", "2147483648");
}

Test(values, of_time_may_be_never)
{
    accept("BROOM_DECOMMIT_DELAY_MS", "0", 0);
    accept("BROOM_DECOMMIT_DELAY_MS", "250", 250);
    accept("BROOM_DECOMMIT_DELAY_MS", "2147483647", INT32_MAX);
    accept("BROOM_DECOMMIT_DELAY_MS", "never", -1);
    reject("BROOM_DECOMMIT_DELAY_MS", "-1");
    reject("BROOM_DECOMMIT_DELAY_MS", "Never");
    reject("BROOM_DECOMMIT_DELAY_MS", "2147483648");
    reject("BROOM_STRESS", "never");
}

Test(values, of_past_end_are_words)
{
    accept("BROOM_PAST_END", "never", GC_PAST_END_NEVER);
    accept("BROOM_PAST_END", "stack", GC_PAST_END_STACK);
    accept("BROOM_PAST_END", "always", GC_PAST_END_ALWAYS);
    reject("BROOM_PAST_END", "1");
    reject("BROOM_PAST_END", "Stack");
    reject("BROOM_PAST_END", "stacks");
    reject("BROOM_PAST_END", "stac");
    reject("BROOM_PAST_END", "default");
}

/* ---- The struct ----------------------------------------------------------------------------------- */

static bool is_valid(struct gc_options options)
{
    return gc__options_are_valid(&options);
}

Test(fields, that_are_zero_are_valid)
{
    cr_assert(is_valid((struct gc_options){0}));
}

Test(fields, within_their_ranges_are_valid)
{
    cr_assert(is_valid((struct gc_options){
        .initial_heap = 1,
        .max_heap = (size_t)(4 * MIB),
        .growth_percent = 5,
        .past_end = GC_PAST_END_NEVER,
        .decommit_delay_ms = -1,
        .log = 1,
        .stats = 1,
        .stress = 1,
        .markers = 1,
    }));
    cr_assert(is_valid((struct gc_options){
        .initial_heap = INT64_MAX,
        .max_heap = INT64_MAX,
        .growth_percent = 1000,
        .past_end = GC_PAST_END_ALWAYS,
        .decommit_delay_ms = INT32_MAX,
        .stress = INT32_MAX,
        .markers = GC_MAX_MARKERS,
    }));
}

Test(fields, out_of_their_ranges_are_not_valid)
{
    cr_assert_not(is_valid((struct gc_options){.initial_heap = (size_t)INT64_MAX + 1}));
    cr_assert_not(is_valid((struct gc_options){.initial_heap = SIZE_MAX}));
    cr_assert_not(is_valid((struct gc_options){.max_heap = (size_t)(4 * MIB - 1)}));
    cr_assert_not(is_valid((struct gc_options){.max_heap = SIZE_MAX}));
    cr_assert_not(is_valid((struct gc_options){.growth_percent = 4}));
    cr_assert_not(is_valid((struct gc_options){.growth_percent = 1001}));
    cr_assert_not(is_valid((struct gc_options){.growth_percent = UINT32_MAX}));
    cr_assert_not(is_valid((struct gc_options){.past_end = GC_PAST_END_ALWAYS + 1}));
    cr_assert_not(is_valid((struct gc_options){.past_end = UINT32_MAX}));
    cr_assert_not(is_valid((struct gc_options){.decommit_delay_ms = -2}));
    cr_assert_not(is_valid((struct gc_options){.decommit_delay_ms = INT32_MIN}));
    cr_assert_not(is_valid((struct gc_options){.log = 2}));
    cr_assert_not(is_valid((struct gc_options){.log = UINT32_MAX}));
    cr_assert_not(is_valid((struct gc_options){.stats = 2}));
    cr_assert_not(is_valid((struct gc_options){.stress = (uint32_t)INT32_MAX + 1}));
    cr_assert_not(is_valid((struct gc_options){.markers = GC_MAX_MARKERS + 1}));
}

/* ---- Completing ----------------------------------------------------------------------------------------- */

static struct gc_options complete(struct gc_options options)
{
    gc__options_complete(&options);
    return options;
}

TestSuite(complete, .init = forget_environment);

Test(complete, puts_defaults_where_nothing_is)
{
    struct gc_options options = complete((struct gc_options){0});

    cr_assert_eq(options.initial_heap, 0);
    cr_assert_eq(options.max_heap, 0);
    cr_assert_eq(options.growth_percent, GC_PACE_GROWTH_PERCENT);
    cr_assert_eq(options.past_end, GC_PAST_END_STACK);
    cr_assert_eq(options.decommit_delay_ms, GC_DECOMMIT_DELAY_MS);
    cr_assert_eq(options.log, 0);
    cr_assert_eq(options.stats, 0);
    cr_assert_eq(options.stress, 0);
    cr_assert_eq(options.markers, 0);
}

Test(complete, keeps_the_program_s_values)
{
    struct gc_options options = complete((struct gc_options){
        .initial_heap = (size_t)(6 * GIB),
        .max_heap = (size_t)(7 * GIB),
        .growth_percent = 8,
        .past_end = GC_PAST_END_NEVER,
        .decommit_delay_ms = -1,
        .log = 1,
        .stats = 1,
        .stress = 9,
        .markers = 3,
    });

    cr_assert_eq(options.initial_heap, (size_t)(6 * GIB));
    cr_assert_eq(options.max_heap, (size_t)(7 * GIB));
    cr_assert_eq(options.growth_percent, 8);
    cr_assert_eq(options.past_end, GC_PAST_END_NEVER);
    cr_assert_eq(options.decommit_delay_ms, -1);
    cr_assert_eq(options.log, 1);
    cr_assert_eq(options.stats, 1);
    cr_assert_eq(options.stress, 9);
    cr_assert_eq(options.markers, 3);
}

Test(complete, takes_each_option_from_the_environment)
{
    struct gc_options options;

    setenv("BROOM_INITIAL_HEAP", "5G", 1);
    setenv("BROOM_MAX_HEAP", "6G", 1);
    setenv("BROOM_GROWTH_PERCENT", "77", 1);
    setenv("BROOM_PAST_END", "always", 1);
    setenv("BROOM_DECOMMIT_DELAY_MS", "88", 1);
    setenv("BROOM_LOG", "1", 1);
    setenv("BROOM_STATS", "1", 1);
    setenv("BROOM_STRESS", "99", 1);
    setenv("BROOM_MARKERS", "5", 1);
    options = complete((struct gc_options){0});
    cr_assert_eq(options.initial_heap, (size_t)(5 * GIB));
    cr_assert_eq(options.max_heap, (size_t)(6 * GIB));
    cr_assert_eq(options.growth_percent, 77);
    cr_assert_eq(options.past_end, GC_PAST_END_ALWAYS);
    cr_assert_eq(options.decommit_delay_ms, 88);
    cr_assert_eq(options.log, 1);
    cr_assert_eq(options.stats, 1);
    cr_assert_eq(options.stress, 99);
    cr_assert_eq(options.markers, 5);
}

Test(complete, lets_the_environment_win)
{
    struct gc_options options;

    setenv("BROOM_LOG", "0", 1);
    setenv("BROOM_GROWTH_PERCENT", "200", 1);
    setenv("BROOM_DECOMMIT_DELAY_MS", "never", 1);
    options = complete((struct gc_options){.log = 1, .growth_percent = 30, .decommit_delay_ms = 5});
    cr_assert_eq(options.log, 0);
    cr_assert_eq(options.growth_percent, 200);
    cr_assert_eq(options.decommit_delay_ms, -1);
}

Test(complete, lets_the_environment_say_at_once)
{
    setenv("BROOM_DECOMMIT_DELAY_MS", "0", 1);
    cr_assert_eq(complete((struct gc_options){0}).decommit_delay_ms, 0);
}

/* ---- What is not understood ----------------------------------------------------------------------------- */

/* In a child: the values of its environment are complained about, and the
 * struct is printed behind that. */
static struct gc_options given;

static void complete_and_print(void)
{
    struct gc_options options = complete(given);

    fprintf(stderr, "%zu %zu %u %u %d %u %u %u\n", options.initial_heap, options.max_heap, options.growth_percent,
            options.past_end, options.decommit_delay_ms, options.log, options.stats, options.stress);
}

TestSuite(complaint, .init = forget_environment);

Test(complaint, is_one_line_with_the_variable_the_value_what_is_allowed_and_the_default)
{
    struct child child;

    setenv("BROOM_DECOMMIT_DELAY_MS", "soon", 1);
    given.stress = 3;
    child = child_run(complete_and_print);
    cr_assert(child_returned(&child));
    cr_assert_eq(strncmp(child.text, "broom: BROOM_DECOMMIT_DELAY_MS=soon is not understood (", 55), 0, "%s",
                 child.text);
    cr_assert(child_wrote(&child, "(a number from 0 on, or never); 1000 is used instead\n"), "%s", child.text);
    cr_assert(child_wrote(&child, " 1000 0 0 3\n"), "%s", child.text);
}

Test(complaint, is_made_for_each_option_and_its_default_stays)
{
    char defaults[200];

    setenv("NOTHING", "1", 1);
    strcpy(defaults, child_run(complete_and_print).text);
    for (unsigned i = 0; i < gc__option_count; i++) {
        struct child child;
        char start[100];

        setenv(gc__options[i].variable, "nonsense", 1);
        child = child_run(complete_and_print);
        unsetenv(gc__options[i].variable);
        snprintf(start, sizeof start, "broom: %s=nonsense is not understood", gc__options[i].variable);
        cr_assert_eq(strncmp(child.text, start, strlen(start)), 0, "%s", child.text);
        cr_assert(child_wrote(&child, gc__options[i].preset_text));
        cr_assert_str_eq(strchr(child.text, '\n') + 1, defaults);
    }
}

Test(complaint, is_made_about_values_out_of_range)
{
    struct child child;

    setenv("BROOM_GROWTH_PERCENT", "4", 1);
    setenv("BROOM_LOG", "7", 1);
    child = child_run(complete_and_print);
    cr_assert(child_wrote(&child, "BROOM_GROWTH_PERCENT=4 is out of range (a number from 5 to 1000)"));
    cr_assert(child_wrote(&child, "BROOM_LOG=7 is out of range (a number from 0 to 1)"));
}

Test(complaint, says_what_is_allowed)
{
    static const struct {
        const char *variable, *allowed;
    } cases[] = {
        {"BROOM_MAX_HEAP", "a number, perhaps with K, M, G or T behind it, from 4M on"},
        {"BROOM_INITIAL_HEAP", "a number, perhaps with K, M, G or T behind it, from 0 on"},
        {"BROOM_STRESS", "a number from 0 on"},
        {"BROOM_MARKERS", "a number from 0 to 16"},
        {"BROOM_PAUSE_TARGET_US", "a number from 0 on, or never"},
        {"BROOM_STOP_SIGNAL", "the number of a signal that can be caught"},
        {"BROOM_ROOTS", "segments, mappings or shared"},
        {"BROOM_FREE", "ignore or honour"},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char allowed[GC_ALLOWED_BYTES];

        gc__option_allowed(option(cases[i].variable), allowed, sizeof allowed);
        cr_assert_str_eq(allowed, cases[i].allowed);
    }
}

Test(complaint, says_when_the_program_s_own_value_is_used)
{
    struct child child;

    setenv("BROOM_GROWTH_PERCENT", "much", 1);
    given.growth_percent = 33;
    child = child_run(complete_and_print);
    cr_assert(child_wrote(&child, "the program's own value is used instead\n"), "%s", child.text);
    cr_assert(child_wrote(&child, "\n0 0 33 "), "%s", child.text);
}

Test(complaint, is_not_made_about_good_or_empty_values)
{
    struct child child;

    setenv("BROOM_GROWTH_PERCENT", "", 1);
    setenv("BROOM_LOG", "0", 1);
    setenv("BROOM_MAX_HEAP", "1G", 1);
    child = child_run(complete_and_print);
    cr_assert(child_returned(&child));
    cr_assert_not(child_wrote(&child, "broom"), "%s", child.text);
}

Test(complaint, about_a_very_long_value_is_one_line)
{
    static char text[3000];
    struct child child;

    memset(text, '9', sizeof text - 1);
    setenv("BROOM_STRESS", text, 1);
    child = child_run(complete_and_print);
    cr_assert(child_returned(&child));
    cr_assert_eq(strncmp(child.text, "broom: BROOM_STRESS=999", 23), 0);
    cr_assert_eq(strncmp(strchr(child.text, '\n') + 1, "0 0 ", 4), 0);
}
