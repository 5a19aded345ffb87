#include "ops/cpu/gemm_f32.h"

#include "core/dims.h"
#include "ops/cpu/alone.h"
#include "ops/cpu/memory.h"

#include <assert.h>
#include <dnnl.h>
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

/* Products with A transposed (gradients of weights) first turn so many of its rows at a time, see transposed(). */
enum { TURN_ROWS = 512, TURN_MIN_COLS = 128 };

static void fill(const ae_gemm_args *g) {
    for (ptrdiff_t i = 0; i < g->m; i++) {
        float *c = (float *)g->c + i * g->ldc;
        const float *residual = g->residual ? g->residual + i * g->ldc : NULL;
        if (!residual)
            memcpy(c, g->bias, (size_t)g->n * sizeof *c);
        else if (!g->bias && residual != c)
            memcpy(c, residual, (size_t)g->n * sizeof *c);
        else if (g->bias)
            for (ptrdiff_t j = 0; j < g->n; j++) c[j] = residual[j] + g->bias[j];
    }
}

static void call_library(const ae_backend *be, const ae_gemm_args *g, float beta) {
    const dnnl_status_t st = dnnl_sgemm(g->a.trans ? 'T' : 'N', g->b.trans ? 'T' : 'N', g->m, g->n, g->k,
                                        g->alpha, g->a.at, g->a.ld, g->b.at, g->b.ld, beta, g->c, g->ldc);
    assert(st != dnnl_invalid_arguments);
    if (st != dnnl_success) ae_cpu_note_failure(be, 0); /* its packing buffers */
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
static void transposed(const ae_backend *be, const ae_gemm_args *g, float beta, float *room) {
    ae_gemm_args s = *g;
    for (ptrdiff_t k = 0; k < g->k; k += TURN_ROWS) {
        s.k = ae_min(TURN_ROWS, g->k - k);
        s.a = ae_operand(AE_ELEM_F32, room, s.k, false);
        s.b.at = (const float *)g->b.at + (g->b.trans ? k : k * g->b.ld);
        turn(room, (const float *)g->a.at + k * g->a.ld, g->a.ld, s.k, g->m);
        call_library(be, &s, k == 0 ? beta : 1.0f);
    }
}

static void multiply(const ae_backend *be, const ae_gemm_args *g, float beta, float *room) {
    const int before = ae_alone_begin();
    if (room)
        transposed(be, g, beta, room);
    else
        call_library(be, g, beta);
    ae_alone_end(before);
}

bool ae_gemm_f32(const ae_backend *be, const ae_gemm_args *g) {
    float *room = NULL;
    const bool turning = g->a.trans && g->n >= TURN_MIN_COLS && g->k > 0;
    if (turning)
        room = ae_cpu_room(be, _Alignof(float), (size_t)(g->m * ae_min(TURN_ROWS, g->k)) * sizeof *room);
    if (turning && !room) return true; /* not done, and noted: other kernels would give other bits */
    const bool filled = g->bias || g->residual;
    const float beta = filled ? 1.0f : g->beta;
    if (filled) fill(g);
    multiply(be, g, beta, room);
    free(room);
    return true;
}
