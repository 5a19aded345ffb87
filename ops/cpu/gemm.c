#include "ops/cpu/gemm.h"

#include <assert.h>
#include <dnnl.h>
#include <immintrin.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_M = 1024, TILE_N = 1024, TILE_M_MIN = 128, TILES_WANTED = 4 };
/* Products with A transposed (gradients of weights) first turn so many of its rows at a time, see transposed(). */
enum { TURN_ROWS = 512, TURN_MIN_COLS = 128 };

typedef struct {
    ptrdiff_t rows, tiles_m, tiles_n;
} tiling;

static ptrdiff_t round_up(ptrdiff_t n, ptrdiff_t to) {
    return ae_ceil_div(n, to) * to;
}

/* A function of the sizes alone. Tall tiles amortise packing; small products are cut finer so that every thread has work. */
static tiling tiling_of(const ae_gemm_args *g) {
    if (g->m <= 0 || g->n <= 0) return (tiling){0};
    tiling t = {.rows = TILE_M, .tiles_n = ae_ceil_div(g->n, TILE_N)};
    while (t.rows > TILE_M_MIN && ae_ceil_div(g->m, t.rows) * t.tiles_n < TILES_WANTED) t.rows /= 2;
    t.rows = round_up(ae_ceil_div(g->m, ae_max(1, ae_ceil_div(g->m, t.rows))), 16);
    t.tiles_m = ae_ceil_div(g->m, t.rows);
    return t;
}

static ae_gemm_args tile_of(const ae_gemm_args *g, const tiling *t, ptrdiff_t index) {
    const ptrdiff_t cols = round_up(ae_ceil_div(g->n, t->tiles_n), 16);
    const ptrdiff_t i = index % t->tiles_m * t->rows, j = index / t->tiles_m * cols;
    ae_gemm_args s = *g;
    s.m = ae_min(t->rows, g->m - i);
    s.n = ae_min(cols, g->n - j);
    s.a += g->trans_a ? i : i * g->lda;
    s.b += g->trans_b ? j * g->ldb : j;
    s.c += i * g->ldc + j;
    if (s.bias) s.bias += j;
    if (s.residual) s.residual += i * g->ldc + j;
    return s;
}

static void fill(const ae_gemm_args *g) {
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

static void call_library(const ae_gemm_args *g, float beta) {
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
static bool transposed(const ae_gemm_args *g, float beta) {
    const ptrdiff_t slice = ae_min(TURN_ROWS, g->k);
    float *room = malloc((size_t)(g->m * slice) * sizeof *room);
    if (!room) return false;
    ae_gemm_args s = *g;
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

void ae_gemm_serial(const ae_gemm_args *g) {
    if (g->m <= 0 || g->n <= 0) return;
    const bool filled = g->bias || g->residual;
    const float beta = filled ? 1.0f : g->beta;
    if (filled) fill(g);
    if (g->trans_a && g->n >= TURN_MIN_COLS && transposed(g, beta)) return;
    call_library(g, beta);
}

void ae_gemm_many(const ae_gemm_args *g, ptrdiff_t n) {
    enum { MANY_MAX = 4 };
    assert(n <= MANY_MAX);
    tiling t[MANY_MAX];
    ptrdiff_t first[MANY_MAX + 1] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        t[i] = tiling_of(&g[i]);
        first[i + 1] = first[i] + t[i].tiles_m * t[i].tiles_n;
    }
    /* The library runs on one thread inside a parallel region, also when the team is of one. */
#pragma omp parallel for schedule(dynamic)
    for (ptrdiff_t task = 0; task < first[n]; task++) {
        ptrdiff_t i = 0;
        while (task >= first[i + 1]) i++;
        const ae_gemm_args s = tile_of(&g[i], &t[i], task - first[i]);
        ae_gemm_serial(&s);
    }
}

void ae_gemm(const ae_gemm_args *g) {
    ae_gemm_many(g, 1);
}
