#include "tests/model/expected.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The checkpoints of tests/fixtures against float64 values from an independent implementation. */

typedef struct {
    const char *fixture;
    rig_backend_kind backend;
} replay_case;

static replay_case *replay_cases(size_t *n) {
    static const char *const fixtures[] = {"tiny", "window", "hawk", "attention", "gemma"};
    static replay_case cases[5 * RIG_BACKENDS];
    *n = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < *n; i++) cases[i] = (replay_case){fixtures[i / RIG_BACKENDS], i % RIG_BACKENDS};
    return cases;
}

/* Cases are named by an index: strings do not travel into the processes of a parameterized test. */
static size_t *case_numbers(size_t *n) {
    static size_t numbers[5 * RIG_BACKENDS];
    *n = sizeof numbers / sizeof *numbers;
    for (size_t i = 0; i < *n; i++) numbers[i] = i;
    return numbers;
}

static replay_case case_of(size_t number) {
    size_t n;
    return replay_cases(&n)[number];
}

/* ---- logits, log-probabilities and what scoring makes of them ---- */

static void check_logits(const rig_expected *e, const float *logits, ptrdiff_t V) {
    double worst = 0, worst_log = 0;
    for (ptrdiff_t m = 0; m < e->batch.B * e->batch.T; m++) {
        double got[512];
        for (ptrdiff_t v = 0; v < V; v++) got[v] = (double)logits[m * V + v];
        const double *want = e->logits + m * V;
        const double shift = rig_log_denominator(got, V) - rig_log_denominator(want, V);
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
    rig_expected e = rig_expected_read(c.fixture, m.config.V);
    const ae_micro_batch b = rig_rows(&e.batch, 0, e.batch.B);
    float *logits = rig_logits(&m, &b);
    check_logits(&e, logits, m.config.V);
    free(logits);
    rig_expected_free(&e);
    ae_model_free(&m);
}

static void check_scores(const rig_expected *e, const float *nll, ptrdiff_t V) {
    for (ptrdiff_t m = 0; m < e->batch.B * e->batch.T; m++) {
        const double *x = e->logits + m * V;
        const double want = rig_log_denominator(x, V) - x[e->batch.targets[m]];
        if (e->batch.weights[m] > 0)
            cr_assert(fabs((double)nll[m] - want) < 2e-5, "place %td: %g", m, (double)nll[m] - want);
        else
            cr_assert_float_eq(nll[m], 0, 0);
    }
}

/* Rank by rank: the log-probability of the id given is the one of that rank. */
static void check_top(const rig_expected *e, ptrdiff_t top, const int32_t *ids, const float *logprobs,
                      ptrdiff_t V) {
    for (ptrdiff_t m = 0; m < e->batch.B * e->batch.T; m++) {
        const double *x = e->logits + m * V, denominator = rig_log_denominator(x, V);
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
    rig_expected e = rig_expected_read(c.fixture, m.config.V);
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
    rig_expected_free(&e);
    ae_model_free(&m);
}

/* ---- loss and every gradient ---- */

static double check_gradient(const rig_expected *e, const ae_model *m, const ae_param *p) {
    const size_t bytes = (size_t)p->n * sizeof(float);
    float *want = malloc(bytes), *got = malloc(bytes);
    cr_assert(want != NULL && got != NULL);
    rig_expected_gradient(e, p, want);
    m->be->download(m->be, got, p->grad, bytes);
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
    rig_expected e = rig_expected_read(c.fixture, m.config.V);
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
    rig_expected_free(&e);
    ae_model_free(&m);
}
