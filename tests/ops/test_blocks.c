#include "ops/compose/compose.h"
#include "tests/ops/rig.h"

#include <stdio.h>
#include <string.h>

enum { FORWARD, BACKWARD };
static const double tolerance[] = {[FORWARD] = 1e-5, [BACKWARD] = 5e-5};

typedef enum { RECURRENT, ATTENTION, MLP, KINDS } kind;
static const char *const kind_names[] = {"recurrent", "attention", "mlp"};

/* B T  D C E  N G H  W K R */
static const ae_block_dims dims[] = {
    {1, 1, 4, 4, 4, 1, 1, 4, 2, 4, 2, 1e-6f, false, false, 0, 0},
    {1, 4, 5, 6, 7, 2, 1, 3, 2, 4, 2, 1e-6f, false, false, 0, 0},
    {2, 7, 16, 10, 24, 2, 2, 8, 3, 4, 4, 1e-5f, false, false, 0, 0},
    {3, 9, 17, 34, 33, 2, 1, 24, 5, 4, 12, 1e-6f, false, false, 0, 0},
    {1, 70, 24, 40, 31, 4, 2, 10, 16, 4, 6, 1e-6f, false, false, 0, 0},
    {2, 130, 16, 48, 40, 3, 1, 8, -1, 2, 8, 1e-6f, false, false, 0, 0},
    {1, 300, 8, 16, 16, 2, 1, 4, 257, 4, 4, 1e-6f, false, false, 0, 0},
};
static const double theta = 10000;

/* The parameters of a branch in the order of the reference's structs. rows > 0: a matrix that is packed;
 * without a fan_in the values are small offsets. */
typedef struct {
    const char *name;
    ptrdiff_t n, fan_in, rows;
} parameter;
enum { PARAMETERS_MAX = 14 };

typedef struct {
    kind kind;
    ae_block_dims n;
    int count;
    parameter list[PARAMETERS_MAX];
    rig_array p[PARAMETERS_MAX], g[PARAMETERS_MAX];
    void *values[PARAMETERS_MAX], *grads[PARAMETERS_MAX]; /* on the device; NULL for a gradient to skip */
    rig_ints positions;
    rig_array x, out, d, d_out;
    ae_block_batch batch;
    ae_room saved, scratch;
    ae_recurrent_state recurrent;
    ae_attention_state attention;
    bool stateful;
    rig_array h0, inputs0; /* the state of `recurrent` before the rows, for backward */
} branch;

static int list_parameters(parameter *list, kind which, const ae_block_dims *n) {
    const ptrdiff_t D = n->D, C = n->C, E = n->E, S = C / n->N, Q = n->N * n->H, KV = n->G * n->H;
    const parameter recurrent[] = {
        {"norm", D, 0, 0},
        {"linear_x", C * D, D, C},
        {"linear_y", C * D, D, C},
        {"linear_x_bias", C, 0, 0},
        {"linear_y_bias", C, 0, 0},
        {"conv", C * n->K, n->K, 0},
        {"conv_bias", C, 0, 0},
        {"input_gate", C * S, S, C},
        {"recurrent_gate", C * S, S, C},
        {"input_gate_bias", C, 0, 0},
        {"recurrent_gate_bias", C, 0, 0},
        {"recurrent_param", C, 0, 0},
        {"linear_out", D * C, C, D},
        {"linear_out_bias", D, 0, 0},
    };
    const parameter attention[] = {{"norm", D, 0, 0},    {"q", Q * D, D, Q}, {"k", KV * D, D, KV},
                                   {"v", KV * D, D, KV}, {"o", D * Q, Q, D}, {"o_bias", D, 0, 0}};
    const parameter mlp[] = {{"norm", D, 0, 0},     {"gate", E * D, D, E},  {"up", E * D, D, E},
                             {"down", D * E, E, D}, {"gate_bias", E, 0, 0}, {"up_bias", E, 0, 0},
                             {"down_bias", D, 0, 0}};
    const struct {
        const parameter *list;
        size_t count;
    } all[] = {[RECURRENT] = {recurrent, COUNT(recurrent)},
               [ATTENTION] = {attention, COUNT(attention)},
               [MLP] = {mlp, COUNT(mlp)}};
    memcpy(list, all[which].list, all[which].count * sizeof *list);
    return (int)all[which].count;
}

static void *packed(rig *r, const rig_array *w, ptrdiff_t rows) {
    const ptrdiff_t cols = w->n / rows;
    return rig_pack(r, w->dev, rows, cols);
}

static void make_parameters(rig *r, branch *k) {
    for (int i = 0; i < k->count; i++) {
        const parameter *p = &k->list[i];
        k->p[i] = rig_normal(r, p->fan_in > 0 ? 1 / sqrt((double)p->fan_in) : 0.3, p->n);
        k->g[i] = rig_zeros(r, p->n);
        k->values[i] = p->rows > 0 ? packed(r, &k->p[i], p->rows) : k->p[i].dev;
        k->grads[i] = k->g[i].dev;
    }
}

static ae_block_batch batch_of(rig *r, const ae_block_dims *n, const rig_ints *positions) {
    const rig_array cosines = rig_output(r, positions->n * n->R / 2), sines = rig_output(r, cosines.n);
    r->be.rope_table(&r->be, cosines.dev, sines.dev, positions->dev, theta, positions->n, n->R);
    return (ae_block_batch){positions->dev, cosines.dev, sines.dev};
}

typedef size_t bytes_fn(const ae_backend *be, const ae_block_dims *n);

static void make_rooms(rig *r, branch *k) {
    bytes_fn *const saved[] = {r->be.recurrent_saved_bytes, r->be.attention_block_saved_bytes,
                               r->be.mlp_saved_bytes};
    bytes_fn *const scratch[] = {r->be.recurrent_scratch_bytes, r->be.attention_block_scratch_bytes,
                                 r->be.mlp_scratch_bytes};
    k->saved = rig_room(r, saved[k->kind](&r->be, &k->n));
    k->scratch = rig_room(r, scratch[k->kind](&r->be, &k->n));
}

static branch make(rig *r, kind which, ae_block_dims n, rig_layout layout) {
    rig_next(r, "%s B %td T %td D %td C %td E %td N %td G %td H %td W %td layout %d", kind_names[which], n.B,
             n.T, n.D, n.C, n.E, n.N, n.G, n.H, n.W, (int)layout);
    branch k = {.kind = which, .n = n};
    k.count = list_parameters(k.list, which, &n);
    make_parameters(r, &k);
    k.positions = rig_positions(r, layout, n.B, n.T);
    k.batch = batch_of(r, &n, &k.positions);
    k.x = rig_normal(r, 1, n.B * n.T * n.D);
    k.d_out = rig_normal(r, 1, k.x.n);
    k.out = rig_output(r, k.x.n);
    k.d = rig_values(r, k.d_out.x, k.x.n);
    make_rooms(r, &k);
    return k;
}

/* ---- the structs of ops/blocks.h, from the list ---- */

static ae_recurrent_params recurrent_params(void *const *v) {
    return (ae_recurrent_params){.norm = v[0],
                                 .linear_x = {.w = v[1], .bias = v[3]},
                                 .linear_y = {.w = v[2], .bias = v[4]},
                                 .conv = v[5],
                                 .conv_bias = v[6],
                                 .input_gate = v[7],
                                 .recurrent_gate = v[8],
                                 .input_gate_bias = v[9],
                                 .recurrent_gate_bias = v[10],
                                 .recurrent_param = v[11],
                                 .linear_out = {.w = v[12], .bias = v[13]}};
}

static ae_recurrent_grads recurrent_grads(void *const *v) {
    return (ae_recurrent_grads){.norm = v[0],
                                .linear_x = {.w = v[1], .bias = v[3]},
                                .linear_y = {.w = v[2], .bias = v[4]},
                                .conv = v[5],
                                .conv_bias = v[6],
                                .input_gate = v[7],
                                .recurrent_gate = v[8],
                                .input_gate_bias = v[9],
                                .recurrent_gate_bias = v[10],
                                .recurrent_param = v[11],
                                .linear_out = {.w = v[12], .bias = v[13]}};
}

static ae_attention_params attention_params(void *const *v) {
    return (ae_attention_params){
        .norm = v[0], .q.w = v[1], .k.w = v[2], .v.w = v[3], .o = {.w = v[4], .bias = v[5]}};
}

static ae_attention_grads attention_grads(void *const *v) {
    return (ae_attention_grads){
        .norm = v[0], .q.w = v[1], .k.w = v[2], .v.w = v[3], .o = {.w = v[4], .bias = v[5]}};
}

static ae_mlp_params mlp_params(void *const *v) {
    return (ae_mlp_params){.norm = v[0],
                           .gate = {.w = v[1], .bias = v[4]},
                           .up = {.w = v[2], .bias = v[5]},
                           .down = {.w = v[3], .bias = v[6]}};
}

static ae_mlp_grads mlp_grads(void *const *v) {
    return (ae_mlp_grads){.norm = v[0],
                          .gate = {.w = v[1], .bias = v[4]},
                          .up = {.w = v[2], .bias = v[5]},
                          .down = {.w = v[3], .bias = v[6]}};
}

/* ---- the passes ---- */

static void forward(rig *r, void *context) {
    branch *k = context;
    const ae_backend *be = &r->be;
    if (k->kind == RECURRENT) {
        const ae_recurrent_params p = recurrent_params(k->values);
        be->recurrent_forward(be, k->out.dev, k->saved, k->x.dev, &p, k->stateful ? &k->recurrent : NULL,
                              &k->batch, &k->n, k->scratch);
    } else if (k->kind == ATTENTION) {
        const ae_attention_params p = attention_params(k->values);
        be->attention_block_forward(be, k->out.dev, k->saved, k->x.dev, &p,
                                    k->stateful ? &k->attention : NULL, &k->batch, &k->n, k->scratch);
    } else {
        const ae_mlp_params p = mlp_params(k->values);
        be->mlp_forward(be, k->out.dev, k->saved, k->x.dev, &p, &k->n, k->scratch);
    }
}

static void backward_recurrent(rig *r, branch *k) {
    const ae_recurrent_params p = recurrent_params(k->values);
    const ae_recurrent_grads g = recurrent_grads(k->grads);
    r->be.recurrent_backward(&r->be, k->d.dev, &g, k->saved, k->x.dev, &p, k->stateful ? &k->recurrent : NULL,
                             &k->batch, &k->n, k->scratch);
}

static void backward_attention(rig *r, branch *k) {
    const ae_attention_params p = attention_params(k->values);
    const ae_attention_grads g = attention_grads(k->grads);
    r->be.attention_block_backward(&r->be, k->d.dev, &g, k->saved, k->x.dev, &p,
                                   k->stateful ? &k->attention : NULL, &k->batch, &k->n, k->scratch);
}

static void backward_mlp(rig *r, branch *k) {
    const ae_mlp_params p = mlp_params(k->values);
    const ae_mlp_grads g = mlp_grads(k->grads);
    r->be.mlp_backward(&r->be, k->d.dev, &g, k->saved, k->x.dev, &p, &k->n, k->scratch);
}

/* Forward first: backward may use up what it left. */
static void both_passes(rig *r, void *context) {
    branch *k = context;
    void (*const backward[])(rig *, branch *) = {backward_recurrent, backward_attention, backward_mlp};
    forward(r, k);
    rig_write(r, &k->d);
    if (k->h0.dev) { /* forward has replaced them */
        rig_write(r, &k->h0);
        rig_write(r, &k->inputs0);
    }
    backward[k->kind](r, k);
}

#define REFERENCE_DIMS(type, n)                                                                              \
    ((type){(n).B, (n).T, (n).D, (n).C, (n).E, (n).N, (n).G, (n).H, (n).W, (n).K, (n).R,                     \
            (double)(n).norm_eps, theta})

static void reference(branch *k) {
    const double *values[PARAMETERS_MAX] = {NULL};
    for (int i = 0; i < k->count; i++) values[i] = k->p[i].d;
    const ref_block_dims n = REFERENCE_DIMS(ref_block_dims, k->n);
    ref_recurrent_params recurrent;
    ref_attention_params attention;
    ref_mlp_params mlp;
    memcpy(&recurrent, values, sizeof recurrent);
    memcpy(&attention, values, sizeof attention);
    memcpy(&mlp, values, sizeof mlp);
    if (k->kind == RECURRENT) ref_recurrent(k->out.d, k->x.d, &recurrent, NULL, NULL, k->positions.x, n);
    if (k->kind == ATTENTION) ref_attention_block(k->out.d, k->x.d, &attention, k->positions.x, n);
    if (k->kind == MLP) ref_mlp(k->out.d, k->x.d, &mlp, n);
}

static double complex loss(void *context) {
    branch *k = context;
    const double complex *values[PARAMETERS_MAX] = {NULL};
    for (int i = 0; i < k->count; i++) values[i] = k->p[i].c;
    const cref_block_dims n = REFERENCE_DIMS(cref_block_dims, k->n);
    cref_recurrent_params recurrent;
    cref_attention_params attention;
    cref_mlp_params mlp;
    memcpy(&recurrent, values, sizeof recurrent);
    memcpy(&attention, values, sizeof attention);
    memcpy(&mlp, values, sizeof mlp);
    if (k->kind == RECURRENT)
        cref_recurrent(k->out.c, k->x.c, &recurrent, k->h0.c, k->inputs0.c, k->positions.x, n);
    if (k->kind == ATTENTION) cref_attention_block(k->out.c, k->x.c, &attention, k->positions.x, n);
    if (k->kind == MLP) cref_mlp(k->out.c, k->x.c, &mlp, n);
    return rig_dot(k->d_out.d, k->out.c, k->out.n);
}

typedef void check(rig *r, kind which, ae_block_dims n, rig_layout layout);

static void each_branch(rig *r, check *expect) {
    for (int which = 0; which < KINDS; which++)
        for (size_t i = 0; i < COUNT(dims); i++) {
            expect(r, (kind)which, dims[i], i % 2 ? RIG_LONG : RIG_ONE);
            if (which == MLP || dims[i].T > 100) continue;
            expect(r, (kind)which, dims[i], RIG_SHORT);
            expect(r, (kind)which, dims[i], RIG_MIDDLE);
            expect(r, (kind)which, dims[i], RIG_FORKED);
        }
}

/* With the backend's own rows, and with the composed ones where those are not the same. */
static void each_way(rig *r, check *expect) {
    each_branch(r, expect);
    if (r->be.recurrent_forward == ae_recurrent_forward_composed &&
        r->be.mlp_forward == ae_mlp_forward_composed &&
        r->be.attention_block_forward == ae_attention_block_forward_composed)
        return;
    ae_compose_fill(&r->be);
    (void)snprintf(r->label, sizeof r->label, "composed %s", r->be.kernels);
    each_branch(r, expect);
}

static void expect_forward(rig *r, kind which, ae_block_dims n, rig_layout layout) {
    branch k = make(r, which, n, layout);
    reference(&k);
    forward(r, &k);
    const float *out = rig_read(r, &k.out);
    rig_expect(r, "out", out, k.out.d, k.out.n, tolerance[FORWARD]);
    k.n.inference = true;
    make_rooms(r, &k);
    rig_write(r, &k.out);
    forward(r, &k);
    rig_expect(r, "out of inference", rig_read(r, &k.out), k.out.d, k.out.n, tolerance[FORWARD]);
}

ON_EVERY_BACKEND(blocks, forward_is_the_reference) {
    each_way(r, expect_forward);
}

static void expect_backward(rig *r, kind which, ae_block_dims n, rig_layout layout) {
    branch k = make(r, which, n, layout);
    r->floor =
        0.05; /* where the first token of every document is all there is, decay and keys have no gradient */
    both_passes(r, &k);
    rig_expect_gradient(r, "d", rig_read(r, &k.d), &k.x, loss, &k, tolerance[BACKWARD]);
    for (int i = 0; i < k.count; i++)
        rig_expect_gradient(r, k.list[i].name, rig_read(r, &k.g[i]), &k.p[i], loss, &k, tolerance[BACKWARD]);
}

ON_EVERY_BACKEND(blocks, backward_is_the_complex_step) {
    r->every_element = ae_min(40, r->every_element);
    each_way(r, expect_backward);
}

/* Rows that go on from a state; a block that recomputes starts its convolution from it. */
static void expect_backward_from_a_state(rig *r, ae_block_dims n, unsigned recompute) {
    n.recompute = recompute;
    branch k = make(r, RECURRENT, n, RIG_MIDDLE);
    k.h0 = rig_normal(r, 1, n.B * n.C);
    k.inputs0 = rig_normal(r, 1, n.B * (n.K - 1) * n.C);
    k.recurrent = (ae_recurrent_state){k.h0.dev, k.inputs0.dev};
    k.stateful = true;
    both_passes(r, &k);
    rig_expect_gradient(r, "d", rig_read(r, &k.d), &k.x, loss, &k, tolerance[BACKWARD]);
    for (int i = 0; i < k.count; i++)
        rig_expect_gradient(r, k.list[i].name, rig_read(r, &k.g[i]), &k.p[i], loss, &k, tolerance[BACKWARD]);
}

ON_EVERY_BACKEND(blocks, backward_from_a_state_is_the_complex_step) {
    r->every_element = ae_min(40, r->every_element);
    r->floor = 0.05;
    for (size_t i = 0; i < COUNT(dims); i++) {
        if (dims[i].T > 100) continue;
        expect_backward_from_a_state(r, dims[i], 0);
        expect_backward_from_a_state(r, dims[i], AE_RECOMPUTE_GATES);
    }
}

static void expect_accumulation(rig *r, kind which, ae_block_dims n, rig_layout layout) {
    branch k = make(r, which, n, layout);
    float *first[PARAMETERS_MAX] = {NULL};
    both_passes(r, &k);
    for (int i = 0; i < k.count; i++) {
        first[i] = rig_read(r, &k.g[i]);
        k.g[i] = rig_normal(r, 1, k.g[i].n);
        k.grads[i] = k.g[i].dev;
    }
    both_passes(r, &k);
    for (int i = 0; i < k.count; i++)
        rig_expect_sum(r, k.list[i].name, rig_read(r, &k.g[i]), k.g[i].x, first[i], k.g[i].n);
}

ON_EVERY_BACKEND(blocks, gradients_accumulate) {
    each_way(r, expect_accumulation);
}

static void expect_other_bits(rig *r, branch *k, int missing, const float *d, float *const *gradients) {
    for (int i = 0; i < k->count; i++) {
        rig_write(r, &k->g[i]);
        k->grads[i] = missing < 0 || i == missing ? NULL : k->g[i].dev;
    }
    both_passes(r, k);
    rig_expect_bits(r, "d", rig_read(r, &k->d), d, k->d.n);
    for (int i = 0; i < k->count; i++)
        rig_expect_bits(r, k->list[i].name, rig_read(r, &k->g[i]), k->grads[i] ? gradients[i] : k->g[i].x,
                        k->g[i].n);
}

/* Any one missing, then all (index -1): what is frozen costs the others nothing. */
static void expect_skipped(rig *r, kind which, ae_block_dims n, rig_layout layout) {
    branch k = make(r, which, n, layout);
    float *gradients[PARAMETERS_MAX] = {NULL};
    both_passes(r, &k);
    const float *d = rig_read(r, &k.d);
    for (int i = 0; i < k.count; i++) gradients[i] = rig_read(r, &k.g[i]);
    for (int missing = -1; missing < k.count; missing++) expect_other_bits(r, &k, missing, d, gradients);
}

ON_EVERY_BACKEND(blocks, null_gradients_are_skipped) {
    for (int which = 0; which < KINDS; which++) expect_skipped(r, (kind)which, dims[3], RIG_LONG);
}

/* The first and the rest of every row in calls of their own; the state begins as NaN. */
static void expect_split(rig *r, kind which, ae_block_dims n, rig_layout layout, ptrdiff_t cut) {
    n.inference = true;
    branch k = make(r, which, n, layout);
    reference(&k);
    k.stateful = true;
    const ptrdiff_t ring = n.B * ae_max(n.W, 1) * n.G * n.H;
    k.recurrent =
        (ae_recurrent_state){rig_output(r, n.B * n.C).dev, rig_output(r, n.B * (n.K - 1) * n.C).dev};
    k.attention = (ae_attention_state){rig_output(r, ring).dev, rig_output(r, ring).dev};
    float *out = rig_host(r, (size_t)k.out.n * sizeof *out);
    branch part = k;
    for (int turn = 0; turn < 2; turn++) {
        const ptrdiff_t from = turn ? cut : 0, T = turn ? n.T - cut : cut;
        part.n.T = T;
        part.x = rig_cut(r, &k.x, n.B, n.T, from, T);
        part.out = rig_output(r, part.x.n);
        part.positions = rig_cut_numbers(r, &k.positions, n.B, n.T, from, T);
        part.batch = batch_of(r, &part.n, &part.positions);
        make_rooms(r, &part);
        forward(r, &part);
        rig_paste(out, rig_read(r, &part.out), n.B, n.T, from, T, n.D);
    }
    rig_expect(r, "out in two calls", out, k.out.d, k.out.n, tolerance[FORWARD]);
}

ON_EVERY_BACKEND(blocks, two_calls_with_a_state_are_one) {
    for (size_t i = 1; i < COUNT(dims); i++)
        for (int which = RECURRENT; which <= ATTENTION; which++) {
            if (which == ATTENTION && dims[i].W < 0) continue;
            const ptrdiff_t T = dims[i].T, cuts[] = {1, 2, 3, T / 2, T - 1};
            for (size_t c = 0; c < COUNT(cuts); c++) {
                expect_split(r, (kind)which, dims[i], RIG_ONE, cuts[c]);
                expect_split(r, (kind)which, dims[i], RIG_LONG, cuts[c]);
            }
        }
}

static void expect_same_bits(rig *r, kind which, ae_block_dims n, rig_layout layout) {
    branch k = make(r, which, n, layout);
    rig_array outputs[PARAMETERS_MAX + 2];
    memcpy(outputs, k.g, sizeof k.g);
    outputs[k.count] = k.out;
    outputs[k.count + 1] = k.d;
    rig_expect_same_on_threads(r, "both passes", both_passes, &k, outputs, k.count + 2);
}

ON_EVERY_BACKEND(blocks, bits_do_not_depend_on_threads) {
    for (int which = 0; which < KINDS; which++)
        for (size_t i = 0; i < COUNT(dims); i++)
            expect_same_bits(r, (kind)which, dims[i], i % 2 ? RIG_ONE : RIG_LONG);
}
