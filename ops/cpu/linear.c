#include "ops/linear.h"

#include "ops/cpu/few.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/sums.h"
#include "ops/cpu/table.h"

static void forward(float *out, const float *residual, const float *x, const float *w, const float *bias,
                    ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    if (M <= AE_LINEAR_FEW) {
        AE_ISA_NAME(ae_cpu_few_rows)(out, residual, x, w, bias, M, I, O);
        return;
    }
    ae_gemm(&(ae_gemm_args){.trans_b = true,
                            .m = M,
                            .n = O,
                            .k = I,
                            .alpha = 1,
                            .a = x,
                            .lda = I,
                            .b = w,
                            .ldb = I,
                            .c = out,
                            .ldc = O,
                            .bias = bias,
                            .residual = residual});
}

void AE_ISA_NAME(ae_cpu_linear_forward)(ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,
                                        ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    forward(ae_mf(y), NULL, ae_cf(x), ae_cf(w), ae_cf(bias), M, I, O);
}

void AE_ISA_NAME(ae_cpu_linear_residual)(ae_f32 *out, const ae_f32 *residual, const ae_act *x,
                                         const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I,
                                         ptrdiff_t O) {
    forward(ae_mf(out), ae_cf(residual), ae_cf(x), ae_cf(w), ae_cf(bias), M, I, O);
}

void AE_ISA_NAME(ae_cpu_linear_backward_input)(ae_act *dx, const ae_act *dy, const ae_weight *w, bool add,
                                               ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    ae_gemm(&(ae_gemm_args){.m = M,
                            .n = I,
                            .k = O,
                            .alpha = 1,
                            .a = ae_cf(dy),
                            .lda = O,
                            .b = ae_cf(w),
                            .ldb = I,
                            .beta = add ? 1.0f : 0.0f,
                            .c = ae_mf(dx),
                            .ldc = I});
}

void AE_ISA_NAME(ae_cpu_linear_backward_weight)(ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x,
                                                ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    if (dw)
        ae_gemm(&(ae_gemm_args){.trans_a = true,
                                .m = O,
                                .n = I,
                                .k = M,
                                .alpha = 1,
                                .a = ae_cf(dy),
                                .lda = O,
                                .b = ae_cf(x),
                                .ldb = I,
                                .beta = 1,
                                .c = ae_mf(dw),
                                .ldc = I});
    if (!dbias) return;
#pragma omp parallel
    ae_column_sums(ae_mf(dbias), ae_cf(dy), M, O);
}
