#include "core/arena.h"
#include "core/clock.h"
#include "core/machine.h"
#include "core/threads.h"
#include "ops/limits/limits.h"

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
    /* GCC 12 takes _tile_loadconfig for a read of 8 bytes, and would leave out the rest of the table. */
    __asm__ volatile("" : : "r"(&shapes) : "memory");
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

double ae_measure_peak_flops(ae_dtype dtype) {
    const double f32 = ae_measure_peak_f32_flops();
    return dtype == AE_DTYPE_BF16 ? fmax(f32, ae_measure_peak_bf16_flops()) : f32;
}
