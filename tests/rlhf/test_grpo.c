#include "method_rig.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* GRPO and its kin in a later pass, against a naive loss in double. */

#define RL(...) .rl = {.passes = 4, .max_new = RIG_TOKENS, .samples = 4, __VA_ARGS__}

static const struct {
    const char *name;
    ae_rl_keys keys;
} cases[] = {
    {"GRPO", {RL(.kl = AE_RL_KL_K3, .beta = 0.3), .grpo = {.clip_low = 0.2, .clip_high = 0.2, .std = true}}},
    {"GRPO, k2",
     {RL(.kl = AE_RL_KL_K2, .beta = 0.3), .grpo = {.clip_low = 0.2, .clip_high = 0.2, .std = true}}},
    {"GRPO, KL in the reward", {RL(.beta = 0.3), .grpo = {.clip_low = 0.2, .clip_high = 0.2, .std = true}}},
    {"Dr. GRPO", {RL(.beta = 0), .grpo = {.clip_low = 0.2, .clip_high = 0.2, .length = AE_GRPO_FIXED}}},
    {"DAPO",
     {RL(.beta = 0),
      .grpo = {.clip_low = 0.2, .clip_high = 0.28, .std = true, .length = AE_GRPO_TOKENS, .overlong = 4}}},
    {"GSPO", {RL(.beta = 0), .grpo = {.clip_low = 0.05, .clip_high = 0.1, .std = true, .sequence = true}}},
    {"GSPO by tokens",
     {RL(.beta = 0),
      .grpo = {.clip_low = 0.05, .clip_high = 0.1, .sequence = true, .length = AE_GRPO_TOKENS}}},
};
enum { CASES = sizeof cases / sizeof *cases, PROMPTS = 4, SAMPLES = 4, N = PROMPTS * SAMPLES };

static method_rig r;
static double now[N][RIG_TOKENS]; /* what the naive loss reads */

static void open_case(int c) {
    rig_init(&r, &ae_grpo, &cases[c].keys, PROMPTS, 21);
    r.batch.pass = 1;
    for (int i = 0; i < N; i++)
        for (int t = 0; t < RIG_TOKENS; t++) {
            r.now[i][t] += 0.08F * (float)((5 * i + 3 * t) % 11 - 5);
            now[i][t] = (double)r.now[i][t];
        }
}

/* ---- the naive loss ---- */

static double naive_reward(const ae_rl_keys *k, int i) {
    const ae_rl_answer *a = &r.answers[i];
    double R = a->reward;
    const double o = (double)k->grpo.overlong, over = (double)a->n - ((double)k->rl.max_new - o);
    if (o > 0 && over > 0) R -= over / o;
    for (ptrdiff_t t = 0; t < a->n && k->rl.kl == AE_RL_KL_REWARD; t++)
        R -= k->rl.beta * ((double)r.before[i][t] - (double)r.reference[i][t]);
    return R;
}

static double naive_advantage(const ae_rl_keys *k, int i) {
    const int first = i - i % SAMPLES;
    double mean = 0, squares = 0;
    for (int j = first; j < first + SAMPLES; j++) mean += naive_reward(k, j) / SAMPLES;
    for (int j = first; j < first + SAMPLES; j++) squares += pow(naive_reward(k, j) - mean, 2);
    const double std = sqrt(squares / (SAMPLES - 1));
    return (naive_reward(k, i) - mean) / (k->grpo.std ? std + 1e-4 : 1);
}

static double naive_token_loss(const ae_rl_keys *k, int i, ptrdiff_t t, double log_ratio) {
    const double A = naive_advantage(k, i), w = exp(log_ratio);
    const double low = 1 - k->grpo.clip_low, high = 1 + k->grpo.clip_high;
    const double clipped = w < low ? low : w > high ? high : w;
    const double rho = now[i][t] - (double)r.reference[i][t];
    double kl = 0;
    if (k->rl.kl == AE_RL_KL_K2) kl = rho * rho / 2;
    if (k->rl.kl == AE_RL_KL_K3) kl = exp(-rho) - 1 + rho;
    return -fmin(w * A, clipped * A) + k->rl.beta * kl;
}

static double naive_loss(const ae_rl_keys *k) {
    double loss = 0, tokens = 0;
    for (int i = 0; i < N; i++) tokens += (double)r.answers[i].n;
    for (int i = 0; i < N; i++) {
        const double n = (double)r.answers[i].n;
        double sum = 0, whole = 0;
        for (int t = 0; t < r.answers[i].n; t++) whole += (now[i][t] - (double)r.before[i][t]) / n;
        for (int t = 0; t < r.answers[i].n; t++)
            sum += naive_token_loss(k, i, t, k->grpo.sequence ? whole : now[i][t] - (double)r.before[i][t]);
        if (k->grpo.length == AE_GRPO_ANSWER) loss += sum / n / N;
        if (k->grpo.length == AE_GRPO_FIXED) loss += sum / RIG_TOKENS / N;
        if (k->grpo.length == AE_GRPO_TOKENS) loss += sum / tokens;
    }
    return loss;
}

Test(grpo, gradients_are_those_of_a_naive_loss) {
    static const double STEP = 1e-5;
    for (int c = 0; c < CASES; c++) {
        open_case(c);
        rig_run(&r);
        cr_expect_float_eq(r.loss, naive_loss(r.keys), 1e-9, "%s: %.12f", cases[c].name, r.loss);
        for (int i = 0; i < N; i++)
            for (int t = 0; t < r.answers[i].n; t++) {
                const double at = now[i][t];
                now[i][t] = at + STEP;
                const double above = naive_loss(r.keys);
                now[i][t] = at - STEP;
                const double slope = (above - naive_loss(r.keys)) / (2 * STEP);
                now[i][t] = at;
                cr_expect_float_eq((double)r.ds[i][t], slope, 2e-8, "%s: answer %d, token %d: %.10f, %.10f",
                                   cases[c].name, i, t, (double)r.ds[i][t], slope);
            }
        const double clipped = rig_number(&r, "clip_fraction");
        cr_expect(clipped > 0.05 && clipped < 0.9, "%s: both sides of the clip: %g", cases[c].name, clipped);
        rig_free(&r);
    }
}

Test(grpo, clips_above_and_below_by_bounds_of_their_own) {
    ae_rl_keys k = cases[4].keys;
    for (int raised = 0; raised < 2; raised++) {
        rig_init(&r, &ae_grpo, &k, 1, 3);
        for (int i = 0; i < SAMPLES; i++) r.answers[i].reward = raised ? i == 0 : -(i == 0);
        for (int i = 0; i < SAMPLES; i++) r.answers[i].n = 2;
        r.now[0][0] = r.before[0][0] + (float)log(raised ? 1.27 : 0.81);
        r.now[0][1] = r.before[0][1] + (float)log(raised ? 1.29 : 0.79);
        rig_run(&r);
        cr_expect_neq(r.ds[0][0], 0, "within the bound");
        cr_expect_eq(r.ds[0][1], 0, "past it");
        cr_expect_eq(rig_number(&r, "clip_fraction"), 1.0 / 8);
        cr_expect_float_eq(rig_number(&r, "ratio_mean"), (6 + (raised ? 1.27 + 1.29 : 0.81 + 0.79)) / 8,
                           1e-6);
        rig_free(&r);
    }
}

/* The reward falls in a straight line over the last four of eight tokens, and by no more than 1. */
Test(grpo, takes_from_answers_that_get_too_long) {
    static const ptrdiff_t lengths[SAMPLES] = {4, 5, 6, 8};
    static const double rewards[SAMPLES] = {1, 0.75, 0.5, 0};
    ae_rl_keys k = {RL(.beta = 0),
                    .grpo = {.clip_low = 0.2, .clip_high = 0.2, .length = AE_GRPO_FIXED, .overlong = 4}};
    rig_init(&r, &ae_grpo, &k, 1, 3);
    for (int i = 0; i < SAMPLES; i++) {
        r.answers[i].n = lengths[i];
        r.answers[i].reward = 1;
    }
    rig_run(&r);
    for (int i = 0; i < SAMPLES; i++)
        cr_expect_eq(r.ds[i][0], (float)(-(rewards[i] - 0.5625) / (SAMPLES * RIG_TOKENS)), "answer %d", i);
    rig_free(&r);
}
