#include "rlhf/estimates.h"

/* Distillation on the policy's own answers (2306.13649): with K_t = KL(pi || teacher) of token t, exact over
 * the vocabulary,
 *
 *   loss = mean over answers of sum_t K_t
 *
 * The law of the tokens before t is a constant; with distill.sequence it is not, and the gradient is that of
 * KL(pi || teacher) of whole answers: sum_t (grad K_t + grad s_t sum_{u>t} K_u). No rewards. */

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
}

static unsigned reads(const ae_rl_keys *k) {
    (void)k;
    return AE_RL_READS_TEACHER;
}

static ae_status check(const ae_rl_keys *k) {
    return ae_expect_one_pass(k, ae_distill.name);
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const double weight = 1 / (double)ae_answers_learning(b);
    g->loss = 0;
    for (ptrdiff_t i = 0; i < b->n; i++) {
        const ae_rl_answer *a = &b->answers[i];
        double later = 0;
        if (!ae_answer_learns(a)) continue;
        for (ptrdiff_t t = a->n - 1; t >= 0; t--) {
            g->dkl[i][t] = (float)weight;
            if (k->distill.sequence) g->dlogprob[i][t] = (float)(weight * ae_rollout_weight(a, t) * later);
            later += (double)a->kl[t];
        }
        g->loss += weight * later;
    }
    ae_add_numbers(b, g, NULL);
}

const ae_rl_method ae_distill = {
    .name = "distill", .wants = wants, .reads = reads, .check = check, .gradient = gradient};
