#include "benchmark/template_parts.h"
#include "core/config.h"
#include "core/json.h"
#include "data/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>

#define FILTER(name)                                                                                         \
    static ae_status name(json_t **out, const json_t *x, json_t *const *arguments, const char *where)

static ae_status give(json_t **out, json_t *value, const char *where) {
    *out = value;
    return value != NULL ? AE_OK : ae_template_no_memory(where);
}

static ae_status need_kind(bool right, const char *filter, const char *kind, const json_t *x,
                           const char *where) {
    if (right) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: filter %s: expected %s, found %s", where, filter, kind,
                   ae_json_type_name(x));
}

static ae_status need_text(const json_t *x, const char *filter, const char *where) {
    return need_kind(json_is_string(x), filter, "text", x, where);
}

/* An argument that is text and not empty. */
static ae_status need_word(const json_t *x, const char *filter, const char *where) {
    return need_kind(json_is_string(x) && json_string_length(x) > 0, filter, "a text that is not empty", x,
                     where);
}

FILTER(filter_trim) {
    (void)arguments;
    ae_status st = need_text(x, "trim", where);
    if (st != AE_OK) return st;
    const char *s = json_string_value(x);
    size_t n = json_string_length(x);
    ae_text_trim(&s, &n);
    return give(out, json_stringn(s, n), where);
}

typedef uint8_t *case_function(const uint8_t *s, size_t n, const char *language, uninorm_t form,
                               uint8_t *buffer, size_t *length);

/* Takes *out's place at its end: what `change` makes of n bytes. */
static ae_status append_case(char **text, size_t *size, const char *s, size_t n, case_function *change) {
    size_t length = 0;
    if (n == 0) return AE_OK;
    uint8_t *changed = change((const uint8_t *)s, n, NULL, NULL, NULL, &length);
    char *longer = changed != NULL ? realloc(*text, *size + length) : NULL;
    if (longer != NULL) {
        memcpy(longer + *size, changed, length);
        *text = longer;
        *size += length;
    }
    free(changed);
    return longer != NULL ? AE_OK : AE_ERR_RESOURCE;
}

/* The first `head` bytes by one rule, the rest by another. */
static ae_status change_case(json_t **out, const json_t *x, size_t head, case_function *first,
                             case_function *rest, const char *where) {
    char *text = NULL;
    size_t size = 0;
    const char *s = json_string_value(x);
    ae_status st = append_case(&text, &size, s, head, first);
    if (st == AE_OK) st = append_case(&text, &size, s + head, json_string_length(x) - head, rest);
    if (st == AE_OK) *out = size > 0 ? json_stringn(text, size) : json_string("");
    free(text);
    return *out != NULL ? AE_OK : ae_template_no_memory(where);
}

FILTER(filter_lower) {
    (void)arguments;
    ae_status st = need_text(x, "lower", where);
    return st == AE_OK ? change_case(out, x, 0, u8_tolower, u8_tolower, where) : st;
}

FILTER(filter_upper) {
    (void)arguments;
    ae_status st = need_text(x, "upper", where);
    return st == AE_OK ? change_case(out, x, 0, u8_toupper, u8_toupper, where) : st;
}

/* The first character in title case, the rest in lower case, as Python's capitalize does. */
FILTER(filter_capitalize) {
    (void)arguments;
    ae_status st = need_text(x, "capitalize", where);
    if (st != AE_OK) return st;
    const char *s = json_string_value(x);
    size_t head = s[0] != '\0';
    while (((unsigned char)s[head] & 0xc0) == 0x80) head++;
    return change_case(out, x, head, u8_totitle, u8_tolower, where);
}

static ae_status replaced(json_t **out, const char *s, const char *old, const char *new, const char *where) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) return ae_template_no_memory(where);
    for (const char *next; (next = strstr(s, old)) != NULL; s = next + strlen(old)) {
        fwrite(s, 1, (size_t)(next - s), f);
        fputs(new, f);
    }
    fputs(s, f);
    ae_status st = fclose(f) == 0 ? give(out, json_stringn(text, size), where) : ae_template_no_memory(where);
    free(text);
    return st;
}

FILTER(filter_replace) {
    ae_status st = need_text(x, "replace", where);
    if (st == AE_OK) st = need_word(arguments[0], "replace", where);
    if (st == AE_OK) st = need_text(arguments[1], "replace", where);
    if (st != AE_OK) return st;
    return replaced(out, json_string_value(x), json_string_value(arguments[0]),
                    json_string_value(arguments[1]), where);
}

/* Leaves out every shortest stretch of one line from `open` to the next `close`. */
FILTER(filter_cut) {
    ae_status st = need_text(x, "cut", where);
    if (st == AE_OK) st = need_word(arguments[0], "cut", where);
    if (st == AE_OK) st = need_word(arguments[1], "cut", where);
    if (st != AE_OK) return st;
    const char *open = json_string_value(arguments[0]), *close = json_string_value(arguments[1]);
    const char *s = json_string_value(x);
    char *text = malloc(strlen(s) + 1);
    if (text == NULL) return ae_template_no_memory(where);
    size_t n = 0;
    while (*s != '\0') {
        const bool opens = strncmp(s, open, strlen(open)) == 0;
        const char *end = opens ? strstr(s + strlen(open), close) : NULL;
        if (end != NULL && memchr(s, '\n', (size_t)(end - s)) == NULL)
            s = end + strlen(close);
        else
            text[n++] = *s++;
    }
    st = give(out, json_stringn(text, n), where);
    free(text);
    return st;
}

FILTER(filter_split) {
    ae_status st = need_text(x, "split", where);
    if (st == AE_OK) st = need_word(arguments[0], "split", where);
    if (st == AE_OK) st = give(out, json_array(), where);
    if (st != AE_OK) return st;
    const char *s = json_string_value(x), *by = json_string_value(arguments[0]);
    for (const char *next; s != NULL; s = next) {
        next = strstr(s, by);
        const size_t n = next != NULL ? (size_t)(next - s) : strlen(s);
        if (json_array_append_new(*out, json_stringn(s, n)) != 0) return ae_template_no_memory(where);
        if (next != NULL) next += strlen(by);
    }
    return AE_OK;
}

static ae_status find_word(const char **place, const json_t *x, const json_t *word, const char *filter,
                           const char *where) {
    ae_status st = need_text(x, filter, where);
    if (st == AE_OK) st = need_word(word, filter, where);
    if (st != AE_OK) return st;
    *place = strstr(json_string_value(x), json_string_value(word));
    if (*place != NULL) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: filter %s: expected \"%.40s\" in the text, found \"%.40s\"", where,
                   filter, json_string_value(word), json_string_value(x));
}

FILTER(filter_before) {
    const char *place = NULL;
    ae_status st = find_word(&place, x, arguments[0], "before", where);
    if (st != AE_OK) return st;
    return give(out, json_stringn(json_string_value(x), (size_t)(place - json_string_value(x))), where);
}

FILTER(filter_after) {
    const char *place = NULL;
    ae_status st = find_word(&place, x, arguments[0], "after", where);
    return st == AE_OK ? give(out, json_string(place + json_string_length(arguments[0])), where) : st;
}

FILTER(filter_join) {
    ae_status st = need_kind(json_is_array(x), "join", "a list", x, where);
    if (st == AE_OK) st = need_text(arguments[0], "join", where);
    if (st != AE_OK) return st;
    char *whole = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&whole, &size);
    if (f == NULL) return ae_template_no_memory(where);
    for (size_t i = 0; i < json_array_size(x) && st == AE_OK; i++) {
        char *text = ae_value_text(json_array_get(x, i));
        if (i > 0) fputs(json_string_value(arguments[0]), f);
        if (text != NULL)
            fputs(text, f);
        else
            st = need_kind(false, "join", "a list of texts", json_array_get(x, i), where);
        free(text);
    }
    if (fclose(f) != 0 && st == AE_OK) st = ae_template_no_memory(where);
    if (st == AE_OK) st = give(out, json_stringn(whole, size), where);
    free(whole);
    return st;
}

/* Whole numbers, their text, and truth as 0 or 1. */
FILTER(filter_int) {
    (void)arguments;
    if (json_is_integer(x)) return give(out, json_incref((json_t *)x), where);
    if (json_is_boolean(x)) return give(out, json_integer(json_is_true(x)), where);
    ae_status st = need_text(x, "int", where);
    if (st != AE_OK) return st;
    char *end;
    errno = 0;
    const long long value = strtoll(json_string_value(x), &end, 10);
    if (end == json_string_value(x) || *end != '\0' || errno != 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: filter int: expected a whole number, found \"%.40s\"", where,
                       json_string_value(x));
    return give(out, json_integer(value), where);
}

FILTER(filter_float) {
    (void)arguments;
    if (json_is_number(x)) return give(out, json_real(json_number_value(x)), where);
    ae_status st = need_text(x, "float", where);
    if (st != AE_OK) return st;
    char *end;
    const double value = strtod(json_string_value(x), &end);
    *out =
        end != json_string_value(x) && *end == '\0' ? json_real(value) : NULL; /* NULL: not finite either */
    if (*out != NULL) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: filter float: expected a number, found \"%.40s\"", where,
                   json_string_value(x));
}

FILTER(filter_string) {
    (void)arguments;
    char *text = ae_value_text(x);
    if (text == NULL) return need_kind(false, "string", "text, a number or truth", x, where);
    ae_status st = give(out, json_string(text), where);
    free(text);
    return st;
}

/* Entries of a list or an object, characters of a text. */
FILTER(filter_length) {
    (void)arguments;
    size_t n = json_is_array(x) ? json_array_size(x) : json_object_size(x);
    if (json_is_string(x))
        for (const char *s = json_string_value(x); *s != '\0'; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    ae_status st = need_kind(json_is_array(x) || json_is_object(x) || json_is_string(x), "length",
                             "a list or text", x, where);
    return st == AE_OK ? give(out, json_integer((json_int_t)n), where) : st;
}

static ae_status one_entry(json_t **out, const json_t *x, const char *filter, bool last, const char *where) {
    ae_status st = need_kind(json_array_size(x) > 0, filter, "a list that is not empty", x, where);
    if (st == AE_OK) *out = json_incref(json_array_get(x, last ? json_array_size(x) - 1 : 0));
    return st;
}

FILTER(filter_first) {
    (void)arguments;
    return one_entry(out, x, "first", false, where);
}

FILTER(filter_last) {
    (void)arguments;
    return one_entry(out, x, "last", true, where);
}

/* Where in the list the argument stands, from 0. */
FILTER(filter_index) {
    ae_status st = need_kind(json_is_array(x), "index", "a list", x, where);
    if (st != AE_OK) return st;
    for (size_t i = 0; i < json_array_size(x); i++)
        if (json_equal(json_array_get(x, i), arguments[0]))
            return give(out, json_integer((json_int_t)i), where);
    char *text = ae_value_text(arguments[0]);
    st = AE_FAIL(AE_ERR_INPUT, "%s: filter index: expected one of %zu entries of the list, found \"%.40s\"",
                 where, json_array_size(x), text != NULL ? text : "");
    free(text);
    return st;
}

static ae_status members(json_t **out, const json_t *x, bool keys, const char *where) {
    ae_status st = need_kind(json_is_object(x), keys ? "keys" : "values", "an object", x, where);
    if (st == AE_OK) st = give(out, json_array(), where);
    if (st != AE_OK) return st;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)x, key, value) {
        if (json_array_append_new(*out, keys ? json_string(key) : json_incref(value)) != 0)
            return ae_template_no_memory(where);
    }
    return AE_OK;
}

FILTER(filter_keys) {
    (void)arguments;
    return members(out, x, true, where);
}

FILTER(filter_values) {
    (void)arguments;
    return members(out, x, false, where);
}

static const ae_filter_function filters[] = {
    {"trim", 0, filter_trim},       {"lower", 0, filter_lower},
    {"upper", 0, filter_upper},     {"capitalize", 0, filter_capitalize},
    {"replace", 2, filter_replace}, {"cut", 2, filter_cut},
    {"split", 1, filter_split},     {"before", 1, filter_before},
    {"after", 1, filter_after},     {"join", 1, filter_join},
    {"int", 0, filter_int},         {"float", 0, filter_float},
    {"string", 0, filter_string},   {"length", 0, filter_length},
    {"first", 0, filter_first},     {"last", 0, filter_last},
    {"index", 1, filter_index},     {"keys", 0, filter_keys},
    {"values", 0, filter_values},
};
enum { N_FILTERS = sizeof filters / sizeof filters[0] };

const ae_filter_function *ae_filter_find(const char *name, const char **near) {
    const char *words[N_FILTERS];
    for (size_t i = 0; i < N_FILTERS; i++) {
        words[i] = filters[i].name;
        if (strcmp(filters[i].name, name) == 0) return &filters[i];
    }
    *near = ae_nearest_word(name, words, N_FILTERS);
    return NULL;
}
