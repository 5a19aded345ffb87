#ifndef AE_CORE_YAML_H
#define AE_CORE_YAML_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

/* Thin help over libyaml: one document as a tree of nodes that know their lines. Errors are AE_ERR_USAGE. */

/* `where` names the source in messages; the caller deletes `doc` with yaml_document_delete when AE_OK was
 * returned. A text without content gives a document without a root. Lists and maps too deep in each other are
 * refused before they cost much. */
ae_status ae_yaml_parse(yaml_document_t *doc, const char *text, size_t n, const char *where);

/* The value as JSON: null, true, false and numbers are recognised in plain scalars, anything else is text.
 * NULL when it cannot be one: a key that is no scalar or comes twice, an alias to its own ancestor, or more
 * than AE_YAML_VALUES_MAX values or AE_YAML_BYTES_MAX bytes of text. Each alias counts as what it stands for,
 * and ten lines of aliases to aliases can stand for a thousand million values. */
enum { AE_YAML_VALUES_MAX = 100000, AE_YAML_BYTES_MAX = 16000000 };
json_t *ae_yaml_to_json(yaml_document_t *doc, const yaml_node_t *node);

/* Whether a node is an empty plain scalar, `~` or `null`. */
bool ae_yaml_is_null(const yaml_node_t *node);

static inline const char *ae_yaml_text(const yaml_node_t *node) {
    return (const char *)node->data.scalar.value;
}

static inline int ae_yaml_line(const yaml_node_t *node) {
    return (int)node->start_mark.line + 1;
}

#endif
