#include "core/simd.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/panels.h"

#include <assert.h>
#include <dnnl.h>
#include <stdlib.h>
#include <string.h>

/* The float32 engine: bfloat16 operands are widened first, a bfloat16 C is made in float32 and rounded. */

/* Products with A transposed (gradients of weights) first turn so many of its rows at a time, see transposed(). */
enum { TURN_ROWS = 512, TURN_MIN_COLS = 128 };

typedef struct {
    bool trans_a, trans_b;
    ptrdiff_t m, n, k;
    float alpha;
    const float *a;
    ptrdiff_t lda;
    const float *b;
    ptrdiff_t ldb;
    float beta;
    float *c;
    ptrdiff_t ldc;
    const float *bias, *residual;
    const ae_cpu_weight *weight; /* instead of b: its panels from row `first` on */
    ptrdiff_t first;
} f32_args;

static float *take(ptrdiff_t n) {
    float *room = malloc((size_t)ae_max(n, 1) * sizeof *room);
    if (!room) abort(); /* a product has no way to fail; the plan has left room for this */
    return room;
}

static void fill(const f32_args *g) {
    for (ptrdiff_t i = 0; i < g->m; i++) {
        float *c = g->c + i * g->ldc;
        const float *residual = g->residual ? g->residual + i * g->ldc : NULL;
        if (!residual)
            memcpy(c, g->bias, (size_t)g->n * sizeof *c);
        else if (!g->bias && residual != c)
            memcpy(c, residual, (size_t)g->n * sizeof *c);
        else if (g->bias)
            for (ptrdiff_t j = 0; j < g->n; j++) c[j] = residual[j] + g->bias[j];
    }
}

static void call_library(const f32_args *g, float beta) {
    const dnnl_status_t st = dnnl_sgemm(g->trans_a ? 'T' : 'N', g->trans_b ? 'T' : 'N', g->m, g->n, g->k,
                                        g->alpha, g->a, g->lda, g->b, g->ldb, beta, g->c, g->ldc);
    assert(st == dnnl_success);
    (void)st;
}

/* to[j][i] = from[i][j] for an 8 x 8 block: pairs, quads, halves. */
static void turn_block(float *to, ptrdiff_t ld_to, const float *from, ptrdiff_t ld_from) {
    __m256 r[8], p[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(from + i * ld_from);
    for (int i = 0; i < 4; i++) {
        p[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        p[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int h = 0; h < 2; h++) {
        for (int i = 0; i < 2; i++) {
            r[4 * h + 2 * i] = _mm256_shuffle_ps(p[4 * h + i], p[4 * h + 2 + i], 0x44);
            r[4 * h + 2 * i + 1] = _mm256_shuffle_ps(p[4 * h + i], p[4 * h + 2 + i], 0xee);
        }
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * ld_to, _mm256_permute2f128_ps(r[i], r[4 + i], 0x20));
        _mm256_storeu_ps(to + (4 + i) * ld_to, _mm256_permute2f128_ps(r[i], r[4 + i], 0x31));
    }
}

/* to [m, k] = from^T, from [k, m]. */
static void turn(float *to, const float *from, ptrdiff_t ld_from, ptrdiff_t k, ptrdiff_t m) {
    const ptrdiff_t whole_k = k / 8 * 8, whole_m = m / 8 * 8;
    for (ptrdiff_t j = 0; j < whole_m; j += 8)
        for (ptrdiff_t i = 0; i < whole_k; i += 8)
            turn_block(to + j * k + i, k, from + i * ld_from + j, ld_from);
    for (ptrdiff_t j = 0; j < m; j++)
        for (ptrdiff_t i = j < whole_m ? whole_k : 0; i < k; i++) to[j * k + i] = from[i * ld_from + j];
}

/* The library packs a transposed A at three quarters of the speed of a plain one: turning it here, a slice of the inner dimension at a
 * time, costs less than that. */
static bool transposed(const f32_args *g, float beta) {
    const ptrdiff_t slice = ae_min(TURN_ROWS, g->k);
    float *room = malloc((size_t)(g->m * slice) * sizeof *room);
    if (!room) return false;
    f32_args s = *g;
    s.trans_a = false;
    s.a = room;
    for (ptrdiff_t k = 0; k < g->k; k += slice) {
        s.k = s.lda = ae_min(slice, g->k - k);
        s.b = g->b + (g->trans_b ? k : k * g->ldb);
        turn(room, g->a + k * g->lda, g->lda, s.k, g->m);
        call_library(&s, k == 0 ? beta : 1.0f);
    }
    free(room);
    return true;
}

/* A slice of the inner dimension of so many outputs at a time: the unpacked panels stay in the second-level cache. */
enum { SLICE = 512, SLICE_COLS = 512 };

static void slice_of_panels(const f32_args *g, float *room, ptrdiff_t j, ptrdiff_t k, float beta) {
    f32_args s = *g;
    s.n = s.ldb = ae_min(SLICE_COLS, g->n - j);
    s.k = ae_min(SLICE, g->k - k);
    s.a = g->a + k;
    s.b = room;
    s.c = g->c + j;
    ae_cpu_panels_unpack(room, s.n, g->weight, g->first + j, s.n, k, s.k);
    call_library(&s, k == 0 ? beta : 1.0f);
}

static void product_of_panels(const f32_args *g, float beta) {
    float *room = take(SLICE * SLICE_COLS);
    assert(!g->trans_a && g->trans_b);
    f32_args plain = *g;
    plain.trans_b = false;
    for (ptrdiff_t j = 0; j < g->n; j += SLICE_COLS)
        for (ptrdiff_t k = 0; k < g->k; k += SLICE) slice_of_panels(&plain, room, j, k, beta);
    free(room);
}

static void product(const f32_args *g) {
    const bool filled = g->bias || g->residual;
    const float beta = filled ? 1.0f : g->beta;
    if (filled) fill(g);
    if (g->weight) {
        product_of_panels(g, beta);
        return;
    }
    if (g->trans_a && g->n >= TURN_MIN_COLS && transposed(g, beta)) return;
    call_library(g, beta);
}

static void widen(float *to, const uint16_t *from, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) vf_store_n(to + i, vf_load_bf16_n(from + i, n - i), n - i);
}

static void narrow(uint16_t *to, const float *from, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += VF) vf_store_bf16_n(to + i, vf_load_n(from + i, n - i), n - i);
}

/* [rows, cols] as they lie in memory, in float32; *room is to be freed. */
static const float *widened(const ae_gemm_operand *x, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t *ld,
                            float **room) {
    *ld = x->ld;
    if (x->type == AE_ELEM_F32) return x->at;
    *room = take(rows * cols);
    for (ptrdiff_t i = 0; i < rows; i++) widen(*room + i * cols, (const uint16_t *)x->at + i * x->ld, cols);
    *ld = cols;
    return *room;
}

static void to_bf16(const ae_gemm_args *g, f32_args *f) {
    uint16_t *c = g->c;
    const bool add = g->beta != 0 && !g->bias && !g->residual;
    f->c = take(g->m * g->n);
    f->ldc = g->n;
    for (ptrdiff_t i = 0; add && i < g->m; i++) widen(f->c + i * g->n, c + i * g->ldc, g->n);
    assert(!g->residual);
    product(f);
    for (ptrdiff_t i = 0; i < g->m; i++) narrow(c + i * g->ldc, f->c + i * g->n, g->n);
    free(f->c);
}

void ae_gemm_serial(const ae_gemm_args *g) {
    if (g->m <= 0 || g->n <= 0) return;
    float *room_a = NULL, *room_b = NULL;
    f32_args f = {.trans_a = g->a.trans,
                  .trans_b = g->b.trans,
                  .m = g->m,
                  .n = g->n,
                  .k = g->k,
                  .alpha = g->alpha,
                  .beta = g->beta,
                  .c = g->c,
                  .ldc = g->ldc,
                  .bias = g->bias,
                  .residual = g->residual,
                  .weight = g->b.weight,
                  .first = g->b.first};
    f.a = widened(&g->a, f.trans_a ? g->k : g->m, f.trans_a ? g->m : g->k, &f.lda, &room_a);
    if (!f.weight)
        f.b = widened(&g->b, f.trans_b ? g->n : g->k, f.trans_b ? g->k : g->n, &f.ldb, &room_b);
    if (g->c_type == AE_ELEM_BF16)
        to_bf16(g, &f);
    else
        product(&f);
    free(room_a);
    free(room_b);
}
