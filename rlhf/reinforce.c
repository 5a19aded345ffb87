#include "rlhf/config.h"
#include "rlhf/estimates.h"

#include <math.h>

/* REINFORCE with a baseline (RLOO: 2402.14740):
 *
 *   R = r - beta rho, loss -mean (R - b) s
 *
 * b is the mean R of the rest of the prompt's k answers (rloo), of the rest of the batch, or a running mean of
 * earlier steps; 0 where there is no rest. By token, R_t = r - beta sum_{u>=t} rho_u, which has the same
 * expectation and less noise. With rl.kl exact, k2 or k3 R is r, and the divergence is a term of the loss
 * (rlhf/estimates.h). R and b are constants; the mean is over the answers that learn.
 *
 * A run of WARP (2406.16768, section 3.1) is the same with rho = s - s_a, the anchor being the policy's own moving
 * average: anchor <- (1 - mu) anchor + mu policy. */

/* memory: the running mean, and how much of it has come from steps (1 minus what is left of its start) */
enum { RUNNING_MEAN, RUNNING_SHARE };

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
}

static unsigned reads(const ae_rl_keys *k) {
    return AE_RL_READS_REWARDS | ae_kl_reads(k);
}

static ae_status check(const ae_rl_keys *k) {
    if (k->reinforce.baseline == AE_BASELINE_RLOO && k->rl.samples < 2)
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.samples: expected at least 2 with reinforce.baseline=rloo, found %lld",
                       (long long)k->rl.samples);
    return ae_expect_one_pass(k, ae_rl_method_text(k->rl.method));
}

static double return_of(const ae_rl_keys *k, const ae_rl_batch *b, ptrdiff_t i) {
    const ae_rl_answer *a = &b->answers[i];
    return a->reward - b->beta * ae_kl_in_reward(k, a, 0);
}

static ae_tally returns(const ae_rl_keys *k, const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end) {
    ae_tally all = {0};
    for (ptrdiff_t i = first; i < end; i++)
        if (ae_answer_learns(&b->answers[i])) ae_tally_add(&all, return_of(k, b, i));
    return all;
}

static double running_baseline(const ae_rl_batch *b) {
    return b->memory[RUNNING_SHARE] > 0 ? b->memory[RUNNING_MEAN] / b->memory[RUNNING_SHARE] : 0;
}

static void update_running(double decay, const ae_rl_batch *b, const ae_tally *batch) {
    if (batch->n == 0) return;
    b->memory[RUNNING_MEAN] = decay * b->memory[RUNNING_MEAN] + (1 - decay) * ae_tally_mean(batch);
    b->memory[RUNNING_SHARE] = decay * b->memory[RUNNING_SHARE] + (1 - decay);
}

static double add_answer(const ae_rl_keys *k, const ae_rl_batch *b, ptrdiff_t i, double baseline,
                         double weight, ae_rl_gradient *g) {
    const ae_rl_answer *a = &b->answers[i];
    float *ds = g->dlogprob[i];
    const float *origin = ae_kl_origin(k, a);
    double loss = 0;
    double to_go = k->reinforce.by_token ? a->reward : return_of(k, b, i);
    for (ptrdiff_t t = a->n - 1; t >= 0; t--) {
        if (k->reinforce.by_token && k->rl.kl == AE_RL_KL_REWARD)
            to_go -= b->beta * ((double)a->before[t] - (double)origin[t]);
        const double advantage = weight * (to_go - baseline);
        loss -= advantage * (double)a->now[t];
        ds[t] -= (float)(advantage * ae_rollout_weight(a, t));
    }
    return loss + ae_kl_in_loss(k, a, weight * b->beta, ds, g->dkl ? g->dkl[i] : NULL);
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const ae_tally batch = returns(k, b, 0, b->n);
    const int kind = k->reinforce.baseline;
    g->loss = 0;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        const ae_tally all = kind == AE_BASELINE_RLOO ? returns(k, b, first, end) : batch;
        for (ptrdiff_t i = first; i < end; i++) {
            if (!ae_answer_learns(&b->answers[i])) continue;
            const double baseline =
                kind == AE_BASELINE_RUNNING ? running_baseline(b) : ae_tally_rest(&all, return_of(k, b, i));
            g->loss += add_answer(k, b, i, baseline, 1 / (double)batch.n, g);
        }
    }
    if (kind == AE_BASELINE_RUNNING) update_running(k->reinforce.running_decay, b, &batch);
    ae_add_numbers(b, g, NULL);
}

const ae_rl_method ae_reinforce = {
    .name = "reinforce", .wants = wants, .reads = reads, .check = check, .gradient = gradient};

/* ---- a run of WARP ---- */

static unsigned warp_reads(const ae_rl_keys *k) {
    (void)k;
    return AE_RL_READS_REWARDS | AE_RL_READS_ANCHOR;
}

static ae_status warp_check(const ae_rl_keys *k) {
    if (k->rl.kl != AE_RL_KL_REWARD)
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.kl: expected reward with rl.method=warp, found another; leave it out");
    if (k->rl.kl_target > 0)
        return AE_FAIL(AE_ERR_USAGE,
                       "rl.kl_target: expected none with rl.method=warp, whose rl.beta weighs the divergence "
                       "from a moving average, found %g; leave it out",
                       k->rl.kl_target);
    return check(k);
}

static double warp_anchor_rate(const ae_rl_keys *k) {
    return k->warp.mu;
}

const ae_rl_method ae_warp_member = {.name = "warp",
                                     .wants = wants,
                                     .reads = warp_reads,
                                     .check = warp_check,
                                     .gradient = gradient,
                                     .anchor_rate = warp_anchor_rate};
