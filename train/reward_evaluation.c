#include "train/reward_evaluation.h"

#include "core/dims.h"

#include <stdlib.h>

typedef struct {
    const ae_reward_evaluation *e;
    ae_pair_batch pairs;
    ae_pair_choice *choices;
    const ae_param *head; /* score.weight */
    float *values;
    ae_pass *pass;
    ptrdiff_t most; /* pairs at a time */
} evaluation;

static ae_status evaluation_init(evaluation *v, const ae_reward_evaluation *e) {
    ae_status st = AE_OK;
    const ae_pair_count *count = &e->set->count;
    const ae_pass_dims n = {.B = e->rows, .T = e->set->T};
    const int64_t tokens = n.B * n.T, mean = count->tokens / count->pairs;
    *v = (evaluation){.e = e,
                      .head = ae_params_find(&e->model->params, "score.weight"),
                      .most = (ptrdiff_t)ae_min(e->pairs, ae_max(n.B, tokens / mean))};
    v->choices = calloc((size_t)v->most, sizeof *v->choices);
    v->values = malloc((size_t)(n.B * n.T) * sizeof *v->values);
    if (!v->choices || !v->values) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "evaluation: out of memory"));
    AE_TRY(ae_pair_batch_init(&v->pairs, v->most, n.B, n.T));
    AE_TRY(ae_pass_new(&v->pass, e->model, n, false));
out:
    return st;
}

static void evaluation_free(evaluation *v) {
    ae_pass_delete(v->pass);
    ae_pair_batch_free(&v->pairs);
    free(v->choices);
    free(v->values);
}

static void judge(evaluation *v, int64_t first, ae_reward_sums *s, ae_calibration *c) {
    for (ptrdiff_t i = 0; i < v->pairs.n_pairs; i++) {
        const ae_pair_place *p = &v->pairs.pairs[i];
        const ae_pair_judged j = ae_reward_judge_pair(v->e->keys, p, v->values, 0, s);
        ae_calibration_add(c, j.chosen, j.rejected);
        if (v->e->preferred)
            v->e->preferred[first + p->choice] = (int8_t)((j.chosen > j.rejected) - (j.chosen < j.rejected));
    }
}

/* Pairs from `first` on, which moves past them. */
static ae_status evaluate_some(evaluation *v, int64_t *first, ae_reward_sums *s, ae_calibration *c) {
    ptrdiff_t n = (ptrdiff_t)ae_min(v->most, v->e->pairs - *first);
    for (ptrdiff_t i = 0; i < n; i++) v->choices[i] = (ae_pair_choice){.set = v->e->set, .pair = *first + i};
    ae_status st = ae_pair_batch_fit(&v->pairs, v->choices, &n);
    if (st == AE_OK) st = ae_pair_batch_fill(&v->pairs, v->choices, n);
    if (st != AE_OK) return st;
    const ae_batch *b = &v->pairs.batch;
    const ae_micro_batch all = {.tokens = b->tokens,
                                .targets = b->targets,
                                .positions = b->positions,
                                .weights = b->weights,
                                .B = b->B,
                                .T = b->T};
    ae_pass_forward(v->pass, v->e->model, &all);
    ae_pass_values(v->pass, v->head->value, v->values);
    judge(v, *first, s, c);
    *first += n;
    return AE_OK;
}

ae_status ae_reward_evaluate(const ae_reward_evaluation *e, ae_reward_sums *s, ae_calibration *c) {
    evaluation v;
    ae_status st = evaluation_init(&v, e);
    for (int64_t first = 0; first < e->pairs && st == AE_OK;)
        st = *e->stop ? AE_FAIL(AE_ERR_INTERRUPTED, "evaluation: interrupted")
                      : evaluate_some(&v, &first, s, c);
    evaluation_free(&v);
    return st;
}
