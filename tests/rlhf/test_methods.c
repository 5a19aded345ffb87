#include "method_rig.h"
#include "rlhf/estimates.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* What holds to the bit, for all methods or for one; test_enumerated.c has their expectations. */

#define RL(...) .rl = {.passes = 1, .max_new = RIG_TOKENS, .beta = 0.25, __VA_ARGS__}

static const ae_rl_keys
    reinforce = {RL(.samples = 3)},
    reinforce_exact = {RL(.samples = 3, .kl = AE_RL_KL_EXACT), .reinforce = {.baseline = AE_BASELINE_BATCH}},
    grpo = {RL(.samples = 4, .kl = AE_RL_KL_K3), .grpo = {.clip_low = 0.2, .clip_high = 0.2, .std = true}},
    gspo = {RL(.samples = 4), .grpo = {.clip_low = 3e-4, .clip_high = 4e-4, .std = true, .sequence = true}},
    dapo = {RL(.samples = 4),
            .grpo = {.clip_low = 0.2, .clip_high = 0.28, .length = AE_GRPO_TOKENS, .overlong = 3}},
    ppo = {RL(.samples = 2), .ppo = {.clip = 0.2, .value_clip = 0.2, .lambda = 0.95, .value_weight = 0.05}},
    bond = {RL(.samples = 2), .bond = {.b = 0.5, .n = 3, .references = 5}},
    jbond = {RL(.samples = 1), .jbond = {.b = 0.5, .g = 0.5, .eta = 0.05}},
    warp = {RL(.method = AE_RL_WARP, .samples = 3), .warp = {.mu = 0.01}},
    online_dpo = {RL(.samples = 3), .dpo = {.nll = 0.1}},
    distill = {RL(.samples = 2), .distill = {.sequence = true}};

static const struct {
    const char *name;
    const ae_rl_method *method;
    const ae_rl_keys *keys;
    bool weighs; /* copies' tokens by how likely the policy is to write them */
    bool within; /* compares answers with those of their group alone */
} all[] = {
    {"reinforce", &ae_reinforce, &reinforce, true, true},
    {"reinforce, exact", &ae_reinforce, &reinforce_exact, true, false},
    {"GRPO", &ae_grpo, &grpo, true, true},
    {"GSPO", &ae_grpo, &gspo, true, true},
    {"DAPO", &ae_grpo, &dapo, true, false},
    {"PPO", &ae_ppo, &ppo, true, false},
    {"BOND", &ae_bond, &bond, true, false},
    {"J-BOND", &ae_jbond, &jbond, true, false},
    {"WARP", &ae_warp_member, &warp, true, true},
    {"online DPO", &ae_online_dpo, &online_dpo, false, true},
    {"distill", &ae_distill, &distill, true, false},
};
enum { ALL = sizeof all / sizeof *all };

static method_rig r, other;

static void open_case(int c, int prompts) {
    rig_init(&r, all[c].method, all[c].keys, prompts, 3);
}

Test(methods, accept_these_keys) {
    for (int c = 0; c < ALL; c++)
        cr_expect(!all[c].method->check || all[c].method->check(all[c].keys) == AE_OK, "%s: %s", all[c].name,
                  ae_error_message());
}

Test(methods, give_finite_gradients_and_the_numbers_of_a_step) {
    for (int c = 0; c < ALL; c++) {
        open_case(c, 4);
        rig_run(&r);
        double size = 0;
        for (int i = 0; i < RIG_ANSWERS; i++)
            for (int t = 0; t < RIG_TOKENS; t++) {
                const double x =
                    fabs((double)r.ds[i][t]) + fabs((double)r.dk[i][t]) + fabs((double)r.dv[i][t]);
                if (i >= r.batch.n || t >= r.answers[i].n)
                    cr_expect_eq(x, 0, "%s: past the end", all[c].name);
                size += x;
            }
        cr_expect(isfinite(size) && size > 0 && isfinite(r.loss), "%s: %g, loss %g", all[c].name, size,
                  r.loss);
        cr_expect_eq(rig_number(&r, "ratio_mean"), 1, "%s: the first pass", all[c].name);
        cr_expect_eq(rig_number(&r, "clip_fraction"), 0);
        cr_expect_eq(rig_number(&r, "dead_groups"), 0);
        rig_free(&r);
    }
}

/* Gradients of the answers of r equal those of `other`, from which answer `out` was removed (-1: none). */
static bool same_gradients(ptrdiff_t out) {
    for (ptrdiff_t i = 0; i < other.batch.n; i++) {
        const ptrdiff_t j = out >= 0 && i >= out ? i + 1 : i;
        if (memcmp(r.ds[j], other.ds[i], sizeof r.ds[j]) != 0) return false;
        if (memcmp(r.dk[j], other.dk[i], sizeof r.dk[j]) != 0) return false;
        if (memcmp(r.dv[j], other.dv[i], sizeof r.dv[j]) != 0) return false;
    }
    return r.loss == other.loss;
}

Test(methods, leave_out_answers_that_do_not_count) {
    static const float zeros[RIG_TOKENS];
    for (int c = 0; c < ALL; c++) {
        open_case(c, 4);
        for (ptrdiff_t out = 0; out < r.batch.n; out++) {
            r.answers[out].counts = false;
            rig_run(&r);
            other = r;
            other.batch.answers = other.answers;
            other.numbers = (ae_numbers){0};
            rig_remove(&other, out);
            rig_run(&other);
            cr_expect(same_gradients(out), "%s: answer %td", all[c].name, out);
            cr_expect_arr_eq(r.ds[out], zeros, sizeof zeros);
            cr_expect_arr_eq(r.dk[out], zeros, sizeof zeros);
            cr_expect_arr_eq(r.dv[out], zeros, sizeof zeros);
            r.answers[out].counts = true;
            rig_free(&other);
        }
        rig_free(&r);
    }
}

Test(methods, are_silent_where_nothing_counts) {
    for (int c = 0; c < ALL; c++) {
        open_case(c, 2);
        for (ptrdiff_t i = 0; i < r.batch.n; i++) r.answers[i].counts = false;
        rig_run(&r);
        for (ptrdiff_t i = 0; i < r.batch.n; i++)
            for (int t = 0; t < RIG_TOKENS; t++)
                cr_expect(r.ds[i][t] == 0 && r.dk[i][t] == 0 && r.dv[i][t] == 0, "%s", all[c].name);
        cr_expect_eq(r.loss, 0, "%s: %g", all[c].name, r.loss);
        rig_free(&r);
    }
}

/* The second token of each answer of the policy is log(factor) likelier under the policy than under the copy
 * that wrote it. */
static void draw_from_a_copy(double factor) {
    for (ptrdiff_t i = 0; i < r.batch.n; i++) {
        if (r.answers[i].writer != AE_RL_POLICY) continue;
        memcpy(r.sampled[i], r.before[i], sizeof r.sampled[i]);
        r.sampled[i][1] = r.before[i][1] - (float)log(factor);
        r.answers[i].sampled = r.sampled[i];
    }
    rig_run(&r);
}

Test(methods, weigh_tokens_that_a_copy_has_written) {
    static const double factors[][2] = {{1, 1}, {1.5, 1.5}, {0.5, 0.5}, {2, 2}, {4, 2}};
    for (int c = 0; c < ALL; c++)
        for (int f = 0; f < 5; f++) {
            const double expected = all[c].weighs ? factors[f][1] : 1;
            open_case(c, 3);
            rig_run(&r);
            other = r;
            draw_from_a_copy(factors[f][0]);
            for (ptrdiff_t i = 0; i < r.batch.n; i++) {
                const bool policy = r.answers[i].writer == AE_RL_POLICY;
                const double from = (double)other.ds[i][1];
                cr_expect_eq(r.ds[i][0], other.ds[i][0], "%s: the other tokens", all[c].name);
                cr_expect_float_eq((double)r.ds[i][1], (policy ? expected : 1) * from,
                                   1e-6 * fabs(from) + 1e-8, "%s: factor %g", all[c].name, factors[f][0]);
            }
            rig_free(&r);
        }
}

static void multiply_rewards(double by) {
    for (ptrdiff_t i = 0; i < r.batch.n; i++) r.answers[i].reward *= by;
}

/* BOND and J-BOND compare rewards; online DPO too. */
Test(methods, of_order_do_not_see_the_scale_of_rewards) {
    for (int c = 0; c < ALL; c++) {
        const bool of_order =
            all[c].method == &ae_bond || all[c].method == &ae_jbond || all[c].method == &ae_online_dpo;
        open_case(c, 3);
        rig_run(&r);
        other = r;
        multiply_rewards(4);
        rig_run(&r);
        cr_expect_eq(same_gradients(-1), of_order || all[c].method == &ae_distill, "%s", all[c].name);
        rig_free(&r);
    }
}

/* Where answers are compared within their group, one of equal rewards teaches nothing but the divergence, which
 * has no weight here. */
Test(methods, count_dead_groups) {
    for (int c = 0; c < ALL; c++) {
        open_case(c, 4);
        ae_rl_keys keys = *all[c].keys;
        keys.rl.beta = r.batch.beta = 0;
        r.keys = &keys;
        for (ptrdiff_t i = 0; i < r.batch.n; i++)
            if (r.answers[i].prompt == 1) r.answers[i].reward = 0.1;
        rig_run(&r);
        cr_expect_eq(rig_number(&r, "dead_groups"), 1, "%s", all[c].name);
        for (ptrdiff_t i = 0; i < r.batch.n && all[c].within; i++)
            for (int t = 0; t < RIG_TOKENS && r.answers[i].prompt == 1; t++)
                cr_expect_float_eq((double)r.ds[i][t], 0, 1e-16, "%s: %g", all[c].name, (double)r.ds[i][t]);
        rig_free(&r);
    }
}

/* ---- one against another ---- */

/* Rewards of which all means are exact, and 8 answers. */
Test(methods, rloo_is_grpo_without_std_times_k_over_k_less_1) {
    const ae_rl_keys rloo = {.rl = {.passes = 1, .samples = 4}};
    const ae_rl_keys dr = {.rl = {.passes = 1, .samples = 4, .max_new = 1},
                           .grpo = {.clip_low = 0.2, .clip_high = 0.2, .length = AE_GRPO_FIXED}};
    rig_init(&r, &ae_reinforce, &rloo, 2, 8);
    rig_init(&other, &ae_grpo, &dr, 2, 8);
    for (int i = 0; i < 8; i++) r.answers[i].reward = other.answers[i].reward = 12 * ((5 * i) % 7);
    rig_run(&r);
    rig_run(&other);
    for (int i = 0; i < 8; i++)
        for (int t = 0; t < RIG_TOKENS; t++)
            cr_expect_eq(3 * (double)r.ds[i][t], 4 * (double)other.ds[i][t], "answer %d", i);
    cr_expect_neq(r.ds[0][0], 0);
    rig_free(&r);
    rig_free(&other);
}

Test(methods, jbond_without_b_and_g_is_sft_on_the_better_anchor_answer) {
    const ae_rl_keys keys = {.rl = {.passes = 1, .samples = 1}};
    double loss = 0;
    rig_init(&r, &ae_jbond, &keys, 4, 9);
    r.answers[5].reward = r.answers[4].reward; /* the first of equals */
    rig_run(&r);
    for (ptrdiff_t i = 0; i < 12; i += 3) {
        const ptrdiff_t best = r.answers[i + 2].reward > r.answers[i + 1].reward ? i + 2 : i + 1;
        for (ptrdiff_t j = i; j < i + 3; j++)
            for (ptrdiff_t t = 0; t < r.answers[j].n; t++) {
                cr_expect_eq(r.ds[j][t], j == best ? -0.25F : 0);
                loss -= j == best ? 0.25 * (double)r.now[j][t] : 0;
            }
    }
    cr_expect_float_eq(r.loss, loss, 1e-12);
    cr_expect_eq(ae_jbond.anchor_rate(&jbond), 0.05);
    rig_free(&r);
}

/* Of other writers' answers those that are not wanted teach nothing. */
Test(methods, learn_from_the_answers_that_they_want) {
    for (int c = 0; c < ALL; c++) {
        bool wanted[RIG_ANSWERS] = {false};
        if (!all[c].method->imitates) continue;
        open_case(c, 4);
        rig_run(&r);
        all[c].method->imitates(all[c].keys, &r.batch, wanted);
        for (ptrdiff_t i = 0; i < r.batch.n; i++)
            if (r.answers[i].writer != AE_RL_POLICY)
                cr_expect_eq(r.ds[i][0] != 0, wanted[i], "%s: %td", all[c].name, i);
        rig_free(&r);
    }
}

Test(methods, no_estimate_finds_a_divergence_from_itself) {
    static float zeros[RIG_TOKENS];
    for (int kl = AE_RL_KL_REWARD; kl <= AE_RL_KL_K3; kl++) {
        ae_rl_keys keys = {RL(.samples = 2, .kl = kl)};
        rig_init(&r, &ae_reinforce, &keys, 2, 4);
        for (int i = 0; i < 4; i++) {
            memcpy(r.reference[i], r.now[i], sizeof r.now[i]);
            memset(r.kl[i], 0, sizeof r.kl[i]);
            r.answers[i].reward = 1;
        }
        rig_run(&r);
        for (int i = 0; i < 4; i++) cr_expect_arr_eq(r.ds[i], zeros, sizeof zeros, "kl %d", kl);
        cr_expect_eq(r.loss, 0);
        rig_free(&r);
    }
}

Test(methods, refuse_keys_that_do_not_agree) {
    ae_rl_keys k = reinforce;
    k.rl.samples = 1;
    cr_expect_eq(ae_reinforce.check(&k), AE_ERR_USAGE);
    cr_expect_str_eq(ae_error_message(),
                     "rl.samples: expected at least 2 with reinforce.baseline=rloo, found 1");
    k = jbond;
    k.rl.passes = 4;
    cr_expect_eq(ae_jbond.check(&k), AE_ERR_USAGE);
    cr_expect_str_eq(
        ae_error_message(),
        "rl.passes: expected 1 with rl.method=jbond, found 4; ppo, grpo and online_dpo take several");
    k = grpo;
    k.grpo.overlong = RIG_TOKENS + 1;
    cr_expect_eq(ae_grpo.check(&k), AE_ERR_USAGE);
    k = grpo;
    k.rl.samples = 1;
    cr_expect_eq(ae_grpo.check(&k), AE_ERR_USAGE);
    cr_expect_eq(ae_online_dpo.check(&k), AE_ERR_USAGE);
    k = bond;
    k.bond.references = 2;
    cr_expect_eq(ae_bond.check(&k), AE_ERR_USAGE);
}
