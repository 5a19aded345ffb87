#ifndef AE_OPS_CPU_GEMM_H
#define AE_OPS_CPU_GEMM_H
#include "ops/cpu/operand.h"
#include "ops/cpu/weight.h"

/* Where products of two bfloat16 operands are computed. F32: by our own kernels (ops/cpu/product.h), which
 * widen them in cache. BF16: by the library in bfloat16; for processors on which that is faster (AMX,
 * AVX512-BF16 of AMD). Types that differ always take our own kernels, float32 alone the library's, narrow
 * products apart. */
typedef enum { AE_PRODUCTS_F32, AE_PRODUCTS_BF16 } ae_products;
/* What a backend begins with: BF16 where it is faster and AERIE_ISA does not cap it; AERIE_PRODUCTS=f32|bf16
 * overrides, for tests. */
ae_products ae_products_pick(void);
const char *ae_products_name(ae_products p);

/* On the calling thread. */
void ae_gemm_serial(const ae_backend *be, const ae_gemm_args *g);
/* On all threads: C is cut into tiles by its sizes alone, so the bits do not depend on the number of
 * threads. */
void ae_gemm(const ae_backend *be, const ae_gemm_args *g);
/* Several products at once, which balances better than one after the other. */
void ae_gemm_many(const ae_backend *be, const ae_gemm_args *g, ptrdiff_t n);

/* A weight as the right factor B. */
static inline ae_gemm_operand ae_weight_operand(const ae_cpu_weight *w, bool trans) {
    if (w->panels) return (ae_gemm_operand){.trans = trans, .weight = w};
    if (w->blocked[trans])
        return (ae_gemm_operand){
            .type = AE_ELEM_BF16, .blocked = true, .at = w->blocked[trans], .ld = w->depth[trans]};
    if (w->at_use)
        return (ae_gemm_operand){
            .type = AE_ELEM_F32, .rounded = true, .at = w->master, .ld = w->cols, .trans = trans};
    return ae_operand(w->type == AE_WEIGHT_BF16 ? AE_ELEM_BF16 : AE_ELEM_F32, w->data, w->cols, trans);
}

#endif
