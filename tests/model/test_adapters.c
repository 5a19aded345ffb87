#include "core/h5.h"
#include "core/rng.h"
#include "exchange/source.h"
#include "formats/tensors.h"
#include "model/decode.h"
#include "optim/optimizer.h"
#include "tests/core/scratch.h"
#include "tests/model/naive.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

/* Adapters beside every projection, over frozen bases in all forms. */

TestSuite(adapters, .init = scratch_make, .fini = scratch_remove);

enum { SEED = 31, ROWS = 2, TOKENS = 14, RANK = 3 };
static const char *const fixtures[] = {"tiny", "attention"};
static const char *const adapters_alone[] = {"*.lora_?.weight", NULL};
/* The gradient of the table is that of the input and that of the head. */
static const char *const and_the_table[] = {"*.lora_?.weight", "model.embed_tokens.weight", NULL};

static ae_model_options options_of(ae_weight_type weights, const char *const *train) {
    return (ae_model_options){
        .training = true,
        .weights = weights,
        .group = 16,
        .params = {.adapters = {.rank = RANK, .alpha = 2, .by_root = true}, .train = train}};
}

/* Other values than the initial ones, where B is 0. */
static void draw_adapters(ae_model *m) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (!p->added) continue;
        float *x = malloc((size_t)p->n * sizeof *x);
        ae_rng r = ae_rng_make(SEED, (uint64_t)i);
        cr_assert_not_null(x);
        for (int64_t k = 0; k < p->n; k++) x[k] = 0.3f * (float)(ae_rng_uniform(&r) - 0.5);
        m->be->upload(m->be, p->value, x, (size_t)p->n * sizeof *x);
        free(x);
    }
    ae_model_values_changed(m);
}

static ae_model adapted(const ae_backend *be, const char *fixture, const ae_model_options *o) {
    ae_model m;
    rig_model_with(&m, be, fixture, o);
    draw_adapters(&m);
    return m;
}

/* ---- gradients ---- */

typedef struct {
    int fixture;
    rig_backend_kind backend;
    ae_weight_type weights;
    bool table;
    ptrdiff_t recompute;
} adapted_case;
enum { CASES = 2 * 4 * RIG_BACKENDS };

/* Every form of every fixture on every backend; the table with half of each of them. */
static adapted_case case_of(size_t i) {
    static const ae_weight_type types[] = {AE_WEIGHT_F32, AE_WEIGHT_BF16, AE_WEIGHT_INT8, AE_WEIGHT_INT4};
    return (adapted_case){(int)(i % 2), i / 8, types[i / 2 % 4], (i + i / 2 + i / 8) % 2 == 0,
                          (ptrdiff_t)(i % 3)};
}

static void check_gradients(const adapted_case *c, const ae_model *m, const ae_micro_batch *b,
                            double tolerance) {
    const char *fixture = fixtures[c->fixture];
    naive_model twin = naive_new(m, fixture);
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        cr_assert_eq(p->grad != NULL, p->added || (c->table && p->often), "%s", p->name);
        if (p->grad == NULL) continue;
        float *g = malloc((size_t)p->n * sizeof *g);
        cr_assert_not_null(g);
        m->be->download(m->be, g, p->grad, (size_t)p->n * sizeof *g);
        const double error = naive_gradient_error(&twin, b, p, g);
        cr_assert(error < tolerance, "%s, %s, form %d: %s: %g", fixture, m->be->kernels, (int)c->weights,
                  p->name, error);
        free(g);
    }
    naive_free(&twin);
}

static void expect_gradients(const adapted_case *c, double tolerance) {
    const ae_model_options o = options_of(c->weights, c->table ? and_the_table : adapters_alone);
    ae_model m = adapted(rig_backend(c->backend, 2), fixtures[c->fixture], &o);
    rig_batch rows = rig_batch_random(ROWS, TOKENS, m.config.V, SEED);
    const ae_micro_batch b = rig_rows(&rows, 0, ROWS);
    ae_pass *p = NULL;
    const ae_pass_dims n = {
        .B = ROWS, .T = TOKENS, .recompute_blocks = c->recompute == 1, .recompute_mlps = c->recompute};
    cr_assert_eq(ae_pass_new(&p, &m, n, true), AE_OK, "%s", ae_error_message());
    cr_assert(isfinite(rig_train(&m, p, &b, 1)));
    check_gradients(c, &m, &b, tolerance);
    ae_pass_delete(p);
    rig_batch_free(&rows);
    ae_model_free(&m);
}

ParameterizedTestParameters(adapters, gradients_are_the_complex_step) {
    static size_t numbers[CASES];
    for (size_t i = 0; i < CASES; i++) numbers[i] = i;
    return cr_make_param_array(size_t, numbers, CASES);
}
ParameterizedTest(size_t *number, adapters, gradients_are_the_complex_step) {
    const adapted_case c = case_of(*number);
    expect_gradients(&c, 1e-5);
}

/* Activations in bfloat16, with products of float32 and of bfloat16. */
ParameterizedTestParameters(adapters, gradients_in_bfloat16) {
    static size_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};
    return cr_make_param_array(size_t, numbers, sizeof numbers / sizeof *numbers);
}
ParameterizedTest(size_t *number, adapters, gradients_in_bfloat16) {
    static const rig_backend_kind kinds[] = {RIG_BF16, RIG_BF16_AVX2, RIG_BF16_STRICT, RIG_BF16_PRODUCTS};
    const adapted_case c = {.fixture = (int)(*number % 2),
                            .backend = kinds[*number / 2],
                            .weights = *number / 2 % 2 ? AE_WEIGHT_BF16 : AE_WEIGHT_INT4,
                            .recompute = 1};
    expect_gradients(&c, 0.1);
}

/* Every projection has one: seven in a block that attends, six in a recurrent one. */
Test(adapters, stand_beside_all_ten_projections) {
    static const char *const projections[] = {"linear_x", "linear_y", "linear_out", "q_proj",  "k_proj",
                                              "v_proj",   "o_proj",   "gate_proj",  "up_proj", "down_proj"};
    const ae_model_options o = options_of(AE_WEIGHT_INT4, adapters_alone);
    ae_model m = adapted(rig_backend(RIG_CPU_BEST, 1), "tiny", &o);
    ptrdiff_t added = 0, counted = 0;
    for (ptrdiff_t i = 0; i < m.params.n; i++) added += m.params.items[i].added;
    for (size_t k = 0; k < sizeof projections / sizeof *projections; k++) {
        char part[64];
        snprintf(part, sizeof part, ".%s.lora_", projections[k]);
        ptrdiff_t n = 0;
        for (ptrdiff_t i = 0; i < m.params.n; i++) n += strstr(m.params.items[i].name, part) != NULL;
        cr_assert_gt(n, 0, "%s", projections[k]);
        counted += n;
    }
    cr_assert_eq(counted, added);
    const ae_param *a = ae_params_find(&m.params, "model.layers.0.mlp_block.down_proj.lora_A.weight"),
                   *b = ae_params_find(&m.params, "model.layers.0.mlp_block.down_proj.lora_B.weight");
    cr_assert(a != NULL && a->shape[0] == RANK && a->shape[1] == m.config.E);
    cr_assert(b != NULL && b->shape[0] == m.config.D && b->shape[1] == RANK);
    ae_model_free(&m);
}

/* ---- without effect, and merged ---- */

static float *logits_of(const ae_model *m, const rig_batch *rows) {
    const ae_micro_batch b = rig_rows(rows, 0, ROWS);
    return rig_logits(m, &b);
}

/* B is 0 at first: nothing is added, to the bit. */
Test(adapters, begin_as_the_base) {
    for (int f = 0; f < 2; f++) {
        const ae_backend *be = rig_backend(RIG_CPU_BEST, 2);
        const ae_model_options o = options_of(AE_WEIGHT_F32, adapters_alone);
        ae_model base, m;
        rig_model(&base, be, fixtures[f], false);
        rig_model_with(&m, be, fixtures[f], &o);
        rig_batch rows = rig_batch_random(ROWS, TOKENS, base.config.V, SEED);
        float *want = logits_of(&base, &rows), *got = logits_of(&m, &rows);
        cr_assert_arr_eq(got, want, (size_t)(ROWS * TOKENS * base.config.V) * sizeof *got);
        free(got);
        free(want);
        rig_batch_free(&rows);
        ae_model_free(&base);
        ae_model_free(&m);
    }
}

/* Log-probability of every token given those before it, as a prefill and as steps see it. */
static void decode_both_ways(const ae_model *m, const int32_t *tokens, float *prefilled, float *stepped) {
    ae_decode_state s;
    ae_decoder *d;
    cr_assert_eq(ae_decode_state_init(&s, m, 2), AE_OK);
    cr_assert_eq(ae_decoder_new(&d, m, 2, TOKENS), AE_OK);
    ae_decoder_prefill(d, &s, 0, tokens, TOKENS, prefilled, NULL);
    ae_decode_state_reset(&s, 0);
    float *both = malloc((size_t)(2 * m->config.V) * sizeof *both);
    cr_assert_not_null(both);
    for (int t = 0; t < TOKENS; t++) ae_decoder_step(d, &s, (int32_t[]){tokens[t], tokens[t]}, 2, both);
    memcpy(stepped, both, (size_t)m->config.V * sizeof *both);
    cr_assert_arr_eq(both + m->config.V, both, (size_t)m->config.V * sizeof *both);
    free(both);
    ae_decoder_delete(d);
    ae_decode_state_free(&s);
}

/* Scoring, a prefill and single steps agree, and none of them forgets the adapters. */
Test(adapters, decoding_sees_them) {
    for (int f = 0; f < 2; f++) {
        const ae_backend *be = rig_backend(RIG_CPU_BEST, 2);
        ae_model_options o = options_of(AE_WEIGHT_BF16, adapters_alone);
        o.training = false;
        ae_model m = adapted(be, fixtures[f], &o), base;
        const ptrdiff_t V = m.config.V;
        rig_batch rows = rig_batch_random(ROWS, TOKENS, V, SEED);
        for (int t = 0; t < TOKENS; t++) rows.positions[t] = t;
        float *all = logits_of(&m, &rows), *prefilled = calloc((size_t)V, sizeof *prefilled),
              *stepped = calloc((size_t)V, sizeof *stepped);
        decode_both_ways(&m, rows.tokens, prefilled, stepped);
        const float *want = all + (TOKENS - 1) * V;
        cr_assert_lt(rig_relative(prefilled, want, (size_t)V), 1e-5);
        cr_assert_lt(rig_relative(stepped, want, (size_t)V), 1e-5);
        rig_model_with(&base, be, fixtures[f], &(ae_model_options){.weights = AE_WEIGHT_BF16});
        float *without = logits_of(&base, &rows);
        cr_assert_gt(rig_relative(without + (TOKENS - 1) * V, want, (size_t)V), 1e-3);
        free(without);
        free(all);
        free(prefilled);
        free(stepped);
        rig_batch_free(&rows);
        ae_model_free(&m);
        ae_model_free(&base);
    }
}

/* ---- a checkpoint of the adapter alone ---- */

static ptrdiff_t optim_params(const ae_model *m, ae_optim_param *list) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (p->grad == NULL) continue;
        list[n++] = (ae_optim_param){p->name, p->value, p->grad, p->product ? p->packed : NULL,
                                     p->n,    p->rows,  p->cols, p->decays};
    }
    return n;
}

typedef struct {
    ae_model m;
    ae_pass *pass;
    ae_optimizer optimizer;
} learner;

static learner learner_new(const ae_backend *be, const rig_batch *rows) {
    static ae_optim_param list[256];
    static const ae_adamw_options adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
    const ae_model_options o = options_of(AE_WEIGHT_INT4, adapters_alone);
    learner l = {0};
    rig_model_with(&l.m, be, "tiny", &o);
    l.pass = rig_pass(&l.m, rows->B, rows->T, 0, true);
    const ptrdiff_t n = optim_params(&l.m, list);
    cr_assert_eq(ae_optimizer_init(&l.optimizer, be, &adamw, list, n), AE_OK);
    return l;
}

static double learn(learner *l, const rig_batch *rows) {
    const ae_micro_batch b = rig_rows(rows, 0, rows->B);
    const double loss = rig_train(&l->m, l->pass, &b, 0.1f);
    ae_optimizer_update(&l->optimizer, 0.01, 1);
    return loss;
}

static void learner_free(learner *l) {
    ae_optimizer_free(&l->optimizer);
    ae_pass_delete(l->pass);
    ae_model_free(&l->m);
}

static void expect_adapters_alone(const char *path, const ae_model *m) {
    ae_tensors *t;
    ptrdiff_t added = 0;
    cr_assert_eq(ae_tensors_open(&t, path), AE_OK, "%s", ae_error_message());
    for (ptrdiff_t i = 0; i < m->params.n; i++) added += m->params.items[i].added;
    cr_assert_eq(ae_tensors_count(t), added);
    for (ptrdiff_t i = 0; i < ae_tensors_count(t); i++)
        cr_assert_not_null(strstr(ae_tensors_name(t, i), ".lora_"), "%s", ae_tensors_name(t, i));
    ae_tensors_close(t);
}

/* m and v of each, and `updates` beside. */
static void expect_moments_alone(const char *path, const ae_optimizer *o) {
    hid_t file;
    H5G_info_t info;
    cr_assert_eq(ae_h5_open(&file, path), AE_OK, "%s", ae_error_message());
    cr_assert_geq(H5Gget_info(file, &info), 0);
    cr_assert_eq(info.nlinks, 2 * (size_t)o->n);
    cr_assert_eq(ae_h5_close(file, path), AE_OK);
}

/* Two steps, saved, loaded beside the base, and a third: the bits of three in a row. */
Test(adapters, a_checkpoint_holds_them_alone_and_goes_on) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 2);
    rig_batch rows = rig_batch_random(ROWS, TOKENS, 64, SEED);
    char weights[512], moments[512];
    snprintf(weights, sizeof weights, "%s", scratch_path("weights.h5"));
    snprintf(moments, sizeof moments, "%s", scratch_path("optimizer.h5"));
    learner a = learner_new(be, &rows), b = learner_new(be, &rows);
    const double first = learn(&a, &rows), second = learn(&a, &rows);
    cr_assert_lt(second, first);
    cr_assert_eq(ae_model_save(&a.m, weights), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_optimizer_save(&a.optimizer, moments, (ae_optimizer_call){0}), AE_OK);
    expect_adapters_alone(weights, &a.m);
    expect_moments_alone(moments, &a.optimizer);
    const double third = learn(&a, &rows);

    cr_assert_eq(ae_model_load(&b.m, weights, &(ae_params_match_options){.lacks_frozen = true}), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_optimizer_load(&b.optimizer, moments), AE_OK, "%s", ae_error_message());
    cr_assert_eq(learn(&b, &rows), third);
    float *want = logits_of(&a.m, &rows), *got = logits_of(&b.m, &rows);
    cr_assert_arr_eq(got, want, (size_t)(ROWS * TOKENS * 64) * sizeof *got);
    free(got);
    free(want);
    learner_free(&a);
    learner_free(&b);
    rig_batch_free(&rows);
}

/* What of another file is passed over, and what is refused by name. */
Test(adapters, loading_says_what_may_be_missing_and_beside) {
    static const char *const lora[] = {"*.lora_?.weight", NULL};
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    const ae_model_options o = options_of(AE_WEIGHT_F32, NULL);
    ae_model m = adapted(be, "tiny", &o), base;
    const char *path = scratch_path("all.h5");
    cr_assert_eq(ae_model_save(&m, path), AE_OK);
    rig_model(&base, be, "tiny", false);
    cr_assert_eq(ae_model_load(&base, path, NULL), AE_ERR_INPUT);
    cr_assert_not_null(strstr(ae_error_message(), ".lora_"));
    cr_assert_eq(ae_model_load(&base, path, &(ae_params_match_options){.extras = lora}), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_model_save(&base, path), AE_OK);
    cr_assert_eq(ae_model_load(&m, path, NULL), AE_ERR_INPUT);
    cr_assert_eq(ae_model_load(&m, path, &(ae_params_match_options){.lacks_added = true}), AE_OK);
    ae_model_free(&m);
    ae_model_free(&base);
}
