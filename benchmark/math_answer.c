#include "benchmark/math_answer.h"

#include "benchmark/math_parts.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 20, MOST_PARTS = 64 };

/* A stretch of a normal form. */
typedef struct {
    const char *s;
    size_t n;
} span;

static bool is(span a, const char *word) {
    return a.n == strlen(word) && memcmp(a.s, word, a.n) == 0;
}

/* ---- the answer in a text ---- */

/* A copy without the blanks around it. */
static char *copy(const char *from, const char *end) {
    while (from < end && strchr(" \n\t\r", *from)) from++;
    while (end > from && strchr(" \n\t\r", end[-1])) end--;
    char *out = malloc((size_t)(end - from) + 1);
    if (!out) return NULL;
    memcpy(out, from, (size_t)(end - from));
    out[end - from] = '\0';
    return out;
}

static const char *last_of(const char *text, const char *word) {
    const char *last = NULL;
    for (const char *at = text; (at = strstr(at, word)); at++) last = at;
    return last;
}

static char *boxed(const char *text) {
    const char *box = last_of(text, "\\boxed");
    if (!box) box = last_of(text, "\\fbox");
    if (!box) return NULL;
    const char *open = box + strcspn(box, "{ ");
    if (*open == ' ') return copy(open, open + strcspn(open, "$\n"));
    const char *end = *open ? ae_math_group_end(open) : NULL;
    return end ? copy(open + 1, end - 1) : NULL;
}

char *ae_math_answer(const char *text) {
    static const char before[] = "he final answer is", after[] = " I hope it is correct";
    const char *at = strstr(text, before);
    if (at) {
        at += strlen(before);
        at += *at == ':';
        const char *line_end = at + strcspn(at, "\n"), *end = strstr(at, after);
        return end && end > at && end < line_end ? copy(at, end - 1) : copy(at, line_end);
    }
    char *box = boxed(text);
    return box ? box : copy(text, text + strlen(text));
}

/* ---- comparison ---- */

/* Splits at `separator` outside all brackets; 0 where there are too many parts. */
static size_t split(span whole, const char *separator, span *parts) {
    const size_t n = strlen(separator);
    size_t count = 0, from = 0;
    int depth = 0;
    for (size_t i = 0; i < whole.n; i++) {
        if (strchr("([{", whole.s[i])) depth++;
        if (strchr(")]}", whole.s[i])) depth--;
        if (depth != 0 || whole.n - i < n || memcmp(whole.s + i, separator, n) != 0) continue;
        if (count + 1 == MOST_PARTS) return 0;
        parts[count++] = (span){whole.s + from, i - from};
        from = i + n;
    }
    parts[count] = (span){whole.s + from, whole.n - from};
    return count + 1;
}

/* ( [ or \{ at the front and the bracket that ends all of it: what lies between. */
static bool open_brackets(span a, span *inside, char *left, char *right) {
    const size_t skip = a.n > 1 && a.s[0] == '\\' && a.s[1] == '{' ? 2 : 1;
    int depth = 0;
    if (a.n < 2 * skip || !strchr("([{", a.s[skip - 1]) || (skip == 1 && a.s[0] == '{')) return false;
    for (size_t i = 0; i < a.n; i++) {
        if (strchr("([{", a.s[i])) depth++;
        if (strchr(")]}", a.s[i]) && --depth == 0 && i + 1 < a.n) return false;
    }
    *left = a.s[skip - 1];
    *right = a.s[a.n - 1];
    *inside = (span){a.s + skip, a.n - 2 * skip};
    return depth == 0 && strchr(")]}", *right);
}

static bool equal(span a, span b, int depth);

static bool equal_in_order(span a, span b, const char *separator, int depth) {
    span p[MOST_PARTS], q[MOST_PARTS];
    const size_t n = split(a, separator, p);
    if (n == 0 || n != split(b, separator, q)) return false;
    for (size_t i = 0; i < n; i++)
        if (!equal(p[i], q[i], depth)) return false;
    return true;
}

/* Each part of one takes a part of the other. */
static bool equal_sets(span a, span b, int depth) {
    span p[MOST_PARTS], q[MOST_PARTS];
    bool taken[MOST_PARTS] = {false};
    const size_t n = split(a, ",", p);
    if (n == 0 || n != split(b, ",", q)) return false;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n && (taken[k] || !equal(p[i], q[k], depth))) k++;
        if (k == n) return false;
        taken[k] = true;
    }
    return true;
}

static bool has_parts(span a, const char *separator) {
    span parts[MOST_PARTS];
    return split(a, separator, parts) > 1;
}

static bool equal(span a, span b, int depth) {
    span in_a, in_b;
    char left_a, left_b, right_a, right_b;
    if (a.n == b.n && memcmp(a.s, b.s, a.n) == 0) return true;
    if (depth > DEEPEST) return false;
    if (has_parts(a, "\\cup")) return equal_in_order(a, b, "\\cup", depth + 1);
    if (has_parts(a, ",")) return equal_in_order(a, b, ",", depth + 1);
    if (open_brackets(a, &in_a, &left_a, &right_a) && open_brackets(b, &in_b, &left_b, &right_b) &&
        left_a == left_b && right_a == right_b) {
        if (left_a == '{') return equal_sets(in_a, in_b, depth + 1);
        if (has_parts(in_a, ",")) return equal_in_order(in_a, in_b, ",", depth + 1);
    }
    return !is(a, "") && !is(b, "") && ae_math_values_equal(a.s, a.n, b.s, b.n);
}

bool ae_math_equal(const char *a, const char *b) {
    char *x = ae_math_normal(a), *y = ae_math_normal(b);
    const bool same = x && y && equal((span){x, strlen(x)}, (span){y, strlen(y)}, 0);
    free(x);
    free(y);
    return same;
}

bool ae_math_same(const char *text, const char *reference) {
    char *a = ae_math_answer(text), *b = ae_math_answer(reference);
    const bool same = a && b && ae_math_equal(a, b);
    free(a);
    free(b);
    return same;
}
