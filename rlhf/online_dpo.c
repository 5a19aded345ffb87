#include "rlhf/estimates.h"
#include "rlhf/preference_loss.h"

/* DPO on pairs that the policy writes and the reward judges (2402.04792): of two or more answers to a prompt
 * the best is chosen and the worst rejected (the first drawn among equals), and
 *
 *   loss = mean over pairs of ae_dpo_loss(rho_c, rho_r), and dpo.nll of the chosen answer
 *
 * The choice is a constant. A prompt whose answers all have the same reward gives no pair. */

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
}

static unsigned reads(const ae_rl_keys *k) {
    (void)k;
    return AE_RL_READS_REWARDS | AE_RL_READS_REFERENCE;
}

static ae_status check(const ae_rl_keys *k) {
    if (k->rl.samples >= 2) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "rl.samples: expected at least 2 with rl.method=online_dpo, found %lld",
                   (long long)k->rl.samples);
}

typedef struct {
    ptrdiff_t chosen, rejected;
} pair;

static bool find_pair(const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end, pair *p) {
    const ae_contest c = ae_contest_of(b, first, end, AE_RL_POLICY, end - first);
    if (c.n < 2 || b->answers[c.best].reward == c.lowest) return false;
    p->chosen = c.best;
    for (p->rejected = first;; p->rejected++) {
        const ae_rl_answer *a = &b->answers[p->rejected];
        if (ae_answer_learns(a) && a->reward == c.lowest) return true;
    }
}

static ptrdiff_t count_pairs(const ae_rl_batch *b) {
    ptrdiff_t n = 0;
    pair p;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        n += find_pair(b, first, end, &p);
    }
    return n;
}

typedef struct {
    ae_tally accuracy, margin;
} pair_numbers;

static void add(float *x, ptrdiff_t n, double by) {
    for (ptrdiff_t t = 0; t < n; t++) x[t] += (float)by;
}

static double add_pair(const ae_rl_keys *k, const ae_rl_batch *b, pair p, double weight, ae_rl_gradient *g,
                       pair_numbers *numbers) {
    const ae_rl_answer *c = &b->answers[p.chosen], *r = &b->answers[p.rejected];
    const double rho_c = ae_answer_log_ratio(c->now, c->reference, c->n);
    const double rho_r = ae_answer_log_ratio(r->now, r->reference, r->n);
    const ae_preference dpo = ae_dpo_loss(rho_c, rho_r, b->beta, k->dpo.smoothing);
    const ae_answer_loss nll = ae_chosen_nll(ae_answer_sum(c->now, c->n), c->n, k->dpo.nll);
    add(g->dlogprob[p.chosen], c->n, weight * (dpo.dchosen + nll.dlogprob));
    add(g->dlogprob[p.rejected], r->n, weight * dpo.drejected);
    ae_tally_add(&numbers->accuracy, rho_c == rho_r ? 0.5 : rho_c > rho_r);
    ae_tally_add(&numbers->margin, b->beta * (rho_c - rho_r));
    return weight * (dpo.loss + nll.loss);
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const double weight = 1 / (double)count_pairs(b);
    pair_numbers numbers = {0};
    pair p;
    g->loss = 0;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        if (find_pair(b, first, end, &p)) g->loss += add_pair(k, b, p, weight, g, &numbers);
    }
    if (g->numbers) {
        ae_numbers_add(g->numbers, "pairs", (double)numbers.margin.n);
        ae_numbers_add(g->numbers, "accuracy", ae_tally_mean(&numbers.accuracy));
        ae_numbers_add(g->numbers, "margin_mean", ae_tally_mean(&numbers.margin));
    }
    ae_add_numbers(b, g, NULL);
}

const ae_rl_method ae_online_dpo = {
    .name = "online_dpo", .wants = wants, .reads = reads, .check = check, .gradient = gradient};
