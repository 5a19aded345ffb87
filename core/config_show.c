#include "core/config.h"
#include "core/config_text.h"
#include "core/file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { RANGE_BYTES = 256 };

static const char *type_name(ae_field_type type) {
    switch (type) {
    case AE_FIELD_INT:
        return "int";
    case AE_FIELD_REAL:
        return "real";
    case AE_FIELD_BOOL:
        return "bool";
    case AE_FIELD_TEXT:
        return "text";
    case AE_FIELD_CHOICE:
        return "choice";
    default:
        return "yaml";
    }
}

static void format_range(const ae_field *f, char *out, size_t n) {
    switch (f->type) {
    case AE_FIELD_INT:
    case AE_FIELD_REAL:
        ae_config_format_range(f, out, n);
        break;
    case AE_FIELD_BOOL:
        snprintf(out, n, "true|false");
        break;
    case AE_FIELD_CHOICE:
        snprintf(out, n, "%s", f->choices);
        break;
    default:
        snprintf(out, n, "-");
    }
}

static const char *shown_default(const ae_field *f) {
    return f->fallback != NULL && f->fallback[0] != '\0' ? f->fallback : "-";
}

typedef struct {
    int key, fallback, range;
} widths;

static int wider(int width, size_t n) {
    return (int)n > width ? (int)n : width;
}

static widths column_widths(const ae_config *c) {
    widths w = {0, 0, 0};
    char range[RANGE_BYTES];
    for (size_t i = 0; i < c->n_sections; i++) {
        const ae_section *s = &c->sections[i];
        for (size_t k = 0; k < s->n_fields; k++) {
            format_range(&s->fields[k], range, sizeof range);
            w.key = wider(w.key, strlen(s->name) + 1 + strlen(s->fields[k].key));
            w.fallback = wider(w.fallback, strlen(shown_default(&s->fields[k])));
            w.range = wider(w.range, strlen(range));
        }
    }
    return w;
}

void ae_config_help(const ae_config *c, FILE *out) {
    char range[RANGE_BYTES];
    widths w = column_widths(c);
    for (size_t i = 0; i < c->n_sections; i++) {
        const ae_section *s = &c->sections[i];
        for (size_t k = 0; k < s->n_fields; k++) {
            const ae_field *f = &s->fields[k];
            int pad = w.key - (int)(strlen(s->name) + 1 + strlen(f->key));
            format_range(f, range, sizeof range);
            fprintf(out, "  %s.%s%*s  %-6s  %-*s  %-*s  %s\n", s->name, f->key, pad, "", type_name(f->type),
                    w.fallback, shown_default(f), w.range, range, f->help != NULL ? f->help : "");
        }
    }
}

static json_t *choice_to_json(const ae_field *f, int index) {
    const char *choice = f->choices;
    for (int i = 0; i < index; i++) choice += strcspn(choice, "|") + 1;
    return json_stringn(choice, strcspn(choice, "|"));
}

static json_t *tree_to_json(const char *text) {
    return text != NULL && text[0] != '\0' ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
}

static json_t *field_to_json(const ae_section *s, const ae_field *f) {
    const void *value = (const char *)s->object + f->offset;
    const char *text = NULL;
    switch (f->type) {
    case AE_FIELD_INT:
        return json_integer(*(const int64_t *)value);
    case AE_FIELD_REAL:
        return json_real(*(const double *)value);
    case AE_FIELD_BOOL:
        return json_boolean(*(const bool *)value);
    case AE_FIELD_CHOICE:
        return choice_to_json(f, *(const int *)value);
    case AE_FIELD_TREE:
        return tree_to_json(*(char *const *)value);
    default:
        text = *(char *const *)value;
        return json_string(text != NULL ? text : "");
    }
}

/* The fewest digits that give the same number back: 0.1 and not 0.10000000000000001. */
static char *dump_value(const json_t *value) {
    if (!json_is_real(value)) return json_dumps(value, JSON_ENCODE_ANY);
    for (size_t digits = 1; digits < 17; digits++) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        if (text == NULL || strtod(text, NULL) == json_real_value(value)) return text;
        free(text);
    }
    return json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

static bool put_field(FILE *out, const ae_section *s, const ae_field *f) {
    json_t *value = field_to_json(s, f);
    char *text = value != NULL ? dump_value(value) : NULL;
    if (text != NULL) fprintf(out, "  %s: %s\n", f->key, text);
    json_decref(value);
    bool put = text != NULL;
    free(text);
    return put;
}

/* Whether an earlier part of the section came before part i. */
static bool goes_on(const ae_config *c, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (strcmp(c->sections[k].name, c->sections[i].name) == 0) return true;
    return false;
}

/* All parts of the section whose first part is i. */
static bool put_section(FILE *out, const ae_config *c, size_t i) {
    bool whole = true;
    fprintf(out, "%s:\n", c->sections[i].name);
    for (const ae_section *s = &c->sections[i]; s < c->sections + c->n_sections; s++)
        if (strcmp(s->name, c->sections[i].name) == 0)
            for (size_t k = 0; k < s->n_fields && whole; k++) whole = put_field(out, s, &s->fields[k]);
    return whole;
}

/* JSON values are YAML values too. */
ae_status ae_config_write(const ae_config *c, const char *path) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    bool whole = out != NULL;
    for (size_t i = 0; i < c->n_sections && whole; i++) whole = goes_on(c, i) || put_section(out, c, i);
    if (out != NULL && fclose(out) != 0) whole = false;
    ae_status st = whole ? ae_file_write(path, text, n) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    free(text);
    return st;
}

/* Adds the fields of one part of a section to the object of that section. */
static bool add_part(json_t *root, const ae_section *s) {
    json_t *map = json_object_get(root, s->name);
    if (map == NULL) {
        map = json_object();
        if (json_object_set_new(root, s->name, map) != 0) return false;
    }
    for (size_t k = 0; k < s->n_fields; k++)
        if (json_object_set_new(map, s->fields[k].key, field_to_json(s, &s->fields[k])) != 0) return false;
    return true;
}

ae_status ae_config_json(const ae_config *c, char **text) {
    json_t *root = json_object();
    *text = NULL;
    bool whole = root != NULL;
    for (size_t i = 0; i < c->n_sections && whole; i++) whole = add_part(root, &c->sections[i]);
    if (whole) *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return *text != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "the configuration as JSON: out of memory");
}
