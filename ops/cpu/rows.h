#ifndef AE_OPS_CPU_ROWS_H
#define AE_OPS_CPU_ROWS_H
#include "core/simd.h"
#include "ops/cpu/team.h"
#include "ops/types.h"

#include <omp.h>

/* How the CPU files see device memory: plain float32. */
static inline float *ae_mf(void *x) {
    return (float *)x;
}
static inline const float *ae_cf(const void *x) {
    return (const float *)x;
}
static inline const int32_t *ae_ci(const ae_i32 *x) {
    return (const int32_t *)(const void *)x;
}

/* Sums over tokens are taken in float32 over blocks of so many rows, and across blocks in double. */
enum { AE_SUM_ROWS = 256 };

/* This thread's share [first, last) of n columns, in whole vectors: for work in which every column is on its
 * own, so that the bits do not depend on the split. */
typedef struct {
    ptrdiff_t first, last;
} ae_share;
static inline ae_share ae_share_columns(ptrdiff_t n) {
    const ptrdiff_t threads = omp_get_num_threads(), rank = omp_get_thread_num();
    const ptrdiff_t each = ae_ceil_div(ae_ceil_div(n, threads), 16) * 16;
    return (ae_share){ae_min(n, rank * each), ae_min(n, (rank + 1) * each)};
}

#endif
