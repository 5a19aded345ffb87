#ifndef AE_OPS_CPU_PANELS_PUT_H
#define AE_OPS_CPU_PANELS_PUT_H
#include "core/simd.h"
#include "ops/cpu/panels.h"

/* Where the sums of a panel go: out = residual + (bias + sums), [M, rows]; residual and bias may be NULL. */
typedef struct {
    float *out;
    const float *residual, *bias;
    ptrdiff_t M;
} ae_panel_target;

/* Outputs [lane, lane + VF) of a panel, of all M rows: sums[m * pitch]. */
static inline void ae_panel_put(const ae_panel_target *t, const ae_cpu_weight *w, ptrdiff_t panel,
                                ptrdiff_t lane, const float *sums, ptrdiff_t pitch) {
    const ptrdiff_t in_part = panel % ae_panels_of_part(w) * AE_PANEL_LANES + lane;
    const ptrdiff_t o = panel / ae_panels_of_part(w) * ae_panel_part_rows(w) + in_part,
                    n = ae_panel_part_rows(w) - in_part;
    if (n <= 0) return;
    for (ptrdiff_t m = 0; m < t->M; m++) {
        const ptrdiff_t at = m * w->rows + o;
        vf y = vf_load(sums + m * pitch);
        if (t->bias) y = vf_load_n(t->bias + o, n) + y;
        if (t->residual) y = vf_load_n(t->residual + at, n) + y;
        vf_store_n(t->out + at, y, n);
    }
}

#endif
