#include "ops/head_kl.h"

#include "ops/cpu/head.h"
#include "ops/cpu/table.h"

/* The chunk of p as for every head, and behind it q's rows of z and logits. */
typedef struct {
    ae_head_chunk p;
    float *logits;
    ae_elem *z;
} pair;

static ae_head_dims dims_of(const ae_head_side *side, ptrdiff_t M, ptrdiff_t V) {
    return (ae_head_dims){.M = M, .D = side->D, .V = V, .cap = side->cap};
}

static size_t chunk_bytes(ae_head_dims n) {
    return (ae_head_chunk_bytes(n) + 63) / 64 * 64;
}

static size_t pair_bytes(ae_head_dims n, ptrdiff_t D_q) {
    const size_t rows = (size_t)ae_head_room_rows(n);
    return chunk_bytes(n) + rows * ((size_t)n.V * sizeof(float) + (size_t)D_q * sizeof(ae_elem));
}

size_t AE_ROW_NAME(ae_cpu_head_kl_scratch_bytes)(const ae_backend *be, ptrdiff_t M, ptrdiff_t V, ptrdiff_t D,
                                                 ptrdiff_t D_q) {
    (void)be;
    return pair_bytes((ae_head_dims){.M = M, .D = D, .V = V}, D_q);
}

static pair pair_in(ae_room scratch, ae_head_dims n, ptrdiff_t D_q) {
    assert(scratch.bytes >= pair_bytes(n, D_q));
    pair c = {.p = ae_head_chunk_in(scratch, n)};
    c.logits = (float *)(void *)((char *)scratch.at + chunk_bytes(n));
    c.z = (ae_elem *)(void *)(c.logits + ae_head_room_rows(n) * n.V);
    return c;
}

static void next_pair(const ae_backend *be, pair *c, ptrdiff_t *m, const ae_head_side *p,
                      const ae_head_side *q, const float *weights, ae_head_dims n) {
    ae_head_next_chunk(be, &c->p, m, ae_ca(p->z), ae_cpu_weight_of(p->table), weights, NULL, n);
    ae_head_raw_logits(be, c->logits, c->z, &c->p, ae_ca(q->z), ae_cpu_weight_of(q->table),
                       dims_of(q, n.M, n.V));
}

/* ---- forward ---- */

/* A row's two laws, and with r = d_p - d_q - base the sum over v of exp(d_p) r, or in the other direction of exp(d_q) (-r). The base makes r
 * 0 at the likeliest piece of p: where that takes nearly all, r - mean would cancel else. */
typedef struct {
    ae_head_law p, q;
    ae_kl_direction direction;
    float base;
    double cross;
} row_laws;

/* y_q where y_p is largest. */
static float beside_largest(const float *y_p, const float *y_q, ptrdiff_t n) {
    vf most = vf_set(-INFINITY), beside = vf_set(0);
    float at[VF], with[VF];
    ptrdiff_t v = 0, best = 0;
    for (; v + VF <= n; v += VF) {
        const vf y = vf_load(y_p + v);
        const vmask above = vf_less(most, y);
        most = vf_pick(above, y, most);
        beside = vf_pick(above, vf_load(y_q + v), beside);
    }
    vf_store(at, most);
    vf_store(with, beside);
    for (ptrdiff_t j = 1; j < VF; j++)
        if (at[j] > at[best]) best = j;
    float top = at[best], found = with[best];
    for (; v < n; v++)
        if (y_p[v] > top) top = y_p[v], found = y_q[v];
    return found;
}

/* n vectors of each at a time, of `left` values: e[0..n-1] of p, then q's. Whole vectors, or the last one. */
AE_INLINE void add_vectors(vf *sum_p, vf *sum_q, vf *cross, const float *y_p, const float *y_q,
                           ptrdiff_t left, const row_laws *w, const int n) {
    static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const vf slope_p = vf_set(w->p.slope), slope_q = vf_set(w->q.slope);
    const vf minus_p = vf_set(-w->p.shift), minus_q = vf_set(-w->q.shift);
    vf d[4], e[4];
    AE_EACH(j, n) d[j] = vf_fma(vf_load_n(y_p + j * VF, left - j * VF), slope_p, minus_p);
    AE_EACH(j, n) d[n + j] = vf_fma(vf_load_n(y_q + j * VF, left - j * VF), slope_q, minus_q);
    AE_EACH(j, 2 * n) e[j] = vf_min(vf_set(1.0f), d[j]); /* beyond the row it may be anything */
    vf_exp_each(e, 2 * n);
    if (left < n * VF) AE_EACH(j, 2 * n) e[j] = e[j] * vf_load_n(ones, left);
    AE_EACH(j, n) sum_p[j] = sum_p[j] + e[j];
    AE_EACH(j, n) sum_q[j] = sum_q[j] + e[n + j];
    if (w->direction == AE_KL_P_Q)
        AE_EACH(j, n) cross[j] = vf_fma(e[j], (d[j] - d[n + j]) - vf_set(w->base), cross[j]);
    else
        AE_EACH(j, n) cross[j] = vf_fnma(e[n + j], (d[j] - d[n + j]) - vf_set(w->base), cross[j]);
}

static void add_block(row_laws *w, const float *y_p, const float *y_q, ptrdiff_t n) {
    const vf zero = vf_set(0);
    vf sum_p[2] = {zero, zero}, sum_q[2] = {zero, zero}, cross[2] = {zero, zero};
    ptrdiff_t v = 0;
    for (; v + 2 * VF <= n; v += 2 * VF) add_vectors(sum_p, sum_q, cross, y_p + v, y_q + v, 2 * VF, w, 2);
    for (; v < n; v += VF) add_vectors(sum_p, sum_q, cross, y_p + v, y_q + v, ae_min(VF, n - v), w, 1);
    w->p.total += (double)vf_sum(sum_p[0] + sum_p[1]);
    w->q.total += (double)vf_sum(sum_q[0] + sum_q[1]);
    w->cross += (double)vf_sum(cross[0] + cross[1]);
}

/* The logits become y. */
static row_laws laws_of(float *x_p, float *x_q, ae_kl_direction direction, float temperature,
                        const ae_head_side *p, const ae_head_side *q, ptrdiff_t V) {
    row_laws w = {.p = ae_head_law_begin(x_p, temperature, dims_of(p, 1, V)),
                  .q = ae_head_law_begin(x_q, temperature, dims_of(q, 1, V)),
                  .direction = direction};
    /* that piece's d_p is 0 */
    w.base = w.q.shift - beside_largest(x_p, x_q, V) * w.q.slope;
    for (ptrdiff_t v = 0; v < V; v += AE_HEAD_BLOCK)
        add_block(&w, x_p + v, x_q + v, ae_min(AE_HEAD_BLOCK, V - v));
    return w;
}

/* log p - log q = r + base - log(total_p / total_q). */
static float kl_of(const row_laws *w) {
    const double level = (double)w->base - (log(w->p.total) - log(w->q.total));
    return (float)(w->direction == AE_KL_P_Q ? w->cross / w->p.total + level : w->cross / w->q.total - level);
}

void AE_ROW_NAME(ae_cpu_head_kl)(const ae_backend *be, ae_f32 *kl_, ae_kl_direction direction,
                                 const ae_head_side *p, const ae_head_side *q, const ae_f32 *weights,
                                 float temperature, ptrdiff_t M, ptrdiff_t V, ae_room scratch) {
    const ae_head_dims n = dims_of(p, M, V);
    float *kl = ae_mf(kl_);
    memset(kl, 0, (size_t)M * sizeof *kl);
    pair c = pair_in(scratch, n, q->D);
    for (ptrdiff_t m = 0; m < M;) {
        next_pair(be, &c, &m, p, q, ae_cf(weights), n);
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.p.count; r++) {
            const row_laws w = laws_of(c.p.logits + r * V, c.logits + r * V, direction, temperature, p, q, V);
            kl[c.p.rows[r]] = kl_of(&w);
        }
    }
}

/* ---- backward ---- */

/* With respect to u = y / T of p: of KL(p || q) it is p (r - mean), mean = sum p r; of KL(q || p) it is p - q. The
 * logits' is (1 - (y / cap)^2) / T times it. Here exp(d) stands for p: the factor that is returned makes up for it. */
static float gradient_row(ae_elem *out, const float *y_p, const float *y_q, const row_laws *w, float inverse,
                          float weight, ptrdiff_t V) {
    const vf slope_p = vf_set(w->p.slope), slope_q = vf_set(w->q.slope), one = vf_set(1.0f);
    const vf minus_p = vf_set(-w->p.shift), minus_q = vf_set(-w->q.shift);
    const vf base = vf_set(w->base), mean = vf_set((float)(w->cross / w->p.total)),
             ratio = vf_set((float)(w->p.total / w->q.total));
    const bool of_p = w->direction == AE_KL_P_Q;
    for (ptrdiff_t v = 0; v < V; v += VF) {
        const vf y = vf_load_n(y_p + v, V - v), t = y * vf_set(inverse), d_p = vf_fma(y, slope_p, minus_p);
        const vf d_q = vf_fma(vf_load_n(y_q + v, V - v), slope_q, minus_q), e = vf_exp(d_p);
        vf g = e * (((d_p - d_q) - base) - mean);
        if (!of_p) g = vf_fnma(vf_exp(d_q), ratio, e);
        va_store_n(out + v, g * vf_fnma(t, t, one), V - v);
    }
    return (float)((double)weight * (double)w->p.slope / w->p.total);
}

void AE_ROW_NAME(ae_cpu_head_kl_backward)(const ae_backend *be, ae_act *dz, ae_f32 *dtable, bool add,
                                          ae_kl_direction direction, const ae_head_side *p,
                                          const ae_head_side *q, const ae_f32 *weights_, float temperature,
                                          ptrdiff_t M, ptrdiff_t V, ae_room scratch) {
    const ae_head_dims n = dims_of(p, M, V);
    const float *weights = ae_cf(weights_), inverse = p->cap > 0 ? 1.0f / p->cap : 0.0f;
    if (!add) ae_head_clear_masked(be, ae_ma(dz), weights, NULL, n);
    pair c = pair_in(scratch, n, q->D);
    for (ptrdiff_t m = 0; m < M;) {
        next_pair(be, &c, &m, p, q, weights, n);
        if (c.p.count == 0) break;
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t r = 0; r < c.p.count; r++) {
            float *y_p = c.p.logits + r * V, *y_q = c.logits + r * V;
            const row_laws w = laws_of(y_p, y_q, direction, temperature, p, q, V);
            c.p.scales[r] =
                gradient_row(c.p.d_logits + r * V, y_p, y_q, &w, inverse, weights[c.p.rows[r]], V);
        }
        ae_head_chunk_gradients(be, &c.p, ae_ma(dz), ae_mf(dtable), add, ae_cpu_weight_of(p->table), n);
    }
}
