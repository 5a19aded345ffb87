#include "rlhf/preference_loss.h"

#include <criterion/criterion.h>
#include <math.h>

static const double rhos[] = {-30, -3, -0.7, 0, 0.4, 2, 25};
enum { RHOS = sizeof rhos / sizeof *rhos };
static const double STEP = 1e-5;

/* Losses of a pair with settings of their own, to be walked over. */
static ae_preference dpo(double c, double r) {
    return ae_dpo_loss(c, r, 0.1, 0);
}
static ae_preference cdpo(double c, double r) {
    return ae_dpo_loss(c, r, 0.5, 0.2);
}
static ae_preference ipo(double c, double r) {
    return ae_ipo_loss(c, r, 3, 7, 0.1);
}

static void check_pair(const char *name, ae_preference (*f)(double, double), double c, double r) {
    const ae_preference p = f(c, r);
    const double dc = (f(c + STEP, r).loss - f(c - STEP, r).loss) / (2 * STEP);
    const double dr = (f(c, r + STEP).loss - f(c, r - STEP).loss) / (2 * STEP);
    cr_expect_float_eq(p.dchosen, dc, 1e-8 * (1 + fabs(dc)), "%s at %g, %g: %.12f, %.12f", name, c, r,
                       p.dchosen, dc);
    cr_expect_float_eq(p.drejected, dr, 1e-8 * (1 + fabs(dr)), "%s at %g, %g", name, c, r);
}

Test(preference_loss, gradients_of_pairs_are_central_differences) {
    for (int c = 0; c < RHOS; c++)
        for (int r = 0; r < RHOS; r++) {
            check_pair("dpo", dpo, rhos[c], rhos[r]);
            check_pair("cdpo", cdpo, rhos[c], rhos[r]);
            check_pair("ipo", ipo, rhos[c], rhos[r]);
        }
}

Test(preference_loss, dpo_starts_at_ln_2) {
    for (int i = 0; i < RHOS; i++) {
        const ae_preference p = ae_dpo_loss(rhos[i], rhos[i], 0.1, 0);
        cr_expect_eq(p.loss, log(2));
        cr_expect_eq(p.dchosen, -0.05);
        cr_expect_eq(p.drejected, 0.05);
        cr_expect_float_eq(ae_dpo_loss(rhos[i], rhos[i], 0.1, 0.3).loss, log(2), 1e-16);
    }
}

Test(preference_loss, dpo_is_the_published_formula) {
    for (int c = 0; c < RHOS; c++)
        for (int r = 0; r < RHOS; r++) {
            const double x = 0.5 * (rhos[c] - rhos[r]), q = 0.2;
            const double good = -log(1 / (1 + exp(-x))), bad = -log(1 / (1 + exp(x)));
            cr_expect_float_eq(ae_dpo_loss(rhos[c], rhos[r], 0.5, 0).loss, good, 1e-9 * (1 + good));
            cr_expect_float_eq(cdpo(rhos[c], rhos[r]).loss, (1 - q) * good + q * bad,
                               1e-9 * (1 + good + bad));
        }
    cr_expect_float_eq(ae_dpo_loss(-1e4, 1e4, 1, 0).loss, 2e4, 1e-9, "no overflow");
    cr_expect_eq(ae_dpo_loss(1e4, -1e4, 1, 0).loss, 0);
}

/* cDPO: its minimum is where sigmoid(beta h) = 1 - q. */
Test(preference_loss, smoothed_pairs_stop_at_their_share) {
    const double q = 0.2, beta = 0.5, h = log((1 - q) / q) / beta;
    cr_expect_float_eq(ae_dpo_loss(h, 0, beta, q).dchosen, 0, 1e-15);
    cr_expect(ae_dpo_loss(h - 0.1, 0, beta, q).dchosen < 0);
    cr_expect(ae_dpo_loss(h + 0.1, 0, beta, q).dchosen > 0);
}

Test(preference_loss, ipo_is_least_at_a_margin_of_half_of_one_over_beta) {
    const double beta = 0.1, h = 1 / (2 * beta);
    cr_expect_eq(ae_ipo_loss(4 * h, 0, 4, 9, beta).loss, 0);
    cr_expect_eq(ae_ipo_loss(4 * h, 0, 4, 9, beta).dchosen, 0);
    cr_expect_eq(ae_ipo_loss(0, -9 * h, 4, 9, beta).loss, 0);
    cr_expect_float_eq(ae_ipo_loss(0, 0, 4, 9, beta).loss, h * h, 1e-12);
    cr_expect_float_eq(ae_ipo_loss(0, 0, 4, 9, beta).dchosen, -2 * h / 4, 1e-12);
    cr_expect_float_eq(ae_ipo_loss(0, 0, 4, 9, beta).drejected, 2 * h / 9, 1e-12);
}

Test(preference_loss, nll_is_the_mean_over_tokens) {
    const ae_answer_loss l = ae_chosen_nll(-12, 8, 0.5);
    cr_expect_eq(l.loss, 0.75);
    cr_expect_eq(l.dlogprob, -0.0625);
    cr_expect_eq(ae_chosen_nll(-12, 8, 0).loss, 0);
}

Test(preference_loss, kto_gradients_are_central_differences) {
    for (int i = 0; i < RHOS; i++)
        for (int good = 0; good < 2; good++) {
            const double z = 0.6, beta = 0.2, weight = good ? 1.5 : 0.7;
            const ae_answer_loss l = ae_kto_loss(rhos[i], z, good, beta, weight);
            const double above = ae_kto_loss(rhos[i] + STEP, z, good, beta, weight).loss;
            const double below = ae_kto_loss(rhos[i] - STEP, z, good, beta, weight).loss;
            const double x = good ? beta * (rhos[i] - z) : beta * (z - rhos[i]);
            cr_expect_float_eq(l.loss, weight * (1 - 1 / (1 + exp(-x))), 1e-14);
            cr_expect_float_eq(l.dlogprob, (above - below) / (2 * STEP), 1e-9);
            cr_expect(good ? l.dlogprob < 0 : l.dlogprob > 0, "good answers rise, bad ones fall");
        }
    cr_expect_eq(ae_kto_loss(0, 0, true, 0.1, 1).loss, 0.5);
}

Test(preference_loss, kto_divergence_is_a_mean_that_is_not_negative) {
    cr_expect_eq(ae_kto_divergence((const double[]){1, 2, -1.5}, 3), 0.5);
    cr_expect_eq(ae_kto_divergence((const double[]){1, -2}, 2), 0);
    cr_expect_eq(ae_kto_divergence(NULL, 0), 0);
}
