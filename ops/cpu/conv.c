#include "ops/conv.h"

#include "ops/cpu/rows.h"
#include "ops/cpu/table.h"

#include <assert.h>
#include <string.h>

enum { TAPS_MAX = 64, TAPS_TILE = 256 };

/* Taps of channels [c0, c0 + n) as [K][TAPS_TILE], so that one tap of neighbouring channels is one vector. */
static void turn_taps(float taps[TAPS_MAX][TAPS_TILE], const float *w, ptrdiff_t c0, ptrdiff_t n,
                      ptrdiff_t K) {
    for (ptrdiff_t k = 0; k < K; k++)
        for (ptrdiff_t c = 0; c < n; c++) taps[k][c] = w[(c0 + c) * K + k];
}

/* The input `back` steps before (b, t), or NULL where the document (or a state) does not reach. */
static const float *tap_input(const float *x, const float *state, ptrdiff_t b, ptrdiff_t t, ptrdiff_t back,
                              int32_t position, ae_conv_dims n) {
    if (position < back) return NULL;
    if (t >= back) return x + (b * n.T + t - back) * n.C;
    return state ? state + (b * (n.K - 1) + n.K - 1 + t - back) * n.C : NULL;
}

static void forward_tile(float *y, const float *state, const float *x, const float *w, const float *bias,
                         const int32_t *positions, ae_conv_dims n, ptrdiff_t c0, ptrdiff_t width) {
    float taps[TAPS_MAX][TAPS_TILE];
    turn_taps(taps, w, c0, width, n.K);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        for (ptrdiff_t t = 0; t < n.T; t++) {
            const float *in[TAPS_MAX];
            for (ptrdiff_t k = 0; k < n.K; k++)
                in[k] = tap_input(x, state, b, t, n.K - 1 - k, positions[b * n.T + t], n);
            float *out = y + (b * n.T + t) * n.C + c0;
            for (ptrdiff_t c = 0; c < width; c += VF) {
                const ptrdiff_t left = width - c;
                vf sum = vf_load_n(bias + c0 + c, left);
                for (ptrdiff_t k = 0; k < n.K; k++)
                    if (in[k])
                        sum = vf_fma(vf_load_n(taps[k] + c, left), vf_load_n(in[k] + c0 + c, left), sum);
                vf_store_n(out + c, sum, left);
            }
        }
    }
}

/* The last K-1 inputs of the row, older ones moving up when the row is shorter. */
static void update_state(float *state, const float *x, ae_conv_dims n) {
    const ptrdiff_t keep = n.K - 1;
    for (ptrdiff_t b = 0; b < n.B; b++) {
        float *s = state + b * keep * n.C;
        const ptrdiff_t fresh = ae_min(keep, n.T), old = keep - fresh;
        memmove(s, s + fresh * n.C, (size_t)(old * n.C) * sizeof *s);
        memcpy(s + old * n.C, x + ((b + 1) * n.T - fresh) * n.C, (size_t)(fresh * n.C) * sizeof *s);
    }
}

void AE_ISA_NAME(ae_cpu_conv_forward)(ae_act *y_, ae_f32 *state_, const ae_act *x_, const ae_f32 *w_,
                                      const ae_f32 *bias_, const ae_i32 *positions_, ae_conv_dims n) {
    float *state = ae_mf(state_);
    const float *x = ae_cf(x_);
    assert(n.K >= 1 && n.K <= TAPS_MAX);
#pragma omp parallel
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TAPS_TILE)
            forward_tile(ae_mf(y_), state, x, ae_cf(w_), ae_cf(bias_), ae_ci(positions_), n, c,
                         ae_min(TAPS_TILE, s.last - c));
    }
    if (state) update_state(state, x, n);
}

/* dx[t] = sum_j w[K-1-j] dy[t+j] over the later steps t + j of the same document. */
static void input_tile(float *dx, const float *dy, const float *w, const int32_t *positions, ae_conv_dims n,
                       ptrdiff_t c0, ptrdiff_t width) {
    float taps[TAPS_MAX][TAPS_TILE];
    turn_taps(taps, w, c0, width, n.K);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const int32_t *position = positions + b * n.T;
        for (ptrdiff_t t = 0; t < n.T; t++) {
            ptrdiff_t reach = 1;
            while (reach < n.K && t + reach < n.T && position[t + reach] != 0) reach++;
            const float *d = dy + (b * n.T + t) * n.C + c0;
            float *out = dx + (b * n.T + t) * n.C + c0;
            for (ptrdiff_t c = 0; c < width; c += VF) {
                const ptrdiff_t left = width - c;
                vf sum = vf_set(0);
                for (ptrdiff_t j = 0; j < reach; j++)
                    sum =
                        vf_fma(vf_load_n(taps[n.K - 1 - j] + c, left), vf_load_n(d + j * n.C + c, left), sum);
                vf_store_n(out + c, sum, left);
            }
        }
    }
}

/* dw[k] and dbias of one vector of channels: float32 over blocks of rows, double across. */
static void weight_column(float *dw, float *dbias, const float *dy, const float *x, const int32_t *positions,
                          ae_conv_dims n, ptrdiff_t c, ptrdiff_t left) {
    double total[TAPS_MAX + 1][VF] = {{0}};
    for (ptrdiff_t b = 0; b < n.B; b++) {
        for (ptrdiff_t t0 = 0; t0 < n.T; t0 += AE_SUM_ROWS) {
            vf sum[TAPS_MAX + 1];
            for (ptrdiff_t k = 0; k <= n.K; k++) sum[k] = vf_set(0);
            for (ptrdiff_t t = t0; t < ae_min(n.T, t0 + AE_SUM_ROWS); t++) {
                const ptrdiff_t at = b * n.T + t, reach = ae_min(n.K - 1, ae_min(t, positions[at]));
                const vf d = vf_load_n(dy + at * n.C + c, left);
                sum[n.K] = sum[n.K] + d;
                for (ptrdiff_t back = 0; back <= reach; back++)
                    sum[n.K - 1 - back] =
                        vf_fma(d, vf_load_n(x + (at - back) * n.C + c, left), sum[n.K - 1 - back]);
            }
            for (ptrdiff_t k = 0; k <= n.K; k++) {
                float part[VF];
                vf_store(part, sum[k]);
                for (ptrdiff_t i = 0; i < VF; i++) total[k][i] += (double)part[i];
            }
        }
    }
    for (ptrdiff_t i = 0; i < ae_min(VF, left); i++) {
        for (ptrdiff_t k = 0; dw && k < n.K; k++) dw[(c + i) * n.K + k] += (float)total[k][i];
        if (dbias) dbias[c + i] += (float)total[n.K][i];
    }
}

void AE_ISA_NAME(ae_cpu_conv_backward)(ae_act *dx_, ae_f32 *dw_, ae_f32 *dbias_, const ae_act *dy_,
                                       const ae_act *x_, const ae_f32 *w_, const ae_i32 *positions_,
                                       ae_conv_dims n) {
    const float *dy = ae_cf(dy_), *x = ae_cf(x_);
    assert(n.K >= 1 && n.K <= TAPS_MAX);
#pragma omp parallel
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TAPS_TILE)
            input_tile(ae_mf(dx_), dy, ae_cf(w_), ae_ci(positions_), n, c, ae_min(TAPS_TILE, s.last - c));
        for (ptrdiff_t c = s.first; (dw_ || dbias_) && c < s.last; c += VF)
            weight_column(ae_mf(dw_), ae_mf(dbias_), dy, x, ae_ci(positions_), n, c, s.last - c);
    }
}
