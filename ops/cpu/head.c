#include "ops/head.h"

#include "ops/cpu/act.h"
#include "ops/cpu/few.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"
#include "ops/linear.h"

#include <math.h>
#include <string.h>

/* Logits exist for one chunk of tokens at a time; large enough to amortise the sweep over dtable, small against memory. */
enum { CHUNK_BYTES = 64 << 20, CHUNK_MIN = 128, CHUNK_MAX = 2048, SUM_BLOCK = 1024 };

static ptrdiff_t chunk_rows(ae_head_dims n) {
    const ptrdiff_t fit = CHUNK_BYTES / (n.V * (ptrdiff_t)sizeof(float)) / 64 * 64;
    return ae_min(ae_max(CHUNK_MIN, ae_min(CHUNK_MAX, fit)), ae_max(n.M, 1));
}

/* scratch: | rows of the chunk (int32) | z [chunk, D] | dz [chunk, D] | logits [chunk, V] |; in bfloat16 the gradient of the logits
 * takes the place of the first half of each row of them. */
typedef struct {
    int32_t *rows;
    ae_elem *z, *dz;
    float *logits;
    ptrdiff_t count;
} chunk;

size_t AE_ROW_NAME(ae_cpu_head_scratch_bytes)(ae_head_dims n) {
    const size_t rows = (size_t)chunk_rows(n);
    return rows * (size_t)n.V * sizeof(float) + 2 * rows * (size_t)n.D * sizeof(ae_elem) +
           (rows * sizeof(int32_t) + 63) / 64 * 64;
}

static chunk chunk_in(void *scratch, ae_head_dims n) {
    const ptrdiff_t rows = chunk_rows(n);
    ae_elem *z = (ae_elem *)(void *)((char *)scratch + ((size_t)rows * sizeof(int32_t) + 63) / 64 * 64);
    return (chunk){
        .rows = scratch, .z = z, .dz = z + rows * n.D, .logits = (float *)(void *)(z + 2 * rows * n.D)};
}

/* The next rows with a weight, from *m on, gathered; and their raw logits. */
static void next_chunk(chunk *c, ptrdiff_t *m, const ae_elem *z, const ae_cpu_weight *table,
                       const float *weights, ae_head_dims n) {
    const ptrdiff_t most = chunk_rows(n);
    c->count = 0;
    for (; *m < n.M && c->count < most; ++*m)
        if (weights[*m] != 0.0f) c->rows[c->count++] = (int32_t)*m;
#pragma omp parallel for
    for (ptrdiff_t r = 0; r < c->count; r++)
        memcpy(c->z + r * n.D, z + c->rows[r] * n.D, (size_t)n.D * sizeof *z);
    ae_gemm(&(ae_gemm_args){.m = c->count,
                            .n = n.V,
                            .k = n.D,
                            .alpha = 1,
                            .a = ae_act_operand(c->z, n.D, false),
                            .b = ae_weight_operand(table, true),
                            .c = c->logits,
                            .ldc = n.V});
}

/* x = cap tanh(x / cap) over n values. */
static void soft_cap(float *x, float cap, ptrdiff_t n) {
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

static float largest(const float *x, ptrdiff_t n) {
    vf most = vf_set(-INFINITY);
    ptrdiff_t v = 0;
    for (; v + VF <= n; v += VF) most = vf_max(most, vf_load(x + v));
    float top = vf_max_of(most);
    for (; v < n; v++) top = x[v] > top ? x[v] : top;
    return top;
}

/* sum of exp(x - shift) over a block of values. */
static double block_exp_sum(const float *x, float shift, ptrdiff_t n) {
    const vf s = vf_set(shift);
    vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n; v += 4 * VF) {
        vf e[4];
        AE_EACH(j, 4) e[j] = vf_load(x + v + j * VF) - s;
        vf_exp_each(e, 4);
        AE_EACH(j, 4) sum[j] = sum[j] + e[j];
    }
    for (; v + VF <= n; v += VF) sum[0] = sum[0] + vf_exp(vf_load(x + v) - s);
    double total = (double)vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (; v < n; v++) total += exp((double)x[v] - (double)shift);
    return total;
}

/* The cap in place, and log sum exp of the row: its sum in blocks of float32 and across them in double. */
static double cap_and_sum(float *x, ae_head_dims n) {
    if (n.cap > 0) soft_cap(x, n.cap, n.V);
    const float shift = largest(x, n.V);
    double total = 0;
    for (ptrdiff_t v = 0; v < n.V; v += SUM_BLOCK)
        total += block_exp_sum(x + v, shift, ae_min(SUM_BLOCK, n.V - v));
    return (double)shift + log(total);
}

/* dlogit = (softmax - onehot) * scale, through the cap: * (1 - (y / cap)^2). */
static void gradient_row(ae_elem *out, const float *x, float lse, int32_t target, float scale,
                         ae_head_dims n) {
    const vf one = vf_set(1.0f), inverse = vf_set(n.cap > 0 ? 1.0f / n.cap : 0.0f), by = vf_set(scale),
             shift = vf_set(lse);
    const float y = x[target], slope = 1.0f - (n.cap > 0 ? y / n.cap * (y / n.cap) : 0.0f);
    const float at_target = expm1f(y - lse) * scale * slope;
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n.V; v += 4 * VF) {
        vf t[4], e[4];
        AE_EACH(j, 4) t[j] = vf_load(x + v + j * VF);
        AE_EACH(j, 4) e[j] = t[j] - shift;
        vf_exp_each(e, 4);
        AE_EACH(j, 4) t[j] = t[j] * inverse;
        AE_EACH(j, 4) va_store(out + v + j * VF, e[j] * by * vf_fnma(t[j], t[j], one));
    }
    for (; v < n.V; v += VF) {
        const vf logit = vf_load_n(x + v, n.V - v), t = logit * inverse;
        va_store_n(out + v, vf_exp(logit - shift) * by * vf_fnma(t, t, one), n.V - v);
    }
    va_store_n(out + target, vf_set(at_target), 1);
}

void AE_ROW_NAME(ae_cpu_head_loss)(ae_f32 *nll_, ae_act *dz_, ae_f32 *dtable, const ae_act *z_,
                                   const ae_weight *table_, const ae_i32 *targets_, const ae_f32 *weights_,
                                   float grad_scale, ae_head_dims n, void *scratch) {
    float *nll = ae_mf(nll_);
    ae_elem *dz = ae_ma(dz_);
    const float *weights = ae_cf(weights_);
    const ae_cpu_weight *table = ae_cpu_weight_of(table_);
    const ptrdiff_t ld =
        n.V * (ptrdiff_t)(sizeof(float) / sizeof(ae_elem)); /* of the gradient, over the logits */
    const int32_t *targets = ae_ci(targets_);
    memset(nll, 0, (size_t)n.M * sizeof *nll);
    memset(dz, 0, (size_t)(n.M * n.D) * sizeof *dz);
    chunk c = chunk_in(scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        next_chunk(&c, &m, ae_ca(z_), table, weights, n);
#pragma omp parallel for
        for (ptrdiff_t r = 0; r < c.count; r++) {
            float *logits = c.logits + r * n.V;
            const int32_t row = c.rows[r], target = targets[row];
            const double lse = cap_and_sum(logits, n);
            nll[row] = (float)(lse - (double)logits[target]);
            gradient_row((ae_elem *)(void *)logits, logits, (float)lse, target, grad_scale * weights[row], n);
        }
        if (c.count == 0) break;
        ae_gemm(&(ae_gemm_args){.m = c.count,
                                .n = n.D,
                                .k = n.V,
                                .alpha = 1,
                                .a = ae_act_operand((const ae_elem *)(const void *)c.logits, ld, false),
                                .b = ae_weight_operand(table, false),
                                .c_type = AE_ELEM_TYPE,
                                .c = c.dz,
                                .ldc = n.D});
#pragma omp parallel for
        for (ptrdiff_t r = 0; r < c.count; r++)
            memcpy(dz + c.rows[r] * n.D, c.dz + r * n.D, (size_t)n.D * sizeof *dz);
        if (dtable)
            ae_gemm(&(ae_gemm_args){.m = n.V,
                                    .n = n.D,
                                    .k = c.count,
                                    .alpha = 1,
                                    .a = ae_act_operand((const ae_elem *)(const void *)c.logits, ld, true),
                                    .b = ae_act_operand(c.z, n.D, false),
                                    .beta = 1,
                                    .c = ae_mf(dtable),
                                    .ldc = n.D});
    }
}

/* Insertion into a short list kept best first; the smaller id first among equals, since ids come in order. */
static void best_of_row(int32_t *ids, float *logprobs, const float *x, double lse, ptrdiff_t top,
                        ptrdiff_t V) {
    ptrdiff_t filled = 0;
    for (ptrdiff_t v = 0; v < V; v++) {
        if (filled == top && x[v] <= logprobs[top - 1]) continue;
        ptrdiff_t at = filled < top ? filled++ : top - 1;
        for (; at > 0 && logprobs[at - 1] < x[v]; at--) {
            logprobs[at] = logprobs[at - 1];
            ids[at] = ids[at - 1];
        }
        logprobs[at] = x[v];
        ids[at] = (int32_t)v;
    }
    for (ptrdiff_t i = 0; i < filled; i++) logprobs[i] = (float)((double)logprobs[i] - lse);
    for (ptrdiff_t i = filled; i < top; i++) {
        logprobs[i] = -INFINITY;
        ids[i] = -1;
    }
}

void AE_ROW_NAME(ae_cpu_head_score)(ae_f32 *nll_, ae_i32 *top_ids, ae_f32 *top_logprobs, ptrdiff_t top,
                                    const ae_act *z_, const ae_weight *table_, const ae_i32 *targets_,
                                    const ae_f32 *weights_, ae_head_dims n, void *scratch) {
    float *nll = ae_mf(nll_), *best = ae_mf(top_logprobs);
    int32_t *ids = (int32_t *)(void *)top_ids;
    memset(nll, 0, (size_t)n.M * sizeof *nll);
    chunk c = chunk_in(scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        next_chunk(&c, &m, ae_ca(z_), ae_cpu_weight_of(table_), ae_cf(weights_), n);
#pragma omp parallel for
        for (ptrdiff_t r = 0; r < c.count; r++) {
            float *logits = c.logits + r * n.V;
            const int32_t row = c.rows[r];
            const double lse = cap_and_sum(logits, n);
            nll[row] = (float)(lse - (double)logits[ae_ci(targets_)[row]]);
            if (top > 0) best_of_row(ids + row * top, best + row * top, logits, lse, top, n.V);
        }
    }
}

void AE_ROW_NAME(ae_cpu_head_logits)(ae_f32 *logits_, const ae_act *z_, const ae_weight *table_,
                                     ae_head_dims n) {
    float *logits = ae_mf(logits_);
    const ae_elem *z = ae_ca(z_);
    for (ptrdiff_t m = 0; m < n.M; m += AE_LINEAR_FEW) AE_ROW_NAME(ae_cpu_few_rows_residual)
    (logits + m * n.V, NULL, z + m * n.D, ae_cpu_weight_of(table_), NULL, ae_min(AE_LINEAR_FEW, n.M - m), n.D,
     n.V);
    if (n.cap <= 0) return;
    const ptrdiff_t total = n.M * n.V;
#pragma omp parallel for
    for (ptrdiff_t first = 0; first < total; first += 4096)
        soft_cap(logits + first, n.cap, ae_min(4096, total - first));
}
