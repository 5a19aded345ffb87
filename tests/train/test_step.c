#include "data/rows.h"
#include "tests/train/rig.h"
#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 6, T = 24 };

typedef struct {
    train_rig folder;
    ae_backend be;
    ae_model model;
    ae_pass *pass;
    ae_optimizer optimizer;
    ae_batch batch;
    ae_token_set *set;
} step_rig;

static step_rig r;

static void read_rows(void) {
    r.batch.n_tokens = r.batch.n_targets = 0;
    for (ptrdiff_t b = 0; b < B; b++) ASSERT_OK(ae_row_read(r.set, b, &r.batch, b));
    r.batch.n_targets = 0;
    for (ptrdiff_t i = 0; i < B * T; i++) r.batch.n_targets += r.batch.weights[i] != 0;
}

static void open_it(void) {
    ae_optim_param *params;
    ptrdiff_t n;
    train_rig_open(&r.folder);
    ASSERT_OK(ae_backend_cpu(&r.be, &(ae_backend_options){.threads = 2}));
    ASSERT_OK(ae_model_init(&r.model, &r.be, &train_rig_shape, &(ae_model_options){.training = true}));
    ASSERT_OK(ae_model_set_initial(&r.model, 3));
    ASSERT_OK(ae_pass_new(&r.pass, &r.model, (ae_pass_dims){.B = B, .T = T}, true));
    ASSERT_OK(ae_step_optim_params(&r.model, &params, &n));
    cr_assert_eq(n, r.model.params.n);
    const ae_adamw_options o = {
        .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 1};
    ASSERT_OK(ae_optimizer_init(&r.optimizer, &r.be, &o, params, n));
    free(params);
    ASSERT_OK(ae_token_set_open(&r.set, r.folder.train));
    ASSERT_OK(ae_batch_init(&r.batch, B, T));
    read_rows();
}

static void close_it(void) {
    ae_token_set_close(r.set);
    ae_batch_free(&r.batch);
    ae_optimizer_free(&r.optimizer);
    ae_pass_delete(r.pass);
    ae_model_free(&r.model);
    ae_backend_free(&r.be);
    train_rig_close(&r.folder);
}

TestSuite(step, .init = open_it, .fini = close_it);

/* All gradients, or all values, one behind the other; the caller frees. */
static float *copy_of(bool gradients) {
    float *x = malloc((size_t)r.model.params.total * sizeof *x);
    int64_t at = 0;
    for (ptrdiff_t i = 0; i < r.model.params.n; at += r.model.params.items[i++].n) {
        const ae_param *p = &r.model.params.items[i];
        r.be.download(&r.be, x + at, gradients ? p->grad : p->value, (size_t)p->n * sizeof *x);
    }
    return x;
}

static float *gradients_of(ptrdiff_t micro_rows, double *loss) {
    ae_optimizer_drop(&r.optimizer);
    *loss = ae_step_gradients(&r.model, r.pass, &r.batch, micro_rows, NULL);
    return copy_of(true);
}

/* Rows 0 and 4 lose most of their targets, so that a mean of means would show. */
static void mask_unevenly(void) {
    for (ptrdiff_t b = 0; b < B; b += 4) {
        for (ptrdiff_t t = 2; t < T; t++) {
            r.batch.n_targets -= r.batch.weights[b * T + t] != 0;
            r.batch.weights[b * T + t] = 0;
        }
    }
}

Test(step, any_split_gives_the_same_loss_and_gradient) {
    double loss, other;
    mask_unevenly();
    float *whole = gradients_of(B, &loss);
    for (ptrdiff_t rows = 1; rows < B; rows++) {
        float *parts = gradients_of(rows, &other);
        double error = 0, norm = 0;
        for (int64_t i = 0; i < r.model.params.total; i++) {
            error += pow((double)parts[i] - (double)whole[i], 2);
            norm += pow((double)whole[i], 2);
        }
        cr_assert_lt(fabs(other - loss), 1e-6 * loss, "%td rows: loss %.9g and %.9g", rows, other, loss);
        cr_assert_lt(sqrt(error / norm), 1e-6, "%td rows: %g", rows, sqrt(error / norm));
        free(parts);
    }
    free(whole);
}

Test(step, rows_without_targets_change_nothing) {
    double loss, other;
    for (ptrdiff_t i = 3 * T; i < B * T; i++) r.batch.weights[i] = 0;
    r.batch.n_targets = 0;
    for (ptrdiff_t i = 0; i < B * T; i++) r.batch.n_targets += r.batch.weights[i] != 0;
    float *whole = gradients_of(3, &loss);
    r.batch.B = 3;
    float *half = gradients_of(3, &other);
    cr_assert_eq(loss, other);
    cr_assert(isfinite(loss));
    cr_assert_eq(memcmp(whole, half, (size_t)r.model.params.total * sizeof *whole), 0);
    free(whole);
    free(half);
}

Test(step, a_batch_without_targets_is_skipped) {
    memset(r.batch.weights, 0, B * T * sizeof *r.batch.weights);
    r.batch.n_targets = 0;
    float *before = copy_of(false);
    double loss = ae_step_gradients(&r.model, r.pass, &r.batch, 2, NULL);
    ae_step_result s = train_rig_update(&r.optimizer, loss, 1e-3);
    cr_assert(s.skipped && isnan(loss));
    float *after = copy_of(false);
    cr_assert_eq(memcmp(before, after, (size_t)r.model.params.total * sizeof *before), 0);
    free(before);
    free(after);
}

/* A weight that is not finite for one step: that step leaves no trace. */
Test(step, a_step_that_is_not_finite_leaves_no_trace) {
    const float bad = INFINITY;
    float good, *before = copy_of(false);
    ae_param *p = ae_params_find(&r.model.params, "model.final_norm.weight");
    r.be.download(&r.be, &good, p->value, sizeof good);
    r.be.upload(&r.be, p->value, &bad, sizeof bad);
    ae_model_values_changed(&r.model);
    double loss = ae_step_gradients(&r.model, r.pass, &r.batch, 2, NULL);
    ae_step_result s = train_rig_update(&r.optimizer, loss, 1e-3);
    cr_assert(s.skipped);
    cr_assert_eq(r.optimizer.updates, 0);
    cr_assert_eq(ae_optimizer_grad_norm(&r.optimizer), 0.0);
    r.be.upload(&r.be, p->value, &good, sizeof good);
    ae_model_values_changed(&r.model);
    float *after = copy_of(false);
    cr_assert_eq(memcmp(before, after, (size_t)r.model.params.total * sizeof *before), 0);
    loss = ae_step_gradients(&r.model, r.pass, &r.batch, 2, NULL);
    s = train_rig_update(&r.optimizer, loss, 1e-3);
    cr_assert_not(s.skipped);
    free(before);
    free(after);
}

Test(step, updates_lower_the_loss_on_their_batch) {
    double first = 0, loss = 0;
    for (int i = 0; i < 20; i++) {
        loss = ae_step_gradients(&r.model, r.pass, &r.batch, 4, NULL);
        ae_step_result s = train_rig_update(&r.optimizer, loss, 1e-2);
        cr_assert_eq(s.lr, 1e-2);
        if (i == 0) first = loss;
    }
    cr_assert_lt(loss, first - 1);
}
