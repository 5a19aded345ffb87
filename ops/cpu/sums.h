#ifndef AE_OPS_CPU_SUMS_H
#define AE_OPS_CPU_SUMS_H
#include "ops/cpu/act.h"

#include <string.h>

enum { AE_SUM_TILE = 1024 };

/* part[n] += x [rows, n] of leading dimension ld, row after row, four of them in a sweep. */
static inline void ae_add_rows(float *part, const ae_elem *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n) {
    ptrdiff_t m = 0;
    for (; m + 4 <= rows; m += 4) {
        const ae_elem *at = x + m * ld;
        ptrdiff_t c = 0;
        for (; c + VF <= n; c += VF) {
            vf sum = vf_load(part + c);
            for (ptrdiff_t k = 0; k < 4; k++) sum = sum + va_load(at + k * ld + c);
            vf_store(part + c, sum);
        }
        for (; c < n; c++)
            for (ptrdiff_t k = 0; k < 4; k++) part[c] += ae_elem_value(at[k * ld + c]);
    }
    for (; m < rows; m++)
        for (ptrdiff_t c = 0; c < n; c += VF)
            vf_store_n(part + c, vf_load_n(part + c, n - c) + va_load_n(x + m * ld + c, n - c), n - c);
}

/* sum[c] += column sums of x [M, n] over this thread's share of the columns. Call inside a parallel
 * region. */
static inline void ae_column_sums(float *sum, const ae_elem *x, ptrdiff_t M, ptrdiff_t n) {
    const ae_share s = ae_share_columns(n);
    for (ptrdiff_t first = s.first; first < s.last; first += AE_SUM_TILE) {
        float part[AE_SUM_TILE];
        double total[AE_SUM_TILE];
        const ptrdiff_t width = ae_min(AE_SUM_TILE, s.last - first);
        memset(total, 0, sizeof total);
        for (ptrdiff_t m = 0; m < M; m += AE_SUM_ROWS) {
            memset(part, 0, sizeof part);
            ae_add_rows(part, x + m * n + first, n, ae_min(AE_SUM_ROWS, M - m), width);
            for (ptrdiff_t c = 0; c < width; c++) total[c] += (double)part[c];
        }
        for (ptrdiff_t c = 0; c < width; c++) sum[first + c] += (float)total[c];
    }
}

#endif
