#include "ops/adamw.h"

#include "ops/cpu/memory.h"
#include "ops/cpu/rows.h"
#include "ops/cpu/table.h"
#include "ops/cpu/weight.h"

#include <assert.h>

enum { CHUNK = AE_SWEEP_CHUNK };

static void update(float *w, float *m, float *v, float *g, const ae_adamw_step *s, ptrdiff_t n) {
    const vf b1 = vf_set(s->beta1), b2 = vf_set(s->beta2), c1 = vf_set(1.0f - s->beta1),
             c2 = vf_set(1.0f - s->beta2);
    const vf inverse1 = vf_set(1.0f / s->correction1), inverse2 = vf_set(1.0f / s->correction2);
    for (ptrdiff_t i = 0; i < n; i += VF) {
        const ptrdiff_t left = n - i;
        const vf grad = vf_set(s->grad_scale) * vf_load_n(g + i, left), old = vf_load_n(w + i, left);
        const vf m1 = vf_fma(b1, vf_load_n(m + i, left), c1 * grad);
        const vf v1 = vf_fma(b2, vf_load_n(v + i, left), c2 * grad * grad);
        const vf step = m1 * inverse1 / (vf_sqrt(v1 * inverse2) + vf_set(s->eps));
        vf_store_n(w + i, vf_fnma(vf_set(s->lr), vf_fma(vf_set(s->decay), old, step), old), left);
        vf_store_n(m + i, m1, left);
        vf_store_n(v + i, v1, left);
        vf_store_n(g + i, vf_set(0), left);
    }
}

/* Moments in float32. */
static float *f32_of(ae_moment *x, const ae_adamw_step *s) {
    assert(s->moments == AE_MOMENTS_F32);
    (void)s;
    return (float *)(void *)x;
}

void AE_ROW_NAME(ae_cpu_adamw)(const ae_backend *be, ae_f32 *w_, ae_moment *m_, ae_moment *v_, ae_f32 *g_,
                               ae_adamw_step s, ptrdiff_t n) {
    float *w = ae_mf(w_), *m = f32_of(m_, &s), *v = f32_of(v_, &s), *g = ae_mf(g_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t i = 0; i < n; i += CHUNK) update(w + i, m + i, v + i, g + i, &s, ae_min(CHUNK, n - i));
}

void AE_ROW_NAME(ae_cpu_adamw_weight)(const ae_backend *be, ae_weight *packed, ae_f32 *w_, ae_moment *m_,
                                      ae_moment *v_, ae_f32 *g_, ae_adamw_step s, ptrdiff_t rows,
                                      ptrdiff_t cols) {
    float *w = ae_mf(w_), *m = f32_of(m_, &s), *v = f32_of(v_, &s), *g = ae_mf(g_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t r = 0; r < rows; r += AE_WEIGHT_ROWS) {
        const ptrdiff_t n = ae_min(AE_WEIGHT_ROWS, rows - r), i = r * cols;
        update(w + i, m + i, v + i, g + i, &s, n * cols);
        ae_cpu_weight_pack_rows(packed, r, n);
    }
}
