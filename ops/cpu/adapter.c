#include "ops/adapter.h"

#include "ops/cpu/act.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/table.h"
#include "ops/linear.h"

#include <assert.h>

size_t AE_ROW_NAME(ae_cpu_adapter_scratch_bytes)(const ae_backend *be, ae_adapter_dims n) {
    (void)be;
    return (size_t)(n.M * n.R) * sizeof(ae_elem);
}

static ae_elem *inner_of(const ae_backend *be, ae_room scratch, ae_adapter_dims n) {
    assert(scratch.bytes >= AE_ROW_NAME(ae_cpu_adapter_scratch_bytes)(be, n));
    (void)be;
    (void)n;
    return scratch.at;
}

/* c = x w^T or x w. A few rows take our own kernels, whose bits do not depend on their number. */
static ae_gemm_args product(void *c, ae_elem_type type, const ae_elem *x, const ae_weight *w, bool trans,
                            ptrdiff_t m, ptrdiff_t cols, ptrdiff_t k) {
    return (ae_gemm_args){.m = m,
                          .n = cols,
                          .k = k,
                          .alpha = 1,
                          .a = ae_act_operand(x, k, false),
                          .b = ae_weight_operand(ae_cpu_weight_of(w), trans),
                          .c_type = type,
                          .c = c,
                          .ldc = cols,
                          .own = m <= AE_LINEAR_EACH};
}

/* c += scale (x first) second, by way of `inner` [M, R]. */
static void add_product(const ae_backend *be, void *c, ae_elem_type type, const ae_elem *x,
                        const ae_weight *first, const ae_weight *second, bool trans, ptrdiff_t M,
                        ptrdiff_t from, ptrdiff_t to, ptrdiff_t R, float scale, ae_elem *inner) {
    const ae_gemm_args down = product(inner, AE_ELEM_TYPE, x, first, trans, M, R, from);
    ae_gemm_args up = product(c, type, inner, second, trans, M, to, R);
    up.alpha = scale;
    up.beta = 1;
    ae_gemm(be, &down);
    ae_gemm(be, &up);
}

void AE_ROW_NAME(ae_cpu_adapter_forward)(const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *a,
                                         const ae_weight *b, ae_adapter_dims n, ae_room scratch) {
    add_product(be, y, AE_ELEM_TYPE, ae_ca(x), a, b, true, n.M, n.I, n.O, n.R, n.scale,
                inner_of(be, scratch, n));
}

void AE_ROW_NAME(ae_cpu_adapter_residual)(const ae_backend *be, ae_f32 *out, const ae_act *x,
                                          const ae_weight *a, const ae_weight *b, ae_adapter_dims n,
                                          ae_room scratch) {
    add_product(be, out, AE_ELEM_F32, ae_ca(x), a, b, true, n.M, n.I, n.O, n.R, n.scale,
                inner_of(be, scratch, n));
}

void AE_ROW_NAME(ae_cpu_adapter_backward_input)(const ae_backend *be, ae_act *dx, const ae_act *dy,
                                                const ae_weight *a, const ae_weight *b, ae_adapter_dims n,
                                                ae_room scratch) {
    add_product(be, dx, AE_ELEM_TYPE, ae_ca(dy), b, a, false, n.M, n.O, n.I, n.R, n.scale,
                inner_of(be, scratch, n));
}

/* dw [rows, cols] += scale dy^T x. */
static void add_gradient(const ae_backend *be, float *dw, const ae_elem *dy, const ae_elem *x, ptrdiff_t M,
                         ptrdiff_t rows, ptrdiff_t cols, float scale) {
    ae_gemm(be, &(ae_gemm_args){.m = rows,
                                .n = cols,
                                .k = M,
                                .alpha = scale,
                                .a = ae_act_operand(dy, rows, true),
                                .b = ae_act_operand(x, cols, false),
                                .beta = 1,
                                .c = dw,
                                .ldc = cols});
}

void AE_ROW_NAME(ae_cpu_adapter_backward_weight)(const ae_backend *be, ae_f32 *da, ae_f32 *db,
                                                 const ae_act *dy, const ae_act *x, const ae_weight *a,
                                                 const ae_weight *b, ae_adapter_dims n, ae_room scratch) {
    ae_elem *inner = inner_of(be, scratch, n);
    if (db) {
        const ae_gemm_args g = product(inner, AE_ELEM_TYPE, ae_ca(x), a, true, n.M, n.R, n.I);
        ae_gemm(be, &g);
        add_gradient(be, ae_mf(db), ae_ca(dy), inner, n.M, n.O, n.R, n.scale);
    }
    if (da) {
        const ae_gemm_args g = product(inner, AE_ELEM_TYPE, ae_ca(dy), b, false, n.M, n.R, n.O);
        ae_gemm(be, &g);
        add_gradient(be, ae_mf(da), inner, ae_ca(x), n.M, n.R, n.I, n.scale);
    }
}
