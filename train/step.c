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

static bool has_targets(const float *weights, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (weights[i] != 0) return true;
    return false;
}

double ae_step_gradients(ae_model *m, ae_pass *pass, const ae_batch *batch, ptrdiff_t micro_rows,
                         float *nll) {
    return ae_step_gradients_on(m, pass, batch, micro_rows, NULL, nll);
}

double ae_step_gradients_on(ae_model *m, ae_pass *pass, const ae_batch *batch, ptrdiff_t micro_rows,
                            const ae_carried_rows *carried, float *nll) {
    if (batch->n_targets == 0 && !carried) return (double)NAN;
    double sum = 0, count = batch->n_targets > 0 ? (double)batch->n_targets : 1;
    for (ptrdiff_t row = 0; row < batch->B; row += micro_rows) {
        ptrdiff_t rows = ae_min(micro_rows, batch->B - row), at = row * batch->T;
        if (!carried && !has_targets(batch->weights + at, rows * batch->T)) continue;
        ae_carried_rows own = carried ? *carried : (ae_carried_rows){0};
        own.first += row;
        ae_micro_batch b = {.tokens = batch->tokens + at,
                            .targets = batch->targets + at,
                            .positions = batch->positions + at,
                            .weights = batch->weights + at,
                            .B = rows,
                            .T = batch->T,
                            .carried = carried ? &own : NULL};
        double part = 0;
        ae_model_train_pass(m, pass, &b, (float)(1 / count), &part, nll ? nll + at : NULL);
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
