#include "benchmark/math_answer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *from, *to;
} pair;

static void expect_each(const pair *rows, size_t n, char *(*f)(const char *)) {
    for (size_t i = 0; i < n; i++) {
        char *got = f(rows[i].from);
        cr_assert_not_null(got);
        cr_expect_str_eq(got, rows[i].to, "%s gives \"%s\", expected \"%s\"", rows[i].from, got, rows[i].to);
        free(got);
    }
}

#define EXPECT_EACH(rows, f) expect_each(rows, sizeof(rows) / sizeof *(rows), f)

Test(math_answer, the_answer_in_a_text) {
    static const pair rows[] = {
        {"Final Answer: The final answer is $[2,5)$. I hope it is correct.", "$[2,5)$"},
        {"The final answer is $24$. I hope it is correct.\n\nProblem: The final answer is 3", "$24$"},
        {"\\boxed{7}. The final answer is $24$", "$24$"},
        {"The final answer is: 12\nMore", "12"},
        {"thus \\boxed{\\frac{1}{2}}, not \\boxed{3 + \\frac{x}{y}} here", "3 + \\frac{x}{y}"},
        {"so $\\boxed 5$ it is", "5"},
        {"\\fbox{11}", "11"},
        {"\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"},
        {"\\boxed{1", "\\boxed{1"},
        {"  42\n", "42"},
        {"", ""},
    };
    EXPECT_EACH(rows, ae_math_answer);
}

Test(math_answer, normal_forms) {
    static const pair rows[] = {
        /* equations */
        {"x = 5", "5"},
        {"f(x)=x^2+1", "x^2+1"},
        {"x=1,y=2", "x=1,y=2"},
        {"(x=1)", "(x=1)"},
        /* dollars */
        {"so $5$ dollars", "5"},
        {"$5", "5"},
        {"\\$5", "5"},
        {"$\\$5$", "5"},
        {"$1$ and $2$", "1"},
        /* wrappers */
        {"\\text{A}", "A"},
        {"\\textbf{(A)}", "(A)"},
        {"\\mbox{even}", "even"},
        {"\\mathrm{cos}", "cos"},
        {"\\boxed{3}", "3"},
        {"\\overline{AB}", "AB"},
        {"0.\\overline{3}", "0.\\overline{3}"},
        /* units */
        {"5\\text{ cm}^2", "5"},
        {"5\\text{ cm}^{2}", "5"},
        {"12\\text{cm}^2", "12"},
        {"5 cm", "5"},
        {"5cm", "5"},
        {"10 square inches", "10"},
        {"3\\text{m}", "3"},
        {"90^\\circ", "90"},
        {"90^{\\circ}", "90"},
        {"90 degrees", "90"},
        {"50\\%", "50"},
        {"50%", "50"},
        {"7 ways", "7"},
        {"4\\mathrm{th}", "4"},
        {"\\leftarrow", "\\leftarrow"},
        {"software", "software"},
        /* articles */
        {"an ellipse", "ellipse"},
        {"an  ellipse", "ellipse"},
        {"the circle", "circle"},
        {"a b", "ab"},
        /* blanks and sizes */
        {"\\left( x \\right)", "(x)"},
        {"1\\,000\\;x\\ y\\!z", "1000xyz"},
        {"\\displaystyle 3", "3"},
        {"\\pi r^2", "\\pi r^2"},
        {"2 \\pi", "2\\pi"},
        {"a\nb", "ab"},
        /* fractions and roots */
        {"\\dfrac12", "\\frac{1}{2}"},
        {"\\tfrac{1}{2}", "\\frac{1}{2}"},
        {"\\frac1{72}", "\\frac{1}{72}"},
        {"\\frac{72}1", "\\frac{72}{1}"},
        {"\\frac{\\frac12}3", "\\frac{\\frac{1}{2}}{3}"},
        {"\\frac\\pi2", "\\frac{\\pi}{2}"},
        {"\\sqrt3", "\\sqrt{3}"},
        {"\\sqrt x", "\\sqrt{x}"},
        {"\\sqrt[3]8", "\\sqrt[3]{8}"},
        {"\\sqrt{5}", "\\sqrt{5}"},
        {"\\frac", "\\frac"},
        {"\\frac1", "\\frac{1}"},
        {"{\\frac}", "\\frac"},
        /* numbers */
        {"10,000", "10000"},
        {"-1,234,567.5", "-1234567.5"},
        {"10{,}000", "10000"},
        {"10,\\!000", "10000"},
        {"1,23", "1,23"},
        {"0,1", "0,1"},
        {"1234,567", "1234,567"},
        {"(1,000)", "(1,000)"},
        {".5", "0.5"},
        {"-.5", "-0.5"},
        {"(.5,.25)", "(0.5,0.25)"},
        {"5.", "5"},
        {"{5}", "5"},
        {"{1}+{2}", "{1}+{2}"},
        /* lists and relations */
        {"1,\\text{and}2", "1,2"},
        {"1, 2, and 3", "1,2,3"},
        {"1 or 2", "1,2"},
        {"x\\leq3", "x\\le3"},
        {"x\\geq3", "x\\ge3"},
        {"x\\neq3", "x\\ne3"},
        {"3\\times4", "3\\cdot4"},
        {"a*b", "a\\cdot b"},
        {"", ""},
    };
    EXPECT_EACH(rows, ae_math_normal);
}

/* What rules make longer, over and over: room for it is made beforehand. */
Test(math_answer, long_texts) {
    static const char *const pieces[] = {"*", "\\frac**", "\\sqrt*", "(.", ",.", "{.", "\\frac\\frac"};
    enum { TIMES = 2000 };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const size_t n = strlen(pieces[i]);
        char *text = malloc(n * TIMES + 1);
        cr_assert_not_null(text);
        for (size_t k = 0; k < TIMES; k++) memcpy(text + k * n, pieces[i], n + 1);
        char *got = ae_math_normal(text);
        cr_assert_not_null(got);
        cr_expect(strlen(got) <= 6 * n * TIMES, "%s: %zu bytes", pieces[i], strlen(got));
        cr_expect(ae_math_equal(text, text));
        free(got);
        free(text);
    }
}

static const pair equal[] = {
    {"0.5", "\\frac{1}{2}"},
    {"1/2", "\\frac12"},
    {"-\\frac{2}{3}", "\\frac{-2}{3}"},
    {"-\\frac{2}{3}", "-2/3"},
    {"2\\frac{1}{2}", "5/2"},
    {"2\\frac12", "2.5"},
    {"10,000", "10000"},
    {"3.0", "3"},
    {"007", "7"},
    {"\\sqrt{8}", "2\\sqrt2"},
    {"\\frac{\\sqrt3}{3}", "\\frac{1}{\\sqrt{3}}"},
    {"\\sqrt[3]{-8}", "-2"},
    {"2^{10}", "1024"},
    {"2^34", "32"},
    {"5!", "120"},
    {"|{-3}|", "3"},
    {"\\frac{\\pi}{2}", "0.5\\pi"},
    {"\\sin(\\pi/6)", "\\frac12"},
    {"\\sin^2 x + \\cos^2 x", "1"},
    {"\\log_2 8", "3"},
    {"\\ln{\\exp{2}}", "2"},
    {"x+1", "1+x"},
    {"(x+1)^2", "x^2+2x+1"},
    {"\\frac{x^2-1}{x-1}", "x+1"},
    {"2 \\cdot x \\cdot y", "2yx"},
    {"\\pi r^2", "r^2\\pi"},
    {"x_1+x_2", "x_2+x_1"},
    {"y=2x", "2x"},
    {"(1/2, 3)", "(0.5, 3.0)"},
    {"[0, \\infty)", "[0,\\infty)"},
    {"\\left[\\frac12, 1\\right)", "[0.5,1)"},
    {"\\{2, 1\\}", "\\{1, 2\\}"},
    {"\\{1/2,(1,2)\\}", "\\{(1,2),0.5\\}"},
    {"[0,1)\\cup(2,3]", "[0,1.0) \\cup (2,3]"},
    {"1, 2", "1.0,2"},
    {"\\text{east}", "east"},
    {"x \\leq 3", "x\\le3"},
    {"12345678901234567890", "12345678901234567890"},
    {"-\\infty", "- \\infty"},
    {"", ""},
};

static const pair different[] = {
    {"0.5", "0.51"},
    {"\\frac{1}{2}", "\\frac{2}{1}"},
    {"1,2", "2,1"},
    {"(1,2)", "(2,1)"},
    {"(1,2)", "[1,2]"},
    {"(1,2)", "(1,2]"},
    {"(1,2)", "1,2"},
    {"(1,2)", "(1,2,3)"},
    {"\\{1,1\\}", "\\{1,2\\}"},
    {"\\{1\\}", "\\{1,2\\}"},
    {"[0,1)\\cup(2,3]", "[0,1)"},
    {"\\infty", "-\\infty"},
    {"x", "y"},
    {"x+1", "x-1"},
    {"A", "B"},
    {"east", "seat"},
    {"12345678901234567890", "12345678901234567891"},
    {"10^{10}+1", "10000000002"},
    {"", "0"},
    {"\\sqrt{2}", "1.414"},
    {"x<3", "x>3"},
    {"(x=3,y=2)", "2"},
    {"f(", "f"},
    {"\\frac{1}{0}", "\\frac{2}{0}"},
    {"170", "17"},
};

Test(math_answer, equal_answers) {
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++) {
        cr_expect(ae_math_equal(equal[i].from, equal[i].to), "%s = %s", equal[i].from, equal[i].to);
        cr_expect(ae_math_equal(equal[i].to, equal[i].from), "%s = %s", equal[i].to, equal[i].from);
    }
}

Test(math_answer, different_answers) {
    for (size_t i = 0; i < sizeof different / sizeof *different; i++) {
        cr_expect(!ae_math_equal(different[i].from, different[i].to), "%s /= %s", different[i].from,
                  different[i].to);
        cr_expect(!ae_math_equal(different[i].to, different[i].from), "%s /= %s", different[i].to,
                  different[i].from);
    }
}

Test(math_answer, texts_by_their_answers) {
    cr_expect(ae_math_same("We get $x=\\frac12$. The final answer is $\\frac12$. I hope it is correct.",
                           "so $\\boxed{0.5}$ it is"));
    cr_expect(ae_math_same("\\boxed{\\dfrac{3}{4}}", "3/4"));
    cr_expect(!ae_math_same("\\boxed{1} but The final answer is 2", "1"));
}

/* What a model may write: nothing is read or written outside, and nothing takes long. */
Test(math_answer, odd_texts_are_harmless) {
    static const char *const pieces[] = {
        "{", "}", "(",     ")", "\\frac", "\\sqrt", "\\sqrt[",     "^", "\\text{", "\\text{ ", "$", "\\",
        "|", "-", "\\sin", "1", "x",      ",",      "\\overline{", "=", "\\boxed", ".",        "!"};
    enum { N = sizeof pieces / sizeof *pieces };
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        char text[256] = "", other[256];
        for (int k = 0; k < 12; k++) strcat(text, pieces[((seed = seed * 1103515245U + 12345U) >> 16) % N]);
        strcpy(other, text);
        cr_assert(ae_math_same(text, other));
    }
    for (int p = 0; p < N; p++) {
        enum { LONG = 20000 };
        char *text = calloc(1, LONG + 1);
        for (size_t n = 0; n + strlen(pieces[p]) < LONG; n += strlen(pieces[p])) strcpy(text + n, pieces[p]);
        cr_assert(!ae_math_same(text, "\\pi+12"));
        free(text);
    }
}
