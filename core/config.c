#include "core/config.h"

#include "core/config_text.h"
#include "core/file.h"
#include "core/yaml.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A field of a section, and where its value comes from. */
typedef struct {
    const ae_section *section;
    const ae_field *field;
    size_t index; /* in table order over all sections */
} field_ref;

enum { WORD_MAX = 64, KEY_BYTES = 256, PLACE_BYTES = 1024, NUMBER_BYTES = 64 };

static void *value_of(const field_ref *f) {
    return (char *)f->section->object + f->field->offset;
}

/* ---- near words ---- */

/* Edits between two words where a swap of neighbours counts once. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m) {
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++) last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

const char *ae_nearest_word(const char *word, const char *const *words, size_t n) {
    size_t length = strlen(word), best = length / 3 > 0 ? length / 3 + 1 : 2;
    const char *nearest = NULL;
    if (length > WORD_MAX) return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(words[i]);
        if (other > WORD_MAX) continue;
        size_t distance = edit_distance(word, length, words[i], other);
        if (distance < best) {
            best = distance;
            nearest = words[i];
        }
    }
    return nearest;
}

/* ---- finding fields ---- */

static bool same_word(const char *word, const char *text, size_t n) {
    return strlen(word) == n && memcmp(word, text, n) == 0;
}

static const ae_section *find_section(const ae_config *c, const char *name, size_t n) {
    for (size_t i = 0; i < c->n_sections; i++) {
        if (same_word(c->sections[i].name, name, n)) return &c->sections[i];
    }
    return NULL;
}

/* `key` need not end in NUL. */
static bool find_field(const ae_config *c, const char *key, size_t n, field_ref *found) {
    const char *dot = memchr(key, '.', n);
    size_t index = 0;
    if (dot == NULL) return false;
    for (size_t i = 0; i < c->n_sections; i++) {
        const ae_section *s = &c->sections[i];
        bool right_section = same_word(s->name, key, (size_t)(dot - key));
        for (size_t k = 0; k < s->n_fields; k++, index++) {
            if (!right_section || !same_word(s->fields[k].key, dot + 1, n - (size_t)(dot + 1 - key)))
                continue;
            *found = (field_ref){.section = s, .field = &s->fields[k], .index = index};
            return true;
        }
    }
    return false;
}

typedef struct {
    char text[AE_CONFIG_FIELDS_MAX][KEY_BYTES];
    const char *words[AE_CONFIG_FIELDS_MAX];
    size_t n;
} key_list;

static void list_keys(const ae_config *c, key_list *list) {
    list->n = 0;
    for (size_t i = 0; i < c->n_sections; i++) {
        for (size_t k = 0; k < c->sections[i].n_fields; k++) {
            char *text = list->text[list->n];
            snprintf(text, KEY_BYTES, "%s.%s", c->sections[i].name, c->sections[i].fields[k].key);
            list->words[list->n++] = text;
        }
    }
}

/* The same key of another section, or the key that looks most alike. */
static const char *suggest(const key_list *list, const char *key) {
    const char *dot = strchr(key, '.'), *last = dot != NULL ? dot + 1 : key;
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(strchr(list->words[i], '.') + 1, last) == 0) return list->words[i];
    }
    return ae_nearest_word(key, list->words, list->n);
}

static ae_status unknown_key(const ae_config *c, const char *key, size_t n, const char *place) {
    char word[KEY_BYTES];
    snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), key);
    key_list *list = malloc(sizeof *list);
    if (list == NULL) return AE_FAIL(AE_ERR_RESOURCE, "out of memory");
    list_keys(c, list);
    const char *near = suggest(list, word);
    ae_status st =
        near != NULL
            ? AE_FAIL(AE_ERR_USAGE, "unknown key \"%s\": did you mean \"%s\"? (%s)", word, near, place)
            : AE_FAIL(AE_ERR_USAGE, "unknown key \"%s\": --help lists the keys (%s)", word, place);
    free(list);
    return st;
}

/* ---- values ---- */

/* What the messages about one value share. */
typedef struct {
    const field_ref *f;
    const char *place; /* "run.yaml:12", "command line" */
} value_at;

static ae_status refused(const value_at *at, const char *expected, const char *found) {
    return AE_FAIL(AE_ERR_USAGE, "%s.%s: expected %s, found %s (%s)", at->f->section->name, at->f->field->key,
                   expected, found, at->place);
}

static ae_status refused_text(const value_at *at, const char *expected, const char *text) {
    char found[KEY_BYTES];
    if (text[0] == '\0') return refused(at, expected, "nothing");
    snprintf(found, sizeof found, "\"%.200s\"", text);
    return refused(at, expected, found);
}

/* 100, 1e12, 0.95: as one would write it. */
static void format_bound(char *out, double x) {
    if (fabs(x) < 1e6 && x == trunc(x)) {
        snprintf(out, NUMBER_BYTES, "%.0f", x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, NUMBER_BYTES, "%.*g", digits, x);
        if (strtod(out, NULL) == x) break;
    }
    char *e = strchr(out, 'e');
    if (e == NULL) return;
    bool negative = e[1] == '-';
    const char *digits = e + 2 + strspn(e + 2, "0");
    memmove(e + 1 + negative, digits, strlen(digits) + 1);
}

void ae_config_format_range(const ae_field *field, char *out, size_t n) {
    char low[NUMBER_BYTES], high[NUMBER_BYTES];
    bool no_low = field->min <= -0x1p1000, no_high = field->max >= 0x1p1000;
    format_bound(low, field->min);
    format_bound(high, field->max);
    if (no_low && no_high) {
        snprintf(out, n, "any number");
    } else if (no_low) {
        snprintf(out, n, "at most %s", high);
    } else if (no_high) {
        snprintf(out, n, "at least %s", low);
    } else {
        snprintf(out, n, "%s to %s", low, high);
    }
}

/* strtod without its hexadecimal numbers, NaN, infinities and blanks; then k, M or G. */
static bool parse_number(const char *text, bool suffixes, double *x) {
    static const struct {
        char letter;
        double factor;
    } powers[] = {{'k', 1e3}, {'M', 1e6}, {'G', 1e9}};
    size_t n = strspn(text, "+-.0123456789eE");
    char *end;
    if (n == 0) return false;
    *x = strtod(text, &end);
    if (end != text + n) return false;
    for (size_t i = 0; suffixes && *end != '\0' && i < sizeof powers / sizeof powers[0]; i++) {
        if (*end != powers[i].letter || end[1] != '\0') continue;
        *x *= powers[i].factor;
        return true;
    }
    return *end == '\0' && isfinite(*x);
}

static ae_status check_range(const value_at *at, double x, const char *text) {
    char range[2 * NUMBER_BYTES + 16];
    if (x >= at->f->field->min && x <= at->f->field->max) return AE_OK;
    ae_config_format_range(at->f->field, range, sizeof range);
    return refused(at, range, text);
}

static ae_status set_int(const value_at *at, const char *text) {
    char *end;
    double x;
    if (!parse_number(text, true, &x) || x != trunc(x)) {
        return refused_text(at, "a whole number such as 1000, 1e3, 64k or 2M", text);
    }
    ae_status st = check_range(at, x, text);
    if (st != AE_OK) return st;
    if (fabs(x) >= 0x1p63) return refused_text(at, "a number below 2^63", text);
    int64_t exact = strtoll(text, &end, 10); /* a double would round beyond 2^53 */
    *(int64_t *)value_of(at->f) = *end == '\0' ? exact : (int64_t)x;
    return AE_OK;
}

static ae_status set_real(const value_at *at, const char *text) {
    double x;
    if (!parse_number(text, false, &x)) return refused_text(at, "a number", text);
    ae_status st = check_range(at, x, text);
    if (st == AE_OK) *(double *)value_of(at->f) = x;
    return st;
}

static ae_status set_bool(const value_at *at, const char *text) {
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) return refused_text(at, "true or false", text);
    *(bool *)value_of(at->f) = yes;
    return AE_OK;
}

static ae_status set_choice(const value_at *at, const char *text) {
    size_t n = strlen(text);
    const char *choice = at->f->field->choices;
    for (int i = 0;; i++) {
        size_t length = strcspn(choice, "|");
        if (length == n && n > 0 && memcmp(choice, text, n) == 0) {
            *(int *)value_of(at->f) = i;
            return AE_OK;
        }
        if (choice[length] == '\0') break;
        choice += length + 1;
    }
    char expected[KEY_BYTES];
    snprintf(expected, sizeof expected, "one of %s", at->f->field->choices);
    return refused_text(at, expected, text);
}

static ae_status set_owned(const value_at *at, char *text) {
    char **slot = value_of(at->f);
    if (text == NULL) return AE_FAIL(AE_ERR_RESOURCE, "out of memory");
    free(*slot);
    *slot = text;
    return AE_OK;
}

static ae_status set_text(const value_at *at, const char *text) {
    json_t *probe = json_string(text);
    if (probe == NULL) return refused(at, "text in UTF-8", "other bytes");
    json_decref(probe);
    return set_owned(at, strdup(text));
}

static ae_status set_scalar(const value_at *at, const char *text) {
    switch (at->f->field->type) {
    case AE_FIELD_INT:
        return set_int(at, text);
    case AE_FIELD_REAL:
        return set_real(at, text);
    case AE_FIELD_BOOL:
        return set_bool(at, text);
    case AE_FIELD_CHOICE:
        return set_choice(at, text);
    default:
        return set_text(at, text);
    }
}

static ae_status set_tree(const value_at *at, yaml_document_t *doc, const yaml_node_t *node) {
    if (node == NULL || ae_yaml_is_null(node)) return set_owned(at, strdup(""));
    json_t *value = ae_yaml_to_json(doc, node);
    if (value == NULL)
        return refused(at,
                       "a value with scalar keys, each once, and no more than 100000 parts and 16 MB of text",
                       "something else");
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    return set_owned(at, text);
}

static ae_status set_node(const value_at *at, yaml_document_t *doc, const yaml_node_t *node) {
    if (at->f->field->type == AE_FIELD_TREE) return set_tree(at, doc, node);
    if (node == NULL || ae_yaml_is_null(node)) return set_scalar(at, "");
    if (node->type != YAML_SCALAR_NODE) {
        return refused(at, "a single value", node->type == YAML_SEQUENCE_NODE ? "a list" : "a map");
    }
    if (strlen(ae_yaml_text(node)) != node->data.scalar.length)
        return refused(at, "text", "a NUL byte in it");
    return set_scalar(at, ae_yaml_text(node));
}

/* A value of its own, from the command line or a table. Text is taken as it stands unless it is quoted, so that what
 * YAML would take for a map or a comment needs no quotes. */
static ae_status set_from_text(const value_at *at, const char *text) {
    bool quoted = text[0] == '"' || text[0] == '\'';
    bool is_null = strcmp(text, "null") == 0 || strcmp(text, "~") == 0;
    if (at->f->field->type == AE_FIELD_TEXT && !quoted) return set_text(at, is_null ? "" : text);
    yaml_document_t doc;
    ae_status st = ae_yaml_parse(&doc, text, strlen(text), at->place);
    if (st != AE_OK) return st == AE_ERR_USAGE ? refused_text(at, "a YAML value", text) : st;
    st = set_node(at, &doc, yaml_document_get_root_node(&doc));
    yaml_document_delete(&doc);
    return st;
}

/* ---- sections and their defaults ---- */

static void clear_owned(const ae_section *s) {
    for (size_t i = 0; i < s->n_fields; i++) {
        bool owned = s->fields[i].type == AE_FIELD_TEXT || s->fields[i].type == AE_FIELD_TREE;
        if (owned) *(char **)((char *)s->object + s->fields[i].offset) = NULL;
    }
}

static ae_status set_default(const field_ref *f) {
    value_at at = {.f = f, .place = "the table of defaults"};
    return set_from_text(&at, f->field->fallback != NULL ? f->field->fallback : "");
}

ae_status ae_config_add(ae_config *c, const char *section, const ae_field *fields, size_t n_fields,
                        void *object) {
    size_t before = 0;
    for (size_t i = 0; i < c->n_sections; i++) before += c->sections[i].n_fields;
    if (c->n_sections == AE_CONFIG_SECTIONS_MAX || before + n_fields > AE_CONFIG_FIELDS_MAX) {
        return AE_FAIL(AE_ERR_DEFECT, "section %s: too many sections or fields", section);
    }
    ae_section *s = &c->sections[c->n_sections++];
    *s = (ae_section){.name = section, .fields = fields, .n_fields = n_fields, .object = object};
    clear_owned(s);
    for (size_t i = 0; i < n_fields; i++) {
        field_ref f = {.section = s, .field = &fields[i], .index = before + i};
        c->is_set[f.index] = false;
        if (set_default(&f) != AE_OK) return AE_ERR_DEFECT;
    }
    return AE_OK;
}

void ae_config_free(ae_config *c) {
    for (size_t i = 0; i < c->n_sections; i++) {
        const ae_section *s = &c->sections[i];
        for (size_t k = 0; k < s->n_fields; k++) {
            bool owned = s->fields[k].type == AE_FIELD_TEXT || s->fields[k].type == AE_FIELD_TREE;
            if (owned) free(*(char **)((char *)s->object + s->fields[k].offset));
        }
        clear_owned(s);
    }
}

/* ---- files and overrides ---- */

/* One reading of one file; the lines are those where a field or a section was given, 0 before. */
typedef struct {
    ae_config *c;
    yaml_document_t *doc;
    const char *path;
    int field_line[AE_CONFIG_FIELDS_MAX], section_line[AE_CONFIG_SECTIONS_MAX];
} reading;

static ae_status not_a_key(const reading *r, const yaml_node_t *node, const char *inside) {
    return AE_FAIL(AE_ERR_USAGE, "%s:%d: expected `key: value` inside %s, found a list or a map as key",
                   r->path, ae_yaml_line(node), inside);
}

static ae_status refuse_twice(const reading *r, const char *key, int line, int first) {
    return AE_FAIL(AE_ERR_USAGE, "%s: expected it once, found it twice (%s:%d, first at line %d)", key,
                   r->path, line, first);
}

static ae_status read_field(reading *r, const ae_section *s, const yaml_node_t *key,
                            const yaml_node_t *value) {
    char name[KEY_BYTES], place[PLACE_BYTES];
    field_ref f;
    if (key->type != YAML_SCALAR_NODE) return not_a_key(r, key, s->name);
    snprintf(place, sizeof place, "%s:%d", r->path, ae_yaml_line(key));
    snprintf(name, sizeof name, "%s.%s", s->name, ae_yaml_text(key));
    if (!find_field(r->c, name, strlen(name), &f)) return unknown_key(r->c, name, strlen(name), place);
    if (r->field_line[f.index] != 0) return refuse_twice(r, name, ae_yaml_line(key), r->field_line[f.index]);
    r->field_line[f.index] = ae_yaml_line(key);
    r->c->is_set[f.index] = true;
    value_at at = {.f = &f, .place = place};
    return set_node(&at, r->doc, value);
}

static ae_status unknown_section(const reading *r, const yaml_node_t *key) {
    const char *names[AE_CONFIG_SECTIONS_MAX];
    for (size_t i = 0; i < r->c->n_sections; i++) names[i] = r->c->sections[i].name;
    const char *near = ae_nearest_word(ae_yaml_text(key), names, r->c->n_sections);
    if (near == NULL) {
        return AE_FAIL(AE_ERR_USAGE, "unknown section \"%.200s\": --help lists the keys (%s:%d)",
                       ae_yaml_text(key), r->path, ae_yaml_line(key));
    }
    return AE_FAIL(AE_ERR_USAGE, "unknown section \"%.200s\": did you mean \"%s\"? (%s:%d)",
                   ae_yaml_text(key), near, r->path, ae_yaml_line(key));
}

static ae_status read_section(reading *r, const yaml_node_t *key, const yaml_node_t *map) {
    if (key->type != YAML_SCALAR_NODE) return not_a_key(r, key, "the file");
    const ae_section *s = find_section(r->c, ae_yaml_text(key), key->data.scalar.length);
    if (s == NULL) return unknown_section(r, key);
    int *seen = &r->section_line[s - r->c->sections];
    if (*seen != 0) return refuse_twice(r, s->name, ae_yaml_line(key), *seen);
    *seen = ae_yaml_line(key);
    if (ae_yaml_is_null(map)) return AE_OK;
    if (map->type != YAML_MAPPING_NODE) {
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected `key: value` lines below it, found a single value or a list (%s:%d)",
                       s->name, r->path, ae_yaml_line(map));
    }
    ae_status st = AE_OK;
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
         st == AE_OK && p < map->data.mapping.pairs.top; p++) {
        st = read_field(r, s, yaml_document_get_node(r->doc, p->key),
                        yaml_document_get_node(r->doc, p->value));
    }
    return st;
}

static ae_status read_document(reading *r) {
    const yaml_node_t *root = yaml_document_get_root_node(r->doc);
    if (root == NULL || ae_yaml_is_null(root)) return AE_OK;
    if (root->type != YAML_MAPPING_NODE) {
        return AE_FAIL(AE_ERR_USAGE, "%s:%d: expected `section:` with `key: value` lines below it", r->path,
                       ae_yaml_line(root));
    }
    ae_status st = AE_OK;
    const yaml_node_pair_t *top = root->data.mapping.pairs.top;
    for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; st == AE_OK && p < top; p++) {
        st =
            read_section(r, yaml_document_get_node(r->doc, p->key), yaml_document_get_node(r->doc, p->value));
    }
    return st;
}

ae_status ae_config_read(ae_config *c, const char *path) {
    char *text = NULL;
    size_t n = 0;
    yaml_document_t doc;
    ae_status st = ae_file_read(path, &text, &n);
    if (st != AE_OK) return st;
    st = ae_yaml_parse(&doc, text, n, path);
    if (st == AE_OK) {
        reading r = {.c = c, .doc = &doc, .path = path};
        st = read_document(&r);
        yaml_document_delete(&doc);
    }
    free(text);
    return st;
}

ae_status ae_config_set(ae_config *c, const char *assignment, const char *where) {
    const char *equals = strchr(assignment, '=');
    field_ref f;
    if (equals == NULL) {
        return AE_FAIL(AE_ERR_USAGE, "\"%.200s\": expected section.key=value (%s)", assignment, where);
    }
    if (!find_field(c, assignment, (size_t)(equals - assignment), &f)) {
        return unknown_key(c, assignment, (size_t)(equals - assignment), where);
    }
    c->is_set[f.index] = true;
    value_at at = {.f = &f, .place = where};
    return set_from_text(&at, equals + 1);
}

ae_status ae_config_reset(ae_config *c, const char *dotted_key) {
    field_ref f;
    if (!find_field(c, dotted_key, strlen(dotted_key), &f)) return AE_OK;
    c->is_set[f.index] = false;
    return set_default(&f);
}

bool ae_config_is_set(const ae_config *c, const char *dotted_key) {
    field_ref f;
    return find_field(c, dotted_key, strlen(dotted_key), &f) && c->is_set[f.index];
}

/* Where field *i over all sections is; *i becomes its number there. NULL: behind the last. */
static const ae_section *section_of(const ae_config *c, size_t *i) {
    for (const ae_section *s = c->sections; s < c->sections + c->n_sections; *i -= s++->n_fields)
        if (*i < s->n_fields) return s;
    return NULL;
}

const ae_field *ae_config_field(const ae_config *c, size_t i, const char **section) {
    const ae_section *s = section_of(c, &i);
    if (s == NULL) return NULL;
    *section = s->name;
    return &s->fields[i];
}

char **ae_config_text(const ae_config *c, size_t i) {
    const ae_section *s = section_of(c, &i);
    if (s == NULL || (s->fields[i].type != AE_FIELD_TEXT && s->fields[i].type != AE_FIELD_TREE)) return NULL;
    return (char **)((char *)s->object + s->fields[i].offset);
}
