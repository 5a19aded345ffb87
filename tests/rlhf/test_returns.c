#include "method_rig.h"
#include "rlhf/estimates.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* Returns and baselines of REINFORCE, BOND and J-BOND, by hand. */

static method_rig r;

static double rho_from(ptrdiff_t i, ptrdiff_t from, bool to_anchor) {
    double sum = 0;
    for (ptrdiff_t t = from; t < r.answers[i].n; t++)
        sum += (double)r.now[i][t] - (double)(to_anchor ? r.anchor : r.reference)[i][t];
    return sum;
}

/* ---- reinforce ---- */

static double R_of(ptrdiff_t i) {
    return r.answers[i].reward - r.keys->rl.beta * rho_from(i, 0, false);
}

static double mean_without(ptrdiff_t first, ptrdiff_t end, ptrdiff_t out) {
    double sum = 0;
    for (ptrdiff_t i = first; i < end; i++) sum += i == out ? 0 : R_of(i);
    return sum / (double)(end - first - 1);
}

static void expect_gradient(ptrdiff_t i, ptrdiff_t t, double advantage, double count) {
    cr_expect_float_eq((double)r.ds[i][t], -advantage / count, 1e-7, "answer %td, token %td: %g, expected %g",
                       i, t, (double)r.ds[i][t], -advantage / count);
}

Test(returns, are_compared_with_the_rest_of_the_group_or_of_the_batch) {
    for (int by_token = 0; by_token < 2; by_token++)
        for (int whole = 0; whole < 2; whole++) {
            const ae_rl_keys k = {.rl = {.passes = 1, .samples = 3, .beta = 0.25},
                                  .reinforce = {.baseline = whole ? AE_BASELINE_BATCH : AE_BASELINE_RLOO,
                                                .by_token = by_token}};
            rig_init(&r, &ae_reinforce, &k, 4, 5);
            rig_run(&r);
            for (ptrdiff_t i = 0; i < 12; i++) {
                const double b = whole ? mean_without(0, 12, i) : mean_without(i - i % 3, i - i % 3 + 3, i);
                for (ptrdiff_t t = 0; t < r.answers[i].n; t++) {
                    const double R = by_token ? r.answers[i].reward - 0.25 * rho_from(i, t, false) : R_of(i);
                    expect_gradient(i, t, R - b, 12);
                }
            }
            rig_free(&r);
        }
}

/* A mean of the steps before, each of which weighs 0.9 of the next. */
Test(returns, are_compared_with_a_running_mean_of_steps_before) {
    const ae_rl_keys k = {.rl = {.passes = 1, .samples = 1},
                          .reinforce = {.baseline = AE_BASELINE_RUNNING, .running_decay = 0.9}};
    static const double rewards[3] = {2, 5, 3}, expected[3] = {0, 2, (0.9 * 2 + 5) / 1.9};
    rig_init(&r, &ae_reinforce, &k, 4, 5);
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < 4; i++) r.answers[i].reward = rewards[step] + (i - 1.5);
        rig_run(&r);
        for (int i = 0; i < 4; i++) expect_gradient(i, 0, r.answers[i].reward - expected[step], 4);
    }
    rig_free(&r);
}

Test(returns, have_no_baseline_where_there_is_no_other) {
    const ae_rl_keys k = {.rl = {.passes = 1, .samples = 2}};
    rig_init(&r, &ae_reinforce, &k, 1, 5);
    r.answers[1].counts = false;
    rig_run(&r);
    expect_gradient(0, 0, r.answers[0].reward, 1);
    cr_expect_eq(rig_number(&r, "dead_groups"), 0, "one answer is no group");
    rig_free(&r);
}

/* ---- BOND ---- */

enum { REFERENCES = 5 };

/* Of the answer of the policy, before those of the reference. */
static double share_by_hand(ptrdiff_t i) {
    double count = 0;
    for (ptrdiff_t j = i + 1; j <= i + REFERENCES; j++) count += r.answers[j].reward <= r.answers[i].reward;
    return count > 0 ? count / REFERENCES : 0.5 / REFERENCES;
}

Test(returns, of_bond_are_shares_of_the_reference) {
    const ae_rl_keys k = {.rl = {.passes = 1, .samples = 1},
                          .bond = {.b = 0.75, .n = 3, .references = REFERENCES}};
    double R[4], mean = 0, shares = 0;
    rig_init(&r, &ae_bond, &k, 4, 6);
    r.answers[0].reward = -100; /* worse than all */
    r.answers[6].reward = 100;
    r.answers[12].reward = r.answers[13].reward; /* a tie is no better */
    rig_run(&r);
    for (int p = 0; p < 4; p++) {
        R[p] = 2 * log(share_by_hand(6 * p)) - rho_from(6 * p, 0, false);
        mean += R[p] / 4;
        shares += share_by_hand(6 * p) / 4;
    }
    cr_expect_eq(share_by_hand(0), 0.1);
    for (int p = 0; p < 4; p++) {
        expect_gradient(6 * p, 0, 0.75 * (R[p] - mean) * 4 / 3, 4);
        ptrdiff_t best = 6 * p + 1;
        for (ptrdiff_t j = best; j <= 6 * p + 3; j++)
            if (r.answers[j].reward > r.answers[best].reward) best = j;
        for (ptrdiff_t j = 6 * p + 1; j <= 6 * p + REFERENCES; j++)
            cr_expect_eq(r.ds[j][0], j == best ? -0.0625F : 0, "the best of the first three");
    }
    cr_expect_float_eq(rig_number(&r, "no_better_fraction"), shares, 1e-12);
    rig_free(&r);
}

/* Leaves out the answers at `out`, and expects the prompt of the first `group` answers to teach nothing and the
 * others what they teach in a batch of their own. */
static void expect_first_prompt_left_out(const ae_rl_method *method, const ae_rl_keys *k, ptrdiff_t group,
                                         ptrdiff_t out, ptrdiff_t out_end) {
    static rig_array all;
    rig_init(&r, method, k, 4, 6);
    for (ptrdiff_t i = out; i < out_end; i++) r.answers[i].counts = false;
    rig_run(&r);
    memcpy(all, r.ds, sizeof all);
    for (ptrdiff_t i = 0; i < group; i++) rig_remove(&r, 0);
    r.batch.prompts = 3;
    rig_run(&r);
    for (ptrdiff_t i = 0; i < group; i++)
        for (int t = 0; t < RIG_TOKENS; t++) cr_expect_eq(all[i][t], 0, "answer %td", i);
    cr_expect_arr_eq(all[group], r.ds[0], (size_t)r.batch.n * sizeof r.ds[0]);
    rig_free(&r);
}

Test(returns, of_bond_need_the_reference) {
    const ae_rl_keys k = {.rl = {.passes = 1, .samples = 2},
                          .bond = {.b = 0.75, .n = 3, .references = REFERENCES}};
    expect_first_prompt_left_out(&ae_bond, &k, 2 + REFERENCES, 2, 2 + REFERENCES);
}

/* ---- J-BOND ---- */

Test(returns, of_jbond_need_both_answers_of_the_anchor) {
    const ae_rl_keys k = {.rl = {.passes = 1, .samples = 1}, .jbond = {.b = 0.5, .g = 0.25}};
    expect_first_prompt_left_out(&ae_jbond, &k, 3, 2, 3);
}

/* y, y1, y2 of three prompts: worse than both, as good as the worse, better than one. */
static const double judged[9] = {0, 1, 2, 1, 2, 1, 3, 2, 4};

Test(returns, of_jbond_punish_answers_that_are_worse_than_both) {
    const ae_rl_keys k = {.rl = {.passes = 1, .samples = 1}, .jbond = {.b = 0.5, .g = 0.25}};
    double R[3], mean = 0;
    rig_init(&r, &ae_jbond, &k, 3, 7);
    for (int i = 0; i < 9; i++) r.answers[i].reward = judged[i];
    rig_run(&r);
    for (int p = 0; p < 3; p++) {
        R[p] = (p == 0 ? -log(16) : 0) - rho_from(3 * p, 0, true);
        mean += R[p] / 3;
    }
    for (int p = 0; p < 3; p++)
        expect_gradient(3 * p, 0, 0.5 * (R[p] - mean) * 3 / 2 - 0.25 * rho_from(3 * p, 0, true), 3);
    cr_expect_float_eq(rig_number(&r, "punished_fraction"), 1.0 / 3, 1e-15);
    cr_expect_float_eq(rig_number(&r, "ties_fraction"), 1.0 / 3, 1e-15);
    rig_free(&r);
}

/* ---- online DPO ---- */

Test(returns, of_online_dpo_choose_the_first_of_the_best_and_of_the_worst) {
    const ae_rl_keys k = {.rl = {.samples = 4, .beta = 0.5}};
    static const double rewards[8] = {1, 3, 1, 3, 2, 2, 2, 2};
    rig_init(&r, &ae_online_dpo, &k, 2, 8);
    for (int i = 0; i < 8; i++) r.answers[i].reward = rewards[i];
    rig_run(&r);
    const double h = rho_from(1, 0, false) - rho_from(0, 0, false), slope = 0.5 / (1 + exp(0.5 * h));
    for (int i = 0; i < 8; i++) expect_gradient(i, 0, i == 1 ? slope : i == 0 ? -slope : 0, 1);
    cr_expect_float_eq(r.loss, log1p(exp(-0.5 * h)), 1e-12);
    cr_expect_eq(rig_number(&r, "pairs"), 1);
    cr_expect_eq(rig_number(&r, "dead_groups"), 1);
    cr_expect_eq(rig_number(&r, "accuracy"), h > 0);
    cr_expect_float_eq(rig_number(&r, "margin_mean"), 0.5 * h, 1e-12);
    memcpy(r.now, r.reference, sizeof r.now);
    rig_run(&r);
    cr_expect_eq(rig_number(&r, "accuracy"), 0.5, "a tie is half right");
    cr_expect_eq(r.loss, log(2));
    rig_free(&r);
}

/* ---- rl.kl_target ---- */

Test(returns, beta_follows_the_divergence) {
    cr_expect_float_eq(ae_beta_adapted(0.5, 6, 6, 128, 10000), 0.5, 1e-16);
    cr_expect_float_eq(ae_beta_adapted(0.5, 6.6, 6, 128, 10000), 0.5 * (1 + 0.1 * 0.0128), 1e-15);
    cr_expect_float_eq(ae_beta_adapted(0.5, 60, 6, 128, 10000), 0.5 * (1 + 0.2 * 0.0128), 1e-15);
    cr_expect_float_eq(ae_beta_adapted(0.5, 0, 6, 128, 10000), 0.5 * (1 - 0.2 * 0.0128), 1e-15);
}
