#include "core/rng.h"
#include "model/views.h"
#include "tests/model/rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The pass in stages: what was read decides the weights, and terms add up. */

static const char *const fixtures[] = {"tiny", "window", "hawk", "attention"};
static const rig_backend_kind kinds[] = {RIG_CPU_BEST, RIG_CPU_AVX2, RIG_STRICT, RIG_BF16, RIG_BF16_STRICT};
enum { FIXTURES = 4, KINDS = 5, ROWS = 2, TOKENS = 19, PLACES = ROWS * TOKENS };

/* A model at work on a batch of random tokens, and another that it is compared with. */
typedef struct {
    ae_model m, other;
    ae_pass *pass, *other_pass;
    rig_batch batch;
    ae_micro_batch b;
    void *w, *dw; /* a scalar head */
    float factors[PLACES], more[PLACES];
} stage;

static void *upload(const ae_backend *be, const float *x, ptrdiff_t n) {
    void *device = NULL;
    cr_assert_eq(be->alloc(be, &device, (size_t)n * sizeof *x), AE_OK);
    be->upload(be, device, x, (size_t)n * sizeof *x);
    return device;
}

/* Half the width of the fixtures, two blocks, no cap. */
static void open_other(stage *s) {
    ae_model_config c = s->m.config;
    c.D = 16;
    c.N = 2;
    c.G = 1;
    c.H = 8;
    c.blocks = 2;
    c.soft_cap = 0;
    cr_assert_eq(ae_model_init(&s->other, s->m.be, &c, &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_model_set_initial(&s->other, 5), AE_OK);
    s->other_pass = rig_pass(&s->other, ROWS, TOKENS, 0, false);
}

static void open_stage(stage *s, rig_backend_kind kind, const char *fixture, ptrdiff_t recompute) {
    float values[256] = {0};
    ae_rng r = ae_rng_make(3, 1);
    rig_model(&s->m, rig_backend(kind, 2), fixture, true);
    open_other(s);
    const ae_pass_dims n = {
        .B = ROWS, .T = TOKENS, .recompute_blocks = recompute, .kl_width = s->other.config.D};
    cr_assert_eq(ae_pass_new(&s->pass, &s->m, n, true), AE_OK, "%s", ae_error_message());
    s->batch = rig_batch_random(ROWS, TOKENS, s->m.config.V, 8);
    s->b = rig_rows(&s->batch, 0, ROWS);
    for (ptrdiff_t i = 0; i < PLACES; i++) {
        const bool counts = s->batch.weights[i] != 0.0f;
        s->factors[i] = counts ? (float)(ae_rng_uniform(&r) * 6 - 3) : 0.0f;
        s->more[i] = counts ? (float)(ae_rng_uniform(&r) * 2 - 1) : 0.0f;
    }
    s->dw = upload(s->m.be, values, s->m.config.D);
    for (ptrdiff_t i = 0; i < s->m.config.D; i++) values[i] = (float)(ae_rng_uniform(&r) - 0.5);
    s->w = upload(s->m.be, values, s->m.config.D);
}

static void close_stage(stage *s) {
    const size_t bytes = (size_t)s->m.config.D * sizeof(float);
    s->m.be->release(s->m.be, s->w, bytes);
    s->m.be->release(s->m.be, s->dw, bytes);
    ae_pass_delete(s->pass);
    ae_pass_delete(s->other_pass);
    rig_batch_free(&s->batch);
    ae_model_free(&s->m);
    ae_model_free(&s->other);
}

static float *gradients_and_clear(ae_model *m) {
    float *g = rig_gradients(m);
    rig_clear_gradients(m);
    return g;
}

/* Of a sum of gradients: in bfloat16 every term is rounded. */
static double bound(rig_backend_kind kind) {
    return kind >= RIG_BF16 ? 2e-2 : 2e-6;
}

#define EVERY_KIND(k, f)                                                                                     \
    for (size_t k = 0; k < KINDS; k++)                                                                       \
        for (size_t f = 0; f < FIXTURES; f++)

/* ---- log-probabilities first, then weights ---- */

static double weigh_mean(const stage *s, const float *logprobs, float *weights) {
    double sum = 0, count = 0;
    for (ptrdiff_t i = 0; i < PLACES; i++) count += s->batch.weights[i] != 0.0f;
    for (ptrdiff_t i = 0; i < PLACES; i++) {
        weights[i] = s->batch.weights[i] != 0.0f ? (float)(1 / count) : 0.0f;
        sum -= (double)logprobs[i] / count;
    }
    return sum;
}

Test(stages, mean_of_the_log_probabilities_is_the_train_pass) {
    EVERY_KIND(k, f) {
        stage s;
        float logprobs[PLACES], weights[PLACES];
        double sum = NAN;
        open_stage(&s, kinds[k], fixtures[f], (ptrdiff_t)f);
        const size_t n = s.m.grad_bytes / sizeof(float);
        ae_pass_forward(s.pass, &s.m, &s.b);
        ae_pass_logprobs(s.pass, 1, logprobs, NULL);
        const double loss = weigh_mean(&s, logprobs, weights);
        ae_pass_add_targets(s.pass, weights, NULL, 1);
        ae_pass_backward(s.pass);
        float *got = gradients_and_clear(&s.m), scale = 0;
        for (ptrdiff_t i = 0; i < PLACES; i++) scale = fmaxf(scale, weights[i]);
        ae_model_train_pass(&s.m, s.pass, &s.b, scale, &sum, NULL);
        float *want = rig_gradients(&s.m);
        cr_assert_float_eq(loss, sum * (double)scale, 1e-6 * loss);
        const double off = rig_relative(got, want, n);
        cr_assert(off <= 1e-6, "%s: %g", fixtures[f], off);
        free(got);
        free(want);
        close_stage(&s);
    }
}

/* Reading changes nothing: the same gradient whatever was read before. */
Test(stages, readings_leave_the_hidden_states) {
    stage s;
    float read[PLACES], more[PLACES];
    open_stage(&s, RIG_STRICT, "tiny", 2);
    ae_pass_forward(s.pass, &s.m, &s.b);
    ae_pass_add_targets(s.pass, s.factors, s.more, 1.3f);
    ae_pass_backward(s.pass);
    float *want = gradients_and_clear(&s.m);
    ae_pass_forward(s.other_pass, &s.other, &s.b);
    ae_pass_forward(s.pass, &s.m, &s.b);
    ae_pass_logprobs(s.pass, 0.7f, read, more);
    ae_pass_kl(s.pass, s.other_pass, AE_KL_P_Q, 1, read);
    ae_pass_values(s.pass, s.w, read);
    ae_pass_score(s.pass, NULL, NULL, 0, NULL, NULL);
    ae_pass_add_targets(s.pass, s.factors, s.more, 1.3f);
    ae_pass_backward(s.pass);
    float *got = rig_gradients(&s.m);
    cr_assert_eq(memcmp(got, want, s.m.grad_bytes), 0);
    free(got);
    free(want);
    close_stage(&s);
}

/* A micro-batch whose arrays are gone after forward gives the same sum, nll and gradient. */
static float *train_and_forget(stage *s, bool forget, double *sum, float *nll) {
    rig_batch arrays = rig_batch_random(ROWS, TOKENS, s->m.config.V, 8);
    const ae_micro_batch b = rig_rows(&arrays, 0, ROWS);
    ae_pass_forward(s->pass, &s->m, &b);
    if (forget)
        for (ptrdiff_t i = 0; i < PLACES; i++) {
            arrays.tokens[i] = arrays.targets[i] = arrays.positions[i] = -1;
            arrays.weights[i] = NAN;
        }
    ae_pass_add_loss(s->pass, 0.3f, sum, nll);
    ae_pass_backward(s->pass);
    rig_batch_free(&arrays);
    return gradients_and_clear(&s->m);
}

Test(stages, a_micro_batch_may_go_after_forward) {
    stage s;
    double sums[2] = {NAN, NAN};
    float nll[2][PLACES];
    open_stage(&s, RIG_STRICT, "tiny", 1);
    float *want = train_and_forget(&s, false, &sums[0], nll[0]);
    float *got = train_and_forget(&s, true, &sums[1], nll[1]);
    cr_assert_eq(sums[1], sums[0], "%g", sums[1]);
    cr_assert_arr_eq(nll[1], nll[0], sizeof nll[0]);
    cr_assert_eq(memcmp(got, want, s.m.grad_bytes), 0);
    free(got);
    free(want);
    close_stage(&s);
}

/* ---- weights of any sign and size ---- */

static float *gradient_of_weights(stage *s, const float *weights, float temperature) {
    ae_pass_forward(s->pass, &s->m, &s->b);
    ae_pass_add_targets(s->pass, weights, NULL, temperature);
    ae_pass_backward(s->pass);
    return gradients_and_clear(&s->m);
}

/* Weights -2 and 3.5 on two halves are -2 and 3.5 times the gradients of the halves. */
Test(stages, gradients_are_linear_in_the_weights) {
    static const float temperatures[] = {0.7f, 1, 1.3f};
    for (size_t t = 0; t < 3; t++) {
        stage s;
        float both[PLACES], halves[2][PLACES] = {{0}};
        open_stage(&s, RIG_CPU_BEST, "tiny", 0);
        for (ptrdiff_t i = 0; i < PLACES; i++) {
            halves[i % 2][i] = s.batch.weights[i];
            both[i] = s.batch.weights[i] * (i % 2 ? 3.5f : -2.0f);
        }
        float *got = gradient_of_weights(&s, both, temperatures[t]);
        float *even = gradient_of_weights(&s, halves[0], temperatures[t]),
              *odd = gradient_of_weights(&s, halves[1], temperatures[t]);
        const size_t n = s.m.grad_bytes / sizeof(float);
        for (size_t i = 0; i < n; i++) even[i] = -2 * even[i] + 3.5f * odd[i];
        cr_assert(rig_relative(got, even, n) < 2e-6, "%g", rig_relative(got, even, n));
        free(got);
        free(even);
        free(odd);
        close_stage(&s);
    }
}

/* ---- terms ---- */

enum { LOSS, TARGETS, KL_P_Q, KL_Q_P, VALUES, TERMS };

static void add_term(stage *s, int term) {
    switch (term) {
    case LOSS:
        ae_pass_add_loss(s->pass, 0.3f, NULL, NULL);
        break;
    case TARGETS:
        ae_pass_add_targets(s->pass, s->factors, s->more, 1.3f);
        break;
    case KL_P_Q:
        ae_pass_add_kl(s->pass, s->other_pass, AE_KL_P_Q, s->factors, 0.7f);
        break;
    case KL_Q_P:
        ae_pass_add_kl(s->pass, s->other_pass, AE_KL_Q_P, s->more, 1);
        break;
    default:
        ae_pass_add_values(s->pass, s->w, s->dw, s->factors);
    }
}

/* The objective that the term belongs to. */
static double value_of(stage *s, int term) {
    float x[PLACES], y[PLACES];
    double sum = 0;
    ae_pass_forward(s->pass, &s->m, &s->b);
    switch (term) {
    case LOSS:
        ae_pass_score(s->pass, &sum, NULL, 0, NULL, NULL);
        return 0.3 * sum;
    case TARGETS:
        ae_pass_logprobs(s->pass, 1.3f, x, y);
        for (ptrdiff_t i = 0; i < PLACES; i++)
            sum += (double)s->more[i] * (double)y[i] - (double)s->factors[i] * (double)x[i];
        return sum;
    case VALUES:
        ae_pass_values(s->pass, s->w, x);
        break;
    default:
        ae_pass_kl(s->pass, s->other_pass, term == KL_P_Q ? AE_KL_P_Q : AE_KL_Q_P, term == KL_P_Q ? 0.7f : 1,
                   x);
    }
    for (ptrdiff_t i = 0; i < PLACES; i++)
        sum += (double)(term == KL_Q_P ? s->more : s->factors)[i] * (double)x[i];
    return sum;
}

static float *gradient_of_terms(stage *s, int first, int last) {
    ae_pass_forward(s->pass, &s->m, &s->b);
    for (int term = first; term <= last; term++) add_term(s, term);
    ae_pass_backward(s->pass);
    return gradients_and_clear(&s->m);
}

Test(stages, terms_add_up) {
    EVERY_KIND(k, f) {
        stage s;
        open_stage(&s, kinds[k], fixtures[f], 1);
        const size_t n = s.m.grad_bytes / sizeof(float);
        float *sum = calloc(n, sizeof *sum);
        ae_pass_forward(s.other_pass, &s.other, &s.b);
        for (int term = 0; term < TERMS; term++) {
            float *own = gradient_of_terms(&s, term, term);
            for (size_t i = 0; i < n; i++) sum[i] += own[i];
            free(own);
        }
        float *got = gradient_of_terms(&s, 0, TERMS - 1);
        const double off = rig_relative(got, sum, n);
        cr_assert(off <= bound(kinds[k]), "%s: %g", fixtures[f], off);
        free(got);
        free(sum);
        close_stage(&s);
    }
}

/* All values moved along a direction, given like the gradients. */
static void move_values(ae_model *m, const float *direction, double by) {
    ptrdiff_t at = 0;
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        float *values = malloc(bytes);
        m->be->download(m->be, values, p->value, bytes);
        for (int64_t j = 0; j < p->n; j++) values[j] += (float)(by * (double)direction[at + j]);
        m->be->upload(m->be, p->value, values, bytes);
        at += (p->n + 15) / 16 * 16;
        free(values);
    }
    ae_model_values_changed(m);
}

/* Along its own gradient every term has that gradient's slope. */
Test(stages, every_term_has_the_slope_of_its_gradient) {
    for (size_t f = 0; f < FIXTURES; f++)
        for (int term = 0; term < TERMS; term++) {
            stage s;
            double squares = 0;
            open_stage(&s, RIG_CPU_BEST, fixtures[f], 0);
            ae_pass_forward(s.other_pass, &s.other, &s.b);
            float *g = gradient_of_terms(&s, term, term);
            for (size_t i = 0; i < s.m.grad_bytes / sizeof *g; i++) squares += (double)g[i] * (double)g[i];
            const double by = 0.02 / squares; /* a change of the objective by 0.02 either way */
            move_values(&s.m, g, by);
            const double above = value_of(&s, term);
            move_values(&s.m, g, -2 * by);
            const double below = value_of(&s, term), slope = (above - below) / (2 * by) / squares;
            cr_assert_float_eq(slope, 1, 5e-3, "%s: term %d: %g", fixtures[f], term, slope);
            free(g);
            close_stage(&s);
        }
}

/* A gradient of the hidden states that is the scalar head's own. */
Test(stages, hidden_gradient_is_that_of_the_values) {
    stage s;
    open_stage(&s, RIG_STRICT, "hawk", 0);
    const ptrdiff_t D = s.m.config.D;
    float *w = calloc((size_t)D, sizeof *w), *d = calloc((size_t)(PLACES * D), sizeof *d);
    s.m.be->download(s.m.be, w, s.w, (size_t)D * sizeof *w);
    for (ptrdiff_t i = 0; i < PLACES * D; i++) d[i] = s.factors[i / D] * w[i % D];
    void *device = upload(s.m.be, d, PLACES * D);
    float *want = gradient_of_terms(&s, VALUES, VALUES);
    ae_pass_forward(s.pass, &s.m, &s.b);
    ae_pass_add_hidden(s.pass, device);
    ae_pass_backward(s.pass);
    float *got = rig_gradients(&s.m);
    cr_assert(rig_relative(got, want, s.m.grad_bytes / sizeof *got) < 1e-6);
    s.m.be->release(s.m.be, device, (size_t)(PLACES * D) * sizeof *d);
    free(w);
    free(d);
    free(got);
    free(want);
    close_stage(&s);
}

/* ---- work ---- */

static int mlps_forward;
static ae_backend real;
static void counting_mlp_forward(const ae_backend *be, ae_f32 *out, ae_room saved, const ae_f32 *x,
                                 const ae_mlp_params *p, const ae_block_dims *n, ae_room scratch) {
    mlps_forward++;
    real.mlp_forward(be, out, saved, x, p, n, scratch);
}

/* A loss that needs its log-probabilities first runs every block forward once. */
Test(stages, no_block_runs_forward_twice) {
    stage s;
    float logprobs[PLACES], entropies[PLACES];
    open_stage(&s, RIG_CPU_BEST, "tiny", 0);
    real = *s.m.be;
    ae_backend be = real;
    be.mlp_forward = counting_mlp_forward;
    s.m.be = &be;
    ae_pass *p = rig_pass(&s.m, ROWS, TOKENS, 0, true);
    ae_pass_forward(p, &s.m, &s.b);
    ae_pass_logprobs(p, 0.7f, logprobs, entropies);
    ae_pass_add_targets(p, s.factors, s.more, 0.7f);
    ae_pass_backward(p);
    cr_assert_eq(mlps_forward, s.m.config.blocks, "%d", mlps_forward);
    ae_pass_delete(p);
    close_stage(&s);
}

static int mlps_backward;
static void counting_mlp_backward(const ae_backend *be, ae_f32 *d, const ae_mlp_grads *g, ae_room saved,
                                  const ae_f32 *x, const ae_mlp_params *p, const ae_block_dims *n,
                                  ae_room scratch) {
    mlps_backward++;
    real.mlp_backward(be, d, g, saved, x, p, n, scratch);
}

/* No gradient memory for blocks below `first`, and for the embedding. */
static void freeze_below(ae_model *m, ptrdiff_t first) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        ptrdiff_t block;
        ae_param *p = &m->params.items[i];
        const bool in_block = sscanf(p->name, "model.layers.%td.", &block) == 1;
        if (p == m->views->table || (in_block && block < first)) p->grad = NULL;
    }
    for (ptrdiff_t i = 0; i < first; i++) {
        ae_block_view *v = &m->views->blocks[i];
        v->mlp.g = (ae_mlp_grads){0};
        if (v->kind == AE_ATTENTION)
            v->attention.g = (ae_attention_grads){0};
        else
            v->recurrent.g = (ae_recurrent_grads){0};
    }
}

/* Backward stops above frozen blocks, and what trains gets the same bits. */
Test(stages, backward_stops_above_what_is_frozen) {
    stage s;
    open_stage(&s, RIG_CPU_BEST, "tiny", 1);
    float *all = gradient_of_terms(&s, LOSS, TARGETS);
    real = *s.m.be;
    ae_backend be = real;
    be.mlp_backward = counting_mlp_backward;
    s.m.be = &be;
    ae_pass *p = s.pass;
    s.pass = rig_pass(&s.m, ROWS, TOKENS, 1, true);
    freeze_below(&s.m, 3);
    float *above = gradient_of_terms(&s, LOSS, TARGETS);
    cr_assert_eq(mlps_backward, s.m.config.blocks - 3, "%d", mlps_backward);
    ptrdiff_t at = 0;
    for (ptrdiff_t i = 0; i < s.m.params.n; i++) {
        const ae_param *q = &s.m.params.items[i];
        for (int64_t j = 0; j < q->n; j++)
            cr_assert(above[at + j] == (q->grad != NULL ? all[at + j] : 0.0f), "%s", q->name);
        at += (q->n + 15) / 16 * 16;
    }
    ae_pass_delete(s.pass);
    s.pass = p;
    free(all);
    free(above);
    close_stage(&s);
}

/* Without a term there is nothing to do, and no gradient changes. */
Test(stages, backward_of_nothing_is_nothing) {
    stage s;
    open_stage(&s, RIG_STRICT, "attention", 1);
    ae_pass_forward(s.pass, &s.m, &s.b);
    ae_pass_backward(s.pass);
    float *g = rig_gradients(&s.m);
    for (size_t i = 0; i < s.m.grad_bytes / sizeof *g; i++) cr_assert(g[i] == 0.0f);
    free(g);
    close_stage(&s);
}
