#include "core/h5.h"
#include "tests/model/rig.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The checkpoints of tests/fixtures against float64 values from an independent implementation. */

typedef struct {
    hid_t file;
    char path[512];
    rig_batch batch;
    double *logits, loss, weight_sum;
} expected;

static void read_set(const expected *e, const char *name, hid_t type, int rank, const int64_t *shape,
                     void *out) {
    cr_assert_eq(ae_h5_read(e->file, e->path, name, type, rank, shape, out), AE_OK, "%s", ae_error_message());
}

static expected read_expected(const char *fixture, ptrdiff_t V) {
    expected e = {.loss = NAN};
    int64_t shape[3];
    snprintf(e.path, sizeof e.path, "%s/%s/expected.h5", AERIE_FIXTURES, fixture);
    cr_assert_eq(ae_h5_open(&e.file, e.path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_h5_shape(e.file, e.path, "tokens", 2, shape), AE_OK, "%s", ae_error_message());
    e.batch = rig_batch_new((ptrdiff_t)shape[0], (ptrdiff_t)shape[1]);
    read_set(&e, "tokens", H5T_NATIVE_INT32, 2, shape, e.batch.tokens);
    read_set(&e, "targets", H5T_NATIVE_INT32, 2, shape, e.batch.targets);
    read_set(&e, "positions", H5T_NATIVE_INT32, 2, shape, e.batch.positions);
    read_set(&e, "loss_mask", H5T_NATIVE_FLOAT, 2, shape, e.batch.weights);
    read_set(&e, "loss", H5T_NATIVE_DOUBLE, 0, shape, &e.loss);
    shape[2] = V;
    e.logits = malloc((size_t)(shape[0] * shape[1] * V) * sizeof *e.logits);
    cr_assert_not_null(e.logits);
    read_set(&e, "logits", H5T_NATIVE_DOUBLE, 3, shape, e.logits);
    for (int64_t i = 0; i < shape[0] * shape[1]; i++) e.weight_sum += (double)e.batch.weights[i];
    return e;
}

static void free_expected(expected *e) {
    rig_batch_free(&e->batch);
    free(e->logits);
    cr_assert_eq(ae_h5_close(e->file, e->path), AE_OK);
}

static double log_denominator(const double *x, ptrdiff_t V) {
    double top = x[0], sum = 0;
    for (ptrdiff_t v = 1; v < V; v++) top = fmax(top, x[v]);
    for (ptrdiff_t v = 0; v < V; v++) sum += exp(x[v] - top);
    return top + log(sum);
}

typedef struct {
    const char *fixture;
    rig_backend_kind backend;
} replay_case;

static replay_case *replay_cases(size_t *n) {
    static const char *const fixtures[] = {"tiny", "window", "hawk", "attention"};
    static replay_case cases[4 * RIG_BACKENDS];
    *n = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < *n; i++) cases[i] = (replay_case){fixtures[i / RIG_BACKENDS], i % RIG_BACKENDS};
    return cases;
}

/* Cases are named by an index: strings do not travel into the processes of a parameterized test. */
static size_t *case_numbers(size_t *n) {
    static size_t numbers[4 * RIG_BACKENDS];
    *n = sizeof numbers / sizeof *numbers;
    for (size_t i = 0; i < *n; i++) numbers[i] = i;
    return numbers;
}

static replay_case case_of(size_t number) {
    size_t n;
    return replay_cases(&n)[number];
}

/* ---- logits, log-probabilities and what scoring makes of them ---- */

static void check_logits(const expected *e, const float *logits, ptrdiff_t V) {
    double worst = 0, worst_log = 0;
    for (ptrdiff_t m = 0; m < e->batch.B * e->batch.T; m++) {
        double got[512];
        for (ptrdiff_t v = 0; v < V; v++) got[v] = (double)logits[m * V + v];
        const double *want = e->logits + m * V;
        const double shift = log_denominator(got, V) - log_denominator(want, V);
        for (ptrdiff_t v = 0; v < V; v++) {
            worst = fmax(worst, fabs(got[v] - want[v]));
            worst_log = fmax(worst_log, fabs(got[v] - want[v] - shift));
            cr_assert_not(isnan(got[v]));
        }
    }
    cr_log_info("logits %.2e, log-probabilities %.2e", worst, worst_log);
    cr_assert(worst < 2e-5 && worst_log < 2e-5, "logits %g, log-probabilities %g", worst, worst_log);
}

ParameterizedTestParameters(fixtures, logits) {
    size_t n, *numbers = case_numbers(&n);
    return cr_make_param_array(size_t, numbers, n);
}
ParameterizedTest(size_t *number, fixtures, logits) {
    const replay_case c = case_of(*number);
    ae_model m;
    rig_model(&m, rig_backend(c.backend, 1), c.fixture, false);
    expected e = read_expected(c.fixture, m.config.V);
    const ae_micro_batch b = rig_rows(&e.batch, 0, e.batch.B);
    float *logits = rig_logits(&m, &b);
    check_logits(&e, logits, m.config.V);
    free(logits);
    free_expected(&e);
    ae_model_free(&m);
}

static void check_scores(const expected *e, const float *nll, ptrdiff_t V) {
    for (ptrdiff_t m = 0; m < e->batch.B * e->batch.T; m++) {
        const double *x = e->logits + m * V;
        const double want = log_denominator(x, V) - x[e->batch.targets[m]];
        if (e->batch.weights[m] > 0)
            cr_assert(fabs((double)nll[m] - want) < 2e-5, "place %td: %g", m, (double)nll[m] - want);
        else
            cr_assert_float_eq(nll[m], 0, 0);
    }
}

/* Rank by rank: the log-probability of the id given is the one of that rank. */
static void check_top(const expected *e, ptrdiff_t top, const int32_t *ids, const float *logprobs,
                      ptrdiff_t V) {
    for (ptrdiff_t m = 0; m < e->batch.B * e->batch.T; m++) {
        const double *x = e->logits + m * V, denominator = log_denominator(x, V);
        for (ptrdiff_t k = 0; k < top && e->batch.weights[m] > 0; k++) {
            const int32_t id = ids[m * top + k];
            ptrdiff_t better = 0;
            cr_assert(id >= 0 && id < V);
            cr_assert(fabs((double)logprobs[m * top + k] - (x[id] - denominator)) < 2e-5);
            for (ptrdiff_t v = 0; v < V; v++) better += x[v] > x[id] + 2e-5;
            cr_assert(better <= k, "place %td, rank %td", m, k);
            for (ptrdiff_t j = 0; j < k; j++) cr_assert_neq(ids[m * top + j], id);
        }
    }
}

ParameterizedTestParameters(fixtures, scores) {
    size_t n, *numbers = case_numbers(&n);
    return cr_make_param_array(size_t, numbers, n);
}
ParameterizedTest(size_t *number, fixtures, scores) {
    enum { TOP = 5 };
    const replay_case c = case_of(*number);
    ae_model m;
    rig_model(&m, rig_backend(c.backend, 2), c.fixture, false);
    expected e = read_expected(c.fixture, m.config.V);
    const ae_micro_batch b = rig_rows(&e.batch, 0, e.batch.B);
    const size_t places = (size_t)(b.B * b.T);
    float *nll = malloc(places * sizeof *nll), *logprobs = malloc(places * TOP * sizeof *logprobs);
    int32_t *ids = malloc(places * TOP * sizeof *ids);
    ae_pass *p = rig_pass(&m, b.B, b.T, 0, false);
    double sum = NAN;
    ae_model_score_pass(&m, p, &b, &sum, nll, TOP, ids, logprobs);
    cr_assert(fabs(sum / e.weight_sum - e.loss) < 1e-5);
    check_scores(&e, nll, m.config.V);
    check_top(&e, TOP, ids, logprobs, m.config.V);
    ae_model_score_pass(&m, p, &b, NULL, nll, 0, NULL, NULL);
    check_scores(&e, nll, m.config.V);
    ae_pass_delete(p);
    free(ids);
    free(logprobs);
    free(nll);
    free_expected(&e);
    ae_model_free(&m);
}

/* ---- loss and every gradient ---- */

static double check_gradient(const expected *e, const ae_model *m, const ae_param *p) {
    char name[128];
    const size_t bytes = (size_t)p->n * sizeof(float);
    float *want = malloc(bytes), *got = malloc(bytes);
    cr_assert(want != NULL && got != NULL);
    snprintf(name, sizeof name, "grads/%s", p->name);
    read_set(e, name, H5T_NATIVE_FLOAT, p->rank, p->shape, want);
    m->be->download(got, p->grad, bytes);
    const double error = rig_relative(got, want, (size_t)p->n);
    cr_assert(error < 5e-5, "%s: relative error %g", p->name, error);
    free(want);
    free(got);
    return error;
}

ParameterizedTestParameters(fixtures, gradients) {
    size_t n, *numbers = case_numbers(&n);
    return cr_make_param_array(size_t, numbers, n);
}
ParameterizedTest(size_t *number, fixtures, gradients) {
    const replay_case c = case_of(*number);
    ae_model m;
    rig_model(&m, rig_backend(c.backend, 2), c.fixture, true);
    expected e = read_expected(c.fixture, m.config.V);
    const ae_micro_batch b = rig_rows(&e.batch, 0, e.batch.B);
    float *nll = malloc((size_t)(b.B * b.T) * sizeof *nll);
    double sum = NAN, worst = 0;
    ae_pass *p = rig_pass(&m, b.B, b.T, 0, true);
    ae_model_train_pass(&m, p, &b, (float)(1 / e.weight_sum), &sum, nll);
    cr_assert(fabs(sum / e.weight_sum - e.loss) < 1e-5, "loss %g, expected %g", sum / e.weight_sum, e.loss);
    check_scores(&e, nll, m.config.V);
    for (ptrdiff_t i = 0; i < m.params.n; i++)
        worst = fmax(worst, check_gradient(&e, &m, &m.params.items[i]));
    cr_log_info("%s: loss %.2e, worst gradient %.2e", c.fixture, fabs(sum / e.weight_sum - e.loss), worst);
    ae_pass_delete(p);
    free(nll);
    free_expected(&e);
    ae_model_free(&m);
}
