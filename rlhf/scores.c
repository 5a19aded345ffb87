#include "rlhf/scores.h"

#include "train/step.h"

#include <stdlib.h>
#include <string.h>

/* Arrays over the places of a micro-batch. */
typedef struct {
    float *memory, *values, *more, *weights, *entropy_weights;
} room;

static ae_status room_init(room *r, const ae_scorer *k, const ae_batch *b) {
    const ptrdiff_t n = (k->micro_rows < b->B ? k->micro_rows : b->B) * b->T;
    float *memory = calloc((size_t)(4 * n), sizeof *memory);
    *r = (room){memory, memory, memory + n, memory + 2 * n, memory + 3 * n};
    return memory ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "scores of answers: out of memory");
}

static ae_status check_stop(const ae_scorer *k) {
    if (!k->stop || !*k->stop) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "scores of answers: interrupted");
}

/* Where the targets of an answer begin among the places of a micro-batch; -1: it is in another one. */
static ptrdiff_t begin_of(const ae_written *w, const ae_micro_batches *m) {
    const ptrdiff_t at = w->place - m->at;
    return at >= 0 && at < m->batch.B * m->batch.T ? at : -1;
}

/* ---- reading ---- */

static void keep(const ae_written_set *s, const ae_micro_batches *m, ae_written_array to,
                 const float *values) {
    for (ptrdiff_t i = 0; i < s->n; i++) {
        const ptrdiff_t begin = begin_of(&s->items[i], m);
        if (begin >= 0)
            memcpy(ae_written_values(s, i, to), values + begin, (size_t)s->items[i].seen.n * sizeof *values);
    }
}

static void read_policy(const ae_scorer *k, const ae_micro_batches *m, const ae_written_set *s, const room *r,
                        bool first) {
    ae_pass_forward(k->pass, k->policy, &m->batch);
    ae_pass_logprobs(k->pass, k->temperature, r->values, r->more);
    keep(s, m, AE_WRITTEN_NOW, r->values);
    keep(s, m, AE_WRITTEN_ENTROPY, r->more);
    if (first) keep(s, m, AE_WRITTEN_BEFORE, r->values);
}

static void read_logprobs(const ae_scorer *k, ae_pass *pass, const ae_model *model, const ae_micro_batches *m,
                          const ae_written_set *s, const room *r, ae_written_array to) {
    ae_pass_forward(pass, model, &m->batch);
    ae_pass_logprobs(pass, k->temperature, r->values, NULL);
    keep(s, m, to, r->values);
}

static void read_reference(const ae_scorer *k, const ae_micro_batches *m, const ae_written_set *s,
                           const room *r, bool first) {
    if (first)
        read_logprobs(k, k->reference_pass, k->reference, m, s, r, AE_WRITTEN_REFERENCE);
    else
        ae_pass_forward(k->reference_pass, k->reference, &m->batch);
    ae_pass_kl(k->pass, k->reference_pass, AE_KL_P_Q, k->temperature, r->values);
    keep(s, m, AE_WRITTEN_KL, r->values);
}

static const ae_param *head_of(const ae_model *critic) {
    return ae_params_find(&critic->params, "score.weight");
}

static void read_critic(const ae_scorer *k, const ae_micro_batches *m, const ae_written_set *s, const room *r,
                        bool first) {
    ae_pass_forward(k->critic_pass, k->critic, &m->batch);
    ae_pass_values(k->critic_pass, head_of(k->critic)->value, r->values);
    keep(s, m, AE_WRITTEN_VALUES_NOW, r->values);
    if (first) keep(s, m, AE_WRITTEN_VALUES, r->values);
}

ae_status ae_scores_read(const ae_scorer *k, const ae_batch *b, ae_written_set *s, bool first) {
    room r;
    ae_status st = room_init(&r, k, b);
    ae_micro_batches m = ae_micro_batches_of(b, k->micro_rows, NULL);
    while (st == AE_OK && ae_micro_batches_next(&m)) {
        st = check_stop(k);
        if (st != AE_OK) break;
        read_policy(k, &m, s, &r, first);
        if (k->anchor && first) read_logprobs(k, k->anchor_pass, k->anchor, &m, s, &r, AE_WRITTEN_ANCHOR);
        if (k->reference) read_reference(k, &m, s, &r, first); /* its hidden states stay, for the gradient */
        if (k->critic) read_critic(k, &m, s, &r, first);
        st = k->policy->be->sync(k->policy->be);
    }
    free(r.memory);
    return st;
}

/* ---- gradients ---- */

/* A loss's derivatives, `factor` times, at their places. Whether any is not 0. */
static bool spread(const ae_written_set *s, const ae_micro_batches *m, float *const *from, float factor,
                   float *to) {
    bool any = false;
    memset(to, 0, (size_t)(m->batch.B * m->batch.T) * sizeof *to);
    for (ptrdiff_t i = 0; from && i < s->n; i++) {
        const ptrdiff_t begin = begin_of(&s->items[i], m);
        for (ptrdiff_t t = 0; begin >= 0 && t < s->items[i].seen.n; t++) {
            to[begin + t] = factor * from[i][t];
            any |= from[i][t] != 0;
        }
    }
    return any;
}

static ptrdiff_t counted_tokens(const ae_written_set *s) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < s->n; i++) n += s->items[i].seen.counts ? s->items[i].seen.n : 0;
    return n;
}

static bool spread_entropy(const ae_written_set *s, const ae_micro_batches *m, double bonus, float *to) {
    const ptrdiff_t tokens = counted_tokens(s);
    if (bonus == 0 || tokens == 0) return false;
    memset(to, 0, (size_t)(m->batch.B * m->batch.T) * sizeof *to);
    for (ptrdiff_t i = 0; i < s->n; i++) {
        const ptrdiff_t begin = begin_of(&s->items[i], m);
        if (begin < 0 || !s->items[i].seen.counts) continue;
        for (ptrdiff_t t = 0; t < s->items[i].seen.n; t++) to[begin + t] = (float)(-bonus / (double)tokens);
    }
    return true;
}

/* Targets' weights are those of minus the log-probability. */
static void learn_policy(const ae_scorer *k, const ae_micro_batches *m, const ae_written_set *s,
                         const room *r, const ae_scores_loss *loss, bool held) {
    const bool kl = spread(s, m, loss->dkl, 1, r->values);
    const bool targets = spread(s, m, loss->dlogprob, -1, r->weights);
    const bool entropy = spread_entropy(s, m, loss->entropy_bonus, r->entropy_weights);
    if (!kl && !targets && !entropy) return;
    if (!held) ae_pass_forward(k->pass, k->policy, &m->batch);
    if (targets || entropy)
        ae_pass_add_targets(k->pass, r->weights, entropy ? r->entropy_weights : NULL, k->temperature);
    if (kl) {
        if (!held) ae_pass_forward(k->reference_pass, k->reference, &m->batch);
        ae_pass_add_kl(k->pass, k->reference_pass, AE_KL_P_Q, r->values, k->temperature);
    }
    ae_pass_backward(k->pass);
}

static void learn_critic(const ae_scorer *k, const ae_micro_batches *m, const ae_written_set *s,
                         const room *r, const ae_scores_loss *loss, bool held) {
    const ae_param *head = head_of(k->critic);
    if (!spread(s, m, loss->dvalue, 1, r->values)) return;
    if (!held) ae_pass_forward(k->critic_pass, k->critic, &m->batch);
    ae_pass_add_values(k->critic_pass, head->value, head->grad, r->values);
    ae_pass_backward(k->critic_pass);
}

ae_status ae_scores_add_gradients(const ae_scorer *k, const ae_batch *b, const ae_written_set *s,
                                  const ae_scores_loss *loss) {
    const bool held = b->B <= k->micro_rows;
    room r;
    ae_status st = room_init(&r, k, b);
    ae_micro_batches m = ae_micro_batches_of(b, k->micro_rows, NULL);
    while (st == AE_OK && ae_micro_batches_next(&m)) {
        st = check_stop(k);
        if (st != AE_OK) break;
        learn_policy(k, &m, s, &r, loss, held);
        if (k->critic) learn_critic(k, &m, s, &r, loss, held);
        st = k->policy->be->sync(k->policy->be);
    }
    free(r.memory);
    return st;
}
