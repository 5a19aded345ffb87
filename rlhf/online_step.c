#include "core/log.h"
#include "rlhf/estimates.h"
#include "rlhf/online_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- means ---- */

static bool is_policys(const ae_written *w) {
    return w->seen.writer == AE_RL_POLICY;
}

/* Over the policy's answers of column `of` of the rewards; those without a reward left out. */
static ae_tally tally_part(const ae_online *o, const ae_online_round *r, size_t of, double from, int power) {
    const size_t columns = o->sources + 1;
    ae_tally t = {0};
    for (ptrdiff_t i = 0; i < r->answers.n; i++) {
        const double x = r->parts[(size_t)i * columns + of];
        if (is_policys(&r->answers.items[i]) && !isnan(x))
            ae_tally_add(&t, power == 1 ? x : (x - from) * (x - from));
    }
    return t;
}

/* Metrics have no number, null, where no answer has one. */
static double mean_of(const ae_tally *t) {
    return t->n > 0 ? ae_tally_mean(t) : (double)NAN;
}

double ae_online_part_mean(const ae_online *o, const ae_online_round *r, size_t source) {
    const ae_tally t = tally_part(o, r, source, 0, 1);
    return mean_of(&t);
}

ae_online_means ae_online_means_of(const ae_online *o, const ae_online_round *r) {
    ae_tally kl = {0}, length = {0}, truncated = {0};
    double entropy = 0;
    for (ptrdiff_t i = 0; i < r->answers.n; i++) {
        const ae_written *w = &r->answers.items[i];
        if (!is_policys(w)) continue;
        ae_tally_add(&kl, ae_answer_sum(w->seen.kl, w->seen.n));
        ae_tally_add(&length, (double)w->seen.n);
        ae_tally_add(&truncated, w->seen.truncated);
        entropy += ae_answer_sum(ae_written_values(&r->answers, i, AE_WRITTEN_ENTROPY), w->seen.n);
    }
    const double reward = ae_online_part_mean(o, r, o->sources);
    const ae_tally squares = tally_part(o, r, o->sources, reward, 2);
    return (ae_online_means){.reward = reward,
                             .reward_std = sqrt(mean_of(&squares)),
                             .kl = ae_tally_mean(&kl),
                             .entropy = entropy / fmax(1, length.sum),
                             .length = ae_tally_mean(&length),
                             .truncated = ae_tally_mean(&truncated)};
}

/* ---- the loss ---- */

/* What a method sees and what it gives, over one round. */
typedef struct {
    ae_rl_answer *seen;
    float *memory, **lists; /* of all gradients; dlogprob, dkl and dvalue, one after another */
    ae_rl_batch batch;
    ae_rl_gradient gradient;
} judged;

static void judged_free(judged *j) {
    free(j->seen);
    free(j->memory);
    free((void *)j->lists);
}

static ae_status judged_init(judged *j, ae_online *o, ae_numbers *numbers) {
    enum { LISTS = 3 };
    const ae_written_set *s = &o->round.answers;
    const size_t n = (size_t)s->n;
    *j = (judged){.seen = calloc(n, sizeof *j->seen),
                  .memory = calloc((size_t)s->tokens * LISTS + 1, sizeof *j->memory),
                  .lists = calloc(n * LISTS, sizeof *j->lists)};
    if (!j->seen || !j->memory || !j->lists)
        return AE_FAIL(AE_ERR_RESOURCE, "gradients of answers: out of memory");
    for (size_t i = 0; i < n; i++) {
        j->seen[i] = s->items[i].seen;
        for (size_t k = 0; k < LISTS; k++)
            j->lists[k * n + i] = j->memory + (ptrdiff_t)k * s->tokens + s->items[i].first;
    }
    j->batch = (ae_rl_batch){.answers = j->seen,
                             .n = s->n,
                             .prompts = s->prompts,
                             .step = o->done + 1,
                             .pass = o->state.pass,
                             .beta = o->state.guard.beta,
                             .memory = o->next.memory};
    j->gradient = (ae_rl_gradient){
        .dlogprob = j->lists, .dkl = j->lists + n, .dvalue = j->lists + 2 * n, .numbers = numbers};
    return AE_OK;
}

static ae_status learn(ae_online *o, const ae_scorer *k, judged *j) {
    o->method->gradient(&o->config->keys, &j->batch, &j->gradient);
    const ae_scores_loss loss = {j->gradient.dlogprob, j->gradient.dkl, j->gradient.dvalue,
                                 o->config->keys.rl.entropy_bonus};
    return ae_scores_add_gradients(k, &o->round.batch, &o->round.answers, &loss);
}

/* ---- numbers ---- */

static void add_numbers(const ae_online *o, const ae_online_means *m, ae_numbers *l) {
    if (o->sources > 0) {
        ae_numbers_add(l, "reward_mean", m->reward);
        ae_numbers_add(l, "reward_std", m->reward_std);
        for (size_t i = 0; i < o->sources; i++)
            ae_numbers_add(l, o->reward_names[i], ae_online_part_mean(o, &o->round, i));
    }
    ae_numbers_add(l, "kl", m->kl);
    ae_numbers_add(l, "entropy", m->entropy);
    ae_numbers_add(l, "length_mean", m->length);
    ae_numbers_add(l, "truncated_fraction", m->truncated);
    ae_numbers_add(l, "beta", o->state.guard.beta);
}

bool ae_online_uses_beta(const ae_online *o) {
    const int method = o->config->keys.rl.method;
    return method != AE_RL_BOND && method != AE_RL_JBOND && method != AE_RL_DISTILL;
}

/* A pass over all inputs forward, and a third of its work for each model that reads them beside. */
static double flops_of(const ae_online *o, double tokens) {
    const double whole = ae_tuned_flops_per_token(&o->tuned), forward = o->tuned.plan.flops_per_token / 3;
    return tokens * (whole + forward * (1 + o->models.wants_anchor) + (o->models.wants_critic ? whole : 0));
}

static void tell_empty(const ae_online *o, ae_gradients *g) {
    const ae_tally rewarded = tally_part(o, &o->round, o->sources, 0, 1);
    const bool lack_rewards = o->reads & AE_RL_READS_REWARDS && rewarded.n == 0;
    g->empty = "none of its answers counts";
    g->remedy = lack_rewards
                    ? "no answer has a reward: look at rl.rewards, and at what its program writes"
                    : "rl.truncated=mask leaves out answers that are cut: raise rl.max_new, or choose "
                      "another rl.truncated";
}

static void settle_numbers(const ae_online *o, const judged *j, ae_gradients *g) {
    const double loss = j->gradient.loss;
    ae_numbers_add(&g->numbers, "loss", loss);
    g->finite = isfinite(loss);
    g->tokens = o->round.batch.n_tokens;
    g->flops = flops_of(o, (double)g->tokens);
    g->rate = o->next.guard.rate;
}

/* ---- steps ---- */

/* The state after the step: guards, rl.beta, the next pass. */
static ae_status move_state(ae_online *o, const ae_online_means *m) {
    const ae_rl_common_keys *k = &o->config->keys.rl;
    const ae_guarded now = {m->kl, m->entropy, m->length};
    const bool first = o->state.pass == 0;
    const int64_t answers = o->counts[AE_RL_POLICY] * o->order.per_step;
    const ae_status st = ae_guards_check(k, &now, o->done + 1, ae_online_uses_beta(o), &o->next.guard);
    if (st != AE_OK) return st;
    if (first && k->kl_target > 0 && isfinite(m->kl))
        o->next.guard.beta =
            ae_beta_adapted(o->next.guard.beta, m->kl, k->kl_target, (double)answers, k->kl_horizon);
    o->next.rounds += first;
    o->next.pass = (o->state.pass + 1) % k->passes;
    return AE_OK;
}

static ae_status begin_step(ae_online *o, const ae_online_work *w) {
    o->next = o->state;
    if (o->failed != AE_OK) return AE_FAIL(o->failed, "%s", o->why);
    if (o->state.pass > 0) return ae_online_round_pack(o, &o->round);
    ae_online_round_free(&o->round);
    const ae_online_asking asking = {"rl.rollouts", o->state.rounds + 1, o->counts, false};
    return ae_online_round_make(o, &o->round, w, &asking);
}

ae_status ae_online_gradients(void *self, void *work, ae_gradients *g) {
    ae_online *o = self;
    judged j = {0};
    const ae_scorer k = ae_rl_models_scorer(&o->models);
    ae_status st;
    AE_TRY(begin_step(o, work));
    AE_TRY(ae_scores_read(&k, &o->round.batch, &o->round.answers, o->state.pass == 0));
    const ae_online_means m = ae_online_means_of(o, &o->round);
    AE_TRY(judged_init(&j, o, &g->numbers));
    add_numbers(o, &m, &g->numbers);
    AE_TRY(move_state(o, &m));
    if (ae_answers_learning(&j.batch) > 0)
        AE_TRY(learn(o, &k, &j));
    else
        tell_empty(o, g);
    settle_numbers(o, &j, g);
    if (g->empty) g->finite = false;
out:
    judged_free(&j);
    return st;
}
