#ifndef AE_CORE_CONFIG_H
#define AE_CORE_CONFIG_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Configuration by field tables. A component owns a struct and one table that describes it; from the table
 * come the defaults, the YAML reading, `section.key=value` overrides, range errors with file and line,
 * --help, and the copy that is written beside every run. */

typedef enum {
    AE_FIELD_INT,    /* int64_t; accepts 1000, 1e3, 64k, 2M (powers of 1000) */
    AE_FIELD_REAL,   /* double */
    AE_FIELD_BOOL,   /* bool; true, false */
    AE_FIELD_TEXT,   /* char *, owned by the struct; "" means unset */
    AE_FIELD_CHOICE, /* int, index into `choices` "a|b|c" */
    AE_FIELD_TREE    /* char *, owned: any YAML value as compact JSON text; "" for null */
} ae_field_type;

/* Marks of a field: what holds for its key when a run goes on. */
enum {
    AE_KEY_FREE = 0,
    AE_KEY_FIXED = 1,     /* keeps the value that the run was started with */
    AE_KEY_FINAL = 2,     /* and cannot be overridden */
    AE_KEY_DERIVED = 4,   /* compared by its effect (shape, rates, hashes), not as it stands */
    AE_KEY_WORK = 8,      /* another value is another order of the work, which begins anew */
    AE_KEY_MEMORY = 16,   /* another value needs another plan of memory */
    AE_KEY_SCORE = 32,    /* scores from before and after the change do not compare: the best begins anew */
    AE_KEY_PLACE = 64,    /* a path, or a tree with some: may count from where the run was started */
    AE_KEY_START = 128,   /* what lies there is read when a run starts, and may be gone afterwards */
    AE_KEY_ROUNDING = 256 /* changes rounding alone: runs from before the key came take any value */
};

typedef struct {
    const char *key; /* without the section */
    ae_field_type type;
    size_t offset;
    const char *fallback; /* default, as one would write it */
    double min, max;      /* inclusive; for numbers */
    const char *choices;  /* for AE_FIELD_CHOICE */
    const char *help;     /* one line */
    unsigned fixed;       /* marks */
} ae_field;

typedef struct {
    const char *name; /* "train" */
    const ae_field *fields;
    size_t n_fields;
    void *object; /* the struct the offsets refer to */
} ae_section;

enum { AE_CONFIG_SECTIONS_MAX = 32, AE_CONFIG_FIELDS_MAX = 256 };

typedef struct {
    ae_section sections[AE_CONFIG_SECTIONS_MAX];
    size_t n_sections;
    bool is_set[AE_CONFIG_FIELDS_MAX]; /* by YAML or override, in table order over all sections */
} ae_config;

/* Adds a section, or another part of one, and sets its object to the defaults. */
ae_status ae_config_add(ae_config *c, const char *section, const ae_field *fields, size_t n_fields,
                        void *object);

/* Reads a YAML file of `section: {key: value}` maps. Unknown keys fail with "did you mean". */
ae_status ae_config_read(ae_config *c, const char *path);

/* Applies "section.key=value"; the value is read as YAML. `where` names the source in messages ("command
 * line"). */
ae_status ae_config_set(ae_config *c, const char *assignment, const char *where);

/* Gives a key its default back, as if it had never been given; nothing where there is no such key. */
ae_status ae_config_reset(ae_config *c, const char *dotted_key);

/* Whether `section.key` was given by a file or an override. */
bool ae_config_is_set(const ae_config *c, const char *dotted_key);

/* Field `i` over all sections in the order of the table, and the name of its section; NULL behind the
 * last. */
const ae_field *ae_config_field(const ae_config *c, size_t i, const char **section);
/* The value of that field where it is text or a tree; NULL where it is neither. */
char **ae_config_text(const ae_config *c, size_t i);

/* Every key with type, default, range and help, aligned, for --help. */
void ae_config_help(const ae_config *c, FILE *out);

/* The resolved configuration as YAML (every key), and as one JSON object text (caller frees). */
ae_status ae_config_write(const ae_config *c, const char *path);
ae_status ae_config_json(const ae_config *c, char **text);

/* Releases the texts inside the objects. */
void ae_config_free(ae_config *c);

/* The nearest of n words to `word` when near enough to be a typing mistake, else NULL. */
const char *ae_nearest_word(const char *word, const char *const *words, size_t n);

#endif
