#include "rlhf/surrogate.h"

#include <math.h>

/* Group-relative policy optimisation: with the mean and the deviation (by k - 1) of the prompt's k rewards,
 *
 *   A = (r - mean) / (std + 1e-4), loss = sum over answers and tokens of c (surrogate(w_t, A) + beta KL_t)
 *
 * GRPO (2402.03300): c = 1 / (answers |y|). Dr. GRPO (2503.20783): A = r - mean, c = 1 / (answers max).
 * DAPO (2503.14476): bounds of its own above, c = 1 / tokens of the batch, and the reward of an answer that
 * reaches into the last o of the max tokens changes by -(|y| - (max - o)) / o. GSPO (2507.18071): one ratio
 * w = exp(mean_t (s_t - s_t_old)) for all tokens of an answer. A is a constant; 0 where all rewards of a group
 * are equal, and for an answer alone in its group. Answers and tokens are those that learn. */

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
}

static unsigned reads(const ae_rl_keys *k) {
    return AE_RL_READS_REWARDS | ae_kl_reads(k);
}

static ae_status check(const ae_rl_keys *k) {
    if (k->rl.samples < 2)
        return AE_FAIL(AE_ERR_USAGE, "rl.samples: expected at least 2 with rl.method=grpo, found %lld",
                       (long long)k->rl.samples);
    if (k->grpo.overlong > k->rl.max_new)
        return AE_FAIL(AE_ERR_USAGE, "grpo.overlong: expected at most rl.max_new (%lld), found %lld",
                       (long long)k->rl.max_new, (long long)k->grpo.overlong);
    return AE_OK;
}

static double overlong_penalty(const ae_rl_keys *k, ptrdiff_t n) {
    if (k->grpo.overlong == 0) return 0;
    const double past = (double)n - (double)(k->rl.max_new - k->grpo.overlong);
    return fmin(fmax(past / (double)k->grpo.overlong, 0), 1);
}

static double reward_of(const ae_rl_keys *k, const ae_rl_batch *b, const ae_rl_answer *a) {
    return a->reward - overlong_penalty(k, a->n) - b->beta * ae_kl_in_reward(k, a, 0);
}

typedef struct {
    double mean, std;
} group;

/* Mean and squares are taken from the first reward on, so that equal rewards have advantages of exactly 0. */
static group group_of(const ae_rl_keys *k, const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end) {
    ae_tally d = {0}, squares = {0};
    double start = 0;
    for (ptrdiff_t i = first; i < end; i++) {
        if (!ae_answer_learns(&b->answers[i])) continue;
        const double r = reward_of(k, b, &b->answers[i]);
        if (d.n == 0) start = r;
        ae_tally_add(&d, r - start);
    }
    const double mean = start + ae_tally_mean(&d);
    for (ptrdiff_t i = first; i < end; i++) {
        if (!ae_answer_learns(&b->answers[i])) continue;
        const double r = reward_of(k, b, &b->answers[i]);
        ae_tally_add(&squares, (r - mean) * (r - mean));
    }
    return (group){mean, d.n > 1 ? sqrt(squares.sum / (double)(d.n - 1)) : 0};
}

typedef struct {
    ptrdiff_t answers;
    int64_t tokens;
} batch_size;

static double token_weight(const ae_rl_keys *k, batch_size batch, ptrdiff_t n) {
    switch ((ae_grpo_length)k->grpo.length) {
    case AE_GRPO_TOKENS:
        return 1 / (double)batch.tokens;
    case AE_GRPO_FIXED:
        return 1 / ((double)batch.answers * (double)k->rl.max_new);
    case AE_GRPO_ANSWER:
        break;
    }
    return 1 / ((double)batch.answers * (double)n);
}

static double add_answer(const ae_rl_keys *k, const ae_rl_answer *a, double advantage, double weight,
                         float *ds, ae_ratios *seen) {
    const double whole = ae_answer_log_ratio(a->now, a->before, a->n) / (double)a->n;
    double loss = 0, slope;
    for (ptrdiff_t t = 0; t < a->n; t++) {
        const double log_ratio = k->grpo.sequence ? whole : (double)a->now[t] - (double)a->before[t];
        loss += weight *
                ae_clipped_surrogate(log_ratio, advantage, k->grpo.clip_low, k->grpo.clip_high, &slope, seen);
        ds[t] += (float)(weight * slope * ae_rollout_weight(a, t));
    }
    return loss;
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const batch_size batch = {ae_answers_learning(b), ae_tokens_learning(b)};
    ae_ratios seen = {0};
    g->loss = 0;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        const group of = group_of(k, b, first, end);
        for (ptrdiff_t i = first; i < end; i++) {
            const ae_rl_answer *a = &b->answers[i];
            if (!ae_answer_learns(a)) continue;
            const double weight = token_weight(k, batch, a->n);
            const double advantage = (reward_of(k, b, a) - of.mean) / (k->grpo.std ? of.std + 1e-4 : 1);
            g->loss += add_answer(k, a, advantage, weight, g->dlogprob[i], &seen);
            g->loss += ae_kl_in_loss(k, a, weight * b->beta, g->dlogprob[i], g->dkl ? g->dkl[i] : NULL);
        }
    }
    ae_add_numbers(b, g, &seen);
}

const ae_rl_method ae_grpo = {
    .name = "grpo", .wants = wants, .reads = reads, .check = check, .gradient = gradient};
