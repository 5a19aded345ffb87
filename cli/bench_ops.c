#include "cli/bench.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/rng.h"
#include "ops/limits/limits.h"

#include <stdlib.h>

enum { ARRAYS = 9, MATRICES = 4, ROUNDS_MAX = 1000, SGEMM_ROUNDS = 7 };

/* Arguments for every op, of one shape: arrays [T, widest], matrices of the largest weight, vectors of the
 * widest row. */
typedef struct {
    const ae_backend *be;
    ae_model_config c;
    ptrdiff_t T, R;
    float embedding_scale;
    void *x[ARRAYS], *matrix[MATRICES], *vector[4];
    void *positions, *tokens, *weights, *loss, *scratch, *packed;
    ae_weight *w; /* the first matrix, packed for the product at hand */
    size_t array_bytes, matrix_bytes, vector_bytes, row_bytes, scratch_bytes, packed_bytes;
    ptrdiff_t I, O; /* of the product at hand */
} kit;

static ae_attention_dims attention_dims(const kit *k) {
    return (ae_attention_dims){1, k->T, k->c.N, k->c.G, k->c.H, k->c.W, k->be->threads};
}
static ae_head_dims head_dims(const kit *k) {
    return (ae_head_dims){k->T, k->c.D, k->c.V, (float)k->c.soft_cap};
}

static ae_room scratch_of(const kit *k) {
    return (ae_room){k->scratch, k->scratch_bytes};
}

static void embedding_f(const kit *k) {
    k->be->embedding_forward(k->be, k->x[0], k->w, k->tokens, k->embedding_scale, k->T, k->c.D);
}
static void embedding_b(const kit *k) {
    k->be->embedding_backward(k->be, k->matrix[1], k->x[0], k->tokens, k->embedding_scale, k->T, k->c.D);
}
static void rmsnorm_f(const kit *k) {
    k->be->rmsnorm_forward(k->be, k->x[1], NULL, k->loss, k->x[0], k->vector[0], 1e-6f, k->T, k->c.D);
}
static void rmsnorm_b(const kit *k) {
    k->be->rmsnorm_backward(k->be, k->x[3], k->vector[1], k->x[2], k->x[0], k->vector[0], k->loss, k->T,
                            k->c.D);
}
static void linear_f(const kit *k) {
    k->be->linear_forward(k->be, k->x[1], k->x[0], k->w, k->vector[0], k->T, k->I, k->O);
}
static void linear_b(const kit *k) {
    k->be->linear_backward_input(k->be, k->x[3], k->x[1], k->w, false, k->T, k->I, k->O);
    k->be->linear_backward_weight(k->be, k->matrix[1], k->vector[1], k->x[1], k->x[0], k->T, k->I, k->O);
}
static void gates_f(const kit *k) {
    k->be->gates_forward(k->be, k->x[1], k->x[0], k->w, k->vector[0], k->T, k->c.C, k->c.N);
}
static void gates_b(const kit *k) {
    k->be->gates_backward_input(k->be, k->x[3], k->x[1], k->w, false, k->T, k->c.C, k->c.N);
    k->be->gates_backward_weight(k->be, k->matrix[1], k->vector[1], k->x[1], k->x[0], k->T, k->c.C, k->c.N);
}
static void conv_f(const kit *k) {
    k->be->conv_forward(k->be, k->x[1], NULL, k->x[0], k->matrix[0], k->vector[0], k->positions,
                        (ae_conv_dims){1, k->T, k->c.C, k->c.K});
}
static void conv_b(const kit *k) {
    k->be->conv_backward(k->be, k->x[2], k->matrix[1], k->vector[1], k->x[1], k->x[0], NULL, k->matrix[0],
                         k->positions, (ae_conv_dims){1, k->T, k->c.C, k->c.K});
}
static void rglru_f(const kit *k) {
    k->be->rglru_forward(k->be, k->x[3], NULL, k->x[0], k->x[1], k->x[2], k->vector[0], k->positions,
                         (ae_rglru_dims){1, k->T, k->c.C});
}
static void rglru_b(const kit *k) {
    k->be->rglru_backward(k->be, k->x[5], k->x[6], k->x[7], k->vector[1], k->x[4], k->x[0], k->x[1], k->x[2],
                          k->x[3], NULL, k->vector[0], k->positions, (ae_rglru_dims){1, k->T, k->c.C});
}
static void geglu_f(const kit *k) {
    k->be->geglu_forward(k->be, k->x[2], k->x[0], k->x[1], k->T * k->c.E);
}
static void geglu_b(const kit *k) {
    k->be->geglu_backward(k->be, k->x[4], k->x[5], k->x[6], k->x[3], k->x[0], k->x[1], k->T * k->c.E);
}
static void rope_f(const kit *k) {
    k->be->rope_apply(k->be, k->x[0], k->x[7], k->x[8], false, k->T, k->c.N, k->c.H, k->R);
}
static void rope_b(const kit *k) {
    k->be->rope_apply(k->be, k->x[0], k->x[7], k->x[8], true, k->T, k->c.N, k->c.H, k->R);
}
static void attention_f(const kit *k) {
    k->be->attention_forward(k->be, k->x[3], k->x[4], NULL, NULL, k->x[0], k->x[1], k->x[2], k->positions,
                             attention_dims(k), scratch_of(k));
}
static void attention_b(const kit *k) {
    k->be->attention_backward(k->be, k->x[5], k->x[6], k->x[7], k->x[8], k->x[0], k->x[1], k->x[2], NULL,
                              NULL, k->x[3], k->x[4], k->positions, attention_dims(k), scratch_of(k));
}
static void head_score(const kit *k) {
    k->be->head_score(k->be, k->loss, NULL, NULL, 0, k->x[0], k->w, k->tokens, k->weights, head_dims(k),
                      scratch_of(k));
}
static void head_loss(const kit *k) {
    k->be->head_loss(k->be, k->loss, k->x[1], k->matrix[1], k->x[0], k->w, k->tokens, k->weights, 1e-4f,
                     head_dims(k), scratch_of(k));
}
static void head_logprobs(const kit *k) {
    k->be->head_logprobs(k->be, k->loss, NULL, k->x[0], k->w, k->tokens, k->weights, 1, head_dims(k),
                         scratch_of(k));
}
static void head_backward(const kit *k) {
    k->be->head_backward(k->be, k->x[1], k->matrix[1], false, k->x[0], k->w, k->tokens, k->weights, NULL, 1,
                         head_dims(k), scratch_of(k));
}
/* Two models of one shape with the same table, whose hidden states differ. */
static ae_head_side head_side(const kit *k, const void *z) {
    return (ae_head_side){z, k->w, k->c.D, (float)k->c.soft_cap};
}
static void head_kl_f(const kit *k) {
    const ae_head_side p = head_side(k, k->x[0]), q = head_side(k, k->x[2]);
    k->be->head_kl(k->be, k->loss, AE_KL_P_Q, &p, &q, k->weights, 1, k->T, k->c.V, scratch_of(k));
}
static void head_kl_b(const kit *k) {
    const ae_head_side p = head_side(k, k->x[0]), q = head_side(k, k->x[2]);
    k->be->head_kl_backward(k->be, k->x[1], k->matrix[1], false, AE_KL_P_Q, &p, &q, k->weights, 1, k->T,
                            k->c.V, scratch_of(k));
}
static void head_scalar_f(const kit *k) {
    k->be->head_scalar_forward(k->be, k->loss, k->x[0], k->vector[0], k->T, k->c.D);
}
static void head_scalar_b(const kit *k) {
    k->be->head_scalar_backward(k->be, k->x[1], k->vector[1], false, k->weights, k->x[0], k->vector[0], k->T,
                                k->c.D);
}
static void adamw(const kit *k) {
    const ae_adamw_step s = {1e-6f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.1f, 0.05f, 1, AE_MOMENTS_F32};
    k->be->adamw(k->be, k->matrix[0], k->matrix[2], k->matrix[3], k->matrix[1], s, k->c.V * k->c.D);
}
static void sum_squares(const kit *k) {
    k->be->sum_squares(k->be, k->loss, k->matrix[0], k->c.V * k->c.D);
}

/* One line of the table: amounts are FLOPs of the products, or bytes that must travel at least (each array
 * once). */
typedef struct {
    const char *name;
    void (*forward)(const kit *), (*backward)(const kit *);
    double forward_amount, backward_amount;
    bool is_product;
    ptrdiff_t rows, cols; /* of the matrix to pack; 0: none */
} op_row;

static double attention_keys(const kit *k) {
    double keys = 0;
    for (ptrdiff_t t = 0; t < k->T; t++) keys += (double)((k->c.W < 0 ? t : ae_min(t, k->c.W)) + 1);
    return keys;
}

enum { ROWS_MAX = 20 };

static size_t table_of(const kit *k, op_row *rows) {
    const double T = (double)k->T, D = (double)k->c.D, C = (double)k->c.C, E = (double)k->c.E,
                 V = (double)k->c.V;
    const double N = (double)k->c.N, f = sizeof(float),
                 attention = 4 * attention_keys(k) * N * (double)k->c.H;
    const double rope = f * 2 * T * N * (double)k->R, gates = 2 * T * C * C / N, head = 2 * T * D * V;
    const op_row all[] = {
        {"embedding", embedding_f, embedding_b, f * 2 * T * D, f * 3 * T * D, false, k->c.V, k->c.D},
        {"rmsnorm", rmsnorm_f, rmsnorm_b, f * 2 * T * D, f * 4 * T * D, false, 0, 0},
        {"linear D to C", linear_f, linear_b, 2 * T * D * C, 4 * T * D * C, true, k->c.C, k->c.D},
        {"linear D to E", linear_f, linear_b, 2 * T * D * E, 4 * T * D * E, true, k->c.E, k->c.D},
        {"linear E to D", linear_f, linear_b, 2 * T * D * E, 4 * T * D * E, true, k->c.D, k->c.E},
        {"gates (one of two)", gates_f, gates_b, gates, 2 * gates, true, k->c.C, k->c.C / k->c.N},
        {"conv", conv_f, conv_b, f * 2 * T * C, f * 3 * T * C, false, 0, 0},
        {"rglru", rglru_f, rglru_b, f * 4 * T * C, f * 8 * T * C, false, 0, 0},
        {"geglu", geglu_f, geglu_b, f * 3 * T * E, f * 6 * T * E, false, 0, 0},
        {"rope", rope_f, rope_b, rope, rope, false, 0, 0},
        {"attention", attention_f, attention_b, attention, 2 * attention, true, 0, 0},
        {"head", head_score, head_loss, head, 3 * head, true, k->c.V, k->c.D},
        {"head log-probs", head_logprobs, head_backward, head, 3 * head, true, k->c.V, k->c.D},
        {"head divergence", head_kl_f, head_kl_b, 2 * head, 4 * head, true, k->c.V, k->c.D},
        {"head scalar", head_scalar_f, head_scalar_b, f * T * D, f * 2 * T * D, false, 0, 0},
        {"sum of squares", sum_squares, NULL, f * V * D, 0, false, 0, 0},
        {"adamw", adamw, NULL, f * 8 * V * D, 0, false, 0, 0},
    };
    const size_t n = sizeof all / sizeof *all;
    _Static_assert(sizeof all / sizeof *all <= ROWS_MAX, "the table holds all rows");
    for (size_t i = 0; i < n; i++) rows[i] = all[i];
    return n;
}

static double median_time(const kit *k, void (*run)(const kit *), int64_t rounds) {
    static double seconds[ROUNDS_MAX];
    run(k);
    for (int64_t r = 0; r < rounds; r++) {
        const double start = ae_now_s();
        run(k);
        seconds[r] = ae_now_s() - start;
    }
    return ae_median(seconds, rounds);
}

static ae_status filled(const ae_backend *be, void **p, size_t bytes, uint64_t stream, float scale) {
    const ae_status st = be->alloc(be, p, bytes);
    float *host = st == AE_OK ? malloc(bytes) : NULL;
    if (!host) return AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory; try a smaller --shape or --row-tokens");
    ae_rng rng = ae_rng_make(1, stream);
    for (size_t i = 0; i < bytes / sizeof *host; i++)
        host[i] = scale * ((float)(ae_rng_u32(&rng) >> 8) / (float)(1 << 23) - 1);
    be->upload(be, *p, host, bytes);
    free(host);
    return AE_OK;
}

/* Per-token arrays: positions of one document, tokens all over the vocabulary, weights of 1. */
static ae_status fill_rows(kit *k) {
    int32_t *ids = malloc(k->row_bytes);
    float *ones = malloc(k->row_bytes);
    ae_status st = ids && ones ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    if (st == AE_OK) st = k->be->alloc(k->be, &k->positions, k->row_bytes);
    if (st == AE_OK) st = k->be->alloc(k->be, &k->tokens, k->row_bytes);
    if (st == AE_OK) st = k->be->alloc(k->be, &k->weights, k->row_bytes);
    if (st == AE_OK) st = k->be->alloc(k->be, &k->loss, k->row_bytes);
    if (st == AE_OK) {
        for (ptrdiff_t t = 0; t < k->T; t++) ids[t] = (int32_t)t;
        k->be->upload(k->be, k->positions, ids, k->row_bytes);
        for (ptrdiff_t t = 0; t < k->T; t++) ids[t] = (int32_t)(t * 7919 % k->c.V);
        for (ptrdiff_t t = 0; t < k->T; t++) ones[t] = 1;
        k->be->upload(k->be, k->tokens, ids, k->row_bytes);
        k->be->upload(k->be, k->weights, ones, k->row_bytes);
        k->be->upload(k->be, k->loss, ones, k->row_bytes);
    }
    free(ids);
    free(ones);
    return st;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void measure_kit(kit *k) {
    const ptrdiff_t heads = k->c.N * k->c.H, widest = ae_max(ae_max(k->c.C, k->c.E), ae_max(k->c.D, heads));
    const ptrdiff_t largest =
        ae_max(ae_max(k->c.V * k->c.D, k->c.E * k->c.D), k->c.C * ae_max(k->c.C, k->c.D));
    const size_t attention = k->be->attention_scratch_bytes(k->be, attention_dims(k), 0);
    const size_t head = k->be->head_scratch_bytes(k->be, head_dims(k)),
                 two_heads = k->be->head_kl_scratch_bytes(k->be, k->T, k->c.V, k->c.D, k->c.D);
    k->array_bytes = (size_t)(k->T * widest) * sizeof(float);
    k->matrix_bytes = (size_t)largest * sizeof(float);
    k->vector_bytes = (size_t)ae_max(widest, k->c.V) * sizeof(float);
    k->row_bytes = (size_t)k->T * sizeof(float);
    k->scratch_bytes = larger(attention, larger(head, two_heads)) + AE_ARENA_ALIGN;
}

static ae_status kit_init(kit *k, const ae_bench *b) {
    k->be = &b->be;
    k->c = b->config;
    k->T = b->row_tokens;
    k->R = ae_model_rope_elements(&b->config);
    k->embedding_scale = ae_model_embedding_scale(&b->config);
    measure_kit(k);
    ae_status st = fill_rows(k);
    for (size_t i = 0; st == AE_OK && i < ARRAYS; i++) st = filled(k->be, &k->x[i], k->array_bytes, i, 1);
    for (size_t i = 0; st == AE_OK && i < MATRICES; i++)
        st = filled(k->be, &k->matrix[i], k->matrix_bytes, 100 + i, i < 3 ? 0.05f : 0);
    for (size_t i = 0; st == AE_OK && i < 4; i++)
        st = filled(k->be, &k->vector[i], k->vector_bytes, 200 + i, 0.5f);
    return st == AE_OK ? k->be->alloc(k->be, &k->scratch, k->scratch_bytes) : st;
}

static void kit_free(kit *k) {
    const ae_backend *be = k->be;
    if (!be) return;
    for (size_t i = 0; i < ARRAYS; i++) be->release(be, k->x[i], k->array_bytes);
    for (size_t i = 0; i < MATRICES; i++) be->release(be, k->matrix[i], k->matrix_bytes);
    for (size_t i = 0; i < 4; i++) be->release(be, k->vector[i], k->vector_bytes);
    be->release(be, k->positions, k->row_bytes);
    be->release(be, k->tokens, k->row_bytes);
    be->release(be, k->weights, k->row_bytes);
    be->release(be, k->loss, k->row_bytes);
    be->release(be, k->scratch, k->scratch_bytes);
    be->release(be, k->packed, k->packed_bytes);
}

/* The first matrix as a weight of this row's product. */
static ae_status pack(kit *k, const op_row *row) {
    k->be->release(k->be, k->packed, k->packed_bytes);
    k->packed = NULL;
    k->O = row->rows;
    k->I = row->cols;
    if (!row->rows) return AE_OK;
    k->packed_bytes = k->be->weight_bytes(k->be, row->rows, row->cols, false);
    const ae_status st = k->packed_bytes ? k->be->alloc(k->be, &k->packed, k->packed_bytes) : AE_OK;
    k->w = k->packed;
    if (st == AE_OK) k->be->weight_pack(k->be, k->packed, k->matrix[0], row->rows, row->cols, false);
    return st;
}

typedef struct {
    double product, memory; /* FLOP/s of the better sgemm, bytes/s read */
} bounds;

static void tell_pass(const ae_bench *b, json_t *list, const op_row *row, bool backward, double seconds,
                      const bounds *limit) {
    const double amount = backward ? row->backward_amount : row->forward_amount, rate = amount / seconds;
    const double share = rate / (row->is_product ? limit->product : limit->memory);
    ae_bench_say(b, "%-20s %-9s %9.3f ms %8.1f %s %6.1f %% of %s", backward ? "" : row->name,
                 backward ? "backward" : "forward", 1e3 * seconds, rate / 1e9,
                 row->is_product ? "GFLOP/s" : "GB/s   ", 100 * share, row->is_product ? "sgemm" : "memory");
    json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:o}", "op", row->name, "pass",
                                          backward ? "backward" : "forward", "seconds",
                                          ae_json_number(seconds), row->is_product ? "gflops" : "gbs",
                                          ae_json_number(rate / 1e9), "share", ae_json_number(share)));
}

static ae_status time_row(ae_bench *b, kit *k, const op_row *row, json_t *list, const bounds *limit,
                          double *sum_s) {
    const ae_status st = pack(k, row);
    if (st != AE_OK) return st;
    const double forward = median_time(k, row->forward, b->steps);
    tell_pass(b, list, row, false, forward, limit);
    *sum_s = forward;
    if (!row->backward) return AE_OK;
    const double backward = median_time(k, row->backward, b->steps);
    tell_pass(b, list, row, true, backward, limit);
    *sum_s += backward;
    return AE_OK;
}

/* The recurrence forward and backward against 12 arrays [T, C] read at the memory's rate. */
static void tell_recurrence(ae_bench *b, const kit *k, double seconds, double memory) {
    const double arrays_s = 12 * (double)k->T * (double)k->c.C * sizeof(float) / memory;
    ae_bench_say(
        b,
        "rglru, T = %td, C = %td: %.3f ms forward and backward; 12 arrays at memory speed %.3f ms: %.1f %%",
        k->T, k->c.C, 1e3 * seconds, 1e3 * arrays_s, 100 * arrays_s / seconds);
    ae_bench_put(b, "rglru.seconds", seconds);
    ae_bench_put(b, "rglru.share_of_12_arrays", arrays_s / seconds);
}

static ae_status time_all(ae_bench *b, kit *k, const bounds *limit) {
    op_row rows[ROWS_MAX];
    const size_t n = table_of(k, rows);
    json_t *list = json_array();
    double rglru_s = 0, seconds = 0;
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        st = time_row(b, k, &rows[i], list, limit, &seconds);
        if (rows[i].forward == rglru_f) rglru_s = seconds;
    }
    if (st == AE_OK) tell_recurrence(b, k, rglru_s, limit->memory);
    json_object_set_new(b->report, "ops", list);
    return st;
}

ae_status ae_bench_ops(ae_bench *b) {
    kit k = {0};
    ae_bench_sgemm sgemm = {0};
    double openblas = 0, onednn = 0, bandwidth = 0;
    ae_status st;
    AE_TRY(ae_bench_sgemm_add(&sgemm, SGEMM_ROUNDS));
    ae_bench_sgemm_tell(b, &sgemm, &openblas, &onednn);
    AE_TRY(ae_bench_read_bandwidth(b, 0, &bandwidth));
    const bounds limit = {openblas > onednn ? openblas : onednn, bandwidth};
    AE_TRY(kit_init(&k, b));
    k.be->rope_table(k.be, k.x[7], k.x[8], k.positions, 10000, k.T, k.R);
    ae_bench_put_text(b, "shape", b->shape);
    ae_bench_put(b, "row_tokens", (double)k.T);
    st = time_all(b, &k, &limit);
out:
    kit_free(&k);
    return st;
}
