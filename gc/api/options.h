/* options.h - the table of options: one line each is all that parsing the
 * environment and checking the struct need. The documents repeat it; a test
 * compares. */
#ifndef GC_API_OPTIONS_H
#define GC_API_OPTIONS_H

#include <broom.h>

enum option_form {
    OPTION_BYTES,  /* a number with K, M, G or T behind it (1024s), or without */
    OPTION_COUNT,  /* a number */
    OPTION_SIGNAL, /* that of one that can be caught */
    OPTION_TIME,   /* a number, or "never", which is -1 */
    OPTION_PAST_END,
    OPTION_ROOTS,
    OPTION_FREE
};

struct option {
    const char *variable; /* of the environment */
    enum option_form form;
    uint8_t field_bytes; /* where the value lies in struct gc_options */
    uint16_t field_offset;
    int64_t least;
    int64_t most;
    int64_t preset;          /* the default */
    const char *preset_text; /* as the manual says it */
    const char *meaning;
};

extern const struct option gc__options[];
extern const unsigned gc__option_count;

/* Whether every field is 0 or within its option's range. */
bool gc__options_are_valid(const struct gc_options *options);

/* Fields that are 0 become the defaults; then the environment wins. A value
 * there that does not parse is reported on stderr and passed over. */
void gc__options_complete(struct gc_options *options);

/* The value of `text` for an option; false if it has none. */
bool gc__option_parse(const struct option *option, const char *text, int64_t *value);

#define GC_ALLOWED_BYTES 128

/* In words, which values it may have. */
void gc__option_allowed(const struct option *option, char *text, size_t capacity);

#endif
