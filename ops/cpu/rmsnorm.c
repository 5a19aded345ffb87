#include "ops/rmsnorm.h"

#include "ops/cpu/act.h"
#include "ops/cpu/table.h"

#include <math.h>

static inline vf gain(const float *w, ptrdiff_t n) {
    return vf_set(1.0f) + vf_load_n(w, n);
}

static float squares(const float *x, ptrdiff_t n) {
    vf s[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    for (ptrdiff_t i = 0; i < n; i += 4 * VF) {
        for (ptrdiff_t k = 0; k < 4 && i + k * VF < n; k++) {
            const vf v = vf_load_n(x + i + k * VF, n - i - k * VF);
            s[k] = vf_fma(v, v, s[k]);
        }
    }
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

/* sum of dz x (1 + w), in four running vectors. */
static float dot3(const ae_elem *dz, const ae_elem *x, const float *w, ptrdiff_t n) {
    vf s[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    for (ptrdiff_t i = 0; i < n; i += 4 * VF) {
        for (ptrdiff_t k = 0; k < 4 && i + k * VF < n; k++) {
            const ptrdiff_t at = i + k * VF, left = n - at;
            s[k] = vf_fma(va_load_n(dz + at, left) * gain(w + at, left), va_load_n(x + at, left), s[k]);
        }
    }
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

static void scale_row(ae_elem *z, const ae_elem *x, const float *w, float r, ptrdiff_t D) {
    for (ptrdiff_t d = 0; d < D; d += VF)
        va_store_n(z + d, va_load_n(x + d, D - d) * vf_set(r) * gain(w + d, D - d), D - d);
}

static void norm_row(ae_elem *z, ae_elem *kept, const float *x, const float *w, float r, ptrdiff_t D) {
    for (ptrdiff_t d = 0; d < D; d += VF) {
        const vf v = vf_load_n(x + d, D - d);
        va_store_n(z + d, v * vf_set(r) * gain(w + d, D - d), D - d);
        if (kept) va_store_n(kept + d, v, D - d);
    }
}

void AE_ROW_NAME(ae_cpu_rmsnorm_forward)(ae_act *z_, ae_act *kept_, ae_f32 *rstd_, const ae_f32 *x_,
                                         const ae_f32 *w_, float eps, ptrdiff_t M, ptrdiff_t D) {
    ae_elem *z = ae_ma(z_), *kept = ae_ma(kept_);
    float *rstd = ae_mf(rstd_);
    const float *x = ae_cf(x_);
#pragma omp parallel for
    for (ptrdiff_t m = 0; m < M; m++) {
        const float *row = x + m * D;
        rstd[m] = 1.0f / sqrtf(squares(row, D) / (float)D + eps);
        norm_row(z + m * D, kept ? kept + m * D : NULL, row, ae_cf(w_), rstd[m], D);
    }
}

void AE_ROW_NAME(ae_cpu_rmsnorm_again)(ae_act *z_, const ae_act *kept_, const ae_f32 *rstd_, const ae_f32 *w_,
                                       ptrdiff_t M, ptrdiff_t D) {
#pragma omp parallel for
    for (ptrdiff_t m = 0; m < M; m++)
        scale_row(ae_ma(z_) + m * D, ae_ca(kept_) + m * D, ae_cf(w_), ae_cf(rstd_)[m], D);
}

/* With xhat = x rstd and g = dz (1 + w): dx += rstd (g - xhat mean(g xhat)). */
static void backward_row(float *dx, const ae_elem *dz, const ae_elem *x, const float *w, float r,
                         ptrdiff_t D) {
    const float mean = dot3(dz, x, w, D) * r / (float)D;
    const vf scale = vf_set(r), pull = vf_set(mean * r * r);
    for (ptrdiff_t d = 0; d < D; d += VF) {
        const ptrdiff_t n = D - d;
        const vf g = va_load_n(dz + d, n) * gain(w + d, n);
        const vf add = vf_fnma(pull, va_load_n(x + d, n), scale * g);
        vf_store_n(dx + d, vf_load_n(dx + d, n) + add, n);
    }
}

/* dw of one vector of columns: dz x rstd summed over rows, by blocks in float32, across blocks in double. */
static void weight_columns(float *dw, const ae_elem *dz, const ae_elem *x, const float *rstd, ptrdiff_t M,
                           ptrdiff_t D, ae_share s) {
    for (ptrdiff_t d = s.first; d < s.last; d += 4 * VF) {
        double total[4 * VF] = {0};
        const ptrdiff_t width = ae_min(4 * VF, s.last - d);
        for (ptrdiff_t m0 = 0; m0 < M; m0 += AE_SUM_ROWS) {
            vf sum[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
            for (ptrdiff_t m = m0; m < ae_min(M, m0 + AE_SUM_ROWS); m++) {
                for (ptrdiff_t k = 0; k * VF < width; k++) {
                    const ptrdiff_t at = m * D + d + k * VF, n = width - k * VF;
                    sum[k] = vf_fma(va_load_n(dz + at, n) * vf_set(rstd[m]), va_load_n(x + at, n), sum[k]);
                }
            }
            float part[4 * VF];
            for (int k = 0; k < 4; k++) vf_store(part + k * VF, sum[k]);
            for (ptrdiff_t i = 0; i < width; i++) total[i] += (double)part[i];
        }
        for (ptrdiff_t i = 0; i < width; i++) dw[d + i] += (float)total[i];
    }
}

void AE_ROW_NAME(ae_cpu_rmsnorm_backward)(ae_f32 *dx_, ae_f32 *dw_, const ae_act *dz_, const ae_act *x_,
                                          const ae_f32 *w_, const ae_f32 *rstd_, ptrdiff_t M, ptrdiff_t D) {
    float *dx = ae_mf(dx_);
    const ae_elem *dz = ae_ca(dz_), *x = ae_ca(x_);
    const float *w = ae_cf(w_), *rstd = ae_cf(rstd_);
#pragma omp parallel
    {
        if (dw_) weight_columns(ae_mf(dw_), dz, x, rstd, M, D, ae_share_columns(D));
#pragma omp for
        for (ptrdiff_t m = 0; m < M; m++) backward_row(dx + m * D, dz + m * D, x + m * D, w, rstd[m], D);
    }
}
