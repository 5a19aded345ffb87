#include "tests/model/naive.h"

#include "core/rng.h"
#include "formats/tensors.h"
#include "ops/quantize.h"
#include "tests/ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static float from_bf16(uint16_t h) {
    const uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void round_row(float *x, int64_t n, ae_weight_type type, ptrdiff_t group) {
    int8_t *q = calloc((size_t)n, 1);
    uint16_t *halves = calloc((size_t)n, sizeof *halves);
    cr_assert(q != NULL && halves != NULL);
    if (type == AE_WEIGHT_BF16)
        ae_round_to_bf16(halves, x, (ptrdiff_t)n);
    else
        ae_quantize_row(q, halves, x, (ptrdiff_t)n, group, type);
    for (int64_t i = 0; i < n; i++)
        x[i] = type == AE_WEIGHT_BF16 ? from_bf16(halves[i]) : (float)q[i] * from_bf16(halves[i / group]);
    free(halves);
    free(q);
}

/* What a compact weight stands for. */
static void read_rounded(const ae_model *m, const ae_param *p, const char *fixture, float *x) {
    const ae_weight_shape s = ae_param_compact_shape(p, m->options.weights, m->options.group);
    char path[512];
    ae_tensors *t;
    snprintf(path, sizeof path, "%s/%s", AERIE_FIXTURES, fixture);
    cr_assert_eq(ae_tensors_open(&t, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_read(t, p->name, p->rank, p->shape, x), AE_OK, "%s", ae_error_message());
    ae_tensors_close(t);
    for (int64_t row = 0; row < p->rows; row++) round_row(x + row * p->cols, p->cols, s.type, s.group);
}

static double complex *values_of(const ae_model *m, const ae_param *p, const char *fixture) {
    float *x = malloc((size_t)p->n * sizeof *x);
    double complex *z = malloc((size_t)p->n * sizeof *z);
    cr_assert(x != NULL && z != NULL);
    if (p->value != NULL)
        m->be->download(m->be, x, p->value, (size_t)p->n * sizeof *x);
    else
        read_rounded(m, p, fixture, x);
    for (int64_t i = 0; i < p->n; i++) z[i] = (double)x[i];
    free(x);
    return z;
}

naive_model naive_new(const ae_model *m, const char *fixture) {
    naive_model n = {m, calloc((size_t)m->params.n, sizeof *n.values)};
    cr_assert_not_null(n.values);
    for (ptrdiff_t i = 0; i < m->params.n; i++) n.values[i] = values_of(m, &m->params.items[i], fixture);
    return n;
}

void naive_free(naive_model *n) {
    for (ptrdiff_t i = 0; i < n->m->params.n; i++) free(n->values[i]);
    free(n->values);
}

/* ---- forward ---- */

enum { PROJECTIONS_MAX = 4 };

/* One block at work: its effective matrices are made for it. */
typedef struct {
    const naive_model *n;
    ptrdiff_t number;
    double complex *made[PROJECTIONS_MAX];
    int count;
} block;

static const double complex *find(const block *k, const char *suffix) {
    char name[AE_PARAM_NAME];
    cr_assert(ae_param_name(name, &k->n->m->config, k->number, suffix));
    const ae_param *p = ae_params_find(&k->n->m->params, name);
    return p != NULL ? k->n->values[p - k->n->m->params.items] : NULL;
}

/* W + scale B A of a projection such as "mlp_block.up_proj". */
static const double complex *matrix(block *k, const char *stem, ptrdiff_t O, ptrdiff_t I) {
    const ptrdiff_t rank = k->n->m->params.adapter_rank;
    char name[96];
    snprintf(name, sizeof name, "%s.lora_A.weight", stem);
    const double complex *a = find(k, name);
    snprintf(name, sizeof name, "%s.lora_B.weight", stem);
    const double complex *b = find(k, name);
    snprintf(name, sizeof name, "%s.weight", stem);
    const double complex *w = find(k, name);
    if (a == NULL) return w;
    double complex *sum = k->made[k->count++] = malloc((size_t)(O * I) * sizeof *sum);
    cr_assert_not_null(sum);
    for (ptrdiff_t o = 0; o < O; o++)
        for (ptrdiff_t i = 0; i < I; i++) {
            double complex s = 0;
            for (ptrdiff_t r = 0; r < rank; r++) s += b[o * rank + r] * a[r * I + i];
            sum[o * I + i] = w[o * I + i] + k->n->m->params.adapter_scale * s;
        }
    return sum;
}

static void forget(block *k) {
    while (k->count > 0) free(k->made[--k->count]);
}

#define T_ "temporal_block."
#define M_ "mlp_block."

static void temporal(block *k, double complex *out, const double complex *x, const int32_t *positions,
                     cref_block_dims n) {
    const ptrdiff_t Q = n.N * n.H, KV = n.G * n.H;
    const double complex *norm = find(k, "temporal_pre_norm.weight");
    if (k->n->m->config.pattern[k->number] == AE_ATTENTION) {
        const cref_attention_params p = {.norm = norm,
                                         .q = matrix(k, T_ "q_proj", Q, n.D),
                                         .k = matrix(k, T_ "k_proj", KV, n.D),
                                         .v = matrix(k, T_ "v_proj", KV, n.D),
                                         .o = matrix(k, T_ "o_proj", n.D, Q),
                                         .o_bias = find(k, T_ "o_proj.bias")};
        cref_attention_block(out, x, &p, positions, n);
    } else {
        const cref_recurrent_params p = {
            .norm = norm,
            .linear_x = matrix(k, T_ "linear_x", n.C, n.D),
            .linear_y = matrix(k, T_ "linear_y", n.C, n.D),
            .linear_x_bias = find(k, T_ "linear_x.bias"),
            .linear_y_bias = find(k, T_ "linear_y.bias"),
            .conv = find(k, T_ "conv_1d.weight"),
            .conv_bias = find(k, T_ "conv_1d.bias"),
            .input_gate = find(k, T_ "rg_lru.input_gate_weight"),
            .recurrent_gate = find(k, T_ "rg_lru.recurrent_gate_weight"),
            .input_gate_bias = find(k, T_ "rg_lru.input_gate_bias"),
            .recurrent_gate_bias = find(k, T_ "rg_lru.recurrent_gate_bias"),
            .recurrent_param = find(k, T_ "rg_lru.recurrent_param"),
            .linear_out = matrix(k, T_ "linear_out", n.D, n.C),
            .linear_out_bias = find(k, T_ "linear_out.bias"),
        };
        cref_recurrent(out, x, &p, NULL, NULL, positions, n);
    }
    forget(k);
}

static void channel(block *k, double complex *out, const double complex *x, cref_block_dims n) {
    const cref_mlp_params p = {.norm = find(k, "channel_pre_norm.weight"),
                               .gate = matrix(k, M_ "gate_proj", n.E, n.D),
                               .up = matrix(k, M_ "up_proj", n.E, n.D),
                               .down = matrix(k, M_ "down_proj", n.D, n.E),
                               .gate_bias = find(k, M_ "gate_proj.bias"),
                               .up_bias = find(k, M_ "up_proj.bias"),
                               .down_bias = find(k, M_ "down_proj.bias")};
    cref_mlp(out, x, &p, n);
    forget(k);
}

static const double complex *outside(const naive_model *n, const char *stem) {
    char name[AE_PARAM_NAME];
    cr_assert(ae_param_name(name, &n->m->config, -1, stem));
    return n->values[ae_params_find(&n->m->params, name) - n->m->params.items];
}

double complex *naive_hidden(const naive_model *n, const ae_micro_batch *b) {
    const ae_model_config *c = &n->m->config;
    const cref_block_dims dims = {
        b->B,        b->T,         c->D, c->C, c->E, c->N, c->G, c->H, c->W, c->K, ae_model_rope_elements(c),
        c->norm_eps, c->rope_theta};
    const ptrdiff_t M = b->B * b->T;
    double complex *x = cref_room(M * c->D), *mid = cref_room(M * c->D);
    cref_embedding(x, outside(n, "embed_tokens.weight"), b->tokens, (double)ae_model_embedding_scale(c), M,
                   c->D);
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        block k = {.n = n, .number = i};
        temporal(&k, mid, x, b->positions, dims);
        channel(&k, x, mid, dims);
    }
    cref_rmsnorm(mid, NULL, x, outside(n, "final_norm.weight"), c->norm_eps, M, c->D);
    free(x);
    return mid;
}

double complex naive_loss(const naive_model *n, const ae_micro_batch *b) {
    const ae_model_config *c = &n->m->config;
    const ptrdiff_t M = b->B * b->T;
    double complex *hidden = naive_hidden(n, b), *nll = cref_room(M), loss = 0;
    cref_head(nll, hidden, outside(n, "embed_tokens.weight"), b->targets, b->weights, c->soft_cap, M, c->D,
              c->V);
    for (ptrdiff_t m = 0; m < M; m++) loss += (double)b->weights[m] * nll[m];
    free(nll);
    free(hidden);
    return loss;
}

double complex naive_value(const naive_model *n, const double complex *hidden, ptrdiff_t place) {
    const ptrdiff_t D = n->m->config.D;
    const double complex *w = n->values[ae_params_find(&n->m->params, "score.weight") - n->m->params.items];
    double complex value = 0;
    for (ptrdiff_t d = 0; d < D; d++) value += w[d] * hidden[place * D + d];
    return value;
}

/* ---- gradients ---- */

double naive_gradient_error_of(const naive_model *n, naive_objective *objective, const void *context,
                               const ae_param *p, const float *got) {
    const double step = 1e-30;
    double complex *z = n->values[p - n->m->params.items];
    ae_rng r = ae_rng_make(11, 3);
    double along = 0, size = 0, length = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const double v = ae_rng_uniform(&r) - 0.5;
        z[i] += ref_complex(0, step * v);
        along += v * (double)got[i];
        size += (double)got[i] * (double)got[i];
        length += v * v;
    }
    const double want = cimag(objective(n, context)) / step;
    for (int64_t i = 0; i < p->n; i++) z[i] = creal(z[i]);
    return fabs(along - want) / sqrt(size * length / (double)p->n + 1e-300);
}

static double complex loss_of(const naive_model *n, const void *batch) {
    return naive_loss(n, batch);
}

double naive_gradient_error(const naive_model *n, const ae_micro_batch *b, const ae_param *p,
                            const float *got) {
    return naive_gradient_error_of(n, loss_of, b, p, got);
}

/* ---- all gradients ---- */

#ifdef __SANITIZE_ADDRESS__
enum { DIRECTIONS = 2, ALONE = false };
#else
enum { DIRECTIONS = 12, ALONE = true };
#endif
static const double WHOLE_TOLERANCE = 1e-6, ALONE_TOLERANCE = 2e-6;

/* What the model holds, a list for each parameter; NULL: it has none. */
static float **gradients_of(const ae_model *m) {
    float **all = calloc((size_t)m->params.n, sizeof *all);
    cr_assert_not_null(all);
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        if (p->grad == NULL) continue;
        all[i] = malloc((size_t)p->n * sizeof *all[i]);
        cr_assert_not_null(all[i]);
        m->be->download(m->be, all[i], p->grad, (size_t)p->n * sizeof *all[i]);
    }
    return all;
}

static double squares_of(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; x != NULL && i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* (got - want) v for a direction v of the parameters [first, end), whose entries have the variance 1: its square is that of the norm of the
 * difference, in the mean over v. */
static double difference_along(const naive_model *n, naive_objective *objective, const void *context,
                               float *const *got, ptrdiff_t first, ptrdiff_t end, ae_rng *r) {
    const double step = 1e-30;
    double along = 0;
    for (ptrdiff_t i = first; i < end; i++)
        for (int64_t k = 0; got[i] != NULL && k < n->m->params.items[i].n; k++) {
            const double v = sqrt(12) * (ae_rng_uniform(r) - 0.5);
            n->values[i][k] += ref_complex(0, step * v);
            along += v * (double)got[i][k];
        }
    const double want = cimag(objective(n, context)) / step;
    for (ptrdiff_t i = first; i < end; i++)
        for (int64_t k = 0; k < n->m->params.items[i].n; k++) n->values[i][k] = creal(n->values[i][k]);
    return along - want;
}

static void expect_alone(const naive_model *n, naive_objective *objective, const void *context,
                         float *const *got, const char *what, ae_rng *r) {
    for (ptrdiff_t i = 0; i < n->m->params.n; i++) {
        const ae_param *p = &n->m->params.items[i];
        if (got[i] == NULL) continue;
        const double norm = sqrt(squares_of(got[i], p->n));
        const double error = fabs(difference_along(n, objective, context, got, i, i + 1, r));
        cr_assert(error <= ALONE_TOLERANCE * norm, "%s: %s: %g of its norm %g", what, p->name, error / norm,
                  norm);
    }
}

void naive_expect_gradients(const naive_model *n, naive_objective *objective, const void *context,
                            const char *what) {
    const ptrdiff_t params = n->m->params.n;
    ae_rng r = ae_rng_make(11, 3);
    float **got = gradients_of(n->m);
    double squares = 0, errors = 0;
    for (ptrdiff_t i = 0; i < params; i++) squares += squares_of(got[i], n->m->params.items[i].n);
    for (int d = 0; d < DIRECTIONS; d++)
        errors += pow(difference_along(n, objective, context, got, 0, params, &r), 2) / DIRECTIONS;
    cr_assert(squares > 0 && errors <= pow(WHOLE_TOLERANCE, 2) * squares, "%s: %g of the norm %g", what,
              sqrt(errors / squares), sqrt(squares));
    if (ALONE) expect_alone(n, objective, context, got, what, &r);
    for (ptrdiff_t i = 0; i < params; i++) free(got[i]);
    free((void *)got);
}
