#ifndef AE_OPS_CPU_SUMS_H
#define AE_OPS_CPU_SUMS_H
#include "ops/cpu/act.h"

/* sum[c] += column sums of x [M, n] over this thread's share of the columns. Call inside a parallel region. */
static inline void ae_column_sums(float *sum, const ae_elem *x, ptrdiff_t M, ptrdiff_t n) {
    enum { WIDE = 4 * VF };
    const ae_share s = ae_share_columns(n);
    for (ptrdiff_t c = s.first; c < s.last; c += WIDE) {
        double total[WIDE] = {0};
        const ptrdiff_t width = ae_min(WIDE, s.last - c);
        for (ptrdiff_t m0 = 0; m0 < M; m0 += AE_SUM_ROWS) {
            vf part[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
            for (ptrdiff_t m = m0; m < ae_min(M, m0 + AE_SUM_ROWS); m++)
                for (ptrdiff_t k = 0; k * VF < width; k++)
                    part[k] = part[k] + va_load_n(x + m * n + c + k * VF, width - k * VF);
            float flat[WIDE];
            for (int k = 0; k < 4; k++) vf_store(flat + k * VF, part[k]);
            for (ptrdiff_t i = 0; i < width; i++) total[i] += (double)flat[i];
        }
        for (ptrdiff_t i = 0; i < width; i++) sum[c + i] += (float)total[i];
    }
}

#endif
