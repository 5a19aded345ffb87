#include "rlhf/rule_text.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- numbers ---- */

static size_t digits_at(const char *s, size_t n, size_t i) {
    size_t m = 0;
    while (i + m < n && is_digit(s[i + m])) m++;
    return m;
}

/* The bytes of a number without sign from s[i] on, a digit or a point before digits. */
static size_t number_bytes(const char *s, size_t n, size_t i) {
    size_t at = i + digits_at(s, n, i);
    if (at - i >= 1 && at - i <= 3)
        while (at < n && s[at] == ',' && digits_at(s, n, at + 1) == 3) at += 4;
    if (at + 1 < n && s[at] == '.') {
        const size_t decimals = digits_at(s, n, at + 1);
        if (decimals) at += 1 + decimals;
    }
    if (at < n && (s[at] == 'e' || s[at] == 'E')) {
        const size_t sign = at + 1 < n && (s[at + 1] == '-' || s[at + 1] == '+');
        const size_t exponent = digits_at(s, n, at + 1 + sign), end = at + 1 + sign + exponent;
        if (exponent && !(end < n && is_letter(s[end]))) at = end;
    }
    return at - i;
}

static bool ends_with(const char *s, size_t n, const char *end) {
    const size_t m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

/* Whether what stands before a number, s[0, n), makes it negative. */
static bool is_negated(const char *s, size_t n) {
    static const char *const currencies[] = {"$", "\xe2\x82\xac", "\xc2\xa3"};
    for (size_t k = 0; k < sizeof currencies / sizeof *currencies; k++)
        if (ends_with(s, n, currencies[k])) {
            n -= strlen(currencies[k]);
            break;
        }
    const char *const minus = ends_with(s, n, "-") ? "-" : "\xe2\x88\x92";
    if (!ends_with(s, n, minus)) return false;
    n -= strlen(minus);
    return n == 0 || !(is_digit(s[n - 1]) || is_letter(s[n - 1]) || s[n - 1] == ')');
}

static bool number_value(const char *s, size_t n, bool negative, double *x) {
    char plain[512];
    size_t m = 0;
    if (n >= sizeof plain) return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] != ',') plain[m++] = s[i];
    plain[m] = '\0';
    const double value = strtod(plain, NULL);
    if (!isfinite(value)) return false;
    *x = negative ? -value : value;
    return true;
}

static bool starts_number(const char *s, size_t n, size_t i) {
    const char before = i > 0 ? s[i - 1] : ' ';
    if (is_letter(before) || before == '_' || is_digit(before)) return false;
    return is_digit(s[i]) || (s[i] == '.' && i + 1 < n && is_digit(s[i + 1]));
}

/* Just after the last "####"; 0 where there is none. */
static size_t after_mark(const char *s, size_t n) {
    for (size_t i = n; i >= 4; i--)
        if (memcmp(s + i - 4, "####", 4) == 0) return i;
    return 0;
}

bool ae_number_in(const char *s, size_t n, bool last, double *x) {
    const size_t from = last ? after_mark(s, n) : 0;
    bool found = false;
    for (size_t i = from; i < n;) {
        if (!starts_number(s, n, i)) {
            i++;
            continue;
        }
        const size_t m = number_bytes(s, n, i);
        if (number_value(s + i, m, is_negated(s + from, i - from), x)) found = true;
        if (found && (!last || from > 0)) return true;
        i += m;
    }
    return found;
}

/* ---- words ---- */

/* Of code points of two bytes, U+0080 to U+07FF. */
static uint32_t lower(uint32_t c) {
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
    if ((c >= 0x100 && c <= 0x137 && c != 0x130) || (c >= 0x14A && c <= 0x177)) return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c + (c & 1);
    if (c == 0x178) return 0xFF;
    if (c == 0x386) return 0x3AC;
    if (c >= 0x388 && c <= 0x38A) return c + 37;
    if (c == 0x38C) return 0x3CC;
    if (c == 0x38E || c == 0x38F) return c + 63;
    if (c >= 0x391 && c <= 0x3AB && c != 0x3A2) return c + 32;
    if (c == 0x3C2) return 0x3C3; /* the sigma at the end of a word */
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    if (c >= 0x410 && c <= 0x42F) return c + 32;
    if ((c >= 0x460 && c <= 0x481) || (c >= 0x48A && c <= 0x4BF) || (c >= 0x4D0 && c <= 0x52F)) return c | 1;
    return c;
}

void ae_fold_case(char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const unsigned char a = (unsigned char)s[i];
        if (a >= 'A' && a <= 'Z') s[i] = (char)(a + 32);
        if (a < 0xC2 || a > 0xDF || i + 1 >= n) continue;
        const uint32_t c = lower((uint32_t)(a & 0x1F) << 6 | ((unsigned char)s[i + 1] & 0x3F));
        s[i] = (char)(0xC0 | c >> 6);
        s[++i] = (char)(0x80 | (c & 0x3F));
    }
}

static uint32_t code_point(const char *s, size_t n) {
    const unsigned char *u = (const unsigned char *)s;
    static const uint32_t marks[] = {0, 0, 0x1F, 0x0F, 0x07};
    const size_t m = u[0] < 0x80 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    if (m == 1 || m > n) return u[0];
    uint32_t c = u[0] & marks[m];
    for (size_t i = 1; i < m; i++) c = c << 6 | (u[i] & 0x3F);
    return c;
}

/* Whether a character belongs to words: not white space, punctuation or a sign. */
static bool is_of_words(uint32_t c) {
    if (c < 0x80) return is_digit((char)c) || is_letter((char)c) || c == '_';
    if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA;
    return c != 0xD7 && c != 0xF7 && !(c >= 0x2000 && c <= 0x2BFF) && !(c >= 0x3000 && c <= 0x303F) &&
           !(c >= 0xFE30 && c <= 0xFE6F) && !(c >= 0xFF00 && c <= 0xFF0F) && c != 0xFEFF && c != 0xFFFD &&
           c < 0x1F000;
}

static bool begins_with_word(const char *s, size_t n) {
    return n > 0 && is_of_words(code_point(s, n));
}

static bool ends_with_word(const char *s, size_t n) {
    size_t i = n;
    while (i > 0 && ((unsigned char)s[i - 1] & 0xC0) == 0x80) i--;
    return i > 0 && is_of_words(code_point(s + i - 1, n - i + 1));
}

bool ae_word_in(const char *s, size_t n, const char *word, size_t word_bytes) {
    const bool open = begins_with_word(word, word_bytes), close = ends_with_word(word, word_bytes);
    const char *at = s;
    if (word_bytes == 0) return true;
    while ((at = memmem(at, n - (size_t)(at - s), word, word_bytes)) != NULL) {
        const size_t before = (size_t)(at - s), after = before + word_bytes;
        if (!(open && ends_with_word(s, before)) && !(close && begins_with_word(s + after, n - after)))
            return true;
        at++;
    }
    return false;
}
