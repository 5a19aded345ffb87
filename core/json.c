#include "core/json.h"

#include "core/file.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *ae_json_type_name(const json_t *v) {
    if (v == NULL) return "no such key";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

static ae_status parse(json_t **root, const char *text, size_t n, const char *where, size_t flags) {
    json_error_t e;
    *root = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | flags, &e);
    if (*root != NULL) return AE_OK;
    if (json_error_code(&e) == json_error_out_of_memory) {
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    }
    bool utf8 = json_error_code(&e) != json_error_invalid_utf8;
    if (memchr(text, '\n', n) == NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected JSON%s, found an error at column %d: %s", where,
                       utf8 ? "" : " in UTF-8", e.column, e.text);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected JSON%s, found an error at line %d, column %d: %s", where,
                   utf8 ? "" : " in UTF-8", e.line, e.column, e.text);
}

ae_status ae_json_parse(json_t **root, const char *text, size_t n, const char *where) {
    return parse(root, text, n, where, 0);
}

ae_status ae_json_parse_answer(json_t **root, const char *text, size_t n, const char *where) {
    return parse(root, text, n, where, JSON_ALLOW_NUL);
}

/* Bytes of a number that JSON does not have, or 0. */
static size_t no_number(const char *text, size_t n) {
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t bytes = strlen(names[i]);
        if (bytes <= n && memcmp(text, names[i], bytes) == 0) return bytes;
    }
    return 0;
}

/* A copy with null in the place of such numbers, for free(); NULL: no memory. */
static char *without_no_numbers(const char *text, size_t n, size_t *bytes) {
    char *copy = malloc(n + n / 3 + 1), *to = copy; /* null is one byte longer than NaN */
    bool quoted = false;
    for (size_t i = 0; copy && i < n;) {
        const size_t skipped = quoted ? 0 : no_number(text + i, n - i);
        if (skipped > 0) {
            to = (char *)memcpy(to, "null", 4) + 4;
            i += skipped;
            continue;
        }
        if (quoted && text[i] == '\\' && i + 1 < n)
            *to++ = text[i++];
        else if (text[i] == '"')
            quoted = !quoted;
        *to++ = text[i++];
    }
    *bytes = copy ? (size_t)(to - copy) : 0;
    return copy;
}

ae_status ae_json_parse_python(json_t **root, const char *text, size_t n, const char *where) {
    size_t bytes;
    char *copy = without_no_numbers(text, n, &bytes);
    *root = NULL;
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    const ae_status st = ae_json_parse_answer(root, copy, bytes, where);
    free(copy);
    return st;
}

typedef ae_status parse_text(json_t **root, const char *text, size_t n, const char *where);

static ae_status load(json_t **root, const char *path, parse_text *parse_as) {
    char *text = NULL;
    size_t n = 0;
    *root = NULL;
    ae_status st = ae_file_read(path, &text, &n);
    if (st != AE_OK) return st;
    const size_t mark =
        n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* as Windows tools write it */
    st = parse_as(root, text + mark, n - mark, path);
    free(text);
    if (st != AE_OK || json_is_object(*root)) return st;
    st = AE_FAIL(AE_ERR_INPUT, "%s: expected a JSON object, found %s", path, ae_json_type_name(*root));
    json_decref(*root);
    *root = NULL;
    return st;
}

ae_status ae_json_load(json_t **root, const char *path) {
    return load(root, path, ae_json_parse);
}

ae_status ae_json_load_python(json_t **root, const char *path) {
    return load(root, path, ae_json_parse_python);
}

static ae_status take_lines(const char *text, size_t n, const char *path, ae_json_take_line *take,
                            void *context) {
    ae_status st = AE_OK;
    long long number = 1;
    for (size_t at = 0, end; st == AE_OK && at < n; at = end + 1, number++) {
        char where[AE_WHERE_BYTES];
        json_t *line = NULL;
        end = (size_t)((const char *)memchr(text + at, '\n', n - at) - text);
        snprintf(where, sizeof where, "%s:%lld", path, number);
        st = ae_json_parse_answer(&line, text + at, end - at, where);
        if (st == AE_OK) st = take(context, line, where);
        json_decref(line);
    }
    return st;
}

ae_status ae_json_whole_lines(const char *path, ae_json_take_line *take, void *context, size_t *bytes) {
    char *text = NULL;
    size_t n = 0;
    *bytes = 0;
    if (!ae_path_exists(path)) return AE_OK;
    ae_status st = ae_file_read(path, &text, &n);
    while (st == AE_OK && n > 0 && text[n - 1] != '\n') n--;
    if (st == AE_OK) st = take_lines(text, n, path, take, context);
    if (st == AE_OK) *bytes = n;
    free(text);
    return st;
}

static ae_status take_int(const json_t *v, const char *key, const char *where, int64_t *out) {
    if (!json_is_integer(v)) {
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a whole number, found %s", where, key,
                       ae_json_type_name(v));
    }
    *out = json_integer_value(v);
    return AE_OK;
}

static ae_status take_real(const json_t *v, const char *key, const char *where, double *out) {
    if (!json_is_number(v)) {
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a number, found %s", where, key, ae_json_type_name(v));
    }
    *out = json_number_value(v);
    return AE_OK;
}

static ae_status absent(const char *key, const char *where, const char *kind) {
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found no such key", where, key, kind);
}

ae_status ae_json_int(const json_t *o, const char *key, const char *where, int64_t *out) {
    const json_t *v = json_object_get(o, key);
    return v != NULL ? take_int(v, key, where, out) : absent(key, where, "a whole number");
}

ae_status ae_json_real(const json_t *o, const char *key, const char *where, double *out) {
    const json_t *v = json_object_get(o, key);
    return v != NULL ? take_real(v, key, where, out) : absent(key, where, "a number");
}

ae_status ae_json_opt_int(const json_t *o, const char *key, const char *where, int64_t *out) {
    const json_t *v = json_object_get(o, key);
    return v == NULL || json_is_null(v) ? AE_OK : take_int(v, key, where, out);
}

ae_status ae_json_opt_real(const json_t *o, const char *key, const char *where, double *out) {
    const json_t *v = json_object_get(o, key);
    return v == NULL || json_is_null(v) ? AE_OK : take_real(v, key, where, out);
}

ae_status ae_json_write_line(const json_t *value, FILE *out, const char *path) {
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9);
    char *text = json_dumps(value, flags);
    if (text == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    bool written = fputs(text, out) >= 0 && fputc('\n', out) != EOF;
    free(text);
    return written ? AE_OK : ae_output_failed(path);
}

char *ae_json_text(const json_t *value) {
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_t *back = text != NULL ? json_loads(text, 0, NULL) : NULL;
    const bool same = back != NULL && json_equal(back, value);
    json_decref(back);
    if (same) return text;
    free(text);
    return json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
}

ae_status ae_json_write_file(const json_t *value, const char *folder, const char *name) {
    char *path = ae_path_join(folder, name), *text = value ? ae_json_text(value) : NULL;
    const ae_status st =
        text ? ae_file_write(path, text, strlen(text)) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    free(text);
    free(path);
    return st;
}

json_t *ae_json_label(const char *text) {
    json_t *label = json_string(text);
    char *copy = label ? NULL : strdup(text);
    if (!copy) return label;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c > 127) *c = '?';
    label = json_string(copy);
    free(copy);
    return label;
}

json_t *ae_json_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}
