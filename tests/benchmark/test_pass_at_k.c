#include "benchmark/pass_at_k.h"

#include <criterion/criterion.h>
#include <math.h>

/* Of all choices of k answers, those that have a right one: the first c bits are right. */
static double by_counting(int n, int c, int k) {
    double some = 0, all = 0;
    for (unsigned chosen = 0; chosen < 1U << n; chosen++)
        if (__builtin_popcount(chosen) == k) {
            all++;
            some += (chosen & ((1U << c) - 1)) != 0;
        }
    return some / all;
}

Test(pass_at_k, is_the_share_of_choices_with_a_right_answer) {
    for (int n = 1; n <= 9; n++)
        for (int c = 0; c <= n; c++)
            for (int k = 1; k <= n; k++)
                cr_expect_float_eq(ae_pass_at_k(n, c, k), by_counting(n, c, k), 1e-12, "%d %d %d", n, c, k);
}

Test(pass_at_k, of_one_answer_is_whether_it_is_right) {
    cr_expect_eq(ae_pass_at_k(1, 0, 1), 0);
    cr_expect_eq(ae_pass_at_k(1, 1, 1), 1);
    cr_expect_float_eq(ae_pass_at_k(200, 30, 1), 0.15, 1e-12);
}

/* 1 - (180 choose 100) / (200 choose 100), whose parts no number of 64 bits holds. */
Test(pass_at_k, many_answers_do_not_overflow) {
    double none = 0;
    for (int i = 0; i < 100; i++) none += log((180.0 - i) / (200.0 - i));
    cr_expect_float_eq(ae_pass_at_k(200, 20, 100), 1 - exp(none), 1e-12);
}

Test(pass_at_k, too_few_answers_have_none) {
    cr_expect(isnan(ae_pass_at_k(5, 1, 6)));
}
