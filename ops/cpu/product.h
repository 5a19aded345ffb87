#ifndef AE_OPS_CPU_PRODUCT_H
#define AE_OPS_CPU_PRODUCT_H
#include "ops/cpu/operand.h"

/* Products of one thread in float32, operands of either type: they are widened where they are packed. Every
 * element of C is summed over k in one order that depends on k alone, so its bits do not depend on m, n or on
 * how C is cut. */

/* Columns of B come in panels; a tile of C must begin at a multiple of so many columns. */
enum { AE_PRODUCT_COLS = 32 };

typedef struct {
    ptrdiff_t rows;  /* of C that a kernel takes at once */
    ptrdiff_t depth; /* of the inner dimension that is packed at once */
    /* Whether they are faster than the library's float32, which packs B anew for each tile, where a factor does not lie
     * as the library likes it: A transposed, or B plain. */
    bool turns_faster;
    /* floats of scratch for a product of m x n */
    ptrdiff_t (*room)(ptrdiff_t m, ptrdiff_t n);
    /* floats of B [k, AE_PRODUCT_COLS] packed */
    ptrdiff_t (*packed)(ptrdiff_t k);
    /* packs columns [col, col + n) of B [k, ...], n <= AE_PRODUCT_COLS */
    void (*pack)(float *packed, const ae_gemm_operand *b, ptrdiff_t k, ptrdiff_t col, ptrdiff_t n);
    /* `packed`: B as `pack` leaves it, AE_PRODUCT_COLS columns after the other, or NULL */
    void (*product)(const ae_gemm_args *g, const float *packed, float *room);
} ae_product_kernels;

extern const ae_product_kernels ae_product_avx2, ae_product_avx512;

#endif
