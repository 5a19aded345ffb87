#include "ops/head.h"

#include "ops/cpu/act.h"
#include "ops/cpu/few.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"
#include "ops/linear.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Logits exist for one chunk of tokens at a time; large enough to amortise the sweep over dtable, small against memory. */
enum { CHUNK_BYTES = 48 << 20, CHUNK_MIN = 128, CHUNK_MAX = 2048, SUM_BLOCK = 1024 };

/* The gradient of the logits takes their place where its type is the same; else it stands beside them, row after row without gaps, as the
 * library's products want it. */
enum { GRADIENT_BYTES = AE_ELEM_TYPE == AE_ELEM_F32 ? 0 : sizeof(ae_elem) };

/* Rows that scratch has room for, never fewer for more rows: a multiple of 64 where there is more than one chunk. */
static ptrdiff_t room_rows(ae_head_dims n) {
    const ptrdiff_t fit = CHUNK_BYTES / (n.V * (ptrdiff_t)(sizeof(float) + GRADIENT_BYTES)) / 64 * 64;
    return ae_min(ae_max(CHUNK_MIN, ae_min(CHUNK_MAX, fit)), ae_max(n.M, 1));
}

/* Of a chunk: all of them nearly alike. */
static ptrdiff_t chunk_rows(ae_head_dims n) {
    const ptrdiff_t room = room_rows(n), chunks = ae_ceil_div(n.M, room);
    return chunks > 1 ? ae_ceil_div(ae_ceil_div(n.M, chunks), 64) * 64 : room;
}

/* scratch: | rows of the chunk (int32) | scales [chunk] | dz [chunk, D] | logits [chunk, V] | z [chunk, D] | d_logits [chunk, V] | */
typedef struct {
    int32_t *rows;
    float *scales, *dz, *logits;
    ae_elem *z, *d_logits;
    ptrdiff_t count;
} chunk;

static ptrdiff_t whole_lines(ptrdiff_t n) {
    return ae_ceil_div(n, 16) * 16;
}

size_t AE_ROW_NAME(ae_cpu_head_scratch_bytes)(const ae_backend *be, ae_head_dims n) {
    (void)be;
    const ptrdiff_t rows = room_rows(n);
    return (size_t)(2 * whole_lines(rows) + rows * (n.D + n.V)) * sizeof(float) +
           (size_t)(rows * n.D) * sizeof(ae_elem) + (size_t)(rows * n.V * GRADIENT_BYTES);
}

static chunk chunk_in(const ae_backend *be, ae_room scratch, ae_head_dims n) {
    assert(scratch.bytes >= AE_ROW_NAME(ae_cpu_head_scratch_bytes)(be, n));
    const ptrdiff_t rows = room_rows(n);
    chunk c = {.rows = scratch.at};
    c.scales = (float *)scratch.at + whole_lines(rows);
    c.dz = c.scales + whole_lines(rows);
    c.logits = c.dz + rows * n.D;
    c.z = (ae_elem *)(void *)(c.logits + rows * n.V);
    c.d_logits = GRADIENT_BYTES ? c.z + rows * n.D : (ae_elem *)(void *)c.logits;
    return c;
}

/* The next rows with a weight, from *m on, gathered; and their raw logits. */
static void next_chunk(const ae_backend *be, chunk *c, ptrdiff_t *m, const ae_elem *z,
                       const ae_cpu_weight *table, const float *weights, ae_head_dims n) {
    const ptrdiff_t most = chunk_rows(n);
    c->count = 0;
    for (; *m < n.M && c->count < most; ++*m)
        if (weights[*m] != 0.0f) c->rows[c->count++] = (int32_t)*m;
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < c->count; r++)
        memcpy(c->z + r * n.D, z + c->rows[r] * n.D, (size_t)n.D * sizeof *z);
    ae_gemm(be, &(ae_gemm_args){.m = c->count,
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

/* How logits become weights e = exp(y - shift): below this cap without a shift, so that no sweep has to find the largest first. */
#define CAP_WITHOUT_SHIFT 40.0f
typedef struct {
    bool capped; /* x is y already */
    float cap, inverse, shift;
} curve;

/* x becomes e (1 - (y / cap)^2), e the weight. */
AE_INLINE void weigh_each(vf *x, vf *e, const curve *c, const int n) {
    const vf one = vf_set(1.0f);
    if (c->capped) AE_EACH(j, n) e[j] = x[j] - vf_set(c->shift);
    AE_EACH(j, n) x[j] = x[j] * vf_set(c->inverse);
    if (!c->capped) {
        vf_tanh_each(x, n);
        AE_EACH(j, n) e[j] = x[j] * vf_set(c->cap);
    }
    vf_exp_each(e, n);
    AE_EACH(j, n) x[j] = e[j] * vf_fnma(x[j], x[j], one);
}

/* The sum of the weights of a block of logits; what is left of their gradient but for a factor of the row goes to out, which may be x. */
static double weigh_block(ae_elem *out, const float *x, const curve *c, ptrdiff_t n) {
    static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)}, t[4], e[4];
    ptrdiff_t v = 0;
    for (; v + 4 * VF <= n; v += 4 * VF) {
        AE_EACH(j, 4) t[j] = vf_load(x + v + j * VF);
        weigh_each(t, e, c, 4);
        AE_EACH(j, 4) va_store(out + v + j * VF, t[j]);
        AE_EACH(j, 4) sum[j] = sum[j] + e[j];
    }
    for (; v < n; v += VF) {
        const vf kept = vf_load_n(ones, n - v);
        t[0] = vf_fma(vf_load_n(x + v, n - v), kept, vf_set(c->shift) * (vf_set(1.0f) - kept));
        weigh_each(t, e, c, 1);
        va_store_n(out + v, t[0], n - v);
        sum[0] = vf_fma(e[0], kept, sum[0]);
    }
    return (double)vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* One row: its loss, and in `out` the logits' gradient (softmax - onehot) (1 - (y / cap)^2) but for the factor that is returned. */
static float loss_row(float *nll, ae_elem *out, float *x, int32_t target, float scale, ae_head_dims n) {
    curve c = {.cap = n.cap, .inverse = n.cap > 0 ? 1.0f / n.cap : 0.0f};
    c.capped = n.cap <= 0 || n.cap > CAP_WITHOUT_SHIFT;
    if (n.cap > CAP_WITHOUT_SHIFT) soft_cap(x, n.cap, n.V);
    if (c.capped) c.shift = largest(x, n.V);
    const float y = c.capped ? x[target] : n.cap * tanhf(x[target] * c.inverse), t = y * c.inverse;
    double total = 0;
    for (ptrdiff_t v = 0; v < n.V; v += SUM_BLOCK)
        total += weigh_block(out + v, x + v, &c, ae_min(SUM_BLOCK, n.V - v));
    const double below = (double)y - ((double)c.shift + log(total));
    *nll = (float)-below;
    va_store_n(out + target, vf_set((float)(expm1(below) * total) * (1.0f - t * t)), 1);
    return (float)((double)scale / total);
}

/* to = from * by, rounded to activations. */
static void scale_row(ae_elem *to, const float *from, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) va_store_n(to + i, vf_load_n(from + i, n - i) * vf_set(by), n - i);
}
static void scale_acts(ae_elem *x, float by, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) va_store_n(x + i, va_load_n(x + i, n - i) * vf_set(by), n - i);
}

static void clear_masked(const ae_backend *be, ae_elem *dz, const float *weights, ae_head_dims n) {
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < n.M; m++)
        if (weights[m] == 0.0f) memset(dz + m * n.D, 0, (size_t)n.D * sizeof *dz);
}

/* The rows' factors go to dz after its product, and to z before the product of dtable. */
static void chunk_gradients(const ae_backend *be, const chunk *c, ae_elem *dz, float *dtable,
                            const ae_cpu_weight *table, ae_head_dims n) {
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
        scale_row(dz + c->rows[r] * n.D, c->dz + r * n.D, c->scales[r], n.D);
        if (dtable) scale_acts(c->z + r * n.D, c->scales[r], n.D);
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

void AE_ROW_NAME(ae_cpu_head_loss)(const ae_backend *be, ae_f32 *nll_, ae_act *dz, ae_f32 *dtable,
                                   const ae_act *z, const ae_weight *table, const ae_i32 *targets_,
                                   const ae_f32 *weights_, float grad_scale, ae_head_dims n,
                                   ae_room scratch) {
    float *nll = ae_mf(nll_);
    const float *weights = ae_cf(weights_);
    const int32_t *targets = ae_ci(targets_);
    memset(nll, 0, (size_t)n.M * sizeof *nll);
    clear_masked(be, ae_ma(dz), weights, n);
    chunk c = chunk_in(be, scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        next_chunk(be, &c, &m, ae_ca(z), ae_cpu_weight_of(table), weights, n);
        if (c.count == 0) break;
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.count; r++) {
            const int32_t row = c.rows[r];
            c.scales[r] = loss_row(nll + row, c.d_logits + r * n.V, c.logits + r * n.V, targets[row],
                                   grad_scale * weights[row], n);
        }
        chunk_gradients(be, &c, ae_ma(dz), ae_mf(dtable), ae_cpu_weight_of(table), n);
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

void AE_ROW_NAME(ae_cpu_head_score)(const ae_backend *be, ae_f32 *nll_, ae_i32 *top_ids, ae_f32 *top_logprobs,
                                    ptrdiff_t top, const ae_act *z_, const ae_weight *table_,
                                    const ae_i32 *targets_, const ae_f32 *weights_, ae_head_dims n,
                                    ae_room scratch) {
    float *nll = ae_mf(nll_), *best = ae_mf(top_logprobs);
    int32_t *ids = (int32_t *)(void *)top_ids;
    memset(nll, 0, (size_t)n.M * sizeof *nll);
    chunk c = chunk_in(be, scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        next_chunk(be, &c, &m, ae_ca(z_), ae_cpu_weight_of(table_), ae_cf(weights_), n);
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.count; r++) {
            float *logits = c.logits + r * n.V;
            const int32_t row = c.rows[r];
            const double lse = cap_and_sum(logits, n);
            nll[row] = (float)(lse - (double)logits[ae_ci(targets_)[row]]);
            if (top > 0) best_of_row(ids + row * top, best + row * top, logits, lse, top, n.V);
        }
    }
}

void AE_ROW_NAME(ae_cpu_head_logits)(const ae_backend *be, ae_f32 *logits_, const ae_act *z_,
                                     const ae_weight *table_, ae_head_dims n) {
    float *logits = ae_mf(logits_);
    const ae_elem *z = ae_ca(z_);
    for (ptrdiff_t m = 0; m < n.M; m += AE_LINEAR_FEW) AE_ROW_NAME(ae_cpu_few_rows_residual)
    (be, logits + m * n.V, NULL, z + m * n.D, ae_cpu_weight_of(table_), NULL, ae_min(AE_LINEAR_FEW, n.M - m),
     n.D, n.V);
    if (n.cap <= 0) return;
    const ptrdiff_t total = n.M * n.V;
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t first = 0; first < total; first += 4096)
        soft_cap(logits + first, n.cap, ae_min(4096, total - first));
}
