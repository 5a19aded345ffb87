#include "data/utf8.h"
#include "tests/core/scratch.h"

static void check_prefix(const char *s, size_t n, size_t valid) {
    char padded[64];
    for (size_t shift = 0; shift < 17; shift++) {
        memset(padded, 'a', sizeof padded);
        memcpy(padded + shift, s, n);
        cr_assert_eq(ae_utf8_prefix(padded, shift + n), shift + valid, "'%s' behind %zu bytes", s, shift);
    }
}

Test(utf8, valid_characters_pass) {
    static const char *const good[] = {"",
                                       "a",
                                       "\x7F",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        check_prefix(good[i], strlen(good[i]), strlen(good[i]));
    check_prefix("a\0b", 3, 3);
}

/* Stray, overlong, cut off, surrogates, beyond U+10FFFF. */
Test(utf8, other_bytes_do_not) {
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2z",
                                      "\xE0\x9F\xBF",
                                      "\xE2\x96",
                                      "\xE2z\x81",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF0\x9F\x98",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFE",
                                      "\xFF"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_prefix(bad[i], strlen(bad[i]), 0);
    check_prefix("ok\xC3\xA9\xFF...", 8, 4);
}

Test(utf8, text_is_cut_at_lines_then_words_then_characters) {
    static const struct {
        const char *s;
        size_t line, any;
    } cases[] = {
        {"", 0, 0},         {"a", 0, 0},         {"ab", 0, 1},       {"a\nb", 2, 2},
        {"a\n\nb c", 3, 3}, {"a\nb\n", 2, 2},    {"ab\n", 0, 2},     {"one two", 0, 3},
        {"one  two", 0, 3}, {"one two  ", 0, 7}, {"a\r\nb", 3, 3},   {"a\n\r\nb", 4, 4},
        {" ab", 0, 2},      {"a\xC3\xA9", 0, 1}, {"\xC3\xA9", 0, 0}, {"x\xF0\x9F\x98\x80", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].s);
        cr_assert_eq(ae_text_line_edge(cases[i].s, n), cases[i].line, "'%s'", cases[i].s);
        cr_assert_eq(ae_text_edge(cases[i].s, n), cases[i].any, "'%s'", cases[i].s);
    }
}

Test(utf8, blank_is_nothing_but_whitespace) {
    cr_assert(ae_text_is_blank("", 0));
    cr_assert(ae_text_is_blank(" \t\r\n", 4));
    cr_assert_not(ae_text_is_blank(" . ", 3));
    cr_assert_not(ae_text_is_blank("\0", 1));
}

Test(utf8, white_space_at_the_ends_is_cut_as_python_does) {
    static const struct {
        const char *s, *want;
    } cases[] = {
        {"", ""},
        {" \t\r\n\v\f\x1c\x1d\x1e\x1f", ""},
        {" a b\n", "a b"},
        {"\xC2\x85\xC2\xA0\xE1\x9A\x80\xE2\x80\x80\xE2\x80\x8A\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAF\xE2\x81"
         "\x9F\xE3\x80\x80"
         "\xC3\xA9\xE3\x80\x80\xE2\x81\x9F\xE2\x80\xAF\xE2\x80\xA9\xE2\x80\xA8\xE2\x80\x8A\xE2\x80\x80\xE1"
         "\x9A\x80\xC2\xA0"
         "\xC2\x85",
         "\xC3\xA9"},
        {"\xE2\x80\x8B", "\xE2\x80\x8B"}, /* zero width space */
        {"\xEF\xBB\xBF", "\xEF\xBB\xBF"},
        {"\xE1\xA0\x8E x \xC3\x85", "\xE1\xA0\x8E x \xC3\x85"},
        {"\x1b", "\x1b"},
        {"\xE3\x80\x81", "\xE3\x80\x81"},
        {"\xF0\x9F\x98\x80 ", "\xF0\x9F\x98\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *s = cases[i].s;
        size_t n = strlen(s);
        ae_text_trim(&s, &n);
        cr_assert(n == strlen(cases[i].want) && memcmp(s, cases[i].want, n) == 0, "%zu: '%.*s'", i, (int)n,
                  s);
    }
}

Test(utf8, joined_texts_have_an_empty_line_between_them) {
    static const struct {
        const char *a, *b, *want;
    } cases[] = {{" a\n", "\nb ", "a\n\nb"}, {" ", "b", "b"}, {"a", "", "a"}, {"", "", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = 0;
        char *text = ae_text_join(cases[i].a, strlen(cases[i].a), cases[i].b, strlen(cases[i].b), &n);
        cr_assert(text && n == strlen(cases[i].want));
        cr_assert_str_eq(text, cases[i].want);
        free(text);
    }
}
