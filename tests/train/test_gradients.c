#include "core/rng.h"
#include "tests/core/scratch.h"
#include "tests/model/naive.h"
#include "train/reward.h"
#include "train/sft.h"
#include "train/step.h"

#include <math.h>
#include <string.h>

/* Gradients of the objectives of tuning on tiny models, against the complex step through naive references. */

TestSuite(gradients, .init = scratch_make, .fini = scratch_remove, .timeout = 120);

static const char *const fixtures[] = {"tiny", "hawk", "attention", "gemma"};
enum { FIXTURES = 4 };

static void check_all(const ae_model *m, const char *fixture, naive_objective *objective,
                      const void *context) {
    naive_model twin = naive_new(m, fixture);
    naive_expect_gradients(&twin, objective, context, fixture);
    naive_free(&twin);
}

/* ---- answers ---- */

/* Rows of an answer or two each, behind prompts. */
static void random_answers(ae_batch *b, ptrdiff_t V, uint64_t seed) {
    ae_rng r = ae_rng_make(seed, 2);
    b->n_targets = 0;
    for (ptrdiff_t i = 0; i < b->B * b->T; i++) {
        const ptrdiff_t t = i % b->T;
        b->tokens[i] = (int32_t)ae_rng_below(&r, (uint64_t)V);
        b->targets[i] = (int32_t)ae_rng_below(&r, (uint64_t)V);
        b->positions[i] = (int32_t)(t < 9 ? t : t - 9);
        b->weights[i] = (t > 3 && t < 9) || t > 13 - i / b->T;
        b->n_targets += b->weights[i] > 0;
    }
}

typedef struct {
    ae_micro_batch all;
    double weight;
} answers;

static double complex mean_loss(const naive_model *n, const void *context) {
    const answers *a = context;
    return naive_loss(n, &a->all) / a->weight;
}

enum { T = 17 };

typedef struct {
    ae_model m;
    ae_batch b;
    ae_pass *pass;
} tuning;

static void begin(tuning *t, const char *fixture, const ae_model_options *o, ptrdiff_t rows,
                  ptrdiff_t micro_rows) {
    rig_model_with(&t->m, rig_backend(RIG_CPU_BEST, 2), fixture, o);
    rig_calm(&t->m);
    cr_assert_eq(ae_batch_init(&t->b, rows, T), AE_OK);
    random_answers(&t->b, t->m.config.V, 7);
    t->pass = rig_pass(&t->m, micro_rows, T, 0, true);
}

static void end(tuning *t) {
    ae_pass_delete(t->pass);
    ae_batch_free(&t->b);
    ae_model_free(&t->m);
}

static void check_documents(const char *fixture) {
    tuning t;
    begin(&t, fixture, &(ae_model_options){.training = true}, 3, 2);
    ae_step_gradients(&t.m, t.pass, &t.b, 2, NULL);
    const answers a = {rig_all_rows(&t.b), (double)t.b.n_targets};
    check_all(&t.m, fixture, mean_loss, &a);
    end(&t);
}

Test(gradients, of_documents) {
    for (int f = 0; f < FIXTURES; f++) check_documents(fixtures[f]);
}

/* Attention takes 256 keys at a time; a document without a window that is longer, and a short one behind it. */
Test(gradients, of_documents_longer_than_a_tile) {
    enum { LENGTH = 300, FIRST = 280 };
    static const char *const names[] = {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
                                        "model.layers.1.self_attn.k_proj.weight",
                                        "model.layers.2.self_attn.v_proj.weight"};
    ae_model m;
    rig_model(&m, rig_backend(RIG_CPU_BEST, 2), "gemma", true);
    rig_calm(&m);
    rig_batch b = rig_batch_random(1, LENGTH, m.config.V, 3);
    for (int32_t t = 0; t < LENGTH; t++) b.positions[t] = t < FIRST ? t : t - FIRST;
    const ae_micro_batch all = rig_rows(&b, 0, 1);
    ae_pass *p = rig_pass(&m, 1, LENGTH, 0, true);
    rig_train(&m, p, &all, 1);
    naive_model twin = naive_new(&m, "gemma");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const ae_param *q = ae_params_find(&m.params, names[i]);
        float *got = malloc((size_t)q->n * sizeof *got);
        m.be->download(m.be, got, q->grad, (size_t)q->n * sizeof *got);
        const double error = naive_gradient_error(&twin, &all, q, got);
        cr_assert(error < 5e-6, "%s: %g", names[i], error);
        free(got);
    }
    naive_free(&twin);
    ae_pass_delete(p);
    rig_batch_free(&b);
    ae_model_free(&m);
}

static void check_sft(const char *fixture, ae_sft_average average, bool adapters) {
    const ae_model_options o = {.training = true,
                                .params.adapters = {.rank = adapters ? 2 : 0, .alpha = 3, .by_root = true}};
    tuning t;
    begin(&t, fixture, &o, 2, 1);
    const double weight = ae_sft_weigh(&t.b, average);
    const double loss = ae_sft_gradients(&t.m, t.pass, &t.b, weight, 1);
    const answers a = {rig_all_rows(&t.b), weight};
    naive_model twin = naive_new(&t.m, fixture);
    const double want = creal(mean_loss(&twin, &a));
    naive_free(&twin);
    cr_assert_float_eq(loss, want, 1e-6 * want);
    check_all(&t.m, fixture, mean_loss, &a);
    end(&t);
}

Test(gradients, of_answers) {
    for (int f = 0; f < FIXTURES; f++) {
        check_sft(fixtures[f], AE_SFT_TOKENS, f % 2 == 0);
        check_sft(fixtures[f], AE_SFT_ANSWERS, f % 2 == 1);
    }
}

/* ---- pairs ---- */

enum { PAIRS = 4 };
static const double CENTER = 0.05;

static ae_token_set *write_pairs(ptrdiff_t V) {
    ae_token_writer *w = NULL;
    ae_token_set *s = NULL;
    ae_rng r = ae_rng_make(9, 1);
    const char *path = scratch_path("pairs.h5");
    const ae_token_set_info info = {
        .vocab_size = V, .kind = AE_KIND_PAIRS, .has_mask = true, .has_margins = true};
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK, "%s", ae_error_message());
    for (int d = 0; d < 2 * PAIRS; d++) {
        int32_t ids[16];
        uint8_t mask[16];
        const int64_t n = 4 + d % 5;
        for (int64_t t = 0; t < n; t++) {
            ids[t] = (int32_t)ae_rng_below(&r, (uint64_t)V);
            mask[t] = t > 2;
        }
        cr_assert_eq(ae_token_writer_add(w, ids, mask, n, 0), AE_OK, "%s", ae_error_message());
        if (d % 2 == 1) cr_assert_eq(ae_token_writer_margin(w, 0.1F * (float)d), AE_OK);
    }
    cr_assert_eq(ae_token_writer_finish(w, "{}"), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_token_set_open(&s, path), AE_OK, "%s", ae_error_message());
    return s;
}

static double complex pair_loss(const naive_model *n, const void *context) {
    const ae_pair_batch *b = context;
    const ae_micro_batch all = rig_all_rows(&b->batch);
    double complex *hidden = naive_hidden(n, &all), loss = 0;
    for (ptrdiff_t i = 0; i < b->n_pairs; i++) {
        const double complex c = naive_value(n, hidden, b->pairs[i].chosen_end - 1),
                             r = naive_value(n, hidden, b->pairs[i].rejected_end - 1);
        loss += clog(1 + cexp(-(c - r - (double)b->pairs[i].margin))) + CENTER * (c + r) * (c + r);
    }
    free(hidden);
    return loss / (double)b->n_pairs;
}

static void check_reward(const char *fixture, bool adapters) {
    enum { ROW = 32 };
    const ae_reward_keys keys = {.center = CENTER, .margin = true};
    const ae_model_options o = {
        .training = true, .params = {.score_head = true, .adapters = {.rank = adapters ? 3 : 0, .alpha = 4}}};
    ae_model m;
    ae_pair_set set;
    ae_pair_batch b;
    ae_pair_choice choices[PAIRS];
    float room[2 * ROW];
    rig_model_with(&m, rig_backend(RIG_CPU_BEST, 2), fixture, &o);
    rig_calm(&m);
    ae_token_set *s = write_pairs(m.config.V);
    cr_assert_eq(ae_pair_set_init(&set, s, ROW, AE_TOO_LONG_ERROR, false), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_pair_batch_init(&b, PAIRS, PAIRS, ROW), AE_OK);
    for (int i = 0; i < PAIRS; i++) choices[i] = (ae_pair_choice){&set, i};
    cr_assert_eq(ae_pair_batch_fill(&b, choices, PAIRS), AE_OK, "%s", ae_error_message());
    ae_pass *pass = rig_pass(&m, 1, ROW, 0, true);
    const ae_reward_sums sums = ae_reward_gradients(&keys, &m, pass, &b, 1, room);
    naive_model twin = naive_new(&m, fixture);
    const double want = creal(pair_loss(&twin, &b));
    naive_free(&twin);
    cr_assert_eq(sums.pairs, PAIRS);
    cr_assert_float_eq(sums.loss / PAIRS, want, 1e-6 * want);
    check_all(&m, fixture, pair_loss, &b);
    ae_pass_delete(pass);
    ae_pair_batch_free(&b);
    ae_pair_set_free(&set);
    ae_token_set_close(s);
    ae_model_free(&m);
}

Test(gradients, of_pairs) {
    for (int f = 0; f < FIXTURES; f++) check_reward(fixtures[f], f % 2 == 1);
}
