#include "rlhf/estimates.h"

#include <math.h>

double ae_answer_sum(const float *x, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t t = 0; t < n; t++) sum += (double)x[t];
    return sum;
}

double ae_answer_log_ratio(const float *x, const float *y, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t t = 0; t < n; t++) sum += (double)x[t] - (double)y[t];
    return sum;
}

/* ---- answers ---- */

bool ae_answer_learns(const ae_rl_answer *a) {
    return a->counts && a->writer == AE_RL_POLICY;
}

ptrdiff_t ae_answers_learning(const ae_rl_batch *b) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < b->n; i++) n += ae_answer_learns(&b->answers[i]);
    return n;
}

int64_t ae_tokens_learning(const ae_rl_batch *b) {
    int64_t n = 0;
    for (ptrdiff_t i = 0; i < b->n; i++)
        if (ae_answer_learns(&b->answers[i])) n += b->answers[i].n;
    return n;
}

ptrdiff_t ae_group_end(const ae_rl_batch *b, ptrdiff_t first) {
    ptrdiff_t end = first;
    while (end < b->n && b->answers[end].prompt == b->answers[first].prompt) end++;
    return end;
}

bool ae_group_is_dead(const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end) {
    const ae_rl_answer *known = NULL;
    ptrdiff_t n = 0;
    for (ptrdiff_t i = first; i < end; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (!a->counts) continue;
        if (known && a->reward != known->reward) return false;
        known = a;
        n++;
    }
    return n > 1;
}

ae_contest ae_contest_of(const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end, ae_rl_writer writer,
                         int64_t limit) {
    ae_contest c = {.best = -1, .lowest = INFINITY};
    for (ptrdiff_t i = first; i < end && c.n < limit; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (!a->counts || a->writer != writer) continue;
        if (c.best < 0 || a->reward > b->answers[c.best].reward) c.best = i;
        c.lowest = fmin(c.lowest, a->reward);
        c.n++;
    }
    return c;
}

double ae_imitate(const ae_rl_answer *a, double weight, float *dlogprob) {
    for (ptrdiff_t t = 0; t < a->n; t++) dlogprob[t] -= (float)weight;
    return -weight * ae_answer_sum(a->now, a->n);
}

double ae_reinforce_answer(const ae_rl_answer *a, double weight, double advantage, float *dlogprob) {
    for (ptrdiff_t t = 0; t < a->n; t++) dlogprob[t] -= (float)(weight * advantage * ae_rollout_weight(a, t));
    return -weight * advantage * ae_answer_sum(a->now, a->n);
}

/* ---- means ---- */

void ae_tally_add(ae_tally *t, double x) {
    t->sum += x;
    t->n++;
}

double ae_tally_mean(const ae_tally *t) {
    return t->n > 0 ? t->sum / (double)t->n : 0;
}

double ae_tally_rest(const ae_tally *t, double x) {
    return t->n > 1 ? (t->sum - x) / (double)(t->n - 1) : 0;
}

double ae_rollout_weight(const ae_rl_answer *a, ptrdiff_t t) {
    if (!a->sampled) return 1;
    return fmin(exp((double)a->before[t] - (double)a->sampled[t]), 2);
}

/* ---- the divergence from the reference ---- */

const float *ae_kl_origin(const ae_rl_keys *k, const ae_rl_answer *a) {
    return k->rl.method == AE_RL_WARP ? a->anchor : a->reference;
}

double ae_kl_in_reward(const ae_rl_keys *k, const ae_rl_answer *a, ptrdiff_t from) {
    if (k->rl.kl != AE_RL_KL_REWARD) return 0;
    return ae_answer_log_ratio(a->before + from, ae_kl_origin(k, a) + from, a->n - from);
}

static double exact_in_loss(const ae_rl_answer *a, double weight, float *dlogprob, float *dkl) {
    double later = 0;
    for (ptrdiff_t t = a->n - 1; t >= 0; t--) {
        dkl[t] += (float)weight;
        dlogprob[t] += (float)(weight * ae_rollout_weight(a, t) * later);
        later += (double)a->kl[t];
    }
    return weight * later;
}

static double sampled_in_loss(bool k3, const ae_rl_answer *a, double weight, float *dlogprob) {
    double loss = 0;
    for (ptrdiff_t t = 0; t < a->n; t++) {
        const double rho = (double)a->now[t] - (double)a->reference[t];
        loss += k3 ? expm1(-rho) + rho : rho * rho / 2;
        dlogprob[t] += (float)(weight * ae_rollout_weight(a, t) * (k3 ? -expm1(-rho) : rho));
    }
    return weight * loss;
}

double ae_kl_in_loss(const ae_rl_keys *k, const ae_rl_answer *a, double weight, float *dlogprob, float *dkl) {
    if (k->rl.kl == AE_RL_KL_REWARD) return 0;
    if (k->rl.kl == AE_RL_KL_EXACT) return exact_in_loss(a, weight, dlogprob, dkl);
    return sampled_in_loss(k->rl.kl == AE_RL_KL_K3, a, weight, dlogprob);
}

unsigned ae_kl_reads(const ae_rl_keys *k) {
    return k->rl.kl == AE_RL_KL_EXACT ? AE_RL_READS_KL : AE_RL_READS_REFERENCE;
}

double ae_beta_adapted(double beta, double kl, double target, double answers, double horizon) {
    const double error = fmin(fmax(kl / target - 1, -0.2), 0.2);
    return beta * (1 + error * answers / horizon);
}

/* ---- numbers ---- */

static ae_tally token_ratios(const ae_rl_batch *b) {
    ae_tally ratios = {0};
    for (ptrdiff_t i = 0; i < b->n; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (!ae_answer_learns(a)) continue;
        for (ptrdiff_t t = 0; t < a->n; t++)
            ae_tally_add(&ratios, exp((double)a->now[t] - (double)a->before[t]));
    }
    return ratios;
}

static ptrdiff_t dead_groups(const ae_rl_batch *b) {
    ptrdiff_t dead = 0, end;
    for (ptrdiff_t first = 0; first < b->n; first = end) {
        end = ae_group_end(b, first);
        dead += ae_group_is_dead(b, first, end);
    }
    return dead;
}

void ae_add_numbers(const ae_rl_batch *b, ae_rl_gradient *g, const ae_ratios *ratios) {
    if (!g->numbers) return;
    const ae_tally all = ratios ? ratios->ratio : token_ratios(b);
    ae_numbers_add(g->numbers, "ratio_mean", ae_tally_mean(&all));
    ae_numbers_add(g->numbers, "clip_fraction", ratios ? ae_tally_mean(&ratios->clipped) : 0);
    ae_numbers_add(g->numbers, "dead_groups", (double)dead_groups(b));
}

ae_status ae_expect_one_pass(const ae_rl_keys *k, const char *method) {
    if (k->rl.passes == 1) return AE_OK;
    return AE_FAIL(
        AE_ERR_USAGE,
        "rl.passes: expected 1 with rl.method=%s, found %lld; ppo, grpo and online_dpo take several", method,
        (long long)k->rl.passes);
}
