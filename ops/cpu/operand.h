#ifndef AE_OPS_CPU_OPERAND_H
#define AE_OPS_CPU_OPERAND_H
#include "ops/types.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ae_cpu_weight ae_cpu_weight; /* ops/cpu/weight.h */

/* C = alpha op(A) op(B) + beta C, row-major with leading dimensions, summed in float32; op transposes where
 * the flag says so. C is [m, n], the sum runs over k. With `bias` [n] or `residual` (float32, laid out as C,
 * and maybe C itself) beta counts as 0 and they are added. A bfloat16 C is rounded once, after everything was
 * added. */
typedef enum { AE_ELEM_F32, AE_ELEM_BF16 } ae_elem_type;

typedef struct {
    ae_elem_type type;
    bool trans;
    bool blocked; /* of B only: as ops/cpu/blocked.h has it, `ld` its padded depth */
    bool rounded; /* of B only: float32, to be rounded and blocked for this product; not for ae_gemm_serial */
    ptrdiff_t ld;
    const void *at;
    const ae_cpu_weight *weight; /* of B only: panels; at, type and ld are then unused */
    ptrdiff_t first, col;        /* row and column of the weight that op(B) begins with */
} ae_gemm_operand;

typedef struct {
    ptrdiff_t m, n, k;
    float alpha, beta;
    ae_gemm_operand a, b;
    ae_elem_type c_type;
    ptrdiff_t ldc;
    void *c;
    const float *bias, *residual;
    bool own; /* by the kernels of ops/cpu/product.h: the bits of a row do not depend on m */
} ae_gemm_args;

static inline ae_gemm_operand ae_operand(ae_elem_type type, const void *at, ptrdiff_t ld, bool trans) {
    return (ae_gemm_operand){.type = type, .at = at, .ld = ld, .trans = trans};
}

#endif
