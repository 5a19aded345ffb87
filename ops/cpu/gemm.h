#ifndef AE_OPS_CPU_GEMM_H
#define AE_OPS_CPU_GEMM_H
#include "core/dims.h"

#include <stdbool.h>

/* C = alpha op(A) op(B) + beta C in float32, row-major with leading dimensions; op transposes where the flag says so.
 * C is [m, n], the sum runs over k. With `bias` [n] or `residual` (laid out as C, and maybe C itself) beta is 1 and C is first set to
 * their sum, tile by tile. */
typedef struct {
    bool trans_a, trans_b;
    ptrdiff_t m, n, k;
    float alpha;
    const float *a;
    ptrdiff_t lda;
    const float *b;
    ptrdiff_t ldb;
    float beta;
    float *c;
    ptrdiff_t ldc;
    const float *bias, *residual;
} ae_gemm_args;

/* On the calling thread. */
void ae_gemm_serial(const ae_gemm_args *g);
/* On all threads: C is cut into tiles by its sizes alone, so the bits do not depend on the number of threads. */
void ae_gemm(const ae_gemm_args *g);
/* Several products at once, which balances better than one after the other. */
void ae_gemm_many(const ae_gemm_args *g, ptrdiff_t n);

#endif
