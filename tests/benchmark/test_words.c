#include "benchmark/words.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* What Python prints of each. */
Test(words, numbers) {
    static const struct {
        double x;
        const char *text;
    } rows[] = {{0, "0.0"},
                {-120, "-120.0"},
                {100, "100.0"},
                {0.1, "0.1"},
                {-1.5, "-1.5"},
                {1.0 / 3, "0.3333333333333333"},
                {0.1 + 0.2, "0.30000000000000004"},
                {-27.631021115928547, "-27.631021115928547"},
                {1e15, "1000000000000000.0"},
                {1234567890123456, "1234567890123456.0"},
                {9007199254740994, "9007199254740994.0"},
                {1e16, "1e+16"},
                {1.5e300, "1.5e+300"},
                {0.0001, "0.0001"},
                {0.00001, "1e-05"},
                {5e-324, "5e-324"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char got[AE_NUMBER_BYTES];
        ae_words_number(got, rows[i].x);
        cr_expect_str_eq(got, rows[i].text, "%s, expected %s", got, rows[i].text);
    }
}

Test(words, pieces_and_characters) {
    cr_expect_eq(ae_words_count(""), 1);
    cr_expect_eq(ae_words_count("one"), 1);
    cr_expect_eq(ae_words_count("one  two\n"), 3);
    cr_expect_eq(ae_words_count(" \u00a0one"), 2);
    cr_expect_eq(ae_words_characters("na\u00efve \u2602"), 7);
}

static void expect_text(char *got, const char *text) {
    cr_assert_not_null(got);
    cr_expect_str_eq(got, text);
    free(got);
}

Test(words, case_and_punctuation) {
    expect_text(ae_words_lower("\u00c4B c"), "\u00e4b c");
    expect_text(ae_words_lower(""), "");
    expect_text(ae_words_without_punctuation("(a-b)_c, \u00abd\u00bb!"), "abc \u00abd\u00bb");
}

Test(words, f1) {
    cr_expect_eq(ae_words_f1("The cat.", "a CAT"), 1);
    cr_expect_eq(ae_words_f1("a cat sat", "the dog"), 0);
    cr_expect_float_eq(ae_words_f1("cat cat sat", "cat sat down here"), 2 * 2.0 / 7, 1e-15);
    cr_expect_eq(ae_words_f1("the", "a"), 1); /* both are nothing */
    cr_expect_eq(ae_words_f1("the", "cat"), 0);
}
