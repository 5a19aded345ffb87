#include "ops/linear.h"

#include "ops/cpu/act.h"
#include "ops/cpu/few.h"
#include "ops/cpu/sums.h"
#include "ops/cpu/table.h"

static void forward(const ae_backend *be, void *out, ae_elem_type out_type, const float *residual,
                    const ae_elem *x, const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I,
                    ptrdiff_t O) {
    ae_gemm(be, &(ae_gemm_args){.m = M,
                                .n = O,
                                .k = I,
                                .alpha = 1,
                                .a = ae_act_operand(x, I, false),
                                .b = ae_weight_operand(ae_cpu_weight_of(w), true),
                                .c_type = out_type,
                                .c = out,
                                .ldc = O,
                                .bias = ae_cf(bias),
                                .residual = residual});
}

void AE_ROW_NAME(ae_cpu_linear_each_forward)(const ae_backend *be, ae_act *y, const ae_act *x,
                                             const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I,
                                             ptrdiff_t O) {
    AE_ROW_NAME(ae_cpu_few_rows)(be, ae_ma(y), ae_ca(x), ae_cpu_weight_of(w), ae_cf(bias), M, I, O);
}

void AE_ROW_NAME(ae_cpu_linear_each_residual)(const ae_backend *be, ae_f32 *out, const ae_f32 *residual,
                                              const ae_act *x, const ae_weight *w, const ae_f32 *bias,
                                              ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    AE_ROW_NAME(ae_cpu_few_rows_residual)
    (be, ae_mf(out), ae_cf(residual), ae_ca(x), ae_cpu_weight_of(w), ae_cf(bias), M, I, O);
}

void AE_ROW_NAME(ae_cpu_linear_forward)(const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *w,
                                        const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    if (M <= AE_LINEAR_FEW)
        AE_ROW_NAME(ae_cpu_linear_each_forward)(be, y, x, w, bias, M, I, O);
    else
        forward(be, y, AE_ELEM_TYPE, NULL, ae_ca(x), w, bias, M, I, O);
}

void AE_ROW_NAME(ae_cpu_linear_residual)(const ae_backend *be, ae_f32 *out, const ae_f32 *residual,
                                         const ae_act *x, const ae_weight *w, const ae_f32 *bias, ptrdiff_t M,
                                         ptrdiff_t I, ptrdiff_t O) {
    if (M <= AE_LINEAR_FEW)
        AE_ROW_NAME(ae_cpu_linear_each_residual)(be, out, residual, x, w, bias, M, I, O);
    else
        forward(be, out, AE_ELEM_F32, ae_cf(residual), ae_ca(x), w, bias, M, I, O);
}

void AE_ROW_NAME(ae_cpu_linear_backward_input)(const ae_backend *be, ae_act *dx, const ae_act *dy,
                                               const ae_weight *w, bool add, ptrdiff_t M, ptrdiff_t I,
                                               ptrdiff_t O) {
    ae_gemm(be, &(ae_gemm_args){.m = M,
                                .n = I,
                                .k = O,
                                .alpha = 1,
                                .a = ae_act_operand(ae_ca(dy), O, false),
                                .b = ae_weight_operand(ae_cpu_weight_of(w), false),
                                .beta = add ? 1.0f : 0.0f,
                                .c_type = AE_ELEM_TYPE,
                                .c = dx,
                                .ldc = I});
}

void AE_ROW_NAME(ae_cpu_linear_backward_weight)(const ae_backend *be, ae_f32 *dw, ae_f32 *dbias,
                                                const ae_act *dy, const ae_act *x, ptrdiff_t M, ptrdiff_t I,
                                                ptrdiff_t O) {
    if (dw)
        ae_gemm(be, &(ae_gemm_args){.m = O,
                                    .n = I,
                                    .k = M,
                                    .alpha = 1,
                                    .a = ae_act_operand(ae_ca(dy), O, true),
                                    .b = ae_act_operand(ae_ca(x), I, false),
                                    .beta = 1,
                                    .c = ae_mf(dw),
                                    .ldc = I});
    if (!dbias) return;
#pragma omp parallel num_threads(ae_team(be))
    ae_column_sums(ae_mf(dbias), ae_ca(dy), M, O);
}
