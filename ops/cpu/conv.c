#include "ops/conv.h"

#include "ops/cpu/act.h"
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

/* The input `back` steps before (b, t): of this call, of the state, or of neither where the document does not reach. */
typedef struct {
    const ae_elem *x;
    const float *state;
} tap_input;

static tap_input input_of(const ae_elem *x, const float *state, ptrdiff_t b, ptrdiff_t t, ptrdiff_t back,
                          int32_t position, ae_conv_dims n) {
    if (position < back) return (tap_input){NULL, NULL};
    if (t >= back) return (tap_input){x + (b * n.T + t - back) * n.C, NULL};
    return (tap_input){NULL, state ? state + (b * (n.K - 1) + n.K - 1 + t - back) * n.C : NULL};
}

static inline vf input_at(tap_input in, ptrdiff_t c, ptrdiff_t n) {
    return in.x ? va_load_n(in.x + c, n) : vf_load_n(in.state + c, n);
}

static void forward_tile(ae_elem *y, const float *state, const ae_elem *x, const float *w, const float *bias,
                         const int32_t *positions, ae_conv_dims n, ptrdiff_t c0, ptrdiff_t width) {
    float taps[TAPS_MAX][TAPS_TILE];
    turn_taps(taps, w, c0, width, n.K);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        for (ptrdiff_t t = 0; t < n.T; t++) {
            tap_input in[TAPS_MAX];
            for (ptrdiff_t k = 0; k < n.K; k++)
                in[k] = input_of(x, state, b, t, n.K - 1 - k, positions[b * n.T + t], n);
            ae_elem *out = y + (b * n.T + t) * n.C + c0;
            for (ptrdiff_t c = 0; c < width; c += VF) {
                const ptrdiff_t left = width - c;
                vf sum = vf_load_n(bias + c0 + c, left);
                for (ptrdiff_t k = 0; k < n.K; k++)
                    if (in[k].x || in[k].state)
                        sum = vf_fma(vf_load_n(taps[k] + c, left), input_at(in[k], c0 + c, left), sum);
                va_store_n(out + c, sum, left);
            }
        }
    }
}

/* The last K-1 inputs of the row, older ones moving up when the row is shorter. */
static void update_state(float *state, const ae_elem *x, ae_conv_dims n) {
    const ptrdiff_t keep = n.K - 1;
    for (ptrdiff_t b = 0; b < n.B; b++) {
        float *s = state + b * keep * n.C;
        const ptrdiff_t fresh = ae_min(keep, n.T), old = keep - fresh;
        memmove(s, s + fresh * n.C, (size_t)(old * n.C) * sizeof *s);
        const ae_elem *last = x + ((b + 1) * n.T - fresh) * n.C;
        for (ptrdiff_t i = 0; i < fresh * n.C; i++) s[old * n.C + i] = ae_elem_value(last[i]);
    }
}

void AE_ROW_NAME(ae_cpu_conv_forward)(ae_act *y_, ae_f32 *state_, const ae_act *x_, const ae_f32 *w_,
                                      const ae_f32 *bias_, const ae_i32 *positions_, ae_conv_dims n) {
    float *state = ae_mf(state_);
    const ae_elem *x = ae_ca(x_);
    assert(n.K >= 1 && n.K <= TAPS_MAX);
#pragma omp parallel
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TAPS_TILE)
            forward_tile(ae_ma(y_), state, x, ae_cf(w_), ae_cf(bias_), ae_ci(positions_), n, c,
                         ae_min(TAPS_TILE, s.last - c));
    }
    if (state) update_state(state, x, n);
}

/* dw[k] and dbias of a tile: float32 over blocks of rows, double across. */
typedef struct {
    float part[TAPS_MAX + 1][TAPS_TILE]; /* row K is dbias */
    double total[TAPS_MAX + 1][TAPS_TILE];
} tap_sums;

static void flush(tap_sums *s, ptrdiff_t K) {
    for (ptrdiff_t k = 0; k <= K; k++) {
        for (ptrdiff_t c = 0; c < TAPS_TILE; c++) s->total[k][c] += (double)s->part[k][c];
        memset(s->part[k], 0, sizeof s->part[k]);
    }
}

/* dx[t] = sum_j w[K-1-j] dy[t+j] over the `later` steps from t on in the same document;  dw[K-1-j] += dy[t] x[t-j] over the `earlier`. */
static void backward_step(ae_elem *dx, tap_sums *s, float taps[TAPS_MAX][TAPS_TILE], const ae_elem *dy,
                          const ae_elem *x, ptrdiff_t later, ptrdiff_t earlier, ptrdiff_t width,
                          ae_conv_dims n) {
    for (ptrdiff_t c = 0; c < width; c += VF) {
        const ptrdiff_t left = width - c;
        const vf d = va_load_n(dy + c, left);
        vf sum = vf_set(0);
        for (ptrdiff_t j = 0; j < later; j++)
            sum = vf_fma(vf_load(taps[n.K - 1 - j] + c), va_load_n(dy + j * n.C + c, left), sum);
        va_store_n(dx + c, sum, left);
        for (ptrdiff_t j = 0; j < earlier; j++) {
            float *part = s->part[n.K - 1 - j] + c;
            vf_store(part, vf_fma(d, va_load_n(x - j * n.C + c, left), vf_load(part)));
        }
        vf_store(s->part[n.K] + c, vf_load(s->part[n.K] + c) + d);
    }
}

/* dw[K-1-j] += dy[t] x[t-j] for the inputs before the row, t < j < `earlier`; `last` is the one just before it. */
static void state_step(tap_sums *s, const ae_elem *dy, const float *last, ptrdiff_t t, ptrdiff_t earlier,
                       ptrdiff_t width, ae_conv_dims n) {
    for (ptrdiff_t j = t + 1; j < earlier; j++) {
        float *part = s->part[n.K - 1 - j];
        const float *x = last - (j - t - 1) * n.C;
        for (ptrdiff_t c = 0; c < width; c += VF) {
            const ptrdiff_t left = width - c;
            vf_store(part + c, vf_fma(va_load_n(dy + c, left), vf_load_n(x + c, left), vf_load(part + c)));
        }
    }
}

static void backward_tile(ae_elem *dx, float *dw, float *dbias, const ae_elem *dy, const ae_elem *x,
                          const float *state, const float *w, const int32_t *positions, ae_conv_dims n,
                          ptrdiff_t c0, ptrdiff_t width) {
    float taps[TAPS_MAX][TAPS_TILE];
    tap_sums s;
    turn_taps(taps, w, c0, width, n.K);
    for (ptrdiff_t k = 0; k <= n.K; k++) {
        memset(s.part[k], 0, sizeof s.part[k]);
        memset(s.total[k], 0, sizeof s.total[k]);
    }
    for (ptrdiff_t row = 0; row < n.B * n.T; row++) {
        const ptrdiff_t t = row % n.T, at = row * n.C + c0;
        ptrdiff_t later = 1;
        while (later < n.K && t + later < n.T && positions[row + later] != 0) later++;
        backward_step(dx + at, &s, taps, dy + at, x + at, later,
                      1 + ae_min(n.K - 1, ae_min(t, positions[row])), width, n);
        if (state && t < n.K - 1)
            state_step(&s, dy + at, state + ((row / n.T + 1) * (n.K - 1) - 1) * n.C + c0, t,
                       1 + ae_min(n.K - 1, positions[row]), width, n);
        if ((t + 1) % AE_SUM_ROWS == 0 || t + 1 == n.T) flush(&s, n.K);
    }
    for (ptrdiff_t c = 0; c < width; c++) {
        for (ptrdiff_t k = 0; dw && k < n.K; k++) dw[(c0 + c) * n.K + k] += (float)s.total[k][c];
        if (dbias) dbias[c0 + c] += (float)s.total[n.K][c];
    }
}

void AE_ROW_NAME(ae_cpu_conv_backward)(ae_act *dx_, ae_f32 *dw_, ae_f32 *dbias_, const ae_act *dy_,
                                       const ae_act *x_, const ae_f32 *state_, const ae_f32 *w_,
                                       const ae_i32 *positions_, ae_conv_dims n) {
    assert(n.K >= 1 && n.K <= TAPS_MAX);
#pragma omp parallel
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TAPS_TILE)
            backward_tile(ae_ma(dx_), ae_mf(dw_), ae_mf(dbias_), ae_ca(dy_), ae_ca(x_), ae_cf(state_),
                          ae_cf(w_), ae_ci(positions_), n, c, ae_min(TAPS_TILE, s.last - c));
    }
}
