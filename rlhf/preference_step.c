#include "rlhf/preference_step.h"

#include "data/hash.h"
#include "train/step.h"

#include <string.h>

/* ---- log-probabilities ---- */

/* Sum over the places [begin, end) whose target counts; log-probabilities are 0 at the others. `logprobs` begin
 * with place `at`. */
static double sum_answer(const ae_batch *b, const float *logprobs, ptrdiff_t at, ptrdiff_t begin,
                         ptrdiff_t end, ptrdiff_t *tokens) {
    double s = 0;
    *tokens = 0;
    for (ptrdiff_t i = begin; i < end; i++) {
        if (!(b->weights[i] > 0)) continue;
        s += (double)logprobs[i - at];
        (*tokens)++;
    }
    return s;
}

/* Of the tokens before the first one that counts. */
static uint64_t hash_prompt(const ae_batch *b, ptrdiff_t begin, ptrdiff_t end) {
    uint64_t h = AE_FNV_START;
    for (ptrdiff_t i = begin; i < end; i++) {
        h = ae_hash_mix(h, (uint64_t)b->tokens[i]);
        if (b->weights[i] > 0) break;
    }
    return h;
}

static void read_pair(const ae_batch *b, const ae_pair_place *p, const float *logprobs, ptrdiff_t at,
                      ae_scored_pair *pair) {
    pair->now.chosen = sum_answer(b, logprobs, at, p->chosen_begin, p->chosen_end, &pair->chosen_tokens);
    pair->now.rejected =
        sum_answer(b, logprobs, at, p->rejected_begin, p->rejected_end, &pair->rejected_tokens);
    pair->prompt = hash_prompt(b, p->chosen_begin, p->chosen_end);
}

/* Forward through a micro-batch, to the scores of its pairs: from `first` on. Returns the one after them. */
static ptrdiff_t score_micro(const ae_rl_keys *keys, const ae_model *m, ae_pass *pass, const ae_pair_batch *b,
                             const ae_micro_batches *micro, ptrdiff_t first, float *logprobs,
                             ae_scored_pair *pairs) {
    const ptrdiff_t end = micro->at + micro->batch.B * micro->batch.T;
    ptrdiff_t i = first;
    ae_pass_forward(pass, m, &micro->batch);
    ae_pass_logprobs(pass, (float)keys->rl.temperature, logprobs, NULL);
    for (; i < b->n_pairs && b->pairs[i].chosen_begin < end; i++)
        read_pair(&b->batch, &b->pairs[i], logprobs, micro->at, &pairs[i]);
    return i;
}

void ae_preference_score(const ae_rl_keys *keys, const ae_model *m, ae_pass *pass, const ae_pair_batch *b,
                         ptrdiff_t micro_rows, float *room, ae_scored_pair *pairs) {
    ptrdiff_t next = 0;
    ae_micro_batches micro = ae_micro_batches_of(&b->batch, micro_rows, NULL);
    while (ae_micro_batches_next(&micro)) next = score_micro(keys, m, pass, b, &micro, next, room, pairs);
}

/* ---- losses ---- */

static ae_pair_scores log_ratios(const ae_scored_pair *p) {
    return (ae_pair_scores){p->now.chosen - p->reference.chosen, p->now.rejected - p->reference.rejected};
}

/* max(0, mean rho) over the answers to prompts other than that of pair i. */
static double divergence_of(const ae_scored_pair *pairs, ptrdiff_t n, ptrdiff_t i) {
    double sum = 0;
    ptrdiff_t others = 0;
    for (ptrdiff_t k = 0; k < n; k++) {
        if (pairs[k].prompt == pairs[i].prompt) continue;
        const ae_pair_scores rho = log_ratios(&pairs[k]);
        sum += rho.chosen + rho.rejected;
        others += 2;
    }
    const double mean = others > 0 ? sum / (double)others : 0;
    return ae_kto_divergence(&mean, 1);
}

void ae_preference_set_divergences(const ae_rl_keys *keys, ae_scored_pair *pairs, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        pairs[i].z = keys->rl.method == AE_RL_KTO ? divergence_of(pairs, n, i) : 0;
}

static ae_preference kto(const ae_rl_keys *k, ae_pair_scores rho, double z) {
    const ae_answer_loss good = ae_kto_loss(rho.chosen, z, true, k->rl.beta, k->kto.good);
    const ae_answer_loss bad = ae_kto_loss(rho.rejected, z, false, k->rl.beta, k->kto.bad);
    return (ae_preference){.loss = 0.5 * (good.loss + bad.loss),
                           .dchosen = 0.5 * good.dlogprob,
                           .drejected = 0.5 * bad.dlogprob};
}

static ae_preference loss_of(const ae_rl_keys *k, const ae_scored_pair *p, ae_pair_scores rho) {
    if (k->rl.method == AE_RL_KTO) return kto(k, rho, p->z);
    ae_preference l =
        k->rl.method == AE_RL_IPO
            ? ae_ipo_loss(rho.chosen, rho.rejected, p->chosen_tokens, p->rejected_tokens, k->rl.beta)
            : ae_dpo_loss(rho.chosen, rho.rejected, k->rl.beta, k->dpo.smoothing);
    if (k->dpo.nll > 0) {
        const ae_answer_loss nll = ae_chosen_nll(p->now.chosen, p->chosen_tokens, k->dpo.nll);
        l.loss += nll.loss;
        l.dchosen += nll.dlogprob;
    }
    return l;
}

ae_preference ae_preference_judge(const ae_rl_keys *keys, const ae_scored_pair *pair, ae_preference_sums *s) {
    const ae_pair_scores rho = log_ratios(pair);
    const bool by_token = keys->rl.method == AE_RL_IPO;
    const double h =
        by_token ? rho.chosen / (double)pair->chosen_tokens - rho.rejected / (double)pair->rejected_tokens
                 : rho.chosen - rho.rejected;
    const ae_preference l = loss_of(keys, pair, rho);
    s->loss += l.loss;
    s->right += h > 0 ? 1 : h == 0 ? 0.5 : 0;
    s->margin += keys->rl.beta * h;
    s->chosen += rho.chosen;
    s->rejected += rho.rejected;
    s->pairs++;
    return l;
}

/* ---- gradients ---- */

/* Weights of nll, which is minus the log-probability, for an answer whose s has the gradient ds. */
static void weigh_answer(const ae_batch *b, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t at, double ds,
                         float *weights) {
    for (ptrdiff_t i = begin; i < end; i++)
        if (b->weights[i] > 0) weights[i - at] = (float)-ds;
}

/* The pairs [first, end), which the pass has just scored. */
static void learn_micro(const ae_rl_keys *keys, ae_pass *pass, const ae_pair_batch *b,
                        const ae_micro_batches *micro, const ae_scored_pair *pairs, ptrdiff_t first,
                        ptrdiff_t end, float *weights, ae_preference_sums *s) {
    const double n = (double)b->n_pairs;
    memset(weights, 0, (size_t)(micro->batch.B * micro->batch.T) * sizeof *weights);
    for (ptrdiff_t i = first; i < end; i++) {
        const ae_pair_place *p = &b->pairs[i];
        const ae_preference l = ae_preference_judge(keys, &pairs[i], s);
        weigh_answer(&b->batch, p->chosen_begin, p->chosen_end, micro->at, l.dchosen / n, weights);
        weigh_answer(&b->batch, p->rejected_begin, p->rejected_end, micro->at, l.drejected / n, weights);
    }
    ae_pass_add_targets(pass, weights, NULL, (float)keys->rl.temperature);
    ae_pass_backward(pass);
}

ae_preference_sums ae_preference_gradients(const ae_rl_keys *keys, ae_model *m, ae_pass *pass,
                                           const ae_pair_batch *b, ptrdiff_t micro_rows, float *room,
                                           ae_scored_pair *pairs) {
    ae_preference_sums s = {0};
    ptrdiff_t first = 0;
    float *logprobs = room, *weights = room + micro_rows * b->batch.T;
    const bool twice = keys->rl.method == AE_RL_KTO && micro_rows < b->batch.B;
    if (twice) ae_preference_score(keys, m, pass, b, micro_rows, logprobs, pairs);
    if (twice) ae_preference_set_divergences(keys, pairs, b->n_pairs);
    ae_micro_batches micro = ae_micro_batches_of(&b->batch, micro_rows, NULL);
    while (ae_micro_batches_next(&micro)) {
        const ptrdiff_t end = score_micro(keys, m, pass, b, &micro, first, logprobs, pairs);
        if (!twice) ae_preference_set_divergences(keys, pairs, end);
        learn_micro(keys, pass, b, &micro, pairs, first, end, weights, &s);
        first = end;
    }
    return s;
}
