#include "ops/rope.h"

#include "ops/cpu/act.h"
#include "ops/cpu/table.h"

#include <math.h>

/* Frequencies are made once, so many at a time; angles in double, exact at far positions. */
void AE_ROW_NAME(ae_cpu_rope_table)(const ae_backend *be, ae_f32 *cosines_, ae_f32 *sines_,
                                    const ae_i32 *positions_, double theta, ptrdiff_t M, ptrdiff_t R) {
    enum { FREQUENCIES = 256 };
    const int32_t *positions = ae_ci(positions_);
    const ptrdiff_t half = R / 2;
    for (ptrdiff_t first = 0; first < half; first += FREQUENCIES) {
        const ptrdiff_t n = ae_min(FREQUENCIES, half - first);
        float *cosines = ae_mf(cosines_) + first, *sines = ae_mf(sines_) + first;
        double frequency[FREQUENCIES];
        for (ptrdiff_t j = 0; j < n; j++) frequency[j] = pow(theta, -2.0 * (double)(first + j) / (double)R);
#pragma omp parallel for num_threads(ae_team(be))
        for (ptrdiff_t m = 0; m < M; m++) {
            for (ptrdiff_t j = 0; j < n; j++) {
                const double angle = (double)positions[m] * frequency[j];
                cosines[m * half + j] = (float)cos(angle);
                sines[m * half + j] = (float)sin(angle);
            }
        }
    }
}

static void turn(ae_elem *x, const float *cosines, const float *sines, float sign, ptrdiff_t half) {
    for (ptrdiff_t j = 0; j < half; j += VF) {
        const ptrdiff_t n = half - j;
        const vf a = va_load_n(x + j, n), b = va_load_n(x + half + j, n);
        const vf c = vf_load_n(cosines + j, n), s = vf_set(sign) * vf_load_n(sines + j, n);
        va_store_n(x + j, vf_fnma(b, s, a * c), n);
        va_store_n(x + half + j, vf_fma(a, s, b * c), n);
    }
}

void AE_ROW_NAME(ae_cpu_rope_apply)(const ae_backend *be, ae_act *x_, const ae_f32 *cosines_,
                                    const ae_f32 *sines_, bool inverse, ptrdiff_t M, ptrdiff_t heads,
                                    ptrdiff_t H, ptrdiff_t R) {
    ae_elem *x = ae_ma(x_);
    const float *cosines = ae_cf(cosines_), *sines = ae_cf(sines_);
    const ptrdiff_t half = R / 2;
    const float sign = inverse ? -1.0f : 1.0f;
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m++)
        for (ptrdiff_t h = 0; h < heads; h++)
            turn(x + (m * heads + h) * H, cosines + m * half, sines + m * half, sign, half);
}
