#include "core/yaml.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Of one value, and of the section and the key around it. */
enum { DEPTH_MAX = 64, DOCUMENT_DEPTH_MAX = DEPTH_MAX + 2 };

/* A document whose nodes become JSON, and how many values and bytes of text that may still be. */
typedef struct {
    yaml_document_t *doc;
    int values_left;
    size_t bytes_left;
} conversion;

/* libyaml gives a mark for its parser and scanner, and only an offset where the bytes are no UTF-8. */
static int line_of_problem(const yaml_parser_t *parser, const char *text, size_t n) {
    if (parser->error != YAML_READER_ERROR) return (int)parser->problem_mark.line + 1;
    int line = 1;
    for (size_t i = 0; i < n && i < parser->problem_offset; i++) line += text[i] == '\n';
    return line;
}

static ae_status parse_failed(const yaml_parser_t *parser, const char *text, size_t n, const char *where) {
    if (parser->error == YAML_MEMORY_ERROR) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    return AE_FAIL(AE_ERR_USAGE, "%s:%d: expected YAML, found an error: %s", where,
                   line_of_problem(parser, text, n), parser->problem != NULL ? parser->problem : "unknown");
}

static ae_status refuse_second(yaml_parser_t *parser, const char *text, size_t n, const char *where) {
    yaml_document_t more;
    if (!yaml_parser_load(parser, &more)) return parse_failed(parser, text, n, where);
    yaml_node_t *root = yaml_document_get_root_node(&more);
    int line = root != NULL ? ae_yaml_line(root) : 0;
    yaml_document_delete(&more);
    if (root == NULL) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s:%d: expected one YAML document, found a second", where, line);
}

static int depth_after(int depth, yaml_event_type_t event) {
    if (event == YAML_SEQUENCE_START_EVENT || event == YAML_MAPPING_START_EVENT) return depth + 1;
    return event == YAML_SEQUENCE_END_EVENT || event == YAML_MAPPING_END_EVENT ? depth - 1 : depth;
}

/* libyaml takes time with the square of the depth. What is no YAML is told by the one who loads it. */
static ae_status refuse_deep(const char *text, size_t n, const char *where) {
    yaml_parser_t parser;
    yaml_event_t event;
    if (!yaml_parser_initialize(&parser)) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    int depth = 0, line = 0;
    for (bool goes_on = true; goes_on && depth <= DOCUMENT_DEPTH_MAX;) {
        if (!yaml_parser_parse(&parser, &event)) break;
        depth = depth_after(depth, event.type);
        line = (int)event.start_mark.line + 1;
        goes_on = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (depth <= DOCUMENT_DEPTH_MAX) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "%s:%d: expected lists and maps no more than %d deep in each other, found more", where,
                   line, DOCUMENT_DEPTH_MAX);
}

ae_status ae_yaml_parse(yaml_document_t *doc, const char *text, size_t n, const char *where) {
    yaml_parser_t parser;
    ae_status st = refuse_deep(text, n, where);
    if (st != AE_OK) return st;
    if (!yaml_parser_initialize(&parser)) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    if (!yaml_parser_load(&parser, doc)) {
        st = parse_failed(&parser, text, n, where);
    } else if (yaml_document_get_root_node(doc) != NULL) {
        st = refuse_second(&parser, text, n, where);
        if (st != AE_OK) yaml_document_delete(doc);
    }
    yaml_parser_delete(&parser);
    return st;
}

static bool is_plain(const yaml_node_t *node) {
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

bool ae_yaml_is_null(const yaml_node_t *node) {
    if (!is_plain(node)) return 0;
    const char *s = ae_yaml_text(node);
    return s[0] == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0;
}

static json_t *number_or_null(const char *s) {
    if (s[0] == '\0' || s[strspn(s, "+-.0123456789eE")] != '\0') return NULL;
    char *end;
    if (s[strspn(s, "+-0123456789")] == '\0') {
        long long whole = strtoll(s, &end, 10);
        char back[32];
        snprintf(back, sizeof back, "%lld", whole);
        return *end == '\0' && strcmp(back, s + (s[0] == '+')) == 0 ? json_integer(whole) : NULL;
    }
    double x = strtod(s, &end);
    return *end == '\0' && isfinite(x) ? json_real(x) : NULL;
}

static bool take_text(conversion *c, const yaml_node_t *scalar) {
    const bool fits = scalar->data.scalar.length <= c->bytes_left;
    if (fits) c->bytes_left -= scalar->data.scalar.length;
    return fits;
}

static json_t *scalar_to_json(conversion *c, const yaml_node_t *node) {
    const char *s = ae_yaml_text(node);
    if (!take_text(c, node)) return NULL;
    if (ae_yaml_is_null(node)) return json_null();
    if (is_plain(node) && strcmp(s, "true") == 0) return json_true();
    if (is_plain(node) && strcmp(s, "false") == 0) return json_false();
    json_t *number = is_plain(node) ? number_or_null(s) : NULL;
    return number != NULL ? number : json_stringn(s, node->data.scalar.length);
}

static json_t *to_json(conversion *c, const yaml_node_t *node, int depth);

static json_t *sequence_to_json(conversion *c, const yaml_node_t *node, int depth) {
    json_t *list = json_array();
    const yaml_node_item_t *top = node->data.sequence.items.top;
    for (const yaml_node_item_t *i = node->data.sequence.items.start; i < top; i++) {
        json_t *value = to_json(c, yaml_document_get_node(c->doc, *i), depth + 1);
        if (value == NULL || json_array_append_new(list, value) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *mapping_to_json(conversion *c, const yaml_node_t *node, int depth) {
    json_t *map = json_object();
    const yaml_node_pair_t *top = node->data.mapping.pairs.top;
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < top; p++) {
        const yaml_node_t *key = yaml_document_get_node(c->doc, p->key);
        bool usable = key->type == YAML_SCALAR_NODE && json_object_get(map, ae_yaml_text(key)) == NULL &&
                      take_text(c, key);
        json_t *value = usable ? to_json(c, yaml_document_get_node(c->doc, p->value), depth + 1) : NULL;
        if (value == NULL || json_object_set_new(map, ae_yaml_text(key), value) != 0) {
            json_decref(map);
            return NULL;
        }
    }
    return map;
}

static json_t *to_json(conversion *c, const yaml_node_t *node, int depth) {
    if (depth > DEPTH_MAX || c->values_left-- <= 0) return NULL;
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return scalar_to_json(c, node);
    case YAML_SEQUENCE_NODE:
        return sequence_to_json(c, node, depth);
    case YAML_MAPPING_NODE:
        return mapping_to_json(c, node, depth);
    default:
        return NULL;
    }
}

json_t *ae_yaml_to_json(yaml_document_t *doc, const yaml_node_t *node) {
    conversion c = {doc, AE_YAML_VALUES_MAX, AE_YAML_BYTES_MAX};
    return to_json(&c, node, 0);
}
