#include "ops/embedding.h"

#include "ops/cpu/panels.h"
#include "ops/cpu/rows.h"
#include "ops/cpu/table.h"

void AE_ROW_NAME(ae_cpu_embedding_forward)(const ae_backend *be, ae_f32 *x_, const ae_weight *table_,
                                           const ae_i32 *tokens_, float scale, ptrdiff_t M, ptrdiff_t D) {
    float *x = ae_mf(x_);
    const ae_cpu_weight *w = ae_cpu_weight_of(table_);
    const float *table = w->master;
    const int32_t *tokens = ae_ci(tokens_);
#pragma omp parallel for num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m++) {
        if (w->panels) {
            ae_cpu_panels_row(x + m * D, w, tokens[m], scale);
            continue;
        }
        const float *row = table + (ptrdiff_t)tokens[m] * D;
        for (ptrdiff_t d = 0; d < D; d += VF)
            vf_store_n(x + m * D + d, vf_set(scale) * vf_load_n(row + d, D - d), D - d);
    }
}

/* Tokens repeat, so threads split the columns and each walks all tokens in order. */
void AE_ROW_NAME(ae_cpu_embedding_backward)(const ae_backend *be, ae_f32 *dtable_, const ae_f32 *dx_,
                                            const ae_i32 *tokens_, float scale, ptrdiff_t M, ptrdiff_t D) {
    float *dtable = ae_mf(dtable_);
    const float *dx = ae_cf(dx_);
    const int32_t *tokens = ae_ci(tokens_);
    if (!dtable) return;
#pragma omp parallel num_threads(ae_team(be))
    {
        const ae_share s = ae_share_columns(D);
        for (ptrdiff_t m = 0; m < M; m++) {
            float *row = dtable + (ptrdiff_t)tokens[m] * D;
            for (ptrdiff_t d = s.first; d < s.last; d += VF) {
                const ptrdiff_t n = s.last - d;
                vf_store_n(row + d,
                           vf_fma(vf_set(scale), vf_load_n(dx + m * D + d, n), vf_load_n(row + d, n)), n);
            }
        }
    }
}
