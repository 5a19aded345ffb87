#include "ops/conv.h"

#include "ops/cpu/act.h"
#include "ops/cpu/forks.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

#include <assert.h>
#include <string.h>

enum { TAPS_MAX = 64, TAPS_TILE = 256 };

/* Where so many steps on end have all of so many taps inside the stretch and one document, they are taken together: every input is then
 * loaded and converted once, and no tap is asked for. Sums run in the same order as one by one. */
enum { STEPS = 4, STEPS_TAPS = 4, STEPS_INPUTS = STEPS + STEPS_TAPS - 1 };

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
                          int32_t position, const ae_stretch *s, ae_conv_dims n) {
    const ptrdiff_t beyond = back - (t - s->first); /* 1: the last input before the stretch */
    if (position < back) return (tap_input){NULL, NULL};
    if (beyond <= 0) return (tap_input){x + (b * n.T + t - back) * n.C, NULL};
    if (s->before >= 0) return (tap_input){x + (b * n.T + s->before + 1 - beyond) * n.C, NULL};
    return (tap_input){NULL, state ? state + ((b + 1) * (n.K - 1) - beyond) * n.C : NULL};
}

static inline vf input_at(tap_input in, ptrdiff_t c, ptrdiff_t n) {
    return in.x ? va_load_n(in.x + c, n) : vf_load_n(in.state + c, n);
}

/* The oldest tap of each of the steps from t on lies in the stretch; `row` are the positions of the row. */
static bool steps_forward(const int32_t *row, ptrdiff_t t, const ae_stretch *s, ae_conv_dims n) {
    if (n.K != STEPS_TAPS || t - s->first < STEPS_TAPS - 1 || t + STEPS > s->last) return false;
    for (int j = 0; j < STEPS; j++)
        if (row[t + j] < STEPS_TAPS - 1) return false;
    return true;
}

AE_INLINE void forward_steps(ae_elem *y, const ae_elem *x, float taps[TAPS_MAX][TAPS_TILE], const float *bias,
                             ptrdiff_t C, ptrdiff_t c, ptrdiff_t left) {
    const ae_elem *oldest = x - (STEPS_TAPS - 1) * C + c;
    vf in[STEPS_INPUTS], sum[STEPS];
    AE_EACH(j, STEPS_INPUTS) in[j] = va_load_n(oldest + j * C, left);
    AE_EACH(j, STEPS) sum[j] = vf_load_n(bias + c, left);
    AE_EACH(k, STEPS_TAPS) {
        const vf tap = vf_load(taps[k] + c);
        AE_EACH(j, STEPS) sum[j] = vf_fma(tap, in[j + k], sum[j]);
    }
    AE_EACH(j, STEPS) va_store_n(y + j * C + c, sum[j], left);
}

static void forward_steps_tile(ae_elem *y, const ae_elem *x, float taps[TAPS_MAX][TAPS_TILE],
                               const float *bias, ptrdiff_t C, ptrdiff_t width) {
    ptrdiff_t c = 0;
    for (; c + VF <= width; c += VF) forward_steps(y, x, taps, bias, C, c, VF);
    if (c < width) forward_steps(y, x, taps, bias, C, c, width - c);
}

static void forward_step(ae_elem *y, const float *state, const ae_elem *x, float taps[TAPS_MAX][TAPS_TILE],
                         const float *bias, int32_t position, const ae_stretch *s, ae_conv_dims n,
                         ptrdiff_t b, ptrdiff_t t, ptrdiff_t c0, ptrdiff_t width) {
    tap_input in[TAPS_MAX];
    for (ptrdiff_t k = 0; k < n.K; k++) in[k] = input_of(x, state, b, t, n.K - 1 - k, position, s, n);
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

static void forward_stretch(ae_elem *y, const float *state, const ae_elem *x, float taps[TAPS_MAX][TAPS_TILE],
                            const float *bias, const int32_t *row, const ae_stretch *s, ae_conv_dims n,
                            ptrdiff_t b, ptrdiff_t c0, ptrdiff_t width) {
    for (ptrdiff_t t = s->first; t < s->last;) {
        const ptrdiff_t at = (b * n.T + t) * n.C + c0;
        if (steps_forward(row, t, s, n)) {
            forward_steps_tile(y + at, x + at, taps, bias + c0, n.C, width);
            t += STEPS;
        } else {
            forward_step(y, state, x, taps, bias, row[t], s, n, b, t, c0, width);
            t++;
        }
    }
}

static void forward_tile(ae_elem *y, const float *state, const ae_elem *x, const float *w, const float *bias,
                         const int32_t *positions, ae_conv_dims n, ptrdiff_t c0, ptrdiff_t width) {
    float taps[TAPS_MAX][TAPS_TILE];
    turn_taps(taps, w, c0, width, n.K);
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const int32_t *row = positions + b * n.T;
        for (ae_stretch s = ae_stretch_from(row, n.T, 0); s.first < n.T;
             s = ae_stretch_from(row, n.T, s.last))
            forward_stretch(y, state, x, taps, bias, row, &s, n, b, c0, width);
    }
}

/* The last K-1 inputs of row b, older ones moving up when the row is shorter. */
static void update_state(float *state, const ae_elem *x, ae_conv_dims n, ptrdiff_t b) {
    const ptrdiff_t keep = n.K - 1, fresh = ae_min(keep, n.T), old = keep - fresh;
    float *s = state + b * keep * n.C;
    const ae_elem *last = x + ((b + 1) * n.T - fresh) * n.C;
    memmove(s, s + fresh * n.C, (size_t)(old * n.C) * sizeof *s);
    for (ptrdiff_t i = 0; i < fresh * n.C; i += VF)
        vf_store_n(s + old * n.C + i, va_load_n(last + i, fresh * n.C - i), fresh * n.C - i);
}

void AE_ROW_NAME(ae_cpu_conv_forward)(const ae_backend *be, ae_act *y_, ae_f32 *state_, const ae_act *x_,
                                      const ae_f32 *w_, const ae_f32 *bias_, const ae_i32 *positions_,
                                      ae_conv_dims n) {
    float *state = ae_mf(state_);
    const ae_elem *x = ae_ca(x_);
    assert(n.K >= 1 && n.K <= TAPS_MAX);
#pragma omp parallel num_threads(ae_team(be))
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TAPS_TILE)
            forward_tile(ae_ma(y_), state, x, ae_cf(w_), ae_cf(bias_), ae_ci(positions_), n, c,
                         ae_min(TAPS_TILE, s.last - c));
        if (state) {
#pragma omp barrier
#pragma omp for
            for (ptrdiff_t b = 0; b < n.B; b++) update_state(state, x, n, b);
        }
    }
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

/* What the forks of a document send to the last inputs of its trunk: row i is for the one i places before the trunk's end. */
typedef struct {
    ptrdiff_t end; /* -1: there are no forks */
    float dx[TAPS_MAX][TAPS_TILE];
} trunk_sums;

/* Place i of a continuation, with its dy, reaches back to the trunk with the taps `back` > i. */
static void add_to_trunk(trunk_sums *s, float taps[TAPS_MAX][TAPS_TILE], const ae_elem *dy, ptrdiff_t i,
                         ptrdiff_t width, ae_conv_dims n) {
    for (ptrdiff_t back = i + 1; back < n.K; back++) {
        float *dx = s->dx[back - i - 1];
        for (ptrdiff_t c = 0; c < width; c += VF)
            vf_store(dx + c, vf_fma(vf_load(taps[n.K - 1 - back] + c), va_load_n(dy + c, width - c),
                                    vf_load(dx + c)));
    }
}

/* For the document that begins at `begin` of a row, whose dy are given. */
static void gather_forks(trunk_sums *s, float taps[TAPS_MAX][TAPS_TILE], const ae_elem *dy,
                         const int32_t *row, ptrdiff_t begin, ptrdiff_t width, ae_conv_dims n) {
    s->end = ae_trunk_end(row, n.T, begin);
    if (s->end < 0) return;
    ptrdiff_t fork = -1;
    for (ptrdiff_t k = 0; k < n.K; k++) memset(s->dx[k], 0, sizeof s->dx[k]);
    for (ptrdiff_t t = s->end + 1; t < n.T && row[t] != 0; t++) {
        if (ae_forks_at(row, t)) fork = t;
        if (fork >= 0 && t - fork < n.K - 1) add_to_trunk(s, taps, dy + t * n.C, t - fork, width, n);
    }
}

/* Of place t; NULL where nothing comes from forks. */
static const float *from_forks(const trunk_sums *s, ptrdiff_t t, ae_conv_dims n) {
    return t <= s->end && s->end - t < n.K - 1 ? s->dx[s->end - t] : NULL;
}

/* dx[t] = sum_j w[K-1-j] dy[t+j] over the `later` steps from t on in the same stretch and document, and what comes from `forks` (or
 * NULL);  dw[K-1-j] += dy[t] x[t-j] over the `earlier`. */
static void backward_step(ae_elem *dx, tap_sums *s, float taps[TAPS_MAX][TAPS_TILE], const ae_elem *dy,
                          const ae_elem *x, const float *forks, ptrdiff_t later, ptrdiff_t earlier,
                          ptrdiff_t width, ae_conv_dims n) {
    for (ptrdiff_t c = 0; c < width; c += VF) {
        const ptrdiff_t left = width - c;
        const vf d = va_load_n(dy + c, left);
        vf sum = forks ? vf_load(forks + c) : vf_set(0);
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

/* As steps_forward, and the gradients that reach these steps come from later ones of the stretch and the document. */
static bool steps_backward(const int32_t *row, ptrdiff_t t, const ae_stretch *s, const trunk_sums *trunk,
                           ae_conv_dims n) {
    if (t % STEPS || t + STEPS_INPUTS > s->last || !steps_forward(row, t, s, n)) return false;
    for (int j = 1; j < STEPS_INPUTS; j++)
        if (row[t + j] == 0) return false;
    for (int j = 0; j < STEPS; j++)
        if (from_forks(trunk, t + j, n)) return false;
    return true;
}

AE_INLINE void backward_steps(ae_elem *dx, tap_sums *s, float taps[TAPS_MAX][TAPS_TILE], const ae_elem *dy,
                              const ae_elem *x, ptrdiff_t C, ptrdiff_t c, ptrdiff_t left) {
    const ae_elem *oldest = x - (STEPS_TAPS - 1) * C + c;
    vf d[STEPS_INPUTS], in[STEPS_INPUTS], sum[STEPS];
    AE_EACH(j, STEPS_INPUTS) d[j] = va_load_n(dy + j * C + c, left);
    AE_EACH(j, STEPS_INPUTS) in[j] = va_load_n(oldest + j * C, left);
    AE_EACH(i, STEPS) sum[i] = vf_set(0);
    AE_EACH(j, STEPS_TAPS) {
        const vf tap = vf_load(taps[STEPS_TAPS - 1 - j] + c);
        AE_EACH(i, STEPS) sum[i] = vf_fma(tap, d[i + j], sum[i]);
    }
    AE_EACH(i, STEPS) va_store_n(dx + i * C + c, sum[i], left);
    vf part[STEPS_TAPS + 1];
    AE_EACH(k, STEPS_TAPS + 1) part[k] = vf_load(s->part[k] + c);
    AE_EACH(i, STEPS) {
        AE_EACH(k, STEPS_TAPS) part[k] = vf_fma(d[i], in[i + k], part[k]);
        part[STEPS_TAPS] = part[STEPS_TAPS] + d[i];
    }
    AE_EACH(k, STEPS_TAPS + 1) vf_store(s->part[k] + c, part[k]);
}

static void backward_steps_tile(ae_elem *dx, tap_sums *s, float taps[TAPS_MAX][TAPS_TILE], const ae_elem *dy,
                                const ae_elem *x, ptrdiff_t C, ptrdiff_t width) {
    ptrdiff_t c = 0;
    for (; c + VF <= width; c += VF) backward_steps(dx, s, taps, dy, x, C, c, VF);
    if (c < width) backward_steps(dx, s, taps, dy, x, C, c, width - c);
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

/* The same for inputs of the trunk, of the taps [first, last): x lies as many places after the trunk's end as dy does. */
static void trunk_step(tap_sums *s, const ae_elem *dy, const ae_elem *x, ptrdiff_t first, ptrdiff_t last,
                       ptrdiff_t width, ae_conv_dims n) {
    for (ptrdiff_t j = first; j < last; j++) {
        float *part = s->part[n.K - 1 - j];
        for (ptrdiff_t c = 0; c < width; c += VF) {
            const vf in = va_load_n(x - j * n.C + c, width - c);
            vf_store(part + c, vf_fma(va_load_n(dy + c, width - c), in, vf_load(part + c)));
        }
    }
}

/* The gradients of a tile of channels of one row: its arrays begin at the tile. */
typedef struct {
    ae_elem *dx;
    const ae_elem *dy, *x;
    const float *last; /* the input just before the row, or NULL */
    const int32_t *positions;
    ptrdiff_t width;
} backward_row;

static void backward_place(const backward_row *r, tap_sums *sums, const trunk_sums *trunk,
                           float taps[TAPS_MAX][TAPS_TILE], const ae_stretch *s, ptrdiff_t t,
                           ae_conv_dims n) {
    const ptrdiff_t at = t * n.C, inside = t - s->first, reach = ae_min(n.K - 1, r->positions[t]);
    const ae_elem *dy = r->dy + at;
    ptrdiff_t later = 1;
    while (later < n.K && t + later < s->last && r->positions[t + later] != 0) later++;
    backward_step(r->dx + at, sums, taps, dy, r->x + at, from_forks(trunk, t, n), later,
                  1 + ae_min(inside, reach), r->width, n);
    if (s->before >= 0)
        trunk_step(sums, dy, r->x + (s->before + 1 + inside) * n.C, inside + 1, reach + 1, r->width, n);
    else if (r->last)
        state_step(sums, dy, r->last, inside, 1 + reach, r->width, n);
}

static void backward_stretch(const backward_row *r, tap_sums *sums, trunk_sums *trunk,
                             float taps[TAPS_MAX][TAPS_TILE], const ae_stretch *s, ae_conv_dims n) {
    for (ptrdiff_t t = s->first; t < s->last; t++) {
        const ptrdiff_t at = t * n.C;
        if (r->positions[t] == 0) gather_forks(trunk, taps, r->dy, r->positions, t, r->width, n);
        if (steps_backward(r->positions, t, s, trunk, n)) {
            backward_steps_tile(r->dx + at, sums, taps, r->dy + at, r->x + at, n.C, r->width);
            t += STEPS - 1;
        } else {
            backward_place(r, sums, trunk, taps, s, t, n);
        }
        if ((t + 1) % AE_SUM_ROWS == 0 || t + 1 == n.T) flush(sums, n.K);
    }
}

static void backward_tile(ae_elem *dx, float *dw, float *dbias, const ae_elem *dy, const ae_elem *x,
                          const float *state, const float *w, const int32_t *positions, ae_conv_dims n,
                          ptrdiff_t c0, ptrdiff_t width) {
    float taps[TAPS_MAX][TAPS_TILE];
    tap_sums s;
    trunk_sums trunk;
    turn_taps(taps, w, c0, width, n.K);
    for (ptrdiff_t k = 0; k <= n.K; k++) {
        memset(s.part[k], 0, sizeof s.part[k]);
        memset(s.total[k], 0, sizeof s.total[k]);
    }
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const ptrdiff_t at = b * n.T * n.C + c0;
        const int32_t *row = positions + b * n.T;
        const float *last = state ? state + ((b + 1) * (n.K - 1) - 1) * n.C + c0 : NULL;
        const backward_row r = {dx + at, dy + at, x + at, last, row, width};
        trunk.end = -1;
        for (ae_stretch p = ae_stretch_from(row, n.T, 0); p.first < n.T;
             p = ae_stretch_from(row, n.T, p.last))
            backward_stretch(&r, &s, &trunk, taps, &p, n);
    }
    for (ptrdiff_t c = 0; c < width; c++) {
        for (ptrdiff_t k = 0; dw && k < n.K; k++) dw[(c0 + c) * n.K + k] += (float)s.total[k][c];
        if (dbias) dbias[c0 + c] += (float)s.total[n.K][c];
    }
}

void AE_ROW_NAME(ae_cpu_conv_backward)(const ae_backend *be, ae_act *dx_, ae_f32 *dw_, ae_f32 *dbias_,
                                       const ae_act *dy_, const ae_act *x_, const ae_f32 *state_,
                                       const ae_f32 *w_, const ae_i32 *positions_, ae_conv_dims n) {
    assert(n.K >= 1 && n.K <= TAPS_MAX);
#pragma omp parallel num_threads(ae_team(be))
    {
        const ae_share s = ae_share_columns(n.C);
        for (ptrdiff_t c = s.first; c < s.last; c += TAPS_TILE)
            backward_tile(ae_ma(dx_), ae_mf(dw_), ae_mf(dbias_), ae_ca(dy_), ae_ca(x_), ae_cf(state_),
                          ae_cf(w_), ae_ci(positions_), n, c, ae_min(TAPS_TILE, s.last - c));
    }
}
