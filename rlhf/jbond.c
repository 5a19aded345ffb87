#include "rlhf/estimates.h"

#include <math.h>

/* J-BOND (2407.14622, section 5): BOND of N = 2 against an anchor that follows the policy. To each prompt y
 * from the policy, y1 and y2 from the anchor, y+ the better of the two (the first where they are equal):
 *
 *   r_J = -log 16 where r(y) < min(r(y1), r(y2)), else 0; R = r_J - (s - s_a)
 *   G = -(1 - b) grad s(y+) - b (R - B) grad s(y) + g (s - s_a) grad s(y)
 *
 * each a mean, over prompts and over the policy's answers; B is the mean R of the rest of the batch. R, B and
 * s - s_a in front of grad s are constants. Rewards enter by their order alone. Then the anchor moves:
 * anchor <- (1 - eta) anchor + eta policy. Answers to a prompt without both y1 and y2 do not learn. */

enum { FROM_ANCHOR = 2 };

static void wants(const ae_rl_keys *k, int64_t *counts) {
    counts[AE_RL_POLICY] = k->rl.samples;
    counts[AE_RL_ANCHOR] = FROM_ANCHOR;
}

static unsigned reads(const ae_rl_keys *k) {
    (void)k;
    return AE_RL_READS_REWARDS | AE_RL_READS_ANCHOR;
}

static ae_status check(const ae_rl_keys *k) {
    return ae_expect_one_pass(k, ae_jbond.name);
}

static double anchor_rate(const ae_rl_keys *k) {
    return k->jbond.eta;
}

static double return_of(const ae_rl_answer *a, double worse_of_two) {
    return (a->reward < worse_of_two ? -log(16) : 0) - ae_answer_log_ratio(a->now, a->anchor, a->n);
}

typedef struct {
    ae_tally R, punished, ties;
    ptrdiff_t prompts;
} whole_batch;

static whole_batch survey(const ae_rl_batch *b) {
    whole_batch w = {0};
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        const ae_contest two = ae_contest_of(b, first, end, AE_RL_ANCHOR, FROM_ANCHOR);
        if (two.n < FROM_ANCHOR) continue;
        w.prompts++;
        for (ptrdiff_t i = first; i < end; i++) {
            const ae_rl_answer *a = &b->answers[i];
            if (!ae_answer_learns(a)) continue;
            ae_tally_add(&w.R, return_of(a, two.lowest));
            ae_tally_add(&w.punished, a->reward < two.lowest);
            ae_tally_add(&w.ties, a->reward == two.lowest);
        }
    }
    return w;
}

static void add_group(const ae_rl_keys *k, const ae_rl_batch *b, ptrdiff_t first, ptrdiff_t end,
                      const whole_batch *w, ae_rl_gradient *g) {
    const ae_contest two = ae_contest_of(b, first, end, AE_RL_ANCHOR, FROM_ANCHOR);
    if (two.n < FROM_ANCHOR) return;
    g->loss +=
        ae_imitate(&b->answers[two.best], (1 - k->jbond.b) / (double)w->prompts, g->dlogprob[two.best]);
    for (ptrdiff_t i = first; i < end; i++) {
        const ae_rl_answer *a = &b->answers[i];
        if (!ae_answer_learns(a)) continue;
        const double R = return_of(a, two.lowest);
        const double away = ae_answer_log_ratio(a->now, a->anchor, a->n);
        const double advantage = k->jbond.b * (R - ae_tally_rest(&w->R, R)) - k->jbond.g * away;
        g->loss += ae_reinforce_answer(a, 1 / (double)w->R.n, advantage, g->dlogprob[i]);
    }
}

static void gradient(const ae_rl_keys *k, const ae_rl_batch *b, ae_rl_gradient *g) {
    const whole_batch w = survey(b);
    g->loss = 0;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        add_group(k, b, first, end, &w, g);
    }
    if (g->numbers) {
        ae_numbers_add(g->numbers, "punished_fraction", ae_tally_mean(&w.punished));
        ae_numbers_add(g->numbers, "ties_fraction", ae_tally_mean(&w.ties));
    }
    ae_add_numbers(b, g, NULL);
}

static void imitates(const ae_rl_keys *k, const ae_rl_batch *b, bool *wanted) {
    (void)k;
    for (ptrdiff_t first = 0, end; first < b->n; first = end) {
        end = ae_group_end(b, first);
        const ae_contest two = ae_contest_of(b, first, end, AE_RL_ANCHOR, FROM_ANCHOR);
        if (two.n == FROM_ANCHOR) wanted[two.best] = true;
    }
}

const ae_rl_method ae_jbond = {.name = "jbond",
                               .wants = wants,
                               .reads = reads,
                               .check = check,
                               .gradient = gradient,
                               .imitates = imitates,
                               .anchor_rate = anchor_rate};
