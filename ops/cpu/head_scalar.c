#include "ops/head_scalar.h"

#include "ops/cpu/sums.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"

static float dot(const ae_elem *z, const float *w, ptrdiff_t D) {
    vf s[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    ptrdiff_t d = 0;
    for (; d + 4 * VF <= D; d += 4 * VF)
        AE_EACH(j, 4) s[j] = vf_fma(va_load(z + d + j * VF), vf_load(w + d + j * VF), s[j]);
    for (; d < D; d += VF) s[0] = vf_fma(va_load_n(z + d, D - d), vf_load_n(w + d, D - d), s[0]);
    return vf_sum((s[0] + s[1]) + (s[2] + s[3]));
}

void AE_ROW_NAME(ae_cpu_head_scalar_forward)(const ae_backend *be, ae_f32 *value, const ae_act *z,
                                             const ae_f32 *w, ptrdiff_t M, ptrdiff_t D) {
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m++) ae_mf(value)[m] = dot(ae_ca(z) + m * D, ae_cf(w), D);
}

static void input_row(ae_elem *dz, const float *w, float dvalue, bool add, ptrdiff_t D) {
    const vf by = vf_set(dvalue);
    for (ptrdiff_t d = 0; d < D; d += VF) {
        const vf before = add ? va_load_n(dz + d, D - d) : vf_set(0);
        va_store_n(dz + d, vf_fma(by, vf_load_n(w + d, D - d), before), D - d);
    }
}

/* part[d] += dvalue[m] z[m,d] over a block of rows, and a tile of columns. */
static void add_block(float *part, const ae_elem *z, const float *dvalue, ptrdiff_t rows, ptrdiff_t ld,
                      ptrdiff_t n) {
    for (ptrdiff_t m = 0; m < rows; m++) {
        if (dvalue[m] == 0.0f) continue;
        for (ptrdiff_t d = 0; d < n; d += VF)
            vf_store_n(
                part + d,
                vf_fma(vf_set(dvalue[m]), va_load_n(z + m * ld + d, n - d), vf_load_n(part + d, n - d)),
                n - d);
    }
}

/* This thread's share of dw: tokens in blocks in float32, across blocks in double. */
static void weight_share(float *dw, const ae_elem *z, const float *dvalue, ptrdiff_t M, ptrdiff_t D) {
    const ae_share s = ae_share_columns(D);
    for (ptrdiff_t first = s.first; first < s.last; first += AE_SUM_TILE) {
        float part[AE_SUM_TILE];
        double total[AE_SUM_TILE] = {0};
        const ptrdiff_t width = ae_min(AE_SUM_TILE, s.last - first);
        for (ptrdiff_t m = 0; m < M; m += AE_SUM_ROWS) {
            memset(part, 0, sizeof part);
            add_block(part, z + m * D + first, dvalue + m, ae_min(AE_SUM_ROWS, M - m), D, width);
            for (ptrdiff_t d = 0; d < width; d++) total[d] += (double)part[d];
        }
        for (ptrdiff_t d = 0; d < width; d++) dw[first + d] += (float)total[d];
    }
}

void AE_ROW_NAME(ae_cpu_head_scalar_backward)(const ae_backend *be, ae_act *dz, ae_f32 *dw, bool add,
                                              const ae_f32 *dvalue_, const ae_act *z, const ae_f32 *w,
                                              ptrdiff_t M, ptrdiff_t D) {
    const float *dvalue = ae_cf(dvalue_);
#pragma omp parallel num_threads(ae_team(be))
    {
#pragma omp for
        for (ptrdiff_t m = 0; m < M; m++) input_row(ae_ma(dz) + m * D, ae_cf(w), dvalue[m], add, D);
        if (dw) weight_share(ae_mf(dw), ae_ca(z), dvalue, M, D);
    }
}
