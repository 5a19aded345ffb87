#include "data/json_line.h"

#include "data/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 512 };

/* A place in the text, and what was wrong at it once something is. */
typedef struct {
    const char *begin, *at, *end;
    const char *wrong;
} cursor;

static bool fail(cursor *c, const char *wrong) {
    if (!c->wrong) c->wrong = wrong;
    return false;
}

static void skip_space(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n')) c->at++;
}

static bool is_digit(const cursor *c) {
    return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

static bool take(cursor *c, char byte) {
    if (c->at == c->end || *c->at != byte) return false;
    c->at++;
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Behind "\u". */
static bool skip_code(cursor *c) {
    for (int i = 0; i < 4; i++, c->at++)
        if (c->at == c->end || hex_value(*c->at) < 0) return fail(c, "expected four hexadecimal digits");
    return true;
}

static bool skip_escape(cursor *c) {
    if (c->at == c->end || !strchr("\"\\/bfnrtu", *c->at) || *c->at == '\0')
        return fail(c, "expected an escape such as \\n or \\u0041");
    return *c->at++ != 'u' || skip_code(c);
}

/* From the opening quote. */
static bool skip_string(cursor *c) {
    c->at++;
    while (c->at < c->end) {
        const unsigned char byte = (unsigned char)*c->at++;
        if (byte == '"') return true;
        if (byte == '\\' && !skip_escape(c)) return false;
        if (byte < ' ') {
            c->at--;
            return fail(c, "a control character in text; write it as an escape");
        }
    }
    return fail(c, "expected the quote that ends a text");
}

static bool skip_digits(cursor *c) {
    if (!is_digit(c)) return fail(c, "expected a digit");
    while (is_digit(c)) c->at++;
    return true;
}

static bool skip_number(cursor *c) {
    const bool zero = take(c, '0');
    if (!zero && !skip_digits(c)) return false;
    if (zero && is_digit(c)) return fail(c, "a number that begins with 0");
    if (take(c, '.') && !skip_digits(c)) return false;
    if (!take(c, 'e') && !take(c, 'E')) return true;
    if (!take(c, '+')) (void)take(c, '-');
    return skip_digits(c);
}

static bool skip_word(cursor *c, const char *word) {
    const size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

/* The last two are Python's. */
static bool skip_literal(cursor *c) {
    static const char *const words[] = {"true", "false", "null", "NaN", "Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (skip_word(c, words[i])) return true;
    return fail(c, "expected a value");
}

static bool skip_value(cursor *c, int depth);

static bool skip_list(cursor *c, int depth) {
    c->at++;
    skip_space(c);
    if (take(c, ']')) return true;
    do {
        if (!skip_value(c, depth)) return false;
        skip_space(c);
    } while (take(c, ','));
    return take(c, ']') || fail(c, "expected ',' or ']'");
}

/* A key and the colon after it. */
static bool skip_key(cursor *c) {
    skip_space(c);
    if (c->at == c->end || *c->at != '"') return fail(c, "expected a key in quotes");
    if (!skip_string(c)) return false;
    skip_space(c);
    return take(c, ':') || fail(c, "expected ':'");
}

static bool skip_object(cursor *c, int depth) {
    c->at++;
    skip_space(c);
    if (take(c, '}')) return true;
    do {
        if (!skip_key(c) || !skip_value(c, depth)) return false;
        skip_space(c);
    } while (take(c, ','));
    return take(c, '}') || fail(c, "expected ',' or '}'");
}

static bool skip_value(cursor *c, int depth) {
    skip_space(c);
    if (depth == DEPTH_MAX) return fail(c, "lists and objects too deep in each other");
    if (c->at == c->end) return fail(c, "expected a value");
    switch (*c->at) {
    case '{':
        return skip_object(c, depth + 1);
    case '[':
        return skip_list(c, depth + 1);
    case '"':
        return skip_string(c);
    case '-':
        c->at++;
        return is_digit(c) ? skip_number(c) : skip_word(c, "Infinity") || fail(c, "expected a number");
    default:
        return is_digit(c) ? skip_number(c) : skip_literal(c);
    }
}

/* ---- the fields that are asked for ---- */

static const char *kind_at(const char *value) {
    switch (*value) {
    case '[':
        return "a list";
    case '"':
        return "text";
    case 't':
    case 'f':
        return "true or false";
    case 'n':
        return "null";
    default:
        return "a number";
    }
}

static ae_status no_json(const cursor *c, const char *where) {
    return AE_FAIL(AE_ERR_INPUT, "%s: expected JSON, found an error at column %td: %s", where,
                   c->at - c->begin + 1, c->wrong);
}

static int code_at(const char *digits) {
    int code = 0;
    for (int i = 0; i < 4; i++) code = 16 * code + hex_value(digits[i]);
    return code;
}

/* The first escape of a sound value that is half of a surrogate pair, or NULL. */
static const char *find_half(const char *at, const char *end) {
    for (; at < end; at++) {
        if (*at != '\\') continue;
        if (*++at != 'u') continue;
        const int code = code_at(at + 1);
        if (code < 0xd800 || code > 0xdfff) continue;
        const bool pair = code < 0xdc00 && end - at > 10 && at[5] == '\\' && at[6] == 'u' &&
                          code_at(at + 7) >= 0xdc00 && code_at(at + 7) <= 0xdfff;
        if (!pair) return at - 1;
        at += 10;
    }
    return NULL;
}

static ae_status parse_value(json_t **value, const char *begin, const char *end, const char *key,
                             const char *where) {
    json_error_t e;
    const char *half = find_half(begin, end);
    *value = NULL;
    if (half)
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: %s: expected characters, found %.6s, half of a surrogate pair; such text is no UTF-8", where,
            key, half);
    *value = json_loadb(begin, (size_t)(end - begin),
                        JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (*value) return AE_OK;
    if (json_error_code(&e) == json_error_out_of_memory)
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a value that can be read, found: %s", where, key, e.text);
}

/* Whether the text in quotes is the key; it may be written with escapes. */
static bool is_key(const char *quoted, size_t n, const char *key) {
    if (!memchr(quoted, '\\', n)) return n == strlen(key) + 2 && memcmp(quoted + 1, key, n - 2) == 0;
    json_t *text = json_loadb(quoted, n, JSON_DECODE_ANY, NULL);
    const bool same = text && strcmp(json_string_value(text), key) == 0;
    json_decref(text);
    return same;
}

static const char *wanted_key(const char *quoted, size_t n, const char *const *keys, size_t n_keys) {
    for (size_t i = 0; i < n_keys; i++)
        if (is_key(quoted, n, keys[i])) return keys[i];
    return NULL;
}

static ae_status add_value(json_t *object, const char *key, const char *begin, const char *end,
                           const char *where) {
    json_t *value;
    if (json_object_get(object, key))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected this key once, found it twice", where, key);
    const ae_status st = parse_value(&value, begin, end, key, where);
    if (st == AE_OK && json_object_set_new(object, key, value) != 0)
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    return st;
}

/* `c` stands at the first key of a sound object. */
static ae_status pick_fields(json_t *object, cursor *c, const char *const *keys, size_t n_keys,
                             const char *where) {
    ae_status st = AE_OK;
    do {
        skip_space(c);
        const char *quoted = c->at;
        (void)skip_string(c);
        const size_t n = (size_t)(c->at - quoted);
        skip_space(c);
        (void)take(c, ':');
        skip_space(c);
        const char *value = c->at, *key = wanted_key(quoted, n, keys, n_keys);
        (void)skip_value(c, 1);
        if (key) st = add_value(object, key, value, c->at, where);
        skip_space(c);
    } while (st == AE_OK && take(c, ','));
    return st;
}

/* Sound as a whole, before anything is made of a part. */
static ae_status check_line(const char *line, size_t n, const char *where) {
    cursor c = {line, line, line + n, NULL};
    const size_t valid = ae_utf8_prefix(line, n);
    if (valid < n)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected JSON in UTF-8, found byte 0x%02X at column %zu", where,
                       (unsigned)(unsigned char)line[valid], valid + 1);
    skip_space(&c);
    const char *first = c.at;
    if (!skip_value(&c, 0)) return no_json(&c, where);
    skip_space(&c);
    if (c.at < c.end) {
        (void)fail(&c, "expected the end of the line");
        return no_json(&c, where);
    }
    if (*first == '{') return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a JSON object, found %s", where, kind_at(first));
}

const char *ae_json_line_name(const char *line, size_t n, const char **at, size_t *name_bytes) {
    cursor c = {line, *at ? *at : line, line + n, NULL};
    skip_space(&c);
    if (!take(&c, *at ? ',' : '{')) return NULL;
    skip_space(&c);
    const char *name = c.at + 1;
    if (c.at == c.end || *c.at != '"' || !skip_string(&c)) return NULL;
    *name_bytes = (size_t)(c.at - 1 - name);
    skip_space(&c);
    (void)take(&c, ':');
    (void)skip_value(&c, 1);
    *at = c.at;
    return name;
}

bool ae_json_line_goes_on(const char *line, size_t n) {
    enum { WORD_BYTES = 8 }; /* a literal that is cut is wrong from its first letter on */
    cursor c = {line, line, line + n, NULL};
    return !skip_value(&c, 0) && c.end - c.at <= WORD_BYTES;
}

ae_status ae_json_line(json_t **object, const char *line, size_t n, const char *const *keys, size_t n_keys,
                       const char *where) {
    *object = NULL;
    ae_status st = check_line(line, n, where);
    if (st != AE_OK) return st;
    cursor c = {line, line, line + n, NULL};
    *object = json_object();
    if (!*object) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    skip_space(&c);
    c.at++;
    skip_space(&c);
    if (*c.at != '}') st = pick_fields(*object, &c, keys, n_keys, where);
    if (st == AE_OK) return AE_OK;
    json_decref(*object);
    *object = NULL;
    return st;
}
