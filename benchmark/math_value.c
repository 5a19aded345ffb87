#include "benchmark/math_parts.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* The value of an expression, by recursive descent over its normal form:
 *
 *   sum      = [+-] product {(+ | -) product}
 *   product  = power {[\cdot | / | \div] power}
 *   power    = atom {! | ^ exponent}
 *   atom     = number [\frac of two numbers] | letter | \command | ( sum ) | { sum } | |sum|
 *
 * Anything else, and whatever has no value, is no expression. */

enum { DEEPEST = 60, POINTS = 4 };

typedef struct {
    const char *at, *end;
    int depth, point; /* which values the variables have */
    bool bad;
} reader;

static double read_sum(reader *r);

static double fail(reader *r) {
    r->bad = true;
    r->at = r->end;
    return NAN;
}

static bool begins(reader *r, const char *word) {
    while (r->at < r->end && *r->at == ' ') r->at++;
    const size_t n = strlen(word);
    const bool letters = word[0] == '\\' && isalpha((unsigned char)word[n - 1]);
    return (size_t)(r->end - r->at) >= n && memcmp(r->at, word, n) == 0 &&
           !(letters && r->at + n < r->end && isalpha((unsigned char)r->at[n]));
}

static bool takes(reader *r, const char *word) {
    if (!begins(r, word)) return false;
    r->at += strlen(word);
    return true;
}

static char next(reader *r) {
    while (r->at < r->end && *r->at == ' ') r->at++;
    return r->at < r->end ? *r->at : '\0';
}

/* A value of a variable that no simple relation holds for, another one at each point. */
static double variable(const reader *r, const char *name, size_t n) {
    static const double scales[POINTS] = {0.4, 1.3, 5.1, 23.7};
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)name[i]) * 16777619U;
    h = (h ^ (h >> 15)) * 2246822519U;
    return scales[r->point] * (1 + (double)(h % 100003U) / 100003);
}

static double read_number(reader *r) {
    double whole = 0, unit = 1;
    while (isdigit((unsigned char)next(r))) whole = 10 * whole + (*r->at++ - '0');
    if (next(r) == '.' && r->at + 1 < r->end && isdigit((unsigned char)r->at[1])) {
        r->at++;
        for (; isdigit((unsigned char)next(r)); r->at++) whole = 10 * whole + (*r->at - '0'), unit *= 10;
    }
    return whole / unit;
}

static double read_group(reader *r, const char *close) {
    if (++r->depth > DEEPEST) return fail(r);
    const double v = read_sum(r);
    r->depth--;
    return takes(r, close) ? v : fail(r);
}

static double read_braces(reader *r) {
    return takes(r, "{") ? read_group(r, "}") : fail(r);
}

static bool digits_in_braces(const reader *r, const char *at, const char **behind) {
    if (at >= r->end || *at != '{') return false;
    const char *from = ++at;
    while (at < r->end && isdigit((unsigned char)*at)) at++;
    *behind = at + 1;
    return at > from && at < r->end && *at == '}';
}

/* Behind a whole number: 2\frac{1}{2}. */
static bool is_mixed(reader *r) {
    const char *at = r->at + 5;
    return begins(r, "\\frac") && digits_in_braces(r, at, &at) && digits_in_braces(r, at, &at);
}

static double read_fraction(reader *r) {
    const double above = read_braces(r), below = read_braces(r);
    return above / below;
}

static double read_root(reader *r) {
    double degree = 2;
    if (takes(r, "[")) degree = read_group(r, "]");
    const double v = read_braces(r);
    if (v < 0 && fmod(degree, 2) == 1) return -pow(-v, 1 / degree);
    return degree == 2 ? sqrt(v) : pow(v, 1 / degree);
}

static double read_power(reader *r);

/* \sin 2x, \sin^2 x, \log_2 8. */
static double read_function(reader *r, double (*f)(double)) {
    double base = NAN, power = 1;
    if (takes(r, "_"))
        base = next(r) == '{' ? read_braces(r) : isdigit((unsigned char)next(r)) ? *r->at++ - '0' : fail(r);
    if (takes(r, "^"))
        power = next(r) == '{' ? read_braces(r) : isdigit((unsigned char)next(r)) ? *r->at++ - '0' : fail(r);
    if (++r->depth > DEEPEST || power < 0) return fail(r);
    double v = read_power(r);
    while (isalnum((unsigned char)next(r)) || begins(r, "\\pi") || begins(r, "\\theta")) v *= read_power(r);
    v = f(v);
    r->depth--;
    if (!isnan(base)) v = f == log10 ? v / log10(base) : fail(r);
    return power == 1 ? v : pow(v, power);
}

static double read_command(reader *r) {
    static const struct {
        const char *name;
        double (*f)(double);
    } functions[] = {{"\\sin", sin},     {"\\cos", cos},     {"\\tan", tan},
                     {"\\arcsin", asin}, {"\\arccos", acos}, {"\\arctan", atan},
                     {"\\ln", log},      {"\\log", log10},   {"\\exp", exp}};
    if (takes(r, "\\frac")) return read_fraction(r);
    if (takes(r, "\\sqrt")) return read_root(r);
    if (takes(r, "\\pi")) return acos(-1);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (takes(r, functions[i].name)) return read_function(r, functions[i].f);
    static const char *const letters[] = {"\\alpha", "\\beta", "\\gamma", "\\delta", "\\theta",  "\\lambda",
                                          "\\mu",    "\\phi",  "\\omega", "\\rho",   "\\varphi", "\\epsilon"};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (takes(r, letters[i])) return variable(r, letters[i], strlen(letters[i]));
    return fail(r);
}

static double read_letter(reader *r) {
    const char *from = r->at;
    size_t run = 0;
    while (from + run < r->end && isalpha((unsigned char)from[run])) run++;
    if (run > 2) return fail(r);
    size_t n = 1;
    if (run == 1 && r->end - from > 2 && from[1] == '_' && isalnum((unsigned char)from[2])) n = 3; /* x_1 */
    r->at += n;
    return variable(r, from, n);
}

static double read_atom(reader *r) {
    const char c = next(r);
    if (isdigit((unsigned char)c)) {
        const double v = read_number(r);
        return is_mixed(r) && v == floor(v) && takes(r, "\\frac") ? v + read_fraction(r) : v;
    }
    if (takes(r, "(")) return read_group(r, ")");
    if (takes(r, "{")) return read_group(r, "}");
    if (takes(r, "|")) return fabs(read_group(r, "|"));
    if (isalpha((unsigned char)c)) return read_letter(r);
    return c == '\\' ? read_command(r) : fail(r);
}

static double read_exponent(reader *r) {
    const char c = next(r);
    if (c == '{') return read_braces(r);
    if (isdigit((unsigned char)c)) return *r->at++ - '0';
    return isalpha((unsigned char)c) || c == '\\' || c == '(' ? read_atom(r) : fail(r);
}

static double read_power(reader *r) {
    double v = read_atom(r);
    while (!r->bad)
        if (takes(r, "^"))
            v = pow(v, read_exponent(r));
        else if (takes(r, "!"))
            v = v >= 0 && v == floor(v) && v < 170 ? tgamma(v + 1) : fail(r);
        else
            break;
    return v;
}

static bool starts_factor(reader *r) {
    const char c = next(r);
    return c != '\0' && (isalnum((unsigned char)c) || strchr("({\\", c)) && !begins(r, "\\}") &&
           !begins(r, "\\le") && !begins(r, "\\ge") && !begins(r, "\\ne");
}

static double read_product(reader *r) {
    double v = read_power(r);
    while (!r->bad)
        if (takes(r, "\\cdot"))
            v *= read_power(r);
        else if (takes(r, "/") || takes(r, "\\div"))
            v /= read_power(r);
        else if (starts_factor(r))
            v *= read_power(r);
        else
            break;
    return v;
}

static double read_sum(reader *r) {
    double sign = 1;
    while (next(r) == '+' || next(r) == '-')
        if (*r->at++ == '-') sign = -sign;
    double v = sign * read_product(r);
    while (!r->bad && (next(r) == '+' || next(r) == '-')) {
        const double s = *r->at++ == '-' ? -1 : 1;
        v += s * read_product(r);
    }
    return v;
}

/* False where it is no expression; its value may be NaN at a point. */
static bool value_at(double *v, const char *s, size_t n, int point) {
    reader r = {.at = s, .end = s + n, .point = point};
    *v = read_sum(&r);
    return !r.bad && r.at == r.end;
}

/* Whole numbers have all their digits, of which values keep 15. */
static bool is_whole_number(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)s[i])) return false;
    return n > 0 && (n == 1 || s[0] != '0');
}

bool ae_math_values_equal(const char *a, size_t n, const char *b, size_t m) {
    bool some = false;
    if (is_whole_number(a, n) && is_whole_number(b, m)) return n == m && memcmp(a, b, n) == 0;
    for (int p = 0; p < POINTS; p++) {
        double x, y;
        if (!value_at(&x, a, n, p) || !value_at(&y, b, m, p)) return false;
        if (isfinite(x) != isfinite(y)) return false;
        if (!isfinite(x)) continue;
        if (fabs(x - y) > 1e-12 * (1 + fmax(fabs(x), fabs(y)))) return false;
        some = true;
    }
    return some;
}
