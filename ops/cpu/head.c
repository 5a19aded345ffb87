#include "ops/cpu/head.h"

#include "ops/cpu/few.h"
#include "ops/cpu/table.h"
#include "ops/linear.h"

size_t AE_ROW_NAME(ae_cpu_head_scratch_bytes)(const ae_backend *be, ae_head_dims n) {
    (void)be;
    return ae_head_chunk_bytes(n);
}

/* ---- loss ---- */

/* How logits become weights e = exp(y / T - shift): without a shift where y / T stays below this bound, so that no sweep has to find the
 * largest first. */
#define BOUND_WITHOUT_SHIFT 40.0f
typedef struct {
    bool capped;              /* x is y already */
    float reach, inverse;     /* cap / T, 1 / cap */
    float slope, most, shift; /* 1 / T; of capped ones the largest y, and it over T */
} curve;

static curve curve_of(float *x, float temperature, ae_head_dims n) {
    curve c = {.slope = 1.0f / temperature, .inverse = n.cap > 0 ? 1.0f / n.cap : 0.0f};
    c.reach = n.cap * c.slope;
    c.capped = n.cap <= 0 || c.reach > BOUND_WITHOUT_SHIFT;
    if (!c.capped) return c;
    if (n.cap > 0) ae_head_soft_cap(x, n.cap, n.V);
    c.most = ae_head_largest(x, n.V);
    c.shift = c.most * c.slope;
    return c;
}

/* x becomes e (1 - (y / cap)^2), e the weight. */
AE_INLINE void weigh_each(vf *x, vf *e, const curve *c, const int n) {
    const vf one = vf_set(1.0f);
    if (c->capped) AE_EACH(j, n) e[j] = vf_fma(x[j], vf_set(c->slope), vf_set(-c->shift));
    AE_EACH(j, n) x[j] = x[j] * vf_set(c->inverse);
    if (!c->capped) {
        vf_tanh_each(x, n);
        AE_EACH(j, n) e[j] = x[j] * vf_set(c->reach);
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
        t[0] = vf_fma(vf_load_n(x + v, n - v), kept, vf_set(c->most) * (vf_set(1.0f) - kept));
        weigh_each(t, e, c, 1);
        va_store_n(out + v, t[0], n - v);
        sum[0] = vf_fma(e[0], kept, sum[0]);
    }
    return (double)vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* One row: its log-probability, and in `out` the gradient of `scale` times its loss with respect to the logits,
 * (softmax - onehot) (1 - (y / cap)^2) / T, but for the factor that is returned. */
static float loss_row(double *logprob, ae_elem *out, float *x, int32_t target, float scale, float temperature,
                      ae_head_dims n) {
    const curve c = curve_of(x, temperature, n);
    const float y = c.capped ? x[target] : n.cap * tanhf(x[target] * c.inverse), t = y * c.inverse;
    double total = 0;
    for (ptrdiff_t v = 0; v < n.V; v += AE_HEAD_BLOCK)
        total += weigh_block(out + v, x + v, &c, ae_min(AE_HEAD_BLOCK, n.V - v));
    *logprob = (double)y * (double)c.slope - ((double)c.shift + log(total));
    va_store_n(out + target, vf_set((float)(expm1(*logprob) * total) * (1.0f - t * t)), 1);
    return (float)((double)scale * (double)c.slope / total);
}

void AE_ROW_NAME(ae_cpu_head_loss)(const ae_backend *be, ae_f32 *nll_, ae_act *dz, ae_f32 *dtable,
                                   const ae_act *z, const ae_weight *table, const ae_i32 *targets_,
                                   const ae_f32 *weights_, float grad_scale, ae_head_dims n,
                                   ae_room scratch) {
    float *nll = ae_mf(nll_);
    const float *weights = ae_cf(weights_);
    const int32_t *targets = ae_ci(targets_);
    memset(nll, 0, (size_t)n.M * sizeof *nll);
    ae_head_clear_masked(be, ae_ma(dz), weights, NULL, n);
    ae_head_chunk c = ae_head_chunk_in(scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        ae_head_next_chunk(be, &c, &m, ae_ca(z), ae_cpu_weight_of(table), weights, NULL, n);
        if (c.count == 0) break;
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.count; r++) {
            const int32_t row = c.rows[r];
            double logprob;
            c.scales[r] = loss_row(&logprob, c.d_logits + r * n.V, c.logits + r * n.V, targets[row],
                                   grad_scale * weights[row], 1, n);
            nll[row] = (float)-logprob;
        }
        ae_head_chunk_gradients(be, &c, ae_ma(dz), ae_mf(dtable), false, ae_cpu_weight_of(table), n);
    }
}

/* ---- log-probabilities and entropy at a temperature ---- */

void AE_ROW_NAME(ae_cpu_head_logprobs)(const ae_backend *be, ae_f32 *logprobs_, ae_f32 *entropies_,
                                       const ae_act *z, const ae_weight *table, const ae_i32 *targets,
                                       const ae_f32 *weights, float temperature, ae_head_dims n,
                                       ae_room scratch) {
    float *logprobs = ae_mf(logprobs_), *entropies = ae_mf(entropies_);
    memset(logprobs, 0, (size_t)n.M * sizeof *logprobs);
    if (entropies) memset(entropies, 0, (size_t)n.M * sizeof *entropies);
    ae_head_chunk c = ae_head_chunk_in(scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        ae_head_next_chunk(be, &c, &m, ae_ca(z), ae_cpu_weight_of(table), ae_cf(weights), NULL, n);
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.count; r++) {
            float *y = c.logits + r * n.V;
            const int32_t row = c.rows[r], target = ae_ci(targets)[row];
            const ae_head_law law = entropies ? ae_head_law_of(y, temperature, n, true)
                                              : ae_head_law_of(y, temperature, n, false);
            logprobs[row] = (float)((double)y[target] * (double)law.slope - ae_head_log_sum(&law));
            if (entropies) entropies[row] = (float)(log(law.total) - law.moment / law.total);
        }
    }
}

/* With log-probabilities l = d - log(total), mean = sum p d: of w nll + h entropy the gradient with respect to u = y / T is
 * p (w + h (mean - d)) - w onehot, and that of the logits (1 - (y / cap)^2) / T times it. Here e = p total stands for p, and the factor that
 * is returned makes up for it. At the target w (p - 1) is taken from expm1. */
static float entropy_row(ae_elem *out, float *x, int32_t target, float w, float h, float temperature,
                         ae_head_dims n) {
    const ae_head_law law = ae_head_law_of(x, temperature, n, true);
    const double mean = law.moment / law.total;
    const float inverse = n.cap > 0 ? 1.0f / n.cap : 0.0f, t_target = x[target] * inverse;
    const double d_target = (double)x[target] * (double)law.slope - (double)law.shift;
    const vf level = vf_set((float)((double)w + (double)h * mean)), bend = vf_set(h), one = vf_set(1.0f);
    for (ptrdiff_t v = 0; v < n.V; v += VF) {
        const vf y = vf_load_n(x + v, n.V - v), t = y * vf_set(inverse);
        const vf d = vf_fma(y, vf_set(law.slope), vf_set(-law.shift));
        va_store_n(out + v, vf_exp(d) * vf_fnma(bend, d, level) * vf_fnma(t, t, one), n.V - v);
    }
    const double own = (double)w * expm1(d_target - log(law.total)) * law.total +
                       exp(d_target) * (double)h * (mean - d_target);
    va_store_n(out + target, vf_set((float)own * (1.0f - t_target * t_target)), 1);
    return (float)((double)law.slope / law.total);
}

static void backward_rows(const ae_backend *be, const ae_head_chunk *c, const int32_t *targets,
                          const float *weights, const float *entropy_weights, float temperature,
                          ae_head_dims n) {
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < c->count; r++) {
        const int32_t row = c->rows[r];
        const float h = entropy_weights ? entropy_weights[row] : 0.0f;
        float *x = c->logits + r * n.V;
        ae_elem *out = c->d_logits + r * n.V;
        double logprob;
        c->scales[r] = h != 0.0f ? entropy_row(out, x, targets[row], weights[row], h, temperature, n)
                                 : loss_row(&logprob, out, x, targets[row], weights[row], temperature, n);
    }
}

void AE_ROW_NAME(ae_cpu_head_backward)(const ae_backend *be, ae_act *dz, ae_f32 *dtable, bool add,
                                       const ae_act *z, const ae_weight *table, const ae_i32 *targets,
                                       const ae_f32 *weights, const ae_f32 *entropy_weights_,
                                       float temperature, ae_head_dims n, ae_room scratch) {
    const float *entropy_weights = ae_cf(entropy_weights_);
    if (!add) ae_head_clear_masked(be, ae_ma(dz), ae_cf(weights), entropy_weights, n);
    ae_head_chunk c = ae_head_chunk_in(scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        ae_head_next_chunk(be, &c, &m, ae_ca(z), ae_cpu_weight_of(table), ae_cf(weights), entropy_weights, n);
        if (c.count == 0) break;
        backward_rows(be, &c, ae_ci(targets), ae_cf(weights), entropy_weights, temperature, n);
        ae_head_chunk_gradients(be, &c, ae_ma(dz), ae_mf(dtable), add, ae_cpu_weight_of(table), n);
    }
}

/* ---- scores ---- */

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
    ae_head_chunk c = ae_head_chunk_in(scratch, n);
    for (ptrdiff_t m = 0; m < n.M;) {
        ae_head_next_chunk(be, &c, &m, ae_ca(z_), ae_cpu_weight_of(table_), ae_cf(weights_), NULL, n);
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.count; r++) {
            float *logits = c.logits + r * n.V;
            const int32_t row = c.rows[r];
            const ae_head_law law = ae_head_law_of(logits, 1, n, false);
            const double lse = ae_head_log_sum(&law);
            nll[row] = (float)(lse - (double)logits[ae_ci(targets_)[row]]);
            if (top > 0) best_of_row(ids + row * top, best + row * top, logits, lse, top, n.V);
        }
    }
}

void AE_ROW_NAME(ae_cpu_head_logits)(const ae_backend *be, ae_f32 *logits_, const ae_act *z_,
                                     const ae_weight *table_, ae_head_dims n) {
    float *logits = ae_mf(logits_);
    const ae_elem *z = ae_ca(z_);
    for (ptrdiff_t m = 0; m < n.M; m += AE_LINEAR_EACH) AE_ROW_NAME(ae_cpu_few_rows_residual)
    (be, logits + m * n.V, NULL, z + m * n.D, ae_cpu_weight_of(table_), NULL, ae_min(AE_LINEAR_EACH, n.M - m),
     n.D, n.V);
    if (n.cap <= 0) return;
    const ptrdiff_t total = n.M * n.V;
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t first = 0; first < total; first += 4096)
        ae_head_soft_cap(logits + first, n.cap, ae_min(4096, total - first));
}
