#include "train/step.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

ae_status ae_step_optim_params(const ae_model *m, ae_optim_param **params, ptrdiff_t *n) {
    *n = 0;
    *params = calloc((size_t)m->params.n, sizeof **params);
    if (!*params) return AE_FAIL(AE_ERR_RESOURCE, "optimiser: out of memory");
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (!p->grad) continue;
        assert(!p->product || p->packed);
        (*params)[(*n)++] = (ae_optim_param){.name = p->name,
                                             .value = p->value,
                                             .grad = p->grad,
                                             .packed = p->product ? p->packed : NULL,
                                             .n = p->n,
                                             .rows = p->rows,
                                             .cols = p->cols,
                                             .decays = p->decays};
    }
    return AE_OK;
}

/* ---- micro-batches ---- */

static bool has_targets(const float *weights, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (weights[i] != 0) return true;
    return false;
}

ae_micro_batches ae_micro_batches_of(const ae_batch *batch, ptrdiff_t micro_rows,
                                     const ae_carried_rows *carried) {
    return (ae_micro_batches){.whole = batch, .micro_rows = micro_rows, .carried = carried};
}

/* The rows [first, first + B) from here on. */
static void take_rows(ae_micro_batches *s, ptrdiff_t first, ptrdiff_t B) {
    const ae_batch *whole = s->whole;
    s->row = first;
    s->at = first * whole->T;
    s->batch = (ae_micro_batch){.tokens = whole->tokens + s->at,
                                .targets = whole->targets + s->at,
                                .positions = whole->positions + s->at,
                                .weights = whole->weights + s->at,
                                .B = B,
                                .T = whole->T};
    if (!s->carried) return;
    s->rows = *s->carried;
    s->rows.first += first;
    s->batch.carried = &s->rows;
}

bool ae_micro_batches_next(ae_micro_batches *s) {
    for (ptrdiff_t first = s->row + s->batch.B; first < s->whole->B; first = s->row + s->batch.B) {
        take_rows(s, first, ae_min(s->micro_rows, s->whole->B - first));
        if (s->carried || has_targets(s->batch.weights, s->batch.B * s->batch.T)) return true;
    }
    return false;
}

/* ---- steps ---- */

double ae_step_gradients(ae_model *m, ae_pass *pass, const ae_batch *batch, ptrdiff_t micro_rows,
                         float *nll) {
    return ae_step_gradients_on(m, pass, batch, micro_rows, NULL, nll);
}

double ae_step_gradients_on(ae_model *m, ae_pass *pass, const ae_batch *batch, ptrdiff_t micro_rows,
                            const ae_carried_rows *carried, float *nll) {
    if (batch->n_targets == 0 && !carried) return (double)NAN;
    const double count = batch->n_targets > 0 ? (double)batch->n_targets : 1;
    double sum = 0;
    ae_micro_batches micro = ae_micro_batches_of(batch, micro_rows, carried);
    while (ae_micro_batches_next(&micro)) {
        double part = 0;
        ae_pass_forward(pass, m, &micro.batch);
        ae_pass_add_loss(pass, (float)(1 / count), &part, nll ? nll + micro.at : NULL);
        ae_pass_backward(pass);
        sum += part;
    }
    return batch->n_targets > 0 ? sum / count : (double)NAN;
}

ae_step_result ae_step_judge(const ae_optimizer *o, bool finite, double lr) {
    const double norm = ae_optimizer_grad_norm(o);
    return (ae_step_result){.grad_norm = norm, .lr = lr, .skipped = !finite || !isfinite(norm)};
}

void ae_step_finish(ae_optimizer *o, const ae_step_result *r) {
    if (r->skipped)
        ae_optimizer_drop(o);
    else
        ae_optimizer_update(o, r->lr, r->grad_norm);
}
