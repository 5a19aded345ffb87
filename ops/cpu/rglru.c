#include "ops/rglru.h"

#include "ops/cpu/act.h"
#include "ops/cpu/forks.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

#include <math.h>
#include <string.h>

/* Threads split the channels and walk time in order; a row of TILE channels is read as one stream of each array. */
enum { TILE = 512, WIDE = 4 }; /* WIDE vectors at once keep the units busy */

/* Per channel: k = -8 softplus(p), so that log a = k r. */
static void decay_rates(float *k, const float *p, ptrdiff_t n) {
    for (ptrdiff_t c = 0; c < n; c++) {
        const double x = (double)p[c];
        k[c] = (float)(-8.0 * (fmax(x, 0.0) + log1p(exp(-fabs(x)))));
    }
}

/* g[0..n) = sigmoid of the input gates, g[n..2n) of the recurrence gates. With gates stored in bfloat16 the latter, from which decays are
 * made, are exact to 2^-17, hundreds of times finer than their arguments. */
AE_INLINE void gates_each(vf *g, const int n) {
#ifdef AE_ACT_BF16
    const vf to_power = vf_set(-1.44269504088896341f);
    AE_EACH(j, n) g[j] = to_power * g[j];
    AE_EACH(j, n) g[n + j] = vf_min(vf_set(127.0f), to_power * g[n + j]);
    vf_exp2_short_each(g, n);
    vf_exp2_short_each(g + n, n);
    AE_EACH(j, 2 * n) g[j] = vf_set(1.0f) + g[j];
    AE_EACH(j, n) g[j] = vf_recip_short(g[j]);
    AE_EACH(j, n) g[n + j] = vf_recip(g[n + j]);
#else
    vf_sigmoid_each(g, n);
    vf_sigmoid_each(g + n, n);
#endif
}

/* a, m and 1/m of one step from k r: with e = expm1(log a), a = 1 + e and m^2 = 1 - a^2 = -e (2 + e), exact near a = 1. Where m is 0 its
 * square counts as 1e-30, far below what a sum with h can see, so that m itself is m^2 (1/m). */
AE_INLINE void decay_each(vf *kr, vf *a, vf *m, vf *inverse, const int n) {
    vf_expm1_neg_each(kr, n);
    AE_EACH(j, n) m[j] = vf_max(vf_set(1e-30f), vf_fnma(kr[j], kr[j], vf_set(-2.0f) * kr[j]));
    AE_EACH(j, n) inverse[j] = vf_rsqrt(m[j]);
    AE_EACH(j, n) m[j] = m[j] * inverse[j];
    AE_EACH(j, n) a[j] = vf_set(1.0f) + kr[j];
}

/* n vectors of a step from channel c on, the last one of `left` channels. */
AE_INLINE void forward_vectors(ae_elem *h, float *carry, const ae_elem *u, const ae_elem *gate_i,
                               const ae_elem *gate_r, const float *k, bool start, ptrdiff_t c, ptrdiff_t left,
                               const int n) {
    vf g[2 * WIDE], a[WIDE], m[WIDE], inverse[WIDE];
    AE_EACH(j, n) g[j] = va_load_n(gate_i + c + j * VF, left - j * VF);
    AE_EACH(j, n) g[n + j] = va_load_n(gate_r + c + j * VF, left - j * VF);
    gates_each(g, n);
    AE_EACH(j, n) g[j] = g[j] * va_load_n(u + c + j * VF, left - j * VF);
    if (!start) {
        AE_EACH(j, n) g[n + j] = g[n + j] * vf_load_n(k + c + j * VF, left - j * VF);
        decay_each(g + n, a, m, inverse, n);
        AE_EACH(j, n) g[j] = vf_fma(a[j], vf_load_n(carry + c + j * VF, left - j * VF), m[j] * g[j]);
    }
    AE_EACH(j, n) vf_store_n(carry + c + j * VF, g[j], left - j * VF);
    AE_EACH(j, n) va_store_n(h + c + j * VF, g[j], left - j * VF);
}

static void forward_step(ae_elem *h, float *carry, const ae_elem *u, const ae_elem *gate_i,
                         const ae_elem *gate_r, const float *k, bool start, ptrdiff_t n) {
    ptrdiff_t c = 0;
    for (; c + WIDE * VF <= n; c += WIDE * VF)
        forward_vectors(h, carry, u, gate_i, gate_r, k, start, c, WIDE * VF, WIDE);
    for (; c < n; c += VF) forward_vectors(h, carry, u, gate_i, gate_r, k, start, c, n - c, 1);
}

static void forward_tile(ae_elem *h, float *state, const ae_elem *u, const ae_elem *gate_i,
                         const ae_elem *gate_r, const float *p, const int32_t *positions, ae_rglru_dims n,
                         ptrdiff_t c0, ptrdiff_t width) {
    float k[TILE], carry[TILE], forked[TILE]; /* the state at the trunk's end */
    decay_rates(k, p + c0, width);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const int32_t *row = positions + b * n.T;
        ptrdiff_t trunk = -1;
        if (state)
            memcpy(carry, state + b * n.C + c0, (size_t)width * sizeof *carry);
        else
            memset(carry, 0, sizeof carry);
        for (ptrdiff_t t = 0; t < n.T; t++) {
            const ptrdiff_t at = (b * n.T + t) * n.C + c0;
            const bool start = row[t] == 0;
            if (start) trunk = ae_trunk_end(row, n.T, t);
            if (ae_forks_at(row, t)) memcpy(carry, forked, (size_t)width * sizeof *carry);
            forward_step(h + at, carry, u + at, gate_i + at, gate_r + at, k, start, width);
            if (t == trunk) memcpy(forked, carry, (size_t)width * sizeof *carry);
        }
        if (state) memcpy(state + b * n.C + c0, carry, (size_t)width * sizeof *state);
    }
}

void AE_ROW_NAME(ae_cpu_rglru_forward)(const ae_backend *be, ae_act *h_, ae_f32 *state_, const ae_act *u_,
                                       const ae_act *gate_i_, const ae_act *gate_r_, const ae_f32 *p_,
                                       const ae_i32 *positions_, ae_rglru_dims n) {
#pragma omp parallel num_threads(ae_team(be))
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TILE)
            forward_tile(ae_ma(h_), ae_mf(state_), ae_ca(u_), ae_ca(gate_i_), ae_ca(gate_r_), ae_cf(p_),
                         ae_ci(positions_), n, c, ae_min(TILE, s.last - c));
    }
}

typedef struct {
    float k[TILE];      /* -8 softplus(p) */
    float carry[TILE];  /* a[t+1] d[t+1] */
    float forked[TILE]; /* the same of the forks of a trunk, together */
    float dp[TILE];     /* sum of r dlog_a over a block of rows */
    double total[TILE];
    const float *first; /* h before the row, or NULL */
} backward_room;

/* One step of the reverse scan, n vectors from channel c on; the formulas are in the header. `before` is h[t-1], NULL at the first step. */
AE_INLINE void backward_vectors(backward_room *s, ae_elem *du, ae_elem *dgate_i, ae_elem *dgate_r,
                                const ae_elem *dh, const ae_elem *u, const ae_elem *gate_i,
                                const ae_elem *gate_r, const ae_elem *before, bool start, ptrdiff_t c,
                                ptrdiff_t left, const int n) {
    const vf one = vf_set(1.0f);
    vf g[2 * WIDE], x[WIDE], d[WIDE], a[WIDE], m[WIDE], inverse[WIDE], kr[WIDE], dgr[WIDE];
    AE_EACH(j, n) g[j] = va_load_n(gate_i + c + j * VF, left - j * VF);
    AE_EACH(j, n) g[n + j] = va_load_n(gate_r + c + j * VF, left - j * VF);
    gates_each(g, n);
    AE_EACH(j, n) x[j] = va_load_n(u + c + j * VF, left - j * VF);
    AE_EACH(j, n)
    d[j] = va_load_n(dh + c + j * VF, left - j * VF) + vf_load_n(s->carry + c + j * VF, left - j * VF);
    if (start) {
        AE_EACH(j, n) a[j] = dgr[j] = vf_set(0);
        AE_EACH(j, n) m[j] = one;
    } else {
        AE_EACH(j, n) kr[j] = g[n + j] * vf_load_n(s->k + c + j * VF, left - j * VF);
        AE_EACH(j, n) dgr[j] = kr[j];
        decay_each(kr, a, m, inverse, n);
        AE_EACH(j, n)
        inverse[j] = vf_min(vf_set(2000.0f), inverse[j]); /* twice the clipped derivative of the root */
        AE_EACH(j, n) {
            vf past = vf_set(0);
            if (before)
                past = va_load_n(before + c + j * VF, left - j * VF);
            else if (s->first)
                past = vf_load_n(s->first + c + j * VF, left - j * VF);
            const vf dlog_a = d[j] * a[j] * vf_fnma(a[j] * inverse[j], g[j] * x[j], past);
            vf_store_n(s->dp + c + j * VF,
                       vf_fma(g[n + j], dlog_a, vf_load_n(s->dp + c + j * VF, left - j * VF)), left - j * VF);
            dgr[j] = dgr[j] * dlog_a * (one - g[n + j]);
        }
    }
    AE_EACH(j, n) {
        const vf dm = d[j] * m[j];
        vf_store_n(s->carry + c + j * VF, a[j] * d[j], left - j * VF);
        va_store_n(du + c + j * VF, dm * g[j], left - j * VF);
        va_store_n(dgate_i + c + j * VF, dm * x[j] * g[j] * (one - g[j]), left - j * VF);
        va_store_n(dgate_r + c + j * VF, dgr[j], left - j * VF);
    }
}

static void backward_step(backward_room *s, ae_elem *du, ae_elem *dgate_i, ae_elem *dgate_r,
                          const ae_elem *dh, const ae_elem *u, const ae_elem *gate_i, const ae_elem *gate_r,
                          const ae_elem *before, bool start, ptrdiff_t n) {
    ptrdiff_t c = 0;
    for (; c + WIDE * VF <= n; c += WIDE * VF)
        backward_vectors(s, du, dgate_i, dgate_r, dh, u, gate_i, gate_r, before, start, c, WIDE * VF, WIDE);
    for (; c < n; c += VF)
        backward_vectors(s, du, dgate_i, dgate_r, dh, u, gate_i, gate_r, before, start, c, n - c, 1);
}

static void add_to(float *to, float *from, ptrdiff_t n) {
    for (ptrdiff_t c = 0; c < n; c++) to[c] += from[c];
    memset(from, 0, (size_t)n * sizeof *from);
}

static void flush(backward_room *s, ptrdiff_t n) {
    for (ptrdiff_t c = 0; c < n; c++) s->total[c] += (double)s->dp[c];
    memset(s->dp, 0, sizeof s->dp);
}

static void backward_tile(ae_elem *du, ae_elem *dgate_i, ae_elem *dgate_r, float *dp, const ae_elem *dh,
                          const ae_elem *u, const ae_elem *gate_i, const ae_elem *gate_r, const ae_elem *h,
                          const float *state, const float *p, const int32_t *positions, ae_rglru_dims n,
                          ptrdiff_t c0, ptrdiff_t width) {
    backward_room s = {.dp = {0}};
    decay_rates(s.k, p + c0, width);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const int32_t *row = positions + b * n.T;
        ptrdiff_t trunk = -1; /* where the forks that have passed join */
        s.first = state ? state + b * n.C + c0 : NULL;
        memset(s.carry, 0, sizeof s.carry);
        for (ptrdiff_t t = n.T - 1; t >= 0; t--) {
            const ptrdiff_t at = (b * n.T + t) * n.C + c0, before = ae_place_before(row, t);
            if (t == trunk) add_to(s.carry, s.forked, width);
            backward_step(&s, du + at, dgate_i + at, dgate_r + at, dh + at, u + at, gate_i + at, gate_r + at,
                          before >= 0 ? h + (b * n.T + before) * n.C + c0 : NULL, row[t] == 0, width);
            if (before != t - 1) {
                trunk = before;
                add_to(s.forked, s.carry, width);
            }
            if (t % AE_SUM_ROWS == 0) flush(&s, width);
        }
    }
    if (!dp) return;
    for (ptrdiff_t c = 0; c < width; c++)
        dp[c0 + c] += (float)(-8.0 * s.total[c] / (1.0 + exp(-(double)p[c0 + c])));
}

void AE_ROW_NAME(ae_cpu_rglru_backward)(const ae_backend *be, ae_act *du_, ae_act *dgate_i_, ae_act *dgate_r_,
                                        ae_f32 *dp_, const ae_act *dh_, const ae_act *u_,
                                        const ae_act *gate_i_, const ae_act *gate_r_, const ae_act *h_,
                                        const ae_f32 *state_, const ae_f32 *p_, const ae_i32 *positions_,
                                        ae_rglru_dims n) {
#pragma omp parallel num_threads(ae_team(be))
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TILE)
            backward_tile(ae_ma(du_), ae_ma(dgate_i_), ae_ma(dgate_r_), ae_mf(dp_), ae_ca(dh_), ae_ca(u_),
                          ae_ca(gate_i_), ae_ca(gate_r_), ae_ca(h_), ae_cf(state_), ae_cf(p_),
                          ae_ci(positions_), n, c, ae_min(TILE, s.last - c));
    }
}
