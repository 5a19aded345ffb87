#include "ops/cpu/gemm.h"

#include "core/machine.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_M = 1024, TILE_N = 1024, TILE_M_MIN = 128, TILES_WANTED = 4 };

ae_products ae_products_pick(void) {
    const char *asked = getenv("AERIE_PRODUCTS");
    if (asked && strcmp(asked, "bf16") == 0 && ae_machine_has_bf16()) return AE_PRODUCTS_BF16;
    if (asked && strcmp(asked, "f32") == 0) return AE_PRODUCTS_F32;
    return ae_isa_pick() == AE_ISA_AMX ? AE_PRODUCTS_BF16 : AE_PRODUCTS_F32;
}

const char *ae_products_name(ae_products p) {
    return p == AE_PRODUCTS_BF16 ? "bf16" : "f32";
}

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

static size_t elem_bytes(ae_elem_type type) {
    return type == AE_ELEM_BF16 ? sizeof(uint16_t) : sizeof(float);
}

static const void *advance(const void *x, ae_elem_type type, ptrdiff_t n) {
    return (const char *)x + (ptrdiff_t)elem_bytes(type) * n;
}

/* op(X) from row i and column j on. */
static ae_gemm_operand part_of(ae_gemm_operand x, ptrdiff_t i, ptrdiff_t j) {
    if (x.weight) {
        x.first += j;
        return x;
    }
    x.at = advance(x.at, x.type, x.trans ? j * x.ld + i : i * x.ld + j);
    return x;
}

static ae_gemm_args tile_of(const ae_gemm_args *g, const tiling *t, ptrdiff_t index) {
    const ptrdiff_t cols = round_up(ae_ceil_div(g->n, t->tiles_n), 16);
    const ptrdiff_t i = index % t->tiles_m * t->rows, j = index / t->tiles_m * cols;
    ae_gemm_args s = *g;
    s.m = ae_min(t->rows, g->m - i);
    s.n = ae_min(cols, g->n - j);
    s.a = part_of(g->a, i, 0);
    s.b = part_of(g->b, 0, j);
    s.c = (char *)g->c + (ptrdiff_t)elem_bytes(g->c_type) * (i * g->ldc + j);
    if (s.bias) s.bias += j;
    if (s.residual) s.residual += i * g->ldc + j;
    return s;
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
