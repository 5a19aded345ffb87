#ifndef AE_BENCHMARK_TEMPLATE_H
#define AE_BENCHMARK_TEMPLATE_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>

/* Templates of task files: text with expressions in double braces, a strict subset of Jinja (docs/tasks.md has the
 * grammar). A name that is nowhere defined is an error, as is a filter that does not exist. */
typedef struct ae_template ae_template;

/* Text is a template, a list one of lists; any other value stands for itself. `where` names file and key in messages.
 * AE_ERR_USAGE. */
ae_status ae_template_parse(ae_template **t, const json_t *value, const char *where);
void ae_template_free(ae_template *t);
/* Whether it names a field at all. */
bool ae_template_has_names(const ae_template *t);

/* A value of a task file that templates may name: computed once for a row, where it is first used. */
typedef struct {
    char *name;
    ae_template *value;
} ae_let;

/* Names are looked up in `lets`, then in `row`, then in `more`, which may be NULL. A let sees the lets before it only, so
 * that inside it its own name is that of the row. */
typedef struct {
    const ae_let *lets;
    size_t n_lets;
    const json_t *row, *more;
    const char *where; /* file, row and key, for messages */
    json_t *computed;  /* object: lets that were computed for this row; NULL: none is kept */
} ae_template_scope;

/* The value: of `{{ expression }}` alone what the expression gives, else text. The caller drops it. AE_ERR_INPUT: a
 * missing field, a value of the wrong kind. */
ae_status ae_template_value(json_t **value, const ae_template *t, const ae_template_scope *scope);
/* The same as text: a number in digits, true as Python writes it; no list. The caller frees it. */
ae_status ae_template_text(char **text, const ae_template *t, const ae_template_scope *scope);

#endif
