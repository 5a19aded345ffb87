#ifndef AE_OPS_CPU_ATTENTION_PRODUCT_H
#define AE_OPS_CPU_ATTENTION_PRODUCT_H
#include "ops/cpu/vmath.h"

#include <stdbool.h>

/* Products of attention's tiles in float32. They are small and partly masked: no packing of what is used
 * once, and each group of rows takes only the columns or the part of the sum that it sees. */
#ifdef __AVX512F__
enum { AE_ATTN_MR = 12 };
#else
enum { AE_ATTN_MR = 6 };
#endif
enum { AE_ATTN_NV = 2, AE_ATTN_NR = AE_ATTN_NV * VF };

/* C [m, n] = or += A B; element (i, k) of A lies at a + i * ai + k * ak. */
typedef struct {
    ptrdiff_t m, n, k;
    const float *a;
    const float *b;
    ptrdiff_t ldb;
    float *c;
    ptrdiff_t ldc;
    bool add;
} ae_attn_product;

AE_INLINE void ae_attn_micro(const ae_attn_product *g, ptrdiff_t i, ptrdiff_t j, ptrdiff_t ai, ptrdiff_t ak,
                             const int mr, const int nv, const bool whole) {
    vf sum[AE_ATTN_MR][AE_ATTN_NV];
    const float *a = g->a + i * ai, *b = g->b + j;
    const ptrdiff_t left = g->n - j;
#pragma GCC unroll 16
    AE_EACH(r, mr)
#pragma GCC unroll 4
    AE_EACH(v, nv) sum[r][v] = vf_set(0);
    for (ptrdiff_t k = 0; k < g->k; k++, a += ak, b += g->ldb) {
        vf x[AE_ATTN_NV];
#pragma GCC unroll 4
        AE_EACH(v, nv) x[v] = whole ? vf_load(b + v * VF) : vf_load_n(b, left);
#pragma GCC unroll 16
        AE_EACH(r, mr) {
            const vf y = vf_set(a[r * ai]);
#pragma GCC unroll 4
            AE_EACH(v, nv) sum[r][v] = vf_fma(y, x[v], sum[r][v]);
        }
    }
#pragma GCC unroll 16
    AE_EACH(r, mr)
#pragma GCC unroll 4
    AE_EACH(v, nv) {
        float *c = g->c + (i + r) * g->ldc + j + v * VF;
        if (g->add) sum[r][v] = sum[r][v] + (whole ? vf_load(c) : vf_load_n(c, left));
        if (whole)
            vf_store(c, sum[r][v]);
        else
            vf_store_n(c, sum[r][v], left);
    }
}

AE_INLINE void ae_attn_micro_columns(const ae_attn_product *g, ptrdiff_t i, ptrdiff_t ai, ptrdiff_t ak,
                                     const int mr) {
    ptrdiff_t j = 0;
    for (; j + AE_ATTN_NR <= g->n; j += AE_ATTN_NR) ae_attn_micro(g, i, j, ai, ak, mr, AE_ATTN_NV, true);
    for (; j + VF <= g->n; j += VF) ae_attn_micro(g, i, j, ai, ak, mr, 1, true);
    if (j < g->n) ae_attn_micro(g, i, j, ai, ak, mr, 1, false);
}

AE_INLINE void ae_attn_micro_rows(const ae_attn_product *g, ptrdiff_t ai, ptrdiff_t ak) {
    ptrdiff_t i = 0;
    for (; i + AE_ATTN_MR <= g->m; i += AE_ATTN_MR) ae_attn_micro_columns(g, i, ai, ak, AE_ATTN_MR);
    for (; i + 4 <= g->m; i += 4) ae_attn_micro_columns(g, i, ai, ak, 4);
    for (; i < g->m; i++) ae_attn_micro_columns(g, i, ai, ak, 1);
}

/* A row-major, and A^T row-major. */
static __attribute__((noinline)) void ae_attn_rows_product(const ae_attn_product *g, ptrdiff_t lda) {
    ae_attn_micro_rows(g, lda, 1);
}
static __attribute__((noinline)) void ae_attn_columns_product(const ae_attn_product *g, ptrdiff_t lda) {
    ae_attn_micro_rows(g, 1, lda);
}

#endif
