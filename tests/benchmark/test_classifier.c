#include "benchmark/classifier.h"
#include "tests/core/scratch.h"

#include <math.h>

enum { N = 300 };

/* Rows whose label hangs on one word. */
static ae_labelled *make_rows(void) {
    static const char *const words[] = {"lovely", "KIND", "vile", "rotten"};
    ae_labelled *rows = calloc(N, sizeof *rows);
    cr_assert_not_null(rows);
    for (int i = 0; i < N; i++) {
        char text[64];
        snprintf(text, sizeof text, "the %d birds, so %s: h\xc3\xb6he %d", i, words[i % 4], i * 7 % 31);
        rows[i] = (ae_labelled){strdup(text), i % 4 >= 2};
    }
    return rows;
}

static void free_rows(ae_labelled *rows) {
    for (int i = 0; i < N; i++) free(rows[i].text);
    free(rows);
}

static ae_classifier *train(const ae_labelled *rows, uint64_t seed) {
    ae_classifier_settings s = ae_classifier_defaults();
    ae_classifier *c = NULL;
    s.bits = 12;
    s.seed = seed;
    cr_assert_eq(ae_classifier_train(&c, rows, N, "rows", &s), AE_OK, "%s", ae_error_message());
    return c;
}

Test(classifier, learns_what_the_label_hangs_on) {
    ae_labelled *rows = make_rows();
    ae_classifier *c = train(rows, 1);
    const ae_classifier_figures *f = ae_classifier_heldout(c);
    cr_expect_gt(f->n, 10);
    cr_expect_lt(f->n, 60);
    cr_expect_eq(f->accuracy, 1);
    cr_expect_eq(f->auc, 1);
    cr_expect_gt(ae_classifier_probability(c, "a rotten day"), 0.5);
    cr_expect_lt(ae_classifier_probability(c, "A LOVELY day"), 0.5);
    cr_expect_eq(ae_classifier_probability(c, "rotten"), ae_classifier_probability(c, "  Rotten\n"));
    ae_classifier_free(c);
    free_rows(rows);
}

Test(classifier, odd_texts_have_a_probability) {
    ae_labelled *rows = make_rows();
    ae_classifier *c = train(rows, 1);
    char *longest = malloc(1 << 20);
    cr_assert_not_null(longest);
    memset(longest, 'x', (1 << 20) - 1);
    longest[(1 << 20) - 1] = '\0';
    const char *const texts[] = {"", " ", "!", "\xf0\x9f\x98\x80", "\x01\x7f", longest};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const double p = ae_classifier_probability(c, texts[i]);
        cr_expect(p > 0 && p < 1, "text %zu: %g", i, p);
    }
    free(longest);
    ae_classifier_free(c);
    free_rows(rows);
}

Test(classifier, the_same_rows_and_seed_give_the_same_file) {
    ae_labelled *rows = make_rows();
    char *bytes[3];
    size_t n[3];
    scratch_make();
    for (int i = 0; i < 3; i++) {
        ae_classifier *c = train(rows, i < 2 ? 1 : 2), *again = NULL;
        cr_assert_eq(ae_classifier_write(c, scratch_path("c.h5")), AE_OK, "%s", ae_error_message());
        cr_assert_eq(ae_classifier_read(&again, scratch_path("c.h5")), AE_OK, "%s", ae_error_message());
        cr_expect_eq(ae_classifier_probability(c, "so vile"), ae_classifier_probability(again, "so vile"));
        cr_expect(json_equal(ae_classifier_about(c), ae_classifier_about(again)));
        cr_assert_eq(ae_file_read(scratch_path("c.h5"), &bytes[i], &n[i]), AE_OK);
        ae_classifier_free(c);
        ae_classifier_free(again);
    }
    cr_expect(n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0);
    cr_expect(n[0] != n[2] || memcmp(bytes[0], bytes[2], n[0]) != 0);
    for (int i = 0; i < 3; i++) free(bytes[i]);
    scratch_remove();
    free_rows(rows);
}

Test(classifier, rows_of_one_label_are_refused) {
    ae_labelled *rows = make_rows();
    ae_classifier_settings s = ae_classifier_defaults();
    ae_classifier *c = NULL;
    for (int i = 0; i < N; i++) rows[i].positive = true;
    cr_assert_eq(ae_classifier_train(&c, rows, N, "rows", &s), AE_ERR_INPUT);
    cr_assert_message("rows: expected rows of both labels to train on");
    cr_assert_eq(ae_classifier_train(&c, rows, 0, "rows", &s), AE_ERR_INPUT);
    free_rows(rows);
}

/* By hand: two positive rows, at 0.9 and 0.4, two negative ones, at 0.4 and 0.1. */
Test(classifier, figures_by_hand) {
    const double p[] = {0.9, 0.4, 0.4, 0.1};
    const bool truth[] = {true, false, true, false};
    ae_classifier_figures f;
    cr_assert_eq(ae_classifier_judge(&f, p, truth, 4), AE_OK);
    cr_expect_float_eq(f.accuracy, 0.75, 1e-12);
    cr_expect_float_eq(f.precision, 1, 1e-12);
    cr_expect_float_eq(f.recall, 0.5, 1e-12);
    cr_expect_float_eq(f.f1, 2.0 / 3, 1e-12);
    cr_expect_float_eq(f.auc, 3.5 / 4, 1e-12);
    cr_expect_float_eq(f.log_loss, -(log(0.9) + log(0.6) + log(0.4) + log(0.9)) / 4, 1e-12);
    cr_expect_float_eq(f.brier, (0.01 + 0.16 + 0.36 + 0.01) / 4, 1e-12);
    cr_expect_float_eq(f.calibration_error, (0.1 + 0.2 + 0.1) / 4, 1e-12);
}
