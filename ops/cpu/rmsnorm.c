#include "ops/rmsnorm.h"

#include "ops/cpu/act.h"
#include "ops/cpu/memory.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Vectors at once: runs of whole ones, then the rest one by one under a mask. */
enum { WIDE = 4 };

static inline vf gain(const float *w, ptrdiff_t n) {
    return vf_set(1.0f) + vf_load_n(w, n);
}

/* s[j] += x^2, and x as activations in `kept` where it is not NULL. */
AE_INLINE void squares_vectors(vf *s, ae_elem *kept, const float *x, ptrdiff_t left, const int n) {
    vf v[WIDE];
    AE_EACH(j, n) v[j] = vf_load_n(x + j * VF, left - j * VF);
    AE_EACH(j, n) s[j] = vf_fma(v[j], v[j], s[j]);
    if (kept) AE_EACH(j, n) va_store_n(kept + j * VF, v[j], left - j * VF);
}

static float squares(ae_elem *kept, const float *x, ptrdiff_t D) {
    vf s[WIDE] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    ptrdiff_t d = 0;
    for (; d + WIDE * VF <= D; d += WIDE * VF)
        squares_vectors(s, kept ? kept + d : NULL, x + d, WIDE * VF, WIDE);
    for (; d < D; d += VF) squares_vectors(s, kept ? kept + d : NULL, x + d, D - d, 1);
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

AE_INLINE void scale_vectors(ae_elem *z, const ae_elem *x, const float *w, vf r, ptrdiff_t left,
                             const int n) {
    vf v[WIDE];
    AE_EACH(j, n) v[j] = va_load_n(x + j * VF, left - j * VF) * r * gain(w + j * VF, left - j * VF);
    AE_EACH(j, n) va_store_n(z + j * VF, v[j], left - j * VF);
}

static void scale_row(ae_elem *z, const ae_elem *x, const float *w, float r, ptrdiff_t D) {
    ptrdiff_t d = 0;
    for (; d + WIDE * VF <= D; d += WIDE * VF) scale_vectors(z + d, x + d, w + d, vf_set(r), WIDE * VF, WIDE);
    for (; d < D; d += VF) scale_vectors(z + d, x + d, w + d, vf_set(r), D - d, 1);
}

/* z is computed from the row as it is kept, so that backward recomputes the same z. */
static float forward_row(ae_elem *z, ae_elem *kept, const float *x, const float *w, float eps, ptrdiff_t D) {
#ifdef AE_ACT_BF16
    ae_elem *row = kept ? kept : z;
    const float r = 1.0f / sqrtf(squares(row, x, D) / (float)D + eps);
#else
    const float *row = x, r = 1.0f / sqrtf(squares(kept, x, D) / (float)D + eps);
#endif
    scale_row(z, row, w, r, D);
    return r;
}

void AE_ROW_NAME(ae_cpu_rmsnorm_forward)(const ae_backend *be, ae_act *z_, ae_act *kept_, ae_f32 *rstd_,
                                         const ae_f32 *x_, const ae_f32 *w_, float eps, ptrdiff_t M,
                                         ptrdiff_t D) {
    ae_elem *z = ae_ma(z_), *kept = ae_ma(kept_);
    float *rstd = ae_mf(rstd_);
    const float *x = ae_cf(x_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m++)
        rstd[m] = forward_row(z + m * D, kept ? kept + m * D : NULL, x + m * D, ae_cf(w_), eps, D);
}

void AE_ROW_NAME(ae_cpu_rmsnorm_again)(const ae_backend *be, ae_act *z_, const ae_act *kept_,
                                       const ae_f32 *rstd_, const ae_f32 *w_, ptrdiff_t M, ptrdiff_t D) {
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m++)
        scale_row(ae_ma(z_) + m * D, ae_ca(kept_) + m * D, ae_cf(w_), ae_cf(rstd_)[m], D);
}

/* s[j] += dz x (1 + w), and dw += dz x rstd where it is not NULL. */
AE_INLINE void dot_vectors(vf *s, float *dw, const ae_elem *dz, const ae_elem *x, const float *w, vf r,
                           ptrdiff_t left, const int n) {
    vf v[WIDE];
    AE_EACH(j, n)
    v[j] = va_load_n(dz + j * VF, left - j * VF) * va_load_n(x + j * VF, left - j * VF);
    AE_EACH(j, n) s[j] = vf_fma(v[j], gain(w + j * VF, left - j * VF), s[j]);
    if (!dw) return;
    AE_EACH(j, n) v[j] = vf_fma(v[j], r, vf_load_n(dw + j * VF, left - j * VF));
    AE_EACH(j, n) vf_store_n(dw + j * VF, v[j], left - j * VF);
}

static float dot3(float *dw, const ae_elem *dz, const ae_elem *x, const float *w, float r, ptrdiff_t D) {
    vf s[WIDE] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    ptrdiff_t d = 0;
    for (; d + WIDE * VF <= D; d += WIDE * VF)
        dot_vectors(s, dw ? dw + d : NULL, dz + d, x + d, w + d, vf_set(r), WIDE * VF, WIDE);
    for (; d < D; d += VF) dot_vectors(s, dw ? dw + d : NULL, dz + d, x + d, w + d, vf_set(r), D - d, 1);
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

AE_INLINE void input_vectors(float *dx, const ae_elem *dz, const ae_elem *x, const float *w, vf scale,
                             vf pull, ptrdiff_t left, const int n) {
    vf v[WIDE];
    AE_EACH(j, n) v[j] = scale * va_load_n(dz + j * VF, left - j * VF) * gain(w + j * VF, left - j * VF);
    AE_EACH(j, n) v[j] = vf_fnma(pull, va_load_n(x + j * VF, left - j * VF), v[j]);
    AE_EACH(j, n) v[j] = vf_load_n(dx + j * VF, left - j * VF) + v[j];
    AE_EACH(j, n) vf_store_n(dx + j * VF, v[j], left - j * VF);
}

/* With xhat = x rstd and g = dz (1 + w): dx += rstd (g - xhat mean(g xhat)). The row stays in cache between its two sweeps. */
static void backward_row(float *dx, float *dw, const ae_elem *dz, const ae_elem *x, const float *w, float r,
                         ptrdiff_t D) {
    const float mean = dot3(dw, dz, x, w, r, D) * r / (float)D;
    const vf scale = vf_set(r), pull = vf_set(mean * r * r);
    ptrdiff_t d = 0;
    for (; d + WIDE * VF <= D; d += WIDE * VF)
        input_vectors(dx + d, dz + d, x + d, w + d, scale, pull, WIDE * VF, WIDE);
    for (; d < D; d += VF) input_vectors(dx + d, dz + d, x + d, w + d, scale, pull, D - d, 1);
}

/* Groups of rows, cut by M alone, sum a dw of their own in double, each by blocks in float32; the groups are added in their order. */
enum { GROUPS_MAX = 64, GROUP_ROWS_MIN = 32 };

typedef struct {
    ptrdiff_t D, rows, groups;
    double *total; /* [groups, D] */
    float *part;   /* [groups, D]: of the block at work */
} weight_sums;

static weight_sums sums_for(const ae_backend *be, ptrdiff_t M, ptrdiff_t D) {
    weight_sums s = {.D = D, .rows = ae_max(GROUP_ROWS_MIN, ae_ceil_div(M, GROUPS_MAX))};
    s.groups = ae_ceil_div(M, s.rows);
    const size_t bytes = (size_t)(s.groups * D + 1) * (sizeof *s.total + sizeof *s.part);
    s.total = ae_cpu_room(be, _Alignof(double), bytes);
    if (!s.total) return s;
    memset(s.total, 0, bytes);
    s.part = (float *)(void *)(s.total + s.groups * D);
    return s;
}

static void flush(const weight_sums *s, ptrdiff_t group) {
    double *total = s->total + group * s->D;
    float *part = s->part + group * s->D;
    for (ptrdiff_t d = 0; d < s->D; d++) total[d] += (double)part[d];
    memset(part, 0, (size_t)s->D * sizeof *part);
}

static void gather(float *dw, const weight_sums *s, ae_share columns) {
    for (ptrdiff_t d = columns.first; d < columns.last; d++) {
        double sum = 0;
        for (ptrdiff_t g = 0; g < s->groups; g++) sum += s->total[g * s->D + d];
        dw[d] += (float)sum;
    }
}

void AE_ROW_NAME(ae_cpu_rmsnorm_backward)(const ae_backend *be, ae_f32 *dx_, ae_f32 *dw_, const ae_act *dz_,
                                          const ae_act *x_, const ae_f32 *w_, const ae_f32 *rstd_,
                                          ptrdiff_t M, ptrdiff_t D) {
    float *dx = ae_mf(dx_);
    const ae_elem *dz = ae_ca(dz_), *x = ae_ca(x_);
    const float *w = ae_cf(w_), *rstd = ae_cf(rstd_);
    const weight_sums s = sums_for(be, M, D);
    if (!s.total) return;
#pragma omp parallel num_threads(ae_team(be))
    {
#pragma omp for
        for (ptrdiff_t g = 0; g < s.groups; g++) {
            const ptrdiff_t first = g * s.rows, last = ae_min(M, first + s.rows);
            float *part = dw_ ? s.part + g * D : NULL;
            for (ptrdiff_t m = first; m < last; m++) {
                backward_row(dx + m * D, part, dz + m * D, x + m * D, w, rstd[m], D);
                if (part && (m + 1 == last || (m + 1 - first) % AE_SUM_ROWS == 0)) flush(&s, g);
            }
        }
        if (dw_) gather(ae_mf(dw_), &s, ae_share_columns(D));
    }
    free(s.total);
}
