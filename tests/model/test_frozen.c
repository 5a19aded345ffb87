#include "exchange/source.h"
#include "model/params_match.h"
#include "tests/core/scratch.h"
#include "tests/model/naive.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

/* Models of which only a part trains, over bases in float32 and in compact forms. */

TestSuite(frozen, .init = scratch_make, .fini = scratch_remove);

enum { SEED = 21, ROWS = 2, TOKENS = 14 };
static const char *const fixtures[] = {"tiny", "attention", "gemma"};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };
/* All that is no matrix of a block, the table too: its gradient is that of the input and that of the head. */
static const char *const outside_matrices[] = {
    "*norm.weight", "*bias", "*rg_lru.recurrent_param", "*conv_1d.weight", "model.embed_tokens.weight", NULL};
/* Where the shape has no recurrent block. */
static const char *const outside_attention[] = {"*norm.weight", "*bias", "model.embed_tokens.weight", NULL};

/* And no biases either. */
static const char *const outside_gemma[] = {"*norm.weight", "model.embed_tokens.weight", NULL};

static const char *const *trained_of(const char *fixture) {
    if (strcmp(fixture, "gemma") == 0) return outside_gemma;
    return strcmp(fixture, "attention") == 0 ? outside_attention : outside_matrices;
}

typedef struct {
    ae_model m;
    ae_pass *pass;
    rig_batch rows;
    ae_micro_batch batch;
    double loss;
} learner;

static learner learner_new(const ae_backend *be, const char *fixture, const ae_model_options *o) {
    learner l = {.rows = rig_batch_random(ROWS, TOKENS, 64, SEED)};
    rig_model_with(&l.m, be, fixture, o);
    l.batch = rig_rows(&l.rows, 0, ROWS);
    l.pass = rig_pass(&l.m, ROWS, TOKENS, 1, true);
    l.loss = rig_train(&l.m, l.pass, &l.batch, 1);
    return l;
}

static void learner_free(learner *l) {
    ae_pass_delete(l->pass);
    rig_batch_free(&l->rows);
    ae_model_free(&l->m);
}

static float *gradient(const learner *l, const ae_param *p) {
    float *g = malloc((size_t)p->n * sizeof *g);
    cr_assert_not_null(g);
    l->m.be->download(l->m.be, g, p->grad, (size_t)p->n * sizeof *g);
    return g;
}

/* What is left out changes no bit of the rest. */
Test(frozen, gradients_are_those_of_the_whole_model) {
    for (int f = 0; f < FIXTURES; f++) {
        const ae_backend *be = rig_backend(RIG_CPU_BEST, 2);
        ae_model_options some = {.training = true, .params.train = trained_of(fixtures[f])};
        learner all = learner_new(be, fixtures[f], &(ae_model_options){.training = true}),
                part = learner_new(be, fixtures[f], &some);
        int64_t trained = 0;
        cr_assert_eq(all.loss, part.loss);
        for (ptrdiff_t i = 0; i < all.m.params.n; i++) {
            const ae_param *p = &part.m.params.items[i], *whole = &all.m.params.items[i];
            cr_assert_eq(p->grad != NULL, p->trainable, "%s", p->name);
            if (!p->trainable) continue;
            float *got = gradient(&part, p), *want = gradient(&all, whole);
            cr_assert_arr_eq(got, want, (size_t)p->n * sizeof *got, "%s", p->name);
            free(got);
            free(want);
            trained += (p->n + 15) / 16 * 16;
        }
        cr_assert_eq(part.m.grad_bytes, (size_t)trained * sizeof(float));
        cr_assert(part.m.grad_bytes > 0 && part.m.grad_bytes < all.m.grad_bytes / 2);
        learner_free(&all);
        learner_free(&part);
    }
}

/* ---- compact bases ---- */

typedef struct {
    int fixture;
    rig_backend_kind backend;
    ae_weight_type weights;
    ptrdiff_t group;
} base_case;

static const base_case *base_cases(size_t *n) {
    static base_case cases[FIXTURES * RIG_BACKENDS * 3];
    static const ae_weight_type types[] = {AE_WEIGHT_BF16, AE_WEIGHT_INT8, AE_WEIGHT_INT4};
    *n = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < *n; i++)
        cases[i] = (base_case){(int)(i % FIXTURES), i / FIXTURES % RIG_BACKENDS,
                               types[i / FIXTURES / RIG_BACKENDS], 16};
    return cases;
}

ParameterizedTestParameters(frozen, gradients_through_compact_weights) {
    static size_t numbers[FIXTURES * RIG_BACKENDS * 3];
    size_t n;
    (void)base_cases(&n);
    for (size_t i = 0; i < n; i++) numbers[i] = i;
    return cr_make_param_array(size_t, numbers, n);
}
ParameterizedTest(size_t *number, frozen, gradients_through_compact_weights) {
    size_t n;
    const base_case c = base_cases(&n)[*number];
    const char *fixture = fixtures[c.fixture];
    const ae_model_options o = {
        .training = true, .weights = c.weights, .group = c.group, .params.train = trained_of(fixture)};
    learner l = learner_new(rig_backend(c.backend, 2), fixture, &o);
    naive_model twin = naive_new(&l.m, fixture);
    const double want = creal(naive_loss(&twin, &l.batch));
    cr_assert(fabs(l.loss - want) < 2e-6 * want, "%s: loss %.9g, expected %.9g", fixture, l.loss, want);
    for (ptrdiff_t i = 0; i < l.m.params.n; i++) {
        const ae_param *p = &l.m.params.items[i];
        if (p->grad == NULL) {
            cr_assert_null(p->value, "%s", p->name);
            continue;
        }
        float *g = gradient(&l, p);
        const double error = naive_gradient_error(&twin, &l.batch, p, g);
        cr_assert(error < 1e-5, "%s, form %d: %s: %g", fixture, (int)c.weights, p->name, error);
        free(g);
    }
    naive_free(&twin);
    learner_free(&l);
}

/* ---- files ---- */

Test(frozen, a_file_holds_what_trains_and_loads_beside_the_base) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    const ae_model_options o = {
        .training = true, .weights = AE_WEIGHT_INT4, .params.train = outside_matrices};
    const char *path = scratch_path("part.h5");
    ae_model m, back;
    ae_tensors *t;
    rig_model_with(&m, be, "tiny", &o);
    for (ptrdiff_t i = 0; i < m.params.n; i++) /* other values than those of the base */
        if (m.params.items[i].grad != NULL)
            m.be->zero(m.be, m.params.items[i].value, (size_t)m.params.items[i].n * sizeof(float) / 2);
    cr_assert_eq(ae_model_save(&m, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_open(&t, path), AE_OK);
    for (ptrdiff_t i = 0; i < m.params.n; i++)
        cr_assert_eq(ae_tensors_find(t, m.params.items[i].name) >= 0, m.params.items[i].trainable);
    ae_tensors_close(t);

    rig_model_with(&back, be, "tiny", &o);
    cr_assert_eq(ae_model_load(&back, path, NULL), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), "expected this tensor"));
    cr_assert_eq(ae_model_load(&back, path, &(ae_params_match_options){.lacks_frozen = true}), AE_OK, "%s",
                 ae_error_message());
    ae_model_values_changed(&m);
    rig_batch rows = rig_batch_random(ROWS, TOKENS, 64, SEED);
    const ae_micro_batch b = rig_rows(&rows, 0, ROWS);
    float *want = rig_logits(&m, &b), *got = rig_logits(&back, &b);
    cr_assert_arr_eq(got, want, (size_t)(ROWS * TOKENS * 64) * sizeof *got);
    free(got);
    free(want);
    rig_batch_free(&rows);
    ae_model_free(&m);
    ae_model_free(&back);
}

Test(frozen, compact_values_are_not_saved) {
    ae_model m;
    rig_model_with(&m, rig_backend(RIG_CPU_BEST, 1), "tiny", &(ae_model_options){.weights = AE_WEIGHT_INT8});
    cr_assert_eq(ae_model_save(&m, scratch_path("all.h5")), AE_ERR_DEFECT);
    cr_assert_not_null(strstr(ae_error_message(), "compact"));
    ae_model_free(&m);
}
