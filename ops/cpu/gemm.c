#include "ops/cpu/gemm.h"

#include <assert.h>
#include <dnnl.h>
#include <omp.h>
#include <string.h>

enum { TILE_M = 512, TILE_N = 1024, TILE_M_MIN = 128, TILES_WANTED = 8 };

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

void ae_gemm_serial(const ae_gemm_args *g) {
    if (g->m <= 0 || g->n <= 0) return;
    const bool filled = g->bias || g->residual;
    if (filled) fill(g);
    const dnnl_status_t st =
        dnnl_sgemm(g->trans_a ? 'T' : 'N', g->trans_b ? 'T' : 'N', g->m, g->n, g->k, g->alpha, g->a, g->lda,
                   g->b, g->ldb, filled ? 1.0f : g->beta, g->c, g->ldc);
    assert(st == dnnl_success);
    (void)st;
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
