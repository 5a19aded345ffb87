#include "tests/model/rig.h"

#include "core/rng.h"
#include "exchange/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_or_unset(const char *name, const char *value) {
    cr_assert_eq(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

const ae_backend *rig_backend(rig_backend_kind kind, int threads) {
    static ae_backend be;
    const bool avx2 = kind == RIG_CPU_AVX2 || kind == RIG_BF16_AVX2,
               strict = kind == RIG_STRICT || kind == RIG_BF16_STRICT;
    const ae_backend_options options = {.threads = threads,
                                        .dtype = kind >= RIG_BF16 ? AE_DTYPE_BF16 : AE_DTYPE_F32};
    set_or_unset("AERIE_ISA", avx2 ? "avx2" : NULL);
    set_or_unset("AERIE_PRODUCTS", kind == RIG_BF16_PRODUCTS ? "bf16" : "f32");
    ae_backend_free(&be);
    const ae_status st = strict ? ae_backend_strict(&be, &options) : ae_backend_cpu(&be, &options);
    cr_assert_eq(st, AE_OK, "%s", ae_error_message());
    return &be;
}

void rig_model(ae_model *m, const ae_backend *be, const char *fixture, bool training) {
    rig_model_with(m, be, fixture, &(ae_model_options){.training = training});
}

void rig_model_with(ae_model *m, const ae_backend *be, const char *fixture, const ae_model_options *options) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", AERIE_FIXTURES, fixture);
    cr_assert_eq(ae_model_open(m, be, path, options), AE_OK, "%s", ae_error_message());
    if (options->training) rig_clear_gradients(m); /* what lies between them too */
}

static void *array(ptrdiff_t n) {
    void *x = calloc((size_t)n, 4);
    cr_assert_not_null(x);
    return x;
}

rig_batch rig_batch_new(ptrdiff_t B, ptrdiff_t T) {
    const ptrdiff_t n = B * T;
    return (rig_batch){array(n), array(n), array(n), array(n), B, T};
}

rig_batch rig_batch_random(ptrdiff_t B, ptrdiff_t T, ptrdiff_t V, uint64_t seed) {
    rig_batch b = rig_batch_new(B, T);
    ae_rng r = ae_rng_make(seed, 77);
    for (ptrdiff_t i = 0; i < B * T; i++) {
        const bool starts = i % T == 0 || ae_rng_below(&r, 12) == 0;
        b.tokens[i] = (int32_t)ae_rng_below(&r, (uint64_t)V);
        b.targets[i] = (int32_t)ae_rng_below(&r, (uint64_t)V);
        b.positions[i] = starts ? 0 : b.positions[i - 1] + 1;
        b.weights[i] = ae_rng_below(&r, 3) > 0 ? 1.0f : 0.0f;
    }
    return b;
}

void rig_batch_free(rig_batch *b) {
    free(b->tokens);
    free(b->targets);
    free(b->positions);
    free(b->weights);
}

ae_micro_batch rig_rows(const rig_batch *b, ptrdiff_t first, ptrdiff_t rows) {
    const ptrdiff_t at = first * b->T;
    return (ae_micro_batch){
        b->tokens + at, b->targets + at, b->positions + at, b->weights + at, rows, b->T, NULL};
}

ae_micro_batch rig_all_rows(const ae_batch *b) {
    return (ae_micro_batch){b->tokens, b->targets, b->positions, b->weights, b->B, b->T, NULL};
}

ae_pass *rig_pass(const ae_model *m, ptrdiff_t B, ptrdiff_t T, ptrdiff_t recompute, bool training) {
    ae_pass *p = NULL;
    const ae_pass_dims n = {.B = B, .T = T, .recompute_blocks = recompute};
    cr_assert_eq(ae_pass_new(&p, m, n, training), AE_OK, "%s", ae_error_message());
    return p;
}

double rig_train(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale) {
    double sum = NAN;
    ae_model_train_pass(m, p, b, grad_scale, &sum, NULL);
    return sum;
}

float *rig_logits(const ae_model *m, const ae_micro_batch *b) {
    ae_pass *p = rig_pass(m, b->B, b->T, 0, false);
    float *logits = array(b->B * b->T * m->config.V);
    cr_assert_eq(ae_model_logits(m, p, b, logits), AE_OK);
    ae_pass_delete(p);
    return logits;
}

float *rig_gradients(const ae_model *m) {
    float *g = malloc(m->grad_bytes);
    cr_assert_not_null(g);
    m->be->download(m->be, g, m->grad_memory, m->grad_bytes);
    return g;
}

void rig_clear_gradients(ae_model *m) {
    m->be->zero(m->be, m->grad_memory, m->grad_bytes);
}

double rig_relative(const float *got, const float *want, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        difference += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(difference) / sqrt(norm);
}

double rig_furthest(const float *got, const float *want, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= most)) most = d; /* keeps NaN */
    }
    return most;
}

/* ---- gentle models ---- */

static void calm(float *x, const ae_param *p) {
    const bool grows = strstr(p->name, "lora_B") != NULL;
    for (int64_t k = 0; k < p->n; k++) x[k] = grows ? 0.05F * (float)((k * 5) % 11 - 5) : 0.5F * x[k];
}

void rig_calm(ae_model *m) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        if (p->value == NULL || p->rank < 2) continue;
        float *x = malloc(bytes);
        cr_assert_not_null(x);
        m->be->download(m->be, x, p->value, bytes);
        calm(x, p);
        m->be->upload(m->be, p->value, x, bytes);
        free(x);
    }
    ae_model_values_changed(m);
}
