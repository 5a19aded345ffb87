#include "ops/cpu/few.h"

#include "core/machine.h"
#include "ops/cpu/act.h"
#include "ops/cpu/few_turned.h"
#include "ops/cpu/memory.h"
#include "ops/cpu/object.h"
#include "ops/cpu/panels.h"
#include "ops/cpu/turn.h"

#include <assert.h>

enum { OUTPUTS = 4, ROWS = 4 };

/* What vf_sum makes of each, many at once. */
static inline __attribute__((always_inline)) void sum_all(float *out, vf sum[OUTPUTS][ROWS]) {
    for (int k = 0; k < OUTPUTS * ROWS; k += VF) {
        vf block[VF];
        for (int j = 0; j < VF; j++) block[j] = sum[(k + j) / ROWS][(k + j) % ROWS];
        vf_store(out + k, ae_sum_block(block));
    }
}

/* dots[o][m] = w[o] . x[m] for `outputs` x `rows` of them; both are constants where this is inlined. */
static inline __attribute__((always_inline)) void dots(float *out, const ae_elem *x, const float *w,
                                                       ptrdiff_t I, const int outputs, const int rows) {
    vf sum[OUTPUTS][ROWS];
    for (int o = 0; o < outputs; o++)
        for (int m = 0; m < rows; m++) sum[o][m] = vf_set(0);
    ptrdiff_t i = 0;
    for (; i + VF <= I; i += VF) {
        for (int o = 0; o < outputs; o++) {
            _mm_prefetch((const char *)(w + (OUTPUTS + o) * I + i), _MM_HINT_T1); /* the next outputs */
            const vf a = vf_load(w + o * I + i);
            for (int m = 0; m < rows; m++) sum[o][m] = vf_fma(a, va_load(x + m * I + i), sum[o][m]);
        }
    }
    if (i < I) {
        for (int o = 0; o < outputs; o++) {
            const vf a = vf_load_n(w + o * I + i, I - i);
            for (int m = 0; m < rows; m++) sum[o][m] = vf_fma(a, va_load_n(x + m * I + i, I - i), sum[o][m]);
        }
    }
    if (outputs == OUTPUTS && rows == ROWS) {
        sum_all(out, sum);
        return;
    }
    for (int o = 0; o < outputs; o++)
        for (int m = 0; m < rows; m++) out[o * ROWS + m] = vf_sum(sum[o][m]);
}

/* The same for any counts up to OUTPUTS x ROWS. */
static void dots_of(float *out, const ae_elem *x, const float *w, ptrdiff_t I, ptrdiff_t outputs,
                    ptrdiff_t rows) {
    if (outputs == OUTPUTS && rows == ROWS) {
        dots(out, x, w, I, OUTPUTS, ROWS);
    } else if (outputs == OUTPUTS) {
        for (ptrdiff_t m = 0; m < rows; m++) dots(out + m, x + m * I, w, I, OUTPUTS, 1);
    } else {
        for (ptrdiff_t o = 0; o < outputs; o++)
            for (ptrdiff_t m = 0; m < rows; m++) dots(out + o * ROWS + m, x + m * I, w + o * I, I, 1, 1);
    }
}

/* sums[j][k] of outputs [o, o + outputs) and rows [m, m + rows). */
static void sums_of(float *sums, const ae_elem *x, const ae_cpu_weight *w, ptrdiff_t m, ptrdiff_t rows,
                    ptrdiff_t o, ptrdiff_t outputs) {
    assert(w->master);
    dots_of(sums, x + m * w->cols, w->master + o * w->cols, w->cols, outputs, rows);
}

static inline float bias_of(const float *bias, ptrdiff_t o) {
    return bias ? bias[o] : 0.0f;
}

/* ---- panels ---- */

#ifdef __AVX512F__
enum { TILES_PAY = 5 }; /* rows: fewer are bound by memory */

/* Activations in bfloat16 lose nothing as factors of products of bfloat16, which are worth it where they are fast. */
static void panels(const ae_backend *be, const ae_panel_product *p, const ae_cpu_weight *w) {
    const bool vnni = __builtin_cpu_supports("avx512vnni"),
               bf16 = AE_ELEM_TYPE == AE_ELEM_BF16 && ae_cpu_of(be)->products == AE_PRODUCTS_BF16,
               tiles = bf16 && ae_cpu_of(be)->tiles && w->type == AE_WEIGHT_BF16,
               integer_tiles = ae_cpu_of(be)->tiles && w->type != AE_WEIGHT_BF16 && p->M >= TILES_PAY;
    (tiles                                        ? ae_cpu_panels_few_amx
     : integer_tiles                              ? ae_cpu_panels_few_amx_integers
     : bf16 && vnni && ae_machine_has_fast_bf16() ? ae_cpu_panels_few_avx512_bf16
     : vnni                                       ? ae_cpu_panels_few_avx512_vnni
                                                  : ae_cpu_panels_few_avx512)(be, p, w);
}
#else
static void panels(const ae_backend *be, const ae_panel_product *p, const ae_cpu_weight *w) {
    ae_cpu_panels_few_avx2(be, p, w);
}
#endif

/* ---- both ---- */

void AE_ROW_NAME(ae_cpu_few_rows_residual)(const ae_backend *be, float *out, const float *residual,
                                           const ae_elem *x, const ae_cpu_weight *w, const float *bias,
                                           ptrdiff_t M, ptrdiff_t I, ptrdiff_t O) {
    (void)I;
    if (w->panels) {
        panels(be, &(ae_panel_product){M, x, out, AE_ELEM_TYPE, AE_ELEM_F32, residual, bias}, w);
        return;
    }
    if (AE_ROW_NAME(ae_cpu_few_turned_pays)(M)) {
        AE_ROW_NAME(ae_cpu_few_turned)
        (be, &(ae_few_product){x, w->master, bias, residual, M, w->cols, O, out, NULL});
        return;
    }
#pragma omp parallel for schedule(static) num_threads(ae_team(be))
    for (ptrdiff_t o = 0; o < O; o += OUTPUTS) {
        const ptrdiff_t outputs = ae_min(OUTPUTS, O - o);
        for (ptrdiff_t m = 0; m < M; m += ROWS) {
            float sums[OUTPUTS * ROWS];
            const ptrdiff_t rows = ae_min(ROWS, M - m);
            sums_of(sums, x, w, m, rows, o, outputs);
            for (ptrdiff_t j = 0; j < outputs; j++)
                for (ptrdiff_t k = 0; k < rows; k++) {
                    const ptrdiff_t at = (m + k) * O + o + j;
                    out[at] = (residual ? residual[at] : 0.0f) + bias_of(bias, o + j) + sums[j * ROWS + k];
                }
        }
    }
}

void AE_ROW_NAME(ae_cpu_few_rows)(const ae_backend *be, ae_elem *out, const ae_elem *x,
                                  const ae_cpu_weight *w, const float *bias, ptrdiff_t M, ptrdiff_t I,
                                  ptrdiff_t O) {
    (void)I;
    if (w->panels) {
        panels(be, &(ae_panel_product){M, x, out, AE_ELEM_TYPE, AE_ELEM_TYPE, NULL, bias}, w);
        return;
    }
    if (AE_ROW_NAME(ae_cpu_few_turned_pays)(M)) {
        AE_ROW_NAME(ae_cpu_few_turned)
        (be, &(ae_few_product){x, w->master, bias, NULL, M, w->cols, O, NULL, out});
        return;
    }
#pragma omp parallel for schedule(static) num_threads(ae_team(be))
    for (ptrdiff_t o = 0; o < O; o += OUTPUTS) {
        const ptrdiff_t outputs = ae_min(OUTPUTS, O - o);
        for (ptrdiff_t m = 0; m < M; m += ROWS) {
            float sums[OUTPUTS * ROWS];
            const ptrdiff_t rows = ae_min(ROWS, M - m);
            sums_of(sums, x, w, m, rows, o, outputs);
            for (ptrdiff_t j = 0; j < outputs; j++)
                for (ptrdiff_t k = 0; k < rows; k++)
                    va_store_n(out + (m + k) * O + o + j, vf_set(bias_of(bias, o + j) + sums[j * ROWS + k]),
                               1);
        }
    }
}
