#include "core/arena.h"
#include "core/clock.h"
#include "core/machine.h"
#include "core/threads.h"
#include "eval/library_team.h"
#include "eval/limits.h"

#include <dnnl.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9, CHAINS = 12 };

/* FLOPs of one call on one thread. The first round starts the threads. */
typedef double rate_fn(long n);

static double best_rate(rate_fn *run, long n) {
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double flops = 0;
        const double start = ae_now_s();
#pragma omp parallel reduction(+ : flops) num_threads(ae_threads())
        flops += run(n);
        const double rate = flops / (ae_now_s() - start);
        if (round > 0 && rate > best) best = rate;
    }
    return best;
}

/* Twelve chains, as for float32: each dot product is 16 sums of two. The empty asm keeps them in registers and apart. */
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
__attribute__((target("avx512f,avx512bw,avx512bf16"))) static double dot_products(long n) {
    const __m512i half = _mm512_set1_epi16(0x3f00); /* 0.5 */
    const __m512bh x = (__m512bh)half;
#define CHAIN(i) __m512 a##i = _mm512_set1_ps((float)(i));
    EACH(CHAIN)
#undef CHAIN
    for (long k = 0; k < n; k++) {
#define CHAIN(i) a##i = _mm512_dpbf16_ps(a##i, x, x);
        EACH(CHAIN)
#undef CHAIN
        __asm__ volatile(""
                         : "+v"(a0), "+v"(a1), "+v"(a2), "+v"(a3), "+v"(a4), "+v"(a5), "+v"(a6), "+v"(a7),
                           "+v"(a8), "+v"(a9), "+v"(a10), "+v"(a11));
    }
    return 2.0 * 32 * CHAINS * (double)n;
}

/* The table of a tile's shape: 8 registers of 16 rows of 64 bytes. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Four sums of 16 x 16 x 32 products, out of registers. */
__attribute__((target("amx-tile,amx-bf16"))) static double tile_products(long n) {
    enum { TILES = 8 };
    _Alignas(64) tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < TILES; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = 16;
    }
    _tile_loadconfig(&shapes);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (long k = 0; k < n; k++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 2.0 * 4 * 16 * 16 * 32 * (double)n;
}

double ae_measure_bf16_dot_flops(void) {
    return ae_machine_has_bf16() ? best_rate(dot_products, 1000000) : 0;
}

double ae_measure_bf16_tile_flops(void) {
    return ae_machine_has_amx() ? best_rate(tile_products, 300000) : 0;
}

double ae_measure_peak_bf16_flops(void) {
    const double tiles = ae_measure_bf16_tile_flops();
    return tiles > 0 ? tiles : ae_measure_bf16_dot_flops();
}

typedef struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t product;
    dnnl_memory_t memory[3];
} matmul;

static void matmul_free(matmul *m) {
    for (int i = 0; i < 3; i++)
        if (m->memory[i]) dnnl_memory_destroy(m->memory[i]);
    if (m->product) dnnl_primitive_destroy(m->product);
    if (m->stream) dnnl_stream_destroy(m->stream);
    if (m->engine) dnnl_engine_destroy(m->engine);
}

static bool made(dnnl_status_t st) {
    return st == dnnl_success;
}

/* c = a b, all bfloat16, n x n, row-major. */
static bool matmul_init(matmul *m, ptrdiff_t n, uint16_t *arrays) {
    dnnl_memory_desc_t shape;
    dnnl_matmul_desc_t op;
    dnnl_primitive_desc_t chosen = NULL;
    if (!made(dnnl_engine_create(&m->engine, dnnl_cpu, 0)) ||
        !made(dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags)) ||
        !made(dnnl_memory_desc_init_by_tag(&shape, 2, (dnnl_dims_t){n, n}, dnnl_bf16, dnnl_ab)) ||
        !made(dnnl_matmul_desc_init(&op, &shape, &shape, NULL, &shape)) ||
        !made(dnnl_primitive_desc_create(&chosen, &op, NULL, m->engine, NULL)))
        return false;
    const bool done = made(dnnl_primitive_create(&m->product, chosen));
    dnnl_primitive_desc_destroy(chosen);
    for (ptrdiff_t i = 0; i < 3; i++)
        if (!made(dnnl_memory_create(&m->memory[i], &shape, m->engine, arrays + i * n * n))) return false;
    return done;
}

static bool multiply(const matmul *m) {
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, m->memory[0]}, {DNNL_ARG_WEIGHTS, m->memory[1]}, {DNNL_ARG_DST, m->memory[2]}};
    return made(dnnl_primitive_execute(m->product, m->stream, 3, args)) && made(dnnl_stream_wait(m->stream));
}

ae_status ae_measure_bf16_product(ptrdiff_t n, ptrdiff_t rounds, double *seconds) {
    matmul m = {0};
    const size_t elements = 3 * (size_t)n * (size_t)n;
    uint16_t *x =
        aligned_alloc(AE_ARENA_ALIGN, (2 * elements + AE_ARENA_ALIGN - 1) / AE_ARENA_ALIGN * AE_ARENA_ALIGN);
    if (!x) return AE_FAIL(AE_ERR_RESOURCE, "product of %td x %td: out of memory", n, n);
    for (size_t i = 0; i < elements; i++) x[i] = (uint16_t)(0x3f00 + i % 61); /* 0.5 and a little more */
    const ae_library_team before = ae_library_team_begin();
    bool ok = matmul_init(&m, n, x) && multiply(&m);
    for (ptrdiff_t r = 0; ok && r < rounds; r++) {
        const double start = ae_now_s();
        ok = multiply(&m);
        seconds[r] = ae_now_s() - start;
    }
    ae_library_team_end(before);
    matmul_free(&m);
    free(x);
    return ok ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "bfloat16 product of %td x %td: oneDNN refused it", n, n);
}

double ae_measure_peak_flops(ae_dtype dtype) {
    const double f32 = ae_measure_peak_f32_flops();
    return dtype == AE_DTYPE_BF16 ? fmax(f32, ae_measure_peak_bf16_flops()) : f32;
}
