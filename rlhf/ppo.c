#include "rlhf/surrogate.h"

#include <math.h>

/* Proximal policy optimisation (1707.06347) with a critic V and generalised advantages (1506.02438). With
 * token rewards r_t = -beta rho_t, and the answer's reward at its last token (1909.08593),
 *
 *   d_t = r_t + V_{t+1} - V_t, A_t = d_t + lambda A_{t+1}, A whitened over the tokens of the batch
 *   loss = mean over tokens of surrogate(w_t, A_t)
 *          + value_weight max((V - G)^2, (V_old + clip(V - V_old, -e, e) - G)^2), G_t = A_t + V_old_t
 *
 * V after the last token is 0; G is taken before whitening. A, G and V_old are constants. With rl.kl exact, k2
 * or k3 the divergence is a term of the loss instead. Tokens are those of answers that learn. */

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
}

static unsigned reads(const ae_rl_keys *k) {
    return AE_RL_READS_REWARDS | AE_RL_READS_CRITIC | ae_kl_reads(k);
}

/* A_t of one answer, before whitening. */
static void advantages(const ae_rl_keys *k, const ae_rl_batch *b, const ae_rl_answer *a, float *A) {
    const bool in_reward = k->rl.kl == AE_RL_KL_REWARD;
    double later = 0, next = 0;
    for (ptrdiff_t t = a->n - 1; t >= 0; t--) {
        const double rho = in_reward ? (double)a->before[t] - (double)a->reference[t] : 0;
        const double r = (t == a->n - 1 ? a->reward : 0) - b->beta * rho;
        later = r + next - (double)a->values[t] + k->ppo.lambda * later;
        next = (double)a->values[t];
        A[t] = (float)later;
    }
}

typedef struct {
    double mean, std;
} spread;

static spread spread_of(const ae_rl_batch *b, float *const *A) {
    ae_tally sum = {0}, squares = {0};
    for (ptrdiff_t i = 0; i < b->n; i++)
        for (ptrdiff_t t = 0; ae_answer_learns(&b->answers[i]) && t < b->answers[i].n; t++)
            ae_tally_add(&sum, (double)A[i][t]);
    const double mean = ae_tally_mean(&sum);
    for (ptrdiff_t i = 0; i < b->n; i++)
        for (ptrdiff_t t = 0; ae_answer_learns(&b->answers[i]) && t < b->answers[i].n; t++)
            ae_tally_add(&squares, ((double)A[i][t] - mean) * ((double)A[i][t] - mean));
    return (spread){mean, sqrt(ae_tally_mean(&squares))};
}

/* max((V - G)^2, (clipped V - G)^2) and its gradient with respect to V: 0 where the clipped one is larger. */
static double value_loss(double V, double old, double G, double clip, double *dV) {
    const double clipped = old + fmin(fmax(V - old, -clip), clip);
    const double free_loss = (V - G) * (V - G), clipped_loss = (clipped - G) * (clipped - G);
    *dV = clipped_loss > free_loss ? 0 : 2 * (V - G);
    return fmax(free_loss, clipped_loss);
}

/* ds holds A when it is called, and the gradient afterwards. */
static double add_answer(const ae_rl_keys *k, const ae_rl_answer *a, spread of, double weight, float *ds,
                         float *dvalue, ae_ratios *seen, double *critic) {
    double loss = 0, slope, dV;
    for (ptrdiff_t t = 0; t < a->n; t++) {
        const double A = (double)ds[t], old = (double)a->values[t];
        const double error = value_loss((double)a->values_now[t], old, A + old, k->ppo.value_clip, &dV);
        dvalue[t] = (float)(weight * k->ppo.value_weight * dV);
        *critic += weight * error;
        loss += weight * ae_clipped_surrogate((double)a->now[t] - (double)a->before[t],
                                              (A - of.mean) / (of.std + 1e-8), k->ppo.clip, k->ppo.clip,
                                              &slope, seen);
        ds[t] = (float)(weight * slope * ae_rollout_weight(a, t));
    }
    return loss;
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const double weight = 1 / (double)ae_tokens_learning(b);
    double critic = 0;
    ae_ratios seen = {0};
    for (ptrdiff_t i = 0; i < b->n; i++)
        if (ae_answer_learns(&b->answers[i])) advantages(k, b, &b->answers[i], g->dlogprob[i]);
    const spread of = spread_of(b, g->dlogprob);
    g->loss = 0;
    for (ptrdiff_t i = 0; i < b->n; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (!ae_answer_learns(a)) continue;
        g->loss += add_answer(k, a, of, weight, g->dlogprob[i], g->dvalue[i], &seen, &critic);
        g->loss += ae_kl_in_loss(k, a, weight * b->beta, g->dlogprob[i], g->dkl ? g->dkl[i] : NULL);
    }
    g->loss += k->ppo.value_weight * critic;
    if (g->numbers) ae_numbers_add(g->numbers, "critic_loss", critic);
    ae_add_numbers(b, g, &seen);
}

const ae_rl_method ae_ppo = {.name = "ppo", .wants = wants, .reads = reads, .gradient = gradient};
