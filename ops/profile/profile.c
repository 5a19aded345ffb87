#include "ops/profile/profile.h"

#include "ops/profile/work.h"

static ae_backend inner;
static ae_work_types types;
static bool packs; /* a packed weight is a copy, not the master */

#define NAME(row) #row,
static const char *const names[] = {AE_PROFILE_OPS(NAME)};
#undef NAME
_Static_assert((int)AE_PROFILE_N_OPS <= (int)AE_PROBE_OPS_MAX, "every row has a probe");

const char *ae_profile_name(int op) {
    return names[op];
}

bool ae_profile_sweeps_parameters(int op) {
    return op == AE_OP_adamw || op == AE_OP_adamw_weight || op == AE_OP_sum_squares ||
           op == AE_OP_weight_pack;
}

/* Runs the inner row between probes; the last argument is its work, made after the clock has stopped. */
#define ROW(row, parameters, arguments, ...)                                                                 \
    static void profiled_##row parameters {                                                                  \
        const ae_probe probe = ae_probe_begin(AE_OP_##row);                                                  \
        inner.row arguments;                                                                                 \
        ae_probe_end(&probe, NULL);                                                                          \
        if (ae_probe_on) ae_probe_count(AE_OP_##row, &(const ae_work[]){__VA_ARGS__}[0]);                    \
    }

#define ROW_OF(type, row, parameters, arguments, ...)                                                        \
    static type profiled_##row parameters {                                                                  \
        const ae_probe probe = ae_probe_begin(AE_OP_##row);                                                  \
        type result = inner.row arguments;                                                                   \
        ae_probe_end(&probe, NULL);                                                                          \
        if (ae_probe_on) ae_probe_count(AE_OP_##row, &(const ae_work[]){__VA_ARGS__}[0]);                    \
        return result;                                                                                       \
    }

/* Bytes of a matrix of activations, of float32, and of packed weights. */
static double acts(ptrdiff_t rows, ptrdiff_t cols) {
    return types.act * (double)rows * (double)cols;
}
static double reals(ptrdiff_t rows, ptrdiff_t cols) {
    return (double)sizeof(float) * (double)rows * (double)cols;
}
static double weights_of(ptrdiff_t rows, ptrdiff_t cols) {
    return types.weight * (double)rows * (double)cols;
}

ROW(upload, (void *device, const void *host, size_t bytes), (device, host, bytes),
    ae_work_moved((double)bytes, (double)bytes))
ROW(download, (void *host, const void *device, size_t bytes), (host, device, bytes),
    ae_work_moved((double)bytes, (double)bytes))
ROW(zero, (void *device, size_t bytes), (device, bytes), ae_work_moved(0, (double)bytes))
ROW(copy, (void *to, const void *from, size_t bytes), (to, from, bytes),
    ae_work_moved((double)bytes, (double)bytes))
ROW_OF(ae_act *, act_from_f32, (ae_act * room, const ae_f32 *x, ptrdiff_t n), (room, x, n),
       (const void *)result == (const void *)x ? ae_work_moved(0, 0) : ae_work_moved(reals(n, 1), acts(n, 1)))
ROW_OF(ae_weight *, weight_pack,
       (const ae_backend *be, void *room, const ae_f32 *master, ptrdiff_t rows, ptrdiff_t cols, bool often),
       (be, room, master, rows, cols, often),
       packs ? ae_work_moved(reals(rows, cols), weights_of(rows, cols)) : (ae_work){0})

ROW(embedding_forward,
    (ae_f32 * x, const ae_weight *table, const ae_i32 *tokens, float scale, ptrdiff_t M, ptrdiff_t D),
    (x, table, tokens, scale, M, D), ae_work_moved(weights_of(M, D), reals(M, D)))
ROW(embedding_backward,
    (ae_f32 * dtable, const ae_f32 *dx, const ae_i32 *tokens, float scale, ptrdiff_t M, ptrdiff_t D),
    (dtable, dx, tokens, scale, M, D), ae_work_moved(2 * reals(M, D), reals(M, D)))

ROW(rmsnorm_forward,
    (ae_act * z, ae_act *kept, ae_f32 *rstd, const ae_f32 *x, const ae_f32 *w, float eps, ptrdiff_t M,
     ptrdiff_t D),
    (z, kept, rstd, x, w, eps, M, D), ae_work_moved(reals(M, D), acts(M, D) * (kept ? 2 : 1)))
ROW(rmsnorm_again,
    (ae_act * z, const ae_act *kept, const ae_f32 *rstd, const ae_f32 *w, ptrdiff_t M, ptrdiff_t D),
    (z, kept, rstd, w, M, D), ae_work_moved(acts(M, D), acts(M, D)))
ROW(rmsnorm_backward,
    (ae_f32 * dx, ae_f32 *dw, const ae_act *dz, const ae_act *kept, const ae_f32 *w, const ae_f32 *rstd,
     ptrdiff_t M, ptrdiff_t D),
    (dx, dw, dz, kept, w, rstd, M, D), ae_work_moved(reals(M, D) + 2 * acts(M, D), reals(M, D)))

ROW(linear_forward,
    (ae_act * y, const ae_act *x, const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I,
     ptrdiff_t O),
    (y, x, w, bias, M, I, O), ae_work_linear(types, M, I, O, false))
ROW(linear_residual,
    (ae_f32 * out, const ae_f32 *residual, const ae_act *x, const ae_weight *w, const ae_f32 *bias,
     ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),
    (out, residual, x, w, bias, M, I, O), ae_work_linear(types, M, I, O, true))
ROW(linear_backward_input,
    (ae_act * dx, const ae_act *dy, const ae_weight *w, bool add, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),
    (dx, dy, w, add, M, I, O), ae_work_linear_input(types, M, I, O, add))
ROW(linear_backward_weight,
    (ae_f32 * dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),
    (dw, dbias, dy, x, M, I, O),
    dw ? ae_work_linear_weight(types, M, I, O) : ae_work_moved(acts(M, O), reals(1, O)))

ROW(gates_forward,
    (ae_act * y, const ae_act *x, const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t C,
     ptrdiff_t N),
    (y, x, w, bias, M, C, N), ae_work_gates(types, M, C, N, AE_GATES_FORWARD))
ROW(gates_backward_input,
    (ae_act * dx, const ae_act *dy, const ae_weight *w, bool add, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N),
    (dx, dy, w, add, M, C, N), ae_work_gates(types, M, C, N, add ? AE_GATES_INPUT_ADD : AE_GATES_INPUT))
ROW(gates_backward_weight,
    (ae_f32 * dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N),
    (dw, dbias, dy, x, M, C, N), ae_work_gates(types, M, C, N, AE_GATES_WEIGHT))

ROW(conv_forward,
    (ae_act * y, ae_f32 *state, const ae_act *x, const ae_f32 *w, const ae_f32 *bias, const ae_i32 *positions,
     ae_conv_dims n),
    (y, state, x, w, bias, positions, n), ae_work_moved(acts(n.B *n.T, n.C), acts(n.B *n.T, n.C)))
ROW(conv_backward,
    (ae_act * dx, ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, const ae_f32 *state,
     const ae_f32 *w, const ae_i32 *positions, ae_conv_dims n),
    (dx, dw, dbias, dy, x, state, w, positions, n),
    ae_work_moved(2 * acts(n.B * n.T, n.C), acts(n.B *n.T, n.C)))

ROW(rglru_forward,
    (ae_act * h, ae_f32 *state, const ae_act *u, const ae_act *gate_i, const ae_act *gate_r, const ae_f32 *p,
     const ae_i32 *positions, ae_rglru_dims n),
    (h, state, u, gate_i, gate_r, p, positions, n), ae_work_rglru(types, n, false))
ROW(rglru_backward,
    (ae_act * du, ae_act *dgate_i, ae_act *dgate_r, ae_f32 *dp, const ae_act *dh, const ae_act *u,
     const ae_act *gate_i, const ae_act *gate_r, const ae_act *h, const ae_f32 *state, const ae_f32 *p,
     const ae_i32 *positions, ae_rglru_dims n),
    (du, dgate_i, dgate_r, dp, dh, u, gate_i, gate_r, h, state, p, positions, n),
    ae_work_rglru(types, n, true))

ROW(geglu_forward, (ae_act * y, const ae_act *gate, const ae_act *up, ptrdiff_t n), (y, gate, up, n),
    ae_work_geglu(types, n, false))
ROW(geglu_backward,
    (ae_act * dgate, ae_act *dup, ae_act *y, const ae_act *dy, const ae_act *gate, const ae_act *up,
     ptrdiff_t n),
    (dgate, dup, y, dy, gate, up, n), ae_work_geglu(types, n, true))

ROW(rope_table,
    (ae_f32 * cosines, ae_f32 *sines, const ae_i32 *positions, double theta, ptrdiff_t M, ptrdiff_t R),
    (cosines, sines, positions, theta, M, R), ae_work_moved(0, reals(M, R)))
ROW(rope_apply,
    (ae_act * x, const ae_f32 *cosines, const ae_f32 *sines, bool inverse, ptrdiff_t M, ptrdiff_t heads,
     ptrdiff_t H, ptrdiff_t R),
    (x, cosines, sines, inverse, M, heads, H, R),
    ae_work_moved(acts(M, heads *R) + reals(M, R), acts(M, heads *R)))

typedef struct {
    double pairs, ring_keys;
} keys_seen;

/* A query at position p sees itself and at most W keys before it; those before the row's first token come from the ring, where there
 * is one. Positions are downloaded a piece at a time. */
static keys_seen count_keys(const ae_i32 *positions, ae_attention_dims n, bool has_ring) {
    enum { PIECE = 2048 };
    static int32_t host[PIECE]; /* one thread enters ops */
    keys_seen seen = {0, 0};
    for (ptrdiff_t first = 0; first < n.B * n.T; first += PIECE) {
        const ptrdiff_t count = ae_min(PIECE, n.B * n.T - first);
        inner.download(host, (const char *)(const void *)positions + (size_t)first * sizeof *host,
                       (size_t)count * sizeof *host);
        for (ptrdiff_t i = 0; i < count; i++) {
            const ptrdiff_t t = (first + i) % n.T, before = has_ring ? host[i] : ae_min(host[i], t);
            seen.pairs += 1 + (double)(n.W < 0 ? before : ae_min(before, n.W));
            if (t == 0 && has_ring) seen.ring_keys += (double)ae_min(before, ae_max(n.W, 0));
        }
    }
    return seen;
}

static ae_work attention_work(const ae_i32 *positions, ae_attention_dims n, bool has_ring, bool backward) {
    const keys_seen seen = count_keys(positions, n, has_ring);
    return ae_work_attention(types, n, seen.pairs, seen.ring_keys, backward);
}

ROW(attention_forward,
    (ae_act * o, ae_f32 *lse, ae_act *k_ring, ae_act *v_ring, const ae_act *q, const ae_act *k,
     const ae_act *v, const ae_i32 *positions, ae_attention_dims n, void *scratch),
    (o, lse, k_ring, v_ring, q, k, v, positions, n, scratch),
    attention_work(positions, n, k_ring != NULL, false))
ROW(attention_backward,
    (ae_act * dq, ae_act *dk, ae_act *dv, const ae_act *d_o, const ae_act *q, const ae_act *k,
     const ae_act *v, const ae_act *k_ring, const ae_act *v_ring, const ae_act *o, const ae_f32 *lse,
     const ae_i32 *positions, ae_attention_dims n, void *scratch),
    (dq, dk, dv, d_o, q, k, v, k_ring, v_ring, o, lse, positions, n, scratch),
    attention_work(positions, n, k_ring != NULL, true))

ROW(head_loss,
    (ae_f32 * nll, ae_act *dz, ae_f32 *dtable, const ae_act *z, const ae_weight *table, const ae_i32 *targets,
     const ae_f32 *weights, float grad_scale, ae_head_dims n, void *scratch),
    (nll, dz, dtable, z, table, targets, weights, grad_scale, n, scratch),
    ae_work_head(types, n, AE_HEAD_LOSS))
ROW(head_score,
    (ae_f32 * nll, ae_i32 *top_ids, ae_f32 *top_logprobs, ptrdiff_t top, const ae_act *z,
     const ae_weight *table, const ae_i32 *targets, const ae_f32 *weights, ae_head_dims n, void *scratch),
    (nll, top_ids, top_logprobs, top, z, table, targets, weights, n, scratch),
    ae_work_head(types, n, AE_HEAD_SCORE))
ROW(head_logits, (ae_f32 * logits, const ae_act *z, const ae_weight *table, ae_head_dims n),
    (logits, z, table, n), ae_work_head(types, n, AE_HEAD_LOGITS))

ROW(adamw, (ae_f32 * w, ae_f32 *m, ae_f32 *v, ae_f32 *g, ae_adamw_step s, ptrdiff_t n), (w, m, v, g, s, n),
    ae_work_adamw(n))
ROW(adamw_weight,
    (ae_weight * packed, ae_f32 *w, ae_f32 *m, ae_f32 *v, ae_f32 *g, ae_adamw_step s, ptrdiff_t rows,
     ptrdiff_t cols),
    (packed, w, m, v, g, s, rows, cols),
    ae_work_moved(reals(4 * rows, cols), reals(4 * rows, cols) + (packs ? weights_of(2 * rows, cols) : 0)))
ROW_OF(double, sum_squares, (const ae_f32 *x, ptrdiff_t n), (x, n), ae_work_moved(reals(n, 1), 0))

/* Composites: their small rows say what they did. */
ROW(recurrent_forward,
    (const ae_backend *be, ae_f32 *out, void *saved, const ae_f32 *x, const ae_recurrent_params *p,
     ae_recurrent_state *state, const ae_block_batch *batch, const ae_block_dims *n, void *scratch),
    (be, out, saved, x, p, state, batch, n, scratch), {0})
ROW(recurrent_backward,
    (const ae_backend *be, ae_f32 *d, const ae_recurrent_grads *g, void *saved, const ae_f32 *x,
     const ae_recurrent_params *p, const ae_recurrent_state *state, const ae_block_batch *batch,
     const ae_block_dims *n, void *scratch),
    (be, d, g, saved, x, p, state, batch, n, scratch), {0})
ROW(attention_block_forward,
    (const ae_backend *be, ae_f32 *out, void *saved, const ae_f32 *x, const ae_attention_params *p,
     ae_attention_state *state, const ae_block_batch *batch, const ae_block_dims *n, void *scratch),
    (be, out, saved, x, p, state, batch, n, scratch), {0})
ROW(attention_block_backward,
    (const ae_backend *be, ae_f32 *d, const ae_attention_grads *g, void *saved, const ae_f32 *x,
     const ae_attention_params *p, const ae_attention_state *state, const ae_block_batch *batch,
     const ae_block_dims *n, void *scratch),
    (be, d, g, saved, x, p, state, batch, n, scratch), {0})
ROW(mlp_forward,
    (const ae_backend *be, ae_f32 *out, void *saved, const ae_f32 *x, const ae_mlp_params *p,
     const ae_block_dims *n, void *scratch),
    (be, out, saved, x, p, n, scratch), {0})
ROW(mlp_backward,
    (const ae_backend *be, ae_f32 *d, const ae_mlp_grads *g, void *saved, const ae_f32 *x,
     const ae_mlp_params *p, const ae_block_dims *n, void *scratch),
    (be, d, g, saved, x, p, n, scratch), {0})

/* Bytes of an element of a compact weight, with the groups that are usual. */
static double compact_element_bytes(const ae_backend *of, ptrdiff_t side) {
    const ae_weight_shape shape = {
        .type = of->weights, .rows = side, .cols = side, .group = of->weights == AE_WEIGHT_INT4 ? 64 : 128};
    return (double)of->compact_bytes(&shape) / (double)(side * side);
}

static double packed_element_bytes(const ae_backend *of, ptrdiff_t side) {
    return (double)of->weight_bytes(of, side, side, true) / (double)(side * side);
}

void ae_backend_profile(ae_backend *be, const ae_backend *of) {
    const ptrdiff_t side = 1024;
    const bool integers = of->weights > AE_WEIGHT_BF16;
    const double bytes = integers ? compact_element_bytes(of, side) : packed_element_bytes(of, side);
    packs = bytes > 0.25; /* less is a header over the master */
    /* of the copies of a bfloat16 weight an op reads one */
    const double half = (double)sizeof(uint16_t), kept = packs ? half : (double)sizeof(float);
    types = (ae_work_types){.act = (double)of->act_bytes, .weight = integers ? bytes : kept, .gate = kept};
    inner = *of;
    *be = inner;
#define SET(row) be->row = profiled_##row;
    AE_PROFILE_OPS(SET)
#undef SET
}
