#include "ops/gates.h"

#include "ops/cpu/act.h"
#include "ops/cpu/few.h"
#include "ops/cpu/sums.h"
#include "ops/cpu/table.h"
#include "ops/cpu/vmath.h"
#include "ops/linear.h"

/* The blocks of a chunk of rows are products of their own, small enough to share a thread's cache. */
enum { CHUNK = 256 };

/* Block n of the gates' weights, [S, S]. */
static ae_gemm_operand block_of(const ae_weight *w_, ptrdiff_t n, ptrdiff_t S, bool trans) {
    const ae_cpu_weight *w = ae_cpu_weight_of(w_);
    if (w->panels) return (ae_gemm_operand){.trans = !trans, .weight = w, .first = n * S}; /* [out, in] */
    const bool bf16 = w->type == AE_WEIGHT_BF16;
    const char *at = (const char *)w->data + n * S * S * (ptrdiff_t)(bf16 ? sizeof(uint16_t) : sizeof(float));
    return ae_operand(bf16 ? AE_ELEM_BF16 : AE_ELEM_F32, at, S, trans);
}

static inline vf row_of(ae_gemm_operand w, ptrdiff_t i, ptrdiff_t o, ptrdiff_t n) {
    if (w.type == AE_ELEM_BF16) return vf_load_bf16_n((const uint16_t *)w.at + i * w.ld + o, n);
    return vf_load_n((const float *)w.at + i * w.ld + o, n);
}

/* Outputs as vectors, inputs in order, so that the bits do not depend on M. So many rows and vectors at once that no sum waits for
 * itself; both are constants where this is inlined. */
enum { ROWS = 4, VECTORS = VF == 16 ? 4 : 2, COLS = VECTORS * VF };

AE_INLINE void tile(ae_elem *y, const ae_elem *x, ae_gemm_operand w, const float *bias, ptrdiff_t o,
                    ptrdiff_t S, ptrdiff_t C, const int rows, const int vectors) {
    const ptrdiff_t n = vectors > 1 ? VF : S - o;
    vf sum[ROWS][VECTORS], weights[VECTORS];
    AE_EACH(m, rows) AE_EACH(v, vectors) sum[m][v] = vf_load_n(bias + o + v * VF, n);
    for (ptrdiff_t i = 0; i < S; i++) {
        AE_EACH(v, vectors) weights[v] = row_of(w, i, o + v * VF, n);
        AE_EACH(m, rows) {
            const vf a = vf_set(ae_elem_value(x[m * C + i]));
            AE_EACH(v, vectors) sum[m][v] = vf_fma(a, weights[v], sum[m][v]);
        }
    }
    AE_EACH(m, rows) AE_EACH(v, vectors) va_store_n(y + m * C + o + v * VF, sum[m][v], n);
}

AE_INLINE void tiles(ae_elem *y, const ae_elem *x, ae_gemm_operand w, const float *bias, ptrdiff_t o,
                     ptrdiff_t M, ptrdiff_t S, ptrdiff_t C, const int vectors) {
    ptrdiff_t m = 0;
    for (; m + ROWS <= M; m += ROWS) tile(y + m * C, x + m * C, w, bias, o, S, C, ROWS, vectors);
    for (; m < M; m++) tile(y + m * C, x + m * C, w, bias, o, S, C, 1, vectors);
}

/* COLS outputs of a block from o on, or what is left of them. */
static void cols_of_block(ae_elem *y, const ae_elem *x, ae_gemm_operand w, const float *bias, ptrdiff_t o,
                          ptrdiff_t M, ptrdiff_t S, ptrdiff_t C) {
    if (o + COLS <= S) {
        tiles(y, x, w, bias, o, M, S, C, VECTORS);
        return;
    }
    for (; o < S; o += VF) tiles(y, x, w, bias, o, M, S, C, 1);
}

void AE_ROW_NAME(ae_cpu_gates_each_forward)(const ae_backend *be, ae_act *y, const ae_act *x,
                                            const ae_weight *w, const ae_f32 *bias, ptrdiff_t M, ptrdiff_t C,
                                            ptrdiff_t N) {
    const ptrdiff_t S = C / N;
    if (ae_cpu_weight_of(w)->panels) {
        AE_ROW_NAME(ae_cpu_few_rows)(be, ae_ma(y), ae_ca(x), ae_cpu_weight_of(w), ae_cf(bias), M, S, C);
        return;
    }
#pragma omp parallel for collapse(2) num_threads(ae_team(be))
    for (ptrdiff_t n = 0; n < N; n++)
        for (ptrdiff_t o = 0; o < S; o += COLS)
            cols_of_block(ae_ma(y) + n * S, ae_ca(x) + n * S, block_of(w, n, S, false), ae_cf(bias) + n * S,
                          o, M, S, C);
}

void AE_ROW_NAME(ae_cpu_gates_forward)(const ae_backend *be, ae_act *y_, const ae_act *x_,
                                       const ae_weight *w_, const ae_f32 *bias_, ptrdiff_t M, ptrdiff_t C,
                                       ptrdiff_t N) {
    ae_elem *y = ae_ma(y_);
    const ae_elem *x = ae_ca(x_);
    const float *bias = ae_cf(bias_);
    const ptrdiff_t S = C / N;
    if (M <= AE_LINEAR_FEW) {
        AE_ROW_NAME(ae_cpu_gates_each_forward)(be, y_, x_, w_, bias_, M, C, N);
        return;
    }
#pragma omp parallel for collapse(2) num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m += CHUNK) {
        for (ptrdiff_t n = 0; n < N; n++) {
            const ptrdiff_t rows = ae_min(CHUNK, M - m), at = m * C + n * S;
            ae_gemm_serial(be, &(ae_gemm_args){.m = rows,
                                               .n = S,
                                               .k = S,
                                               .alpha = 1,
                                               .a = ae_act_operand(x + at, C, false),
                                               .b = block_of(w_, n, S, false),
                                               .c_type = AE_ELEM_TYPE,
                                               .c = y + at,
                                               .ldc = C,
                                               .bias = bias + n * S});
        }
    }
}

void AE_ROW_NAME(ae_cpu_gates_backward_input)(const ae_backend *be, ae_act *dx_, const ae_act *dy_,
                                              const ae_weight *w_, bool add, ptrdiff_t M, ptrdiff_t C,
                                              ptrdiff_t N) {
    ae_elem *dx = ae_ma(dx_);
    const ae_elem *dy = ae_ca(dy_);
    const ptrdiff_t S = C / N;
#pragma omp parallel for collapse(2) num_threads(ae_team(be))
    for (ptrdiff_t m = 0; m < M; m += CHUNK)
        for (ptrdiff_t n = 0; n < N; n++)
            ae_gemm_serial(be, &(ae_gemm_args){.m = ae_min(CHUNK, M - m),
                                               .n = S,
                                               .k = S,
                                               .alpha = 1,
                                               .a = ae_act_operand(dy + m * C + n * S, C, false),
                                               .b = block_of(w_, n, S, true),
                                               .c_type = AE_ELEM_TYPE,
                                               .beta = add ? 1.0f : 0.0f,
                                               .c = dx + m * C + n * S,
                                               .ldc = C});
}

void AE_ROW_NAME(ae_cpu_gates_backward_weight)(const ae_backend *be, ae_f32 *dw_, ae_f32 *dbias_,
                                               const ae_act *dy_, const ae_act *x_, ptrdiff_t M, ptrdiff_t C,
                                               ptrdiff_t N) {
    float *dw = ae_mf(dw_);
    const ae_elem *dy = ae_ca(dy_), *x = ae_ca(x_);
    const ptrdiff_t S = C / N;
#pragma omp parallel num_threads(ae_team(be))
    {
        if (dbias_) ae_column_sums(ae_mf(dbias_), dy, M, C);
#pragma omp for schedule(dynamic)
        for (ptrdiff_t n = 0; n < N; n++) {
            if (!dw) continue;
            ae_gemm_serial(be, &(ae_gemm_args){.m = S,
                                               .n = S,
                                               .k = M,
                                               .alpha = 1,
                                               .a = ae_act_operand(x + n * S, C, true),
                                               .b = ae_act_operand(dy + n * S, C, false),
                                               .beta = 1,
                                               .c = dw + n * S * S,
                                               .ldc = S});
        }
    }
}
