#include "core/h5.h"
#include "exchange/source.h"
#include "tests/train/rig.h"
#include "train/step.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Ten AdamW steps on one batch, against a trace made in float64 by an independent program. */

enum { STEPS = 10, NAME_BYTES = 128 };

typedef struct {
    hid_t file;
    char path[300];
    ae_backend be;
    ae_model model;
    ae_pass *pass;
    ae_optimizer optimizer;
    ae_batch batch;
} trace;

static void read_batch(trace *t) {
    int64_t shape[2];
    ASSERT_OK(ae_h5_shape(t->file, t->path, "tokens", 2, shape));
    ASSERT_OK(ae_batch_init(&t->batch, (ptrdiff_t)shape[0], (ptrdiff_t)shape[1]));
    ASSERT_OK(ae_h5_read(t->file, t->path, "tokens", H5T_NATIVE_INT32, 2, shape, t->batch.tokens));
    ASSERT_OK(ae_h5_read(t->file, t->path, "targets", H5T_NATIVE_INT32, 2, shape, t->batch.targets));
    ASSERT_OK(ae_h5_read(t->file, t->path, "positions", H5T_NATIVE_INT32, 2, shape, t->batch.positions));
    ASSERT_OK(ae_h5_read(t->file, t->path, "loss_mask", H5T_NATIVE_FLOAT, 2, shape, t->batch.weights));
    for (int64_t i = 0; i < shape[0] * shape[1]; i++) t->batch.n_targets += t->batch.weights[i] != 0;
}

static void open_trace(trace *t, const char *name) {
    char folder[256];
    ae_optim_param *params;
    ptrdiff_t n;
    *t = (trace){0};
    snprintf(folder, sizeof folder, "%s/%s", AERIE_FIXTURES, name);
    snprintf(t->path, sizeof t->path, "%s/expected.h5", folder);
    ASSERT_OK(ae_h5_open(&t->file, t->path));
    ASSERT_OK(ae_backend_cpu(&t->be, &(ae_backend_options){.threads = 2}));
    ASSERT_OK(ae_model_open(&t->model, &t->be, folder, &(ae_model_options){.training = true}));
    read_batch(t);
    ASSERT_OK(ae_pass_new(&t->pass, &t->model, (ae_pass_dims){.B = t->batch.B, .T = t->batch.T}, true));
    ASSERT_OK(ae_step_optim_params(&t->model, &params, &n));
    const ae_adamw_options o = {
        .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 1};
    ASSERT_OK(ae_optimizer_init(&t->optimizer, &t->be, &o, params, n));
    free(params);
}

static void close_trace(trace *t) {
    ae_h5_close(t->file, t->path);
    ae_optimizer_free(&t->optimizer);
    ae_pass_delete(t->pass);
    ae_model_free(&t->model);
    ae_backend_free(&t->be);
    ae_batch_free(&t->batch);
}

static double relative_error(const trace *t, const char *name) {
    char key[NAME_BYTES + 16];
    const ae_param *p = ae_params_find(&t->model.params, name);
    cr_assert_not_null(p, "%s", name);
    float *found = malloc((size_t)p->n * sizeof *found);
    double *expected = malloc((size_t)p->n * sizeof *expected), error = 0, norm = 0;
    snprintf(key, sizeof key, "adamw/final/%s", name);
    t->be.download(&t->be, found, p->value, (size_t)p->n * sizeof *found);
    ASSERT_OK(ae_h5_read(t->file, t->path, key, H5T_NATIVE_DOUBLE, p->rank, p->shape, expected));
    for (int64_t i = 0; i < p->n; i++) {
        error += ((double)found[i] - expected[i]) * ((double)found[i] - expected[i]);
        norm += expected[i] * expected[i];
    }
    free(found);
    free(expected);
    return sqrt(error / norm);
}

typedef struct {
    const trace *t;
    int compared;
} finals;

static herr_t compare_final(hid_t group, const char *name, const H5L_info_t *info, void *data) {
    finals *f = data;
    (void)group;
    (void)info;
    double error = relative_error(f->t, name);
    cr_assert_lt(error, 1e-4, "%s: %g", name, error);
    f->compared++;
    return 0;
}

typedef struct {
    char name[16];
    ptrdiff_t micro_rows;
} trace_case;

static trace_case cases[] = {{"tiny", 1000}, {"tiny", 1}, {"window", 1000},    {"window", 1},
                             {"hawk", 1000}, {"hawk", 1}, {"attention", 1000}, {"attention", 1}};

ParameterizedTestParameters(trace, follows_adamw) {
    return cr_make_param_array(trace_case, cases, sizeof cases / sizeof *cases);
}
ParameterizedTest(const trace_case *c, trace, follows_adamw) {
    trace t;
    double loss[STEPS], norm[STEPS];
    const int64_t n = STEPS;
    open_trace(&t, c->name);
    ASSERT_OK(ae_h5_read(t.file, t.path, "adamw/loss", H5T_NATIVE_DOUBLE, 1, &n, loss));
    ASSERT_OK(ae_h5_read(t.file, t.path, "adamw/grad_norm", H5T_NATIVE_DOUBLE, 1, &n, norm));
    for (int i = 0; i < STEPS; i++) {
        ptrdiff_t rows = ae_min(c->micro_rows, t.batch.B);
        double found = ae_step_gradients(&t.model, t.pass, &t.batch, rows, NULL);
        ae_step_result r = train_rig_update(&t.optimizer, found, 3e-3);
        cr_assert_float_eq(found, loss[i], 5e-5, "%s step %d: loss %.9g, expected %.9g", c->name, i + 1,
                           found, loss[i]);
        cr_assert_float_eq(r.grad_norm, norm[i], 1e-4 * norm[i], "%s step %d: norm %.9g, expected %.9g",
                           c->name, i + 1, r.grad_norm, norm[i]);
    }
    finals f = {.t = &t};
    cr_assert_geq(H5Literate_by_name(t.file, "adamw/final", H5_INDEX_NAME, H5_ITER_INC, NULL, compare_final,
                                     &f, H5P_DEFAULT),
                  0);
    cr_assert_geq(f.compared, 1);
    close_trace(&t);
}
