#ifndef AE_OPS_CPU_HEAD_H
#define AE_OPS_CPU_HEAD_H
#include "ops/cpu/act.h"
#include "ops/cpu/vmath.h"
#include "ops/head.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* What the files of the output layer share: chunks of tokens, whose logits exist one chunk at a time, and the
 * law of a token, softmax(y / T) of its capped logits y. */

/* Large enough to amortise the sweep over dtable, small against memory. */
enum {
    AE_HEAD_CHUNK_BYTES = 48 << 20,
    AE_HEAD_CHUNK_MIN = 128,
    AE_HEAD_CHUNK_MAX = 2048,
    AE_HEAD_BLOCK = 1024 /* values that are summed in float32; across blocks in double */
};

/* The gradient of the logits takes their place where its type is the same; else it stands beside them, row
 * after row without gaps, as the library's products want it. */
enum { AE_HEAD_GRADIENT_BYTES = AE_ELEM_TYPE == AE_ELEM_F32 ? 0 : sizeof(ae_elem) };

/* ---- chunks ---- */

/* Rows that scratch has room for, never fewer for more rows: a multiple of 64 where there is more than one
 * chunk. */
static inline ptrdiff_t ae_head_room_rows(ae_head_dims n) {
    const ptrdiff_t row_bytes = n.V * (ptrdiff_t)(sizeof(float) + AE_HEAD_GRADIENT_BYTES);
    const ptrdiff_t fit = AE_HEAD_CHUNK_BYTES / row_bytes / 64 * 64;
    return ae_min(ae_max(AE_HEAD_CHUNK_MIN, ae_min(AE_HEAD_CHUNK_MAX, fit)), ae_max(n.M, 1));
}

/* Of a chunk: all of them nearly alike. */
static inline ptrdiff_t ae_head_chunk_rows(ae_head_dims n) {
    const ptrdiff_t room = ae_head_room_rows(n), chunks = ae_ceil_div(n.M, room);
    return chunks > 1 ? ae_ceil_div(ae_ceil_div(n.M, chunks), 64) * 64 : room;
}

/* scratch: | rows of the chunk (int32) | scales [chunk] | dz [chunk, D] | logits [chunk, V] | z [chunk, D] |
 * d_logits [chunk, V] | */
typedef struct {
    int32_t *rows;
    float *scales, *dz, *logits;
    ae_elem *z, *d_logits;
    ptrdiff_t count;
} ae_head_chunk;

static inline ptrdiff_t ae_head_whole_lines(ptrdiff_t n) {
    return ae_ceil_div(n, 16) * 16;
}

static inline size_t ae_head_chunk_bytes(ae_head_dims n) {
    const ptrdiff_t rows = ae_head_room_rows(n);
    return (size_t)(2 * ae_head_whole_lines(rows) + rows * (n.D + n.V)) * sizeof(float) +
           (size_t)(rows * n.D) * sizeof(ae_elem) + (size_t)(rows * n.V * AE_HEAD_GRADIENT_BYTES);
}

static inline ae_head_chunk ae_head_chunk_in(ae_room scratch, ae_head_dims n) {
    assert(scratch.bytes >= ae_head_chunk_bytes(n));
    const ptrdiff_t rows = ae_head_room_rows(n);
    ae_head_chunk c = {.rows = scratch.at};
    c.scales = (float *)scratch.at + ae_head_whole_lines(rows);
    c.dz = c.scales + ae_head_whole_lines(rows);
    c.logits = c.dz + rows * n.D;
    c.z = (ae_elem *)(void *)(c.logits + rows * n.V);
    c.d_logits = AE_HEAD_GRADIENT_BYTES ? c.z + rows * n.D : (ae_elem *)(void *)c.logits;
    return c;
}

/* The next rows with a weight, or one of the `more` (NULL: none), from *m on. */
static inline void ae_head_choose_rows(ae_head_chunk *c, ptrdiff_t *m, const float *weights,
                                       const float *more, ae_head_dims n) {
    const ptrdiff_t most = ae_head_chunk_rows(n);
    c->count = 0;
    for (; *m < n.M && c->count < most; ++*m)
        if (weights[*m] != 0.0f || (more && more[*m] != 0.0f)) c->rows[c->count++] = (int32_t)*m;
}

/* The chunk's rows of z gathered in `room` [count, D], and their raw logits [count, V]. */
static inline void ae_head_raw_logits(const ae_backend *be, float *logits, ae_elem *room,
                                      const ae_head_chunk *c, const ae_elem *z, const ae_cpu_weight *table,
                                      ae_head_dims n) {
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < c->count; r++)
        memcpy(room + r * n.D, z + c->rows[r] * n.D, (size_t)n.D * sizeof *z);
    ae_gemm(be, &(ae_gemm_args){.m = c->count,
                                .n = n.V,
                                .k = n.D,
                                .alpha = 1,
                                .a = ae_act_operand(room, n.D, false),
                                .b = ae_weight_operand(table, true),
                                .c = logits,
                                .ldc = n.V});
}

static inline void ae_head_next_chunk(const ae_backend *be, ae_head_chunk *c, ptrdiff_t *m, const ae_elem *z,
                                      const ae_cpu_weight *table, const float *weights, const float *more,
                                      ae_head_dims n) {
    ae_head_choose_rows(c, m, weights, more, n);
    ae_head_raw_logits(be, c->logits, c->z, c, z, table, n);
}

/* to = from * by (+ to), rounded to activations. */
static inline void ae_head_scale_row(ae_elem *to, const float *from, float by, bool add, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) {
        vf x = vf_load_n(from + i, n - i) * vf_set(by);
        if (add) x = va_load_n(to + i, n - i) + x;
        va_store_n(to + i, x, n - i);
    }
}
static inline void ae_head_scale_acts(ae_elem *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) va_store_n(x + i, va_load_n(x + i, n - i) * vf_set(by), n - i);
}

/* dz of the rows that no chunk takes. */
static inline void ae_head_clear_masked(const ae_backend *be, ae_elem *dz, const float *weights,
                                        const float *more, ae_head_dims n) {
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < n.M; m++)
        if (weights[m] == 0.0f && !(more && more[m] != 0.0f))
            memset(dz + m * n.D, 0, (size_t)n.D * sizeof *dz);
}

/* dz and dtable of the chunk from d_logits, whose rows want a factor each, `scales`: it goes to dz after its
 * product, and to z before the product of dtable. */
static inline void ae_head_chunk_gradients(const ae_backend *be, const ae_head_chunk *c, ae_elem *dz,
                                           float *dtable, bool add, const ae_cpu_weight *table,
                                           ae_head_dims n) {
    ae_gemm(be, &(ae_gemm_args){.m = c->count,
                                .n = n.D,
                                .k = n.V,
                                .alpha = 1,
                                .a = ae_act_operand(c->d_logits, n.V, false),
                                .b = ae_weight_operand(table, false),
                                .c = c->dz,
                                .ldc = n.D});
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < c->count; r++) {
        ae_head_scale_row(dz + c->rows[r] * n.D, c->dz + r * n.D, c->scales[r], add, n.D);
        if (dtable) ae_head_scale_acts(c->z + r * n.D, c->scales[r], n.D);
    }
    if (dtable)
        ae_gemm(be, &(ae_gemm_args){.m = n.V,
                                    .n = n.D,
                                    .k = c->count,
                                    .alpha = 1,
                                    .a = ae_act_operand(c->d_logits, n.V, true),
                                    .b = ae_act_operand(c->z, n.D, false),
                                    .beta = 1,
                                    .c = dtable,
                                    .ldc = n.D});
}

/* ---- the law of a row ---- */

/* x = cap tanh(x / cap) over n values. */
static inline void ae_head_soft_cap(float *x, float cap, ptrdiff_t n) {
    const vf c = vf_set(cap), inverse = vf_set(1.0f / cap);
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n; v += 4 * VF) {
        vf y[4];
        AE_EACH(j, 4) y[j] = vf_load(x + v + j * VF) * inverse;
        vf_tanh_each(y, 4);
        AE_EACH(j, 4) vf_store(x + v + j * VF, c * y[j]);
    }
    for (; v < n; v += VF) vf_store_n(x + v, c * vf_tanh(vf_load_n(x + v, n - v) * inverse), n - v);
}

static inline float ae_head_largest(const float *x, ptrdiff_t n) {
    vf most = vf_set(-INFINITY);
    ptrdiff_t v = 0;
    for (; v + VF <= n; v += VF) most = vf_max(most, vf_load(x + v));
    float top = vf_max_of(most);
    for (; v < n; v++) top = x[v] > top ? x[v] : top;
    return top;
}

/* d = y slope - shift, slope = 1 / T, is at most 0; total = sum exp(d), moment = sum d exp(d).
 * Log-probabilities are d - log(total). */
typedef struct {
    float slope, shift;
    double total, moment;
} ae_head_law;

/* Adds a block of values. */
AE_INLINE void ae_head_add_block(ae_head_law *law, const float *y, ptrdiff_t n, const bool moments) {
    const vf slope = vf_set(law->slope), minus = vf_set(-law->shift), zero = vf_set(0);
    vf sum[4] = {zero, zero, zero, zero}, moment[4] = {zero, zero, zero, zero};
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n; v += 4 * VF) {
        vf d[4], e[4];
        AE_EACH(j, 4) e[j] = d[j] = vf_fma(vf_load(y + v + j * VF), slope, minus);
        vf_exp_each(e, 4);
        AE_EACH(j, 4) sum[j] = sum[j] + e[j];
        if (moments) AE_EACH(j, 4) moment[j] = vf_fma(e[j], d[j], moment[j]);
    }
    for (; v + VF <= n; v += VF) {
        const vf d = vf_fma(vf_load(y + v), slope, minus), e = vf_exp(d);
        sum[0] = sum[0] + e;
        if (moments) moment[0] = vf_fma(e, d, moment[0]);
    }
    double total = (double)vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    double mean = moments ? (double)vf_sum((moment[0] + moment[1]) + (moment[2] + moment[3])) : 0;
    for (; v < n; v++) {
        const double d = (double)y[v] * (double)law->slope - (double)law->shift, e = exp(d);
        total += e;
        mean += e * d;
    }
    law->total += total;
    law->moment += mean;
}

/* The cap in place, and slope and shift: nothing is summed yet. */
static inline ae_head_law ae_head_law_begin(float *x, float temperature, ae_head_dims n) {
    ae_head_law law = {.slope = 1.0f / temperature};
    if (n.cap > 0) ae_head_soft_cap(x, n.cap, n.V);
    law.shift = ae_head_largest(x, n.V) * law.slope;
    return law;
}

/* x, raw logits, becomes y. */
AE_INLINE ae_head_law ae_head_law_of(float *x, float temperature, ae_head_dims n, const bool moments) {
    ae_head_law law = ae_head_law_begin(x, temperature, n);
    for (ptrdiff_t v = 0; v < n.V; v += AE_HEAD_BLOCK)
        ae_head_add_block(&law, x + v, ae_min(AE_HEAD_BLOCK, n.V - v), moments);
    return law;
}

/* log sum exp(y / T). */
static inline double ae_head_log_sum(const ae_head_law *law) {
    return (double)law->shift + log(law->total);
}

#endif
