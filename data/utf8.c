#include "data/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_continuation(unsigned char c) {
    return (c & 0xC0) == 0x80;
}

/* Length of the character at s, 0 when it is not valid. */
static size_t char_bytes(const unsigned char *s, size_t n) {
    const unsigned char c = s[0];
    if (c < 0x80) return 1;
    if (c < 0xC2 || c > 0xF4) return 0;
    const size_t length = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (n < length) return 0;
    for (size_t i = 1; i < length; i++)
        if (!is_continuation(s[i])) return 0;
    if ((c == 0xE0 && s[1] < 0xA0) || (c == 0xED && s[1] > 0x9F)) return 0;
    if ((c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F)) return 0;
    return length;
}

static bool eight_ascii(const unsigned char *s) {
    uint64_t x;
    memcpy(&x, s, sizeof x);
    return (x & UINT64_C(0x8080808080808080)) == 0;
}

size_t ae_utf8_prefix(const char *s, size_t n) {
    const unsigned char *bytes = (const unsigned char *)s;
    size_t at = 0;
    while (at < n) {
        if (n - at >= 8 && eight_ascii(bytes + at)) {
            at += 8;
            continue;
        }
        const size_t length = char_bytes(bytes + at, n - at);
        if (!length) return at;
        at += length;
    }
    return n;
}

static bool is_line_end(char c) {
    return c == '\n' || c == '\r';
}

size_t ae_text_line_edge(const char *s, size_t n) {
    for (size_t end = n; end > 1;) {
        const char *newline = memrchr(s, '\n', end - 1);
        if (!newline) return 0;
        const size_t at = (size_t)(newline - s) + 1;
        if (!is_line_end(s[at])) return at;
        end = at;
    }
    return 0;
}

static size_t space_edge(const char *s, size_t n) {
    for (size_t at = n; at-- > 1;)
        if (s[at] == ' ' && s[at - 1] != ' ') return at;
    return 0;
}

static size_t char_edge(const char *s, size_t n) {
    for (size_t at = n; at-- > 1;)
        if (!is_continuation((unsigned char)s[at])) return at;
    return 0;
}

size_t ae_text_edge(const char *s, size_t n) {
    const size_t line = ae_text_line_edge(s, n);
    if (line) return line;
    const size_t space = space_edge(s, n);
    return space ? space : char_edge(s, n);
}

bool ae_text_is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\t' && !is_line_end(s[i])) return false;
    return true;
}

size_t ae_text_space_bytes(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] == ' ' || (u[0] >= 0x09 && u[0] <= 0x0D) || (u[0] >= 0x1C && u[0] <= 0x1F)) return 1;
    if (n < 2) return 0;
    if (u[0] == 0xC2) return u[1] == 0x85 || u[1] == 0xA0 ? 2 : 0;
    if (n < 3) return 0;
    const unsigned code = (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
    if (u[0] == 0xE1) return code == 0x1680 ? 3 : 0;
    if (u[0] == 0xE3) return code == 0x3000 ? 3 : 0;
    const bool general = (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
                         code == 0x202F || code == 0x205F;
    return u[0] == 0xE2 && general ? 3 : 0;
}

void ae_text_trim(const char **s, size_t *n) {
    size_t step;
    while (*n && (step = ae_text_space_bytes(*s, *n)) > 0) {
        *s += step;
        *n -= step;
    }
    while (*n) {
        size_t last = *n - 1;
        while (last > 0 && is_continuation((unsigned char)(*s)[last])) last--;
        if (ae_text_space_bytes(*s + last, *n - last) != *n - last) return;
        *n = last;
    }
}

char *ae_text_join(const char *a, size_t a_bytes, const char *b, size_t b_bytes, size_t *n) {
    ae_text_trim(&a, &a_bytes);
    ae_text_trim(&b, &b_bytes);
    const size_t gap = a_bytes && b_bytes ? 2 : 0;
    char *text = malloc(a_bytes + gap + b_bytes + 1);
    if (!text) return NULL;
    *n = a_bytes + gap + b_bytes;
    if (a_bytes) memcpy(text, a, a_bytes);
    memcpy(text + a_bytes, "\n\n", gap);
    if (b_bytes) memcpy(text + a_bytes + gap, b, b_bytes);
    text[*n] = '\0';
    return text;
}
