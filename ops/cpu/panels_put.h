#ifndef AE_OPS_CPU_PANELS_PUT_H
#define AE_OPS_CPU_PANELS_PUT_H
#include "core/simd.h"
#include "ops/cpu/panels.h"

/* What the kernels of panels read and write, of either type. */

/* Inputs [i, i + n) of x, counted over all rows; zeros from n on. */
static inline vf ae_panel_load(const ae_panel_product *p, ptrdiff_t i, ptrdiff_t n) {
    return p->x_type == AE_ELEM_F32 ? vf_load_n((const float *)p->x + i, n)
                                    : vf_load_bf16_n((const uint16_t *)p->x + i, n);
}

/* n of them, written up to a multiple of VF. */
static inline void ae_panel_load_row(float *to, const ae_panel_product *p, ptrdiff_t i, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k += VF) vf_store(to + k, ae_panel_load(p, i + k, n - k));
}

static inline void ae_panel_store(const ae_panel_product *p, ptrdiff_t i, vf y, ptrdiff_t n) {
    if (p->out_type == AE_ELEM_F32)
        vf_store_n((float *)p->out + i, y, n);
    else
        vf_store_bf16_n((uint16_t *)p->out + i, y, n);
}

/* Outputs [lane, lane + VF) of a panel, of all M rows: sums[m * pitch]. */
static inline void ae_panel_put(const ae_panel_product *p, const ae_cpu_weight *w, ptrdiff_t panel,
                                ptrdiff_t lane, const float *sums, ptrdiff_t pitch) {
    const ptrdiff_t in_part = panel % ae_panels_of_part(w) * AE_PANEL_LANES + lane;
    const ptrdiff_t o = panel / ae_panels_of_part(w) * ae_panel_part_rows(w) + in_part,
                    n = ae_panel_part_rows(w) - in_part;
    if (n <= 0) return;
    for (ptrdiff_t m = 0; m < p->M; m++) {
        const ptrdiff_t at = m * w->rows + o;
        vf y = vf_load(sums + m * pitch);
        if (p->bias) y = vf_load_n(p->bias + o, n) + y;
        if (p->residual) y = vf_load_n(p->residual + at, n) + y;
        ae_panel_store(p, at, y, n);
    }
}

#endif
