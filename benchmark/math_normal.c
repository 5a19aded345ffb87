#include "benchmark/math_answer.h"
#include "benchmark/math_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A text that rules rewrite where it stands. The rule that lengthens most makes 6 bytes of 1 ("*"), once in a place; braces
 * add at most 4 to the 5 bytes of a \frac. So 6 times the text is room enough, and a little for the ends. */
enum { GROWTH = 6, ENDS = 64 };

typedef struct {
    const char *from, *to;
} swap;

/* What is there for the eye, and names of one thing. Longer ones stand before what they begin with. */
static const swap before_blanks[] = {{"\n", " "},
                                     {"\t", " "},
                                     {"\\\\", "\\"},
                                     {"\\displaystyle", ""},
                                     {"\\left", ""},
                                     {"\\right", ""},
                                     {"\\tfrac", "\\frac"},
                                     {"\\dfrac", "\\frac"},
                                     {"\\cfrac", "\\frac"},
                                     {"\\mbox", "\\text"},
                                     {"\\textnormal", "\\text"},
                                     {"\\mathrm{th}", ""},
                                     {"\\text{m}", "\\text{}"},
                                     {"\\text{s}", ""},
                                     {"\\text{.}", ""},
                                     {"\\text{and}", ","},
                                     {"\\text{ and }", ","},
                                     {"\\text{or}", ","},
                                     {"\\text{ or }", ","},
                                     {" and ", ","},
                                     {" or ", ","},
                                     {"^{\\circ}", ""},
                                     {"^\\circ", ""},
                                     {"\\circ", ""},
                                     {"\\degree", ""},
                                     {"\\$", ""},
                                     {"\\%", ""},
                                     {"%", ""},
                                     {"\\ldots", ""},
                                     {"\\dots", ""},
                                     {",\\!", ""},
                                     {"\\!", ""},
                                     {"\\,", ""},
                                     {"\\;", ""},
                                     {"\\:", ""},
                                     {"\\ ", ""},
                                     {"~", " "},
                                     {"\"", ""},
                                     {"{,}", ""},
                                     {"\\leq", "\\le"},
                                     {"\\geq", "\\ge"},
                                     {"\\neq", "\\ne"},
                                     {"\\times", "\\cdot"},
                                     {"*", "\\cdot "},
                                     {"\\lbrace", "\\{"},
                                     {"\\rbrace", "\\}"},
                                     {"\xe2\x88\x92", "-"}};

static const swap after_blanks[] = {{",,", ","}, {"{.", "{0."}, {"(.", "(0."}, {",.", ",0."}};

/* Of lm-eval, but for "sue" and "childrentickets", which are names in single problems. */
static const char *const units[] = {
    "square", "ways",   "integers", "dollars", "mph",      "inches",    "ft",      "hours", "km",
    "units",  "points", "feet",     "minutes", "digits",   "cents",     "degrees", "cm",    "gm",
    "pounds", "meters", "meals",    "edges",   "students", "multiples", "percent"};

static const char *const wrappers[] = {"\\textbf{", "\\textit{", "\\mathbf{", "\\mathrm{",
                                       "\\boxed{",  "\\fbox{",   "\\text{"};

/* ---- pieces ---- */

static void replace_at(char *at, size_t n_from, const char *to, size_t n_to) {
    memmove(at + n_to, at + n_from, strlen(at + n_from) + 1);
    memcpy(at, to, n_to);
}

/* A command ends where its letters end: \left is no part of \leftarrow. */
static bool is_whole(const char *at, const char *from) {
    const size_t n = strlen(from);
    const bool command = from[0] == '\\' && isalpha((unsigned char)from[n - 1]);
    return !command || !isalpha((unsigned char)at[n]);
}

static void replace_all(char *s, const swap *w) {
    const size_t n_from = strlen(w->from), n_to = strlen(w->to);
    for (char *at = s; (at = strstr(at, w->from));)
        if (is_whole(at, w->from)) {
            replace_at(at, n_from, w->to, n_to);
            at += n_to;
        } else
            at += n_from;
}

static void trim(char *s) {
    size_t n = strlen(s), from = strspn(s, " ");
    while (n > from && s[n - 1] == ' ') n--;
    memmove(s, s + from, n - from);
    s[n - from] = '\0';
}

const char *ae_math_group_end(const char *at) {
    int depth = 0;
    for (; *at; at++) {
        if (*at == '\\' && at[1]) {
            at++;
            continue;
        }
        depth += (*at == '{') - (*at == '}');
        if (depth == 0) return at + 1;
    }
    return NULL;
}

/* ---- rules ---- */

/* Before \( and $ are seen as what they are, an escaped dollar is a word of its own. */
static void take_first_dollars(char *s) {
    char *open = s;
    while ((open = strchr(open, '$')) && open > s && open[-1] == '\\') open++;
    char *close = open ? strchr(open + 1, '$') : NULL;
    while (close && close[-1] == '\\') close = strchr(close + 1, '$');
    if (!close || close == open + 1) return;
    *close = '\0';
    memmove(s, open + 1, strlen(open + 1) + 1);
}

static void take_after_equals(char *s) {
    int depth = 0;
    char *last = NULL;
    for (char *at = s; *at; at++) {
        if (strchr("([{", *at)) depth++;
        if (strchr(")]}", *at)) depth--;
        if (*at == ',' && depth == 0) return;
        if (*at == '=' && depth == 0) last = at;
    }
    if (last) memmove(s, last + 1, strlen(last + 1) + 1);
}

/* 5\text{ cm}^2 */
static void drop_unit_texts(char *s) {
    for (char *at = s; (at = strstr(at, "\\text{ "));) {
        const char *end = ae_math_group_end(at + 5);
        if (!end || at == s) {
            at += 5;
            continue;
        }
        if (*end == '^') end = end[1] == '{' ? ae_math_group_end(end + 1) : end[1] ? end + 2 : end + 1;
        if (!end) return;
        memmove(at, end, strlen(end) + 1);
    }
}

static bool is_letter(char c) {
    return isalpha((unsigned char)c);
}

/* Whether letters that begin at `at` belong to a command such as \alpha. */
static bool in_command(const char *s, const char *at) {
    while (at > s && is_letter(at[-1])) at--;
    return at > s && at[-1] == '\\';
}

static void drop_word(char *s, const char *word) {
    const size_t n = strlen(word);
    for (char *at = s; (at = strstr(at, word));) {
        const bool starts = at == s || !is_letter(at[-1]);
        if (starts && !is_letter(at[n]) && !in_command(s, at))
            memmove(at, at + n, strlen(at + n) + 1);
        else
            at += n;
    }
}

static void drop_articles(char *s) {
    static const char *const articles[] = {"an ", "a ", "the "};
    for (size_t i = 0; i < 3; i++) {
        const size_t word = strlen(articles[i]), n = word + strspn(s + word, " ");
        if (strncmp(s, articles[i], word) == 0 && is_letter(s[n]) && is_letter(s[n + 1]))
            memmove(s, s + n, strlen(s + n) + 1);
    }
}

/* A blank stays where it ends a command: \pi r. */
static void drop_blanks(char *s) {
    char *to = s;
    for (const char *at = s; *at; at++) {
        const bool ends = *at == ' ' && to > s && is_letter(to[-1]) && is_letter(at[1]) && in_command(s, to);
        if ((*at != ' ' || ends) && *at != '$') *to++ = *at;
    }
    *to = '\0';
}

/* What the group of a wrapper of n characters holds, in its place; when that is nothing, what it is raised to goes too.
 * False where the group does not close. */
static bool unwrap_at(char *at, size_t n) {
    const char *end = ae_math_group_end(at + n - 1);
    if (!end) return false;
    const size_t inside = (size_t)(end - 1 - (at + n));
    if (inside == 0 && *end == '^' && isdigit((unsigned char)end[1])) end += 2;
    memmove(at, at + n, inside);
    memmove(at + inside, end, strlen(end) + 1);
    return true;
}

static void unwrap(char *s, const char *name) {
    for (char *at = s; (at = strstr(at, name));)
        if (!unwrap_at(at, strlen(name))) return;
}

/* A line over digits is a period, over letters a name. */
static void unwrap_overlines(char *s) {
    static const char name[] = "\\overline{";
    const size_t n = strlen(name);
    for (char *at = s; (at = strstr(at, name));)
        if (!is_letter(at[n]) || !unwrap_at(at, n)) at += n;
}

/* Puts braces around the one character, or command, at `at`; gives what comes after it. */
static char *embrace(char *at) {
    size_t n = 1;
    if (*at == ' ') memmove(at, at + 1, strlen(at));
    if (*at == '{') {
        const char *end = ae_math_group_end(at);
        return end ? at + (end - at) : NULL;
    }
    if (*at == '\0' || *at == '}') return NULL;
    if (*at == '\\')
        while (is_letter(at[n])) n++;
    memmove(at + n + 2, at + n, strlen(at + n) + 1);
    memmove(at + 1, at, n);
    *at = '{';
    at[n + 1] = '}';
    return at + n + 2;
}

static void embrace_arguments(char *s, const char *command, int arguments) {
    for (char *at = s; (at = strstr(at, command));) {
        at += strlen(command);
        char *next = at;
        if (*next == '[') next = strchr(next, ']') ? strchr(next, ']') + 1 : NULL;
        for (int i = 0; i < arguments && next; i++) next = embrace(next);
    }
}

/* -?1,234,567 with digits behind a point or none. */
static bool has_thousands(const char *s) {
    if (*s == '-') s++;
    size_t n = strspn(s, "0123456789");
    if (n < 1 || n > 3 || s[n] != ',') return false;
    for (s += n; *s == ','; s += 4)
        if (strspn(s + 1, "0123456789") < 3)
            return false;
        else if (isdigit((unsigned char)s[4]))
            return false;
    if (*s == '.') s += 1 + strspn(s + 1, "0123456789");
    return *s == '\0';
}

static void drop_commas(char *s) {
    char *to = s;
    for (const char *at = s; *at; at++)
        if (*at != ',') *to++ = *at;
    *to = '\0';
}

/* {5} and a point at the end; .5 */
static void tidy_ends(char *s) {
    size_t n = strlen(s);
    while (n > 1 && s[0] == '{' && ae_math_group_end(s) == s + n) {
        memmove(s, s + 1, n - 2);
        n -= 2;
        s[n] = '\0';
    }
    while (n > 0 && strchr(".,", s[n - 1])) s[--n] = '\0';
    if (s[0] == '.' || (s[0] == '-' && s[1] == '.')) replace_at(s + (s[0] == '-'), 0, "0", 1);
}

char *ae_math_normal(const char *answer) {
    char *s = malloc(GROWTH * strlen(answer) + ENDS);
    if (!s) return NULL;
    strcpy(s, answer);
    take_first_dollars(s);
    for (size_t i = 0; i < sizeof before_blanks / sizeof *before_blanks; i++)
        replace_all(s, &before_blanks[i]);
    trim(s);
    take_after_equals(s);
    trim(s);
    drop_unit_texts(s);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) drop_word(s, units[i]);
    trim(s);
    drop_articles(s);
    drop_blanks(s);
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) unwrap(s, wrappers[i]);
    unwrap_overlines(s);
    for (size_t i = 0; i < sizeof after_blanks / sizeof *after_blanks; i++) replace_all(s, &after_blanks[i]);
    embrace_arguments(s, "\\frac", 2);
    embrace_arguments(s, "\\sqrt", 1);
    tidy_ends(s);
    if (has_thousands(s)) drop_commas(s);
    return s;
}
