#include "tests/model/expected.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Models in bfloat16 against float64: bounds near what other mixed-precision trainers reach on these checkpoints. */

static const char *const fixtures[] = {"tiny", "window", "hawk", "attention"};
enum { FIXTURES = 4 };
static const rig_backend_kind kinds[] = {RIG_BF16, RIG_BF16_AVX2, RIG_BF16_STRICT, RIG_BF16_PRODUCTS};
enum { KINDS = 4 };

typedef struct {
    ae_model model;
    rig_expected e;
    ae_micro_batch batch;
    ae_pass *pass;
    float *nll;
} trial;

typedef struct {
    int threads;
    bool pack_at_use;
    ae_pass_dims dims;
} way;

static void open_trial(trial *t, size_t number, const way *w) {
    const char *fixture = fixtures[number / KINDS];
    ae_pass_dims dims = w->dims;
    rig_model_with(&t->model, rig_backend(kinds[number % KINDS], w->threads), fixture,
                   &(ae_model_options){.training = true, .pack_at_use = w->pack_at_use});
    t->e = rig_expected_read(fixture, t->model.config.V);
    t->batch = rig_rows(&t->e.batch, 0, t->e.batch.B);
    dims.B = t->batch.B;
    dims.T = t->batch.T;
    cr_assert_eq(ae_pass_new(&t->pass, &t->model, dims, true), AE_OK, "%s", ae_error_message());
    t->nll = malloc((size_t)(t->batch.B * t->batch.T) * sizeof *t->nll);
    cr_assert_not_null(t->nll);
}

static void close_trial(trial *t) {
    ae_pass_delete(t->pass);
    free(t->nll);
    rig_expected_free(&t->e);
    ae_model_free(&t->model);
}

/* Root of the mean square of the error of the targets' log-probabilities. */
static double score_error(const trial *t) {
    const ptrdiff_t V = t->model.config.V;
    double squares = 0, n = 0;
    for (ptrdiff_t m = 0; m < t->batch.B * t->batch.T; m++) {
        if (t->batch.weights[m] == 0.0f) continue;
        const double *x = t->e.logits + m * V;
        const double error = (double)t->nll[m] - (rig_log_denominator(x, V) - x[t->batch.targets[m]]);
        squares += error * error;
        n++;
    }
    return sqrt(squares / n);
}

typedef struct {
    double difference, norm; /* sums of squares over all parameters */
    double worst;            /* relative error of one parameter */
} gradient_error;

static void add_gradient(gradient_error *g, const trial *t, const ae_param *p) {
    const size_t bytes = (size_t)p->n * sizeof(float);
    float *want = malloc(bytes), *got = malloc(bytes);
    double difference = 0, norm = 0;
    cr_assert(want != NULL && got != NULL);
    rig_expected_gradient(&t->e, p, want);
    t->model.be->download(t->model.be, got, p->grad, bytes);
    for (int64_t i = 0; i < p->n; i++) {
        const double d = (double)got[i] - (double)want[i];
        difference += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    const double relative = sqrt(difference / norm);
    cr_assert(relative < 0.05, "%s: relative error %g", p->name, relative);
    g->difference += difference;
    g->norm += norm;
    g->worst = fmax(g->worst, relative);
    free(want);
    free(got);
}

ParameterizedTestParameters(bf16, scores_and_gradients) {
    static size_t numbers[FIXTURES * KINDS];
    for (size_t i = 0; i < FIXTURES * KINDS; i++) numbers[i] = i;
    return cr_make_param_array(size_t, numbers, FIXTURES * KINDS);
}
ParameterizedTest(size_t *number, bf16, scores_and_gradients) {
    trial t;
    gradient_error g = {0};
    double sum = NAN;
    open_trial(&t, *number, &(way){.threads = 2});
    ae_model_train_pass(&t.model, t.pass, &t.batch, (float)(1 / t.e.weight_sum), &sum, t.nll);
    const double error = score_error(&t);
    for (ptrdiff_t i = 0; i < t.model.params.n; i++) add_gradient(&g, &t, &t.model.params.items[i]);
    const double whole = sqrt(g.difference / g.norm);
    cr_log_info("%s %s: log-probabilities %.4f, gradient %.4f, worst %.4f", fixtures[*number / KINDS],
                t.model.be->kernels, error, whole, g.worst);
    cr_assert(error < 0.010, "log-probabilities %g", error);
    cr_assert(whole < 0.02, "gradient %g", whole);
    close_trial(&t);
}

static float *gradients_with(size_t number, const way *w, double *sum) {
    trial t;
    open_trial(&t, number, w);
    ae_model_train_pass(&t.model, t.pass, &t.batch, 1, sum, t.nll);
    float *g = rig_gradients(&t.model);
    close_trial(&t);
    return g;
}

/* What is made again in backward, when weights are packed, and the number of threads change no bit. */
ParameterizedTestParameters(bf16, memory_choices_and_threads_change_no_bit) {
    static size_t numbers[FIXTURES * KINDS];
    for (size_t i = 0; i < FIXTURES * KINDS; i++) numbers[i] = i;
    return cr_make_param_array(size_t, numbers, FIXTURES * KINDS);
}
ParameterizedTest(size_t *number, bf16, memory_choices_and_threads_change_no_bit) {
    static const way ways[] = {{.threads = 1},
                               {.threads = 3},
                               {.threads = 2, .pack_at_use = true},
                               {2, false, {.recompute_mlps = 2}},
                               {2, false, {.recompute_blocks = 2}},
                               {1, true, {.recompute_mlps = 9, .recompute_blocks = 1}}};
    double sum = NAN;
    float *want = gradients_with(*number, &(way){.threads = 2}, &sum);
    ae_model m;
    rig_model(&m, rig_backend(kinds[*number % KINDS], 2), fixtures[*number / KINDS], true);
    const size_t bytes = (size_t)ae_params_padded_elements(&m.params, true) * sizeof(float);
    ae_model_free(&m);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double again = NAN;
        float *got = gradients_with(*number, &ways[i], &again);
        cr_assert_eq(again, sum, "way %zu", i);
        cr_assert_eq(memcmp(got, want, bytes), 0, "way %zu", i);
        free(got);
    }
    free(want);
}
