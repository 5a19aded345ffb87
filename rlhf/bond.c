#include "rlhf/estimates.h"

#include <math.h>

/* Best-of-N distillation (BOND, 2407.14622), with k answers of the reference to each prompt:
 *
 *   (1 - b) KL(pi_BoN || pi) + b KL(pi || pi_BoN)
 *
 * Forward: maximum likelihood of the best of the first N of them, -s, mean over prompts. Backward: REINFORCE
 * on R = (N - 1) log p - rho with the mean R of the rest of the batch as baseline, -(R - B) s, mean over the
 * policy's answers; p is the share of the k that are no better, at least 1 / 2k. R and B are constants. Rewards
 * enter by their order alone. Answers to a prompt without a counted answer of the reference do not learn. */

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
    counts[AE_RL_REFERENCE] = k->bond.references;
}

static unsigned reads(const ae_rl_keys *k) {
    (void)k;
    return AE_RL_READS_REWARDS | AE_RL_READS_REFERENCE;
}

static ae_status check(const ae_rl_keys *k) {
    if (k->bond.references < k->bond.n)
        return AE_FAIL(AE_ERR_USAGE,
                       "bond.references: expected at least bond.n (%lld), of which the best is taken, found "
                       "%lld",
                       (long long)k->bond.n, (long long)k->bond.references);
    return ae_expect_one_pass(k, ae_bond.name);
}

/* p; 0 where no answer of the reference counts. */
static double share_no_better(const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end, double reward) {
    ae_tally no_better = {0};
    for (ptrdiff_t i = first; i < end; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (a->counts && a->writer == AE_RL_REFERENCE) ae_tally_add(&no_better, a->reward <= reward);
    }
    return no_better.n > 0 ? fmax(ae_tally_mean(&no_better), 0.5 / (double)no_better.n) : 0;
}

typedef struct {
    ae_tally R, p;
    ptrdiff_t prompts; /* with an answer of the reference */
} whole_batch;

static double return_of(const ae_rl_keys *k, const ae_rl_answer *a, double p) {
    return (double)(k->bond.n - 1) * log(p) - ae_answer_log_ratio(a->now, a->reference, a->n);
}

static whole_batch survey(const ae_rl_keys *k, const ae_rl_batch *b) {
    whole_batch w = {0};
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        if (ae_contest_of(b, first, end, AE_RL_REFERENCE, k->bond.n).n == 0) continue;
        w.prompts++;
        for (ptrdiff_t i = first; i < end; i++) {
            if (!ae_answer_learns(&b->answers[i])) continue;
            const double p = share_no_better(b, first, end, b->answers[i].reward);
            ae_tally_add(&w.R, return_of(k, &b->answers[i], p));
            ae_tally_add(&w.p, p);
        }
    }
    return w;
}

static void add_group(const ae_rl_keys *k, const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end,
                      const whole_batch *w, ae_rl_gradient *g) {
    const ptrdiff_t best = ae_contest_of(b, first, end, AE_RL_REFERENCE, k->bond.n).best;
    if (best < 0) return;
    g->loss += ae_imitate(&b->answers[best], (1 - k->bond.b) / (double)w->prompts, g->dlogprob[best]);
    for (ptrdiff_t i = first; i < end; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (!ae_answer_learns(a)) continue;
        const double R = return_of(k, a, share_no_better(b, first, end, a->reward));
        g->loss +=
            ae_reinforce_answer(a, k->bond.b / (double)w->R.n, R - ae_tally_rest(&w->R, R), g->dlogprob[i]);
    }
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const whole_batch w = survey(k, b);
    g->loss = 0;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        add_group(k, b, first, end, &w, g);
    }
    if (g->numbers) ae_numbers_add(g->numbers, "no_better_fraction", ae_tally_mean(&w.p));
    ae_add_numbers(b, g, NULL);
}

static void imitates(const ae_rl_keys *k, const ae_rl_batch *b, bool *wanted) {
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        const ptrdiff_t best = ae_contest_of(b, first, end, AE_RL_REFERENCE, k->bond.n).best;
        if (best >= 0) wanted[best] = true;
    }
}

const ae_rl_method ae_bond = {.name = "bond",
                              .wants = wants,
                              .reads = reads,
                              .check = check,
                              .gradient = gradient,
                              .imitates = imitates};
