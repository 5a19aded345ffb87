#include "ops/gates.h"

#include "ops/cpu/gemm.h"
#include "ops/cpu/sums.h"
#include "ops/cpu/table.h"
#include "ops/linear.h"

/* The blocks of a chunk of rows are products of their own, small enough to share a thread's cache. */
enum { CHUNK = 256 };

/* A few rows: outputs as vectors, inputs in order, so that the bits do not depend on M. */
static void few_rows(float *y, const float *x, const float *w, const float *bias, ptrdiff_t M, ptrdiff_t S,
                     ptrdiff_t C) {
    for (ptrdiff_t o = 0; o < S; o += VF) {
        for (ptrdiff_t m = 0; m < M; m++) {
            vf sum = vf_load_n(bias + o, S - o);
            for (ptrdiff_t i = 0; i < S; i++)
                sum = vf_fma(vf_set(x[m * C + i]), vf_load_n(w + i * S + o, S - o), sum);
            vf_store_n(y + m * C + o, sum, S - o);
        }
    }
}

void AE_ISA_NAME(ae_cpu_gates_forward)(ae_act *y_, const ae_act *x_, const ae_weight *w_, const ae_f32 *bias_,
                                       ptrdiff_t M, ptrdiff_t C, ptrdiff_t N) {
    float *y = ae_mf(y_);
    const float *x = ae_cf(x_), *w = ae_cf(w_), *bias = ae_cf(bias_);
    const ptrdiff_t S = C / N;
#pragma omp parallel for collapse(2)
    for (ptrdiff_t m = 0; m < M; m += CHUNK) {
        for (ptrdiff_t n = 0; n < N; n++) {
            const ptrdiff_t rows = ae_min(CHUNK, M - m), at = m * C + n * S;
            if (M <= AE_LINEAR_FEW) {
                few_rows(y + at, x + at, w + n * S * S, bias + n * S, rows, S, C);
                continue;
            }
            ae_gemm_serial(&(ae_gemm_args){.m = rows,
                                           .n = S,
                                           .k = S,
                                           .alpha = 1,
                                           .a = x + at,
                                           .lda = C,
                                           .b = w + n * S * S,
                                           .ldb = S,
                                           .c = y + at,
                                           .ldc = C,
                                           .bias = bias + n * S});
        }
    }
}

void AE_ISA_NAME(ae_cpu_gates_backward_input)(ae_act *dx_, const ae_act *dy_, const ae_weight *w_, bool add,
                                              ptrdiff_t M, ptrdiff_t C, ptrdiff_t N) {
    float *dx = ae_mf(dx_);
    const float *dy = ae_cf(dy_), *w = ae_cf(w_);
    const ptrdiff_t S = C / N;
#pragma omp parallel for collapse(2)
    for (ptrdiff_t m = 0; m < M; m += CHUNK)
        for (ptrdiff_t n = 0; n < N; n++)
            ae_gemm_serial(&(ae_gemm_args){.trans_b = true,
                                           .m = ae_min(CHUNK, M - m),
                                           .n = S,
                                           .k = S,
                                           .alpha = 1,
                                           .a = dy + m * C + n * S,
                                           .lda = C,
                                           .b = w + n * S * S,
                                           .ldb = S,
                                           .beta = add ? 1.0f : 0.0f,
                                           .c = dx + m * C + n * S,
                                           .ldc = C});
}

void AE_ISA_NAME(ae_cpu_gates_backward_weight)(ae_f32 *dw_, ae_f32 *dbias_, const ae_act *dy_,
                                               const ae_act *x_, ptrdiff_t M, ptrdiff_t C, ptrdiff_t N) {
    float *dw = ae_mf(dw_);
    const float *dy = ae_cf(dy_), *x = ae_cf(x_);
    const ptrdiff_t S = C / N;
#pragma omp parallel
    {
        if (dbias_) ae_column_sums(ae_mf(dbias_), dy, M, C);
#pragma omp for schedule(dynamic)
        for (ptrdiff_t n = 0; n < N; n++) {
            if (!dw) continue;
            ae_gemm_serial(&(ae_gemm_args){.trans_a = true,
                                           .m = S,
                                           .n = S,
                                           .k = M,
                                           .alpha = 1,
                                           .a = x + n * S,
                                           .lda = C,
                                           .b = dy + n * S,
                                           .ldb = C,
                                           .beta = 1,
                                           .c = dw + n * S * S,
                                           .ldc = S});
        }
    }
}
