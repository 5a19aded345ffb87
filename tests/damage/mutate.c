#include "tests/damage/mutate.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t below(ae_rng *rng, size_t n) {
    return n > 0 ? (size_t)ae_rng_below(rng, (uint32_t)n) : 0;
}

static content content_make(const char *bytes, size_t n) {
    content c = {malloc(n + 1), n};
    if (!c.bytes) abort();
    if (n > 0) memcpy(c.bytes, bytes, n);
    c.bytes[n] = '\0';
    return c;
}

content content_copy(const content *c) {
    return content_make(c->bytes, c->n);
}

content content_cut(const content *c, size_t n) {
    return content_make(c->bytes, n < c->n ? n : c->n);
}

void content_free(content *c) {
    free(c->bytes);
    *c = (content){0};
}

/* Bytes [at, at + gone) become `n` others. */
static void replace(content *c, size_t at, size_t gone, const char *by, size_t n) {
    content out = {malloc(c->n - gone + n + 1), c->n - gone + n};
    if (!out.bytes) abort();
    memcpy(out.bytes, c->bytes, at);
    memcpy(out.bytes + at, by, n);
    memcpy(out.bytes + at + n, c->bytes + at + gone, c->n - at - gone);
    out.bytes[out.n] = '\0';
    content_free(c);
    *c = out;
}

/* ---- bytes ---- */

static void flip_bit(content *c, ae_rng *rng) {
    const size_t at = below(rng, c->n);
    c->bytes[at] = (char)(c->bytes[at] ^ (1 << below(rng, 8)));
}

static void set_byte(content *c, ae_rng *rng) {
    static const unsigned char values[] = {0,   1,   0x7f, 0x80, 0xfe, 0xff, '{',
                                           '}', '[', ']',  '"',  ':',  ',',  '-'};
    c->bytes[below(rng, c->n)] = (char)values[below(rng, sizeof values)];
}

static void set_number(content *c, ae_rng *rng) {
    static const uint64_t values[] = {0,
                                      1,
                                      UINT64_MAX,
                                      UINT64_C(1) << 31,
                                      UINT64_C(1) << 32,
                                      UINT64_C(1) << 61,
                                      UINT64_C(1) << 63,
                                      INT64_MAX,
                                      INT32_MAX};
    const uint64_t x = values[below(rng, sizeof values / sizeof *values)];
    const size_t width = (size_t)2 << below(rng, 3), at = below(rng, c->n), left = c->n - at;
    memcpy(c->bytes + at, &x, left < width ? left : width);
}

static void drop_slice(content *c, ae_rng *rng) {
    const size_t at = below(rng, c->n), n = 1 + below(rng, 16);
    replace(c, at, c->n - at < n ? c->n - at : n, "", 0);
}

static void double_slice(content *c, ae_rng *rng) {
    const size_t at = below(rng, c->n), most = c->n - at, n = 1 + below(rng, most < 64 ? most : 64);
    content copy = content_make(c->bytes + at, n);
    replace(c, at, 0, copy.bytes, n);
    content_free(&copy);
}

typedef void change(content *c, ae_rng *rng);

static void mutate_bytes(content *c, ae_rng *rng) {
    static change *const changes[] = {flip_bit, flip_bit, set_byte, set_number, drop_slice, double_slice};
    changes[below(rng, sizeof changes / sizeof *changes)](c, rng);
}

/* ---- text ---- */

/* The `k`-th run of characters of a kind from a random place on. */
static size_t find(const content *c, ae_rng *rng, int (*is)(int)) {
    const size_t from = below(rng, c->n);
    for (size_t i = 0; i < c->n; i++)
        if (is((unsigned char)c->bytes[(from + i) % c->n])) return (from + i) % c->n;
    return from;
}

static int is_number_part(int x) {
    return isdigit(x) || x == '-' || x == '.';
}

static int is_brace(int x) {
    return x == '{' || x == '}' || x == '[' || x == ']';
}

static int is_quote(int x) {
    return x == '"';
}

static int is_comma(int x) {
    return x == ',' || x == '\n';
}

static void extreme_number(content *c, ae_rng *rng) {
    static const char *const numbers[] = {"-1",
                                          "0",
                                          "1",
                                          "2147483648",
                                          "4294967296",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "1e308",
                                          "1e400",
                                          "NaN",
                                          "-0.0",
                                          "0.5",
                                          "null",
                                          "true",
                                          "\"7\"",
                                          "[]",
                                          "{}",
                                          "2305843009213693952",
                                          "33",
                                          "1e3",
                                          "-9223372036854775808"};
    size_t at = find(c, rng, is_number_part), end = at;
    while (at > 0 && is_number_part((unsigned char)c->bytes[at - 1])) at--;
    while (end < c->n && is_number_part((unsigned char)c->bytes[end])) end++;
    const char *by = numbers[below(rng, sizeof numbers / sizeof *numbers)];
    replace(c, at, end - at, by, strlen(by));
}

static void cut_brace(content *c, ae_rng *rng) {
    replace(c, find(c, rng, is_brace), 1, "", 0);
}

static void longer_string(content *c, ae_rng *rng) {
    char more[4096];
    const size_t n = below(rng, 4) == 0 ? sizeof more : 1 + below(rng, 24);
    memset(more, "x\\/.\x01"[below(rng, 5)], n);
    replace(c, find(c, rng, is_quote) + 1, 0, more, n);
}

/* A piece between two commas or line ends, which is most often one key with its value. */
static void piece(const content *c, ae_rng *rng, size_t *at, size_t *n) {
    size_t end;
    *at = find(c, rng, is_comma) + 1;
    for (end = *at; end < c->n && !is_comma((unsigned char)c->bytes[end]);) end++;
    if (*at > c->n) *at = c->n;
    *n = end > *at ? end - *at + (end < c->n) : 0;
}

static void drop_pair(content *c, ae_rng *rng) {
    size_t at, n;
    piece(c, rng, &at, &n);
    replace(c, at, n, "", 0);
}

static void double_pair(content *c, ae_rng *rng) {
    size_t at, n;
    piece(c, rng, &at, &n);
    content copy = content_make(c->bytes + at, n);
    replace(c, at, 0, copy.bytes, n);
    content_free(&copy);
}

static void rename_key(content *c, ae_rng *rng) {
    const size_t at = find(c, rng, is_quote) + 1;
    if (at < c->n) c->bytes[at] = (char)('a' + (char)below(rng, 26));
}

static void mutate_text(content *c, ae_rng *rng) {
    static change *const changes[] = {flip_bit,   set_byte,      extreme_number, extreme_number,
                                      cut_brace,  longer_string, drop_pair,      double_pair,
                                      rename_key, drop_slice,    double_slice,   mutate_bytes};
    if (c->n > 0) changes[below(rng, sizeof changes / sizeof *changes)](c, rng);
}

/* ---- safetensors ---- */

static void mutate_header(content *c, ae_rng *rng) {
    uint64_t n;
    memcpy(&n, c->bytes, sizeof n);
    content header = content_make(c->bytes + 8, (size_t)n);
    mutate_text(&header, rng);
    if (below(rng, 3) > 0) {
        const uint64_t grown = header.n;
        memcpy(c->bytes, &grown, sizeof grown);
    }
    replace(c, 8, (size_t)n, header.bytes, header.n);
    content_free(&header);
}

content mutate(const content *c, mutation kind, ae_rng *rng) {
    content m = content_copy(c);
    if (kind == MUTATE_SAFETENSORS && below(rng, 8) > 0) {
        mutate_header(&m, rng);
        return m;
    }
    for (size_t k = 1 + below(rng, 3); k > 0 && m.n > 0; k--)
        (kind == MUTATE_TEXT ? mutate_text : mutate_bytes)(&m, rng);
    return m;
}
