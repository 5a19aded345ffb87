#include "benchmark/scoring.h"

#include <criterion/criterion.h>
#include <math.h>

/* Numbers of lm-eval 0.4.13 for the same values: lm_eval.api.metrics and lm_eval.tasks.bbq.utils. */

static ae_column column(ae_over over, ae_value *values) {
    return (ae_column){.over = over, .values = values};
}

Test(aggregate, means_and_their_errors) {
    ae_value values[] = {{{1}}, {{0}}, {{0}}, {{1}}, {{1}}, {{0}}, {{1}}};
    const ae_column c = column(AE_OVER_MEAN, values);
    const ptrdiff_t some[] = {0, 3, 6};
    cr_assert_float_eq(ae_column_aggregate(&c, NULL, 7), 4.0 / 7, 1e-15);
    cr_assert_float_eq(ae_column_stderr(&c, NULL, 7), 0.20203050891044214, 1e-15);
    cr_assert_eq(ae_column_aggregate(&c, some, 3), 1);
    cr_assert_eq(ae_column_stderr(&c, some, 3), 0);
    cr_assert(isnan(ae_column_stderr(&c, NULL, 1)));
}

Test(aggregate, groups) {
    const double means[] = {0.4, 0.7, 0.2}, errors[] = {0.1, 0.05, 0.2};
    const ptrdiff_t sizes[] = {10, 40, 5};
    cr_assert_float_eq(ae_pooled_mean(means, sizes, 3, true), 0.6, 1e-15);
    cr_assert_float_eq(ae_pooled_mean(means, sizes, 3, false), 0.43333333333333335, 1e-15);
    cr_assert_float_eq(ae_pooled_stderr(errors, sizes, 3, true), 0.044249767886870975, 1e-15);
    cr_assert_float_eq(ae_pooled_stderr(errors, sizes, 3, false), sqrt(0.01 + 0.0025 + 0.04) / 3, 1e-15);
}

Test(aggregate, perplexities) {
    ae_value values[] = {{{-12.5, 4}}, {{-3.25, 7}}, {{-40, 9}}};
    const ae_column words = column(AE_OVER_WORD_PERPLEXITY, values),
                    bits = column(AE_OVER_BITS_PER_BYTE, values);
    cr_assert_float_eq(ae_column_aggregate(&words, NULL, 3), 16.240368088098837, 1e-13);
    cr_assert_float_eq(ae_column_aggregate(&bits, NULL, 3), 4.021512426477986, 1e-14);
    cr_assert(isnan(ae_column_stderr(&words, NULL, 3)));
}

Test(aggregate, bias) {
    ae_value values[] = {{{1, 0, 1, 1}}, {{0, 1, 1, 1}}, {{0, 1, 1, 0}}, {{1, 0, 0, 0}},
                         {{0, 0, 1, 0}}, {{1, 1, 1, 1}}, {{0, 1, 1, 0}}};
    const ae_column open = column(AE_OVER_AMBIGUOUS, values), told = column(AE_OVER_DISAMBIGUATED, values),
                    open_bias = column(AE_OVER_AMBIGUOUS_BIAS, values),
                    told_bias = column(AE_OVER_DISAMBIGUATED_BIAS, values);
    cr_assert_float_eq(ae_column_aggregate(&open, NULL, 7), 0.25, 1e-15);
    cr_assert_float_eq(ae_column_aggregate(&told, NULL, 7), 2.0 / 3, 1e-15);
    cr_assert_float_eq(ae_column_aggregate(&open_bias, NULL, 7), 0.25, 1e-15);
    cr_assert_float_eq(ae_column_aggregate(&told_bias, NULL, 7), 1.0 / 3, 1e-15);
    ae_value none[] = {{{1, 0, 0, 1}}};
    const ae_column no_bias = column(AE_OVER_DISAMBIGUATED_BIAS, none),
                    no_rows = column(AE_OVER_AMBIGUOUS_BIAS, none);
    cr_assert_eq(ae_column_aggregate(&no_bias, NULL, 1), 0);
    cr_assert(isnan(ae_column_aggregate(&no_rows, NULL, 1)));
}

Test(aggregate, names_are_found_again) {
    ae_over over = AE_OVER_MEAN;
    cr_assert(ae_over_find(&over, "agg_amb_bias_scores") && over == AE_OVER_AMBIGUOUS_BIAS);
    cr_assert(ae_over_find(&over, "weighted_perplexity") && over == AE_OVER_WORD_PERPLEXITY);
    cr_assert_not(ae_over_find(&over, "median"));
}
