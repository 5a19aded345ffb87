#include "core/clock.h"
#include "core/machine.h"
#include "core/threads.h"
#include "ops/cpu/vmath_probe.h"
#include "ops/limits/limits.h"

enum { ROUNDS = 40, ELEMENTS = 2048, SWEEPS = 200 }; /* two arrays of 8 KB stay in the first-level cache */

static const int functions[] = {[AE_FUNCTION_EXP] = AE_VMATH_EXP,
                                [AE_FUNCTION_SIGMOID] = AE_VMATH_SIGMOID,
                                [AE_FUNCTION_TANH] = AE_VMATH_TANH};

static void sweep(int which) {
    _Alignas(64) float x[ELEMENTS], y[ELEMENTS];
    const bool wide = ae_isa_pick() >= AE_ISA_AVX512;
    for (int i = 0; i < ELEMENTS; i++) x[i] = (float)(i % 97) / 24 - 2;
    for (int k = 0; k < SWEEPS; k++) {
        (wide ? ae_cpu_vmath_rate_avx512 : ae_cpu_vmath_rate_avx2)(which, y, x, ELEMENTS);
        __asm__ volatile("" : : "r"(y) : "memory");
    }
}

/* Each thread has its own clock and its own best round: a sweep is short, so that a busy machine lets some through undisturbed. */
double ae_measure_function_rate(ae_vector_function which) {
    double rate = 0;
#pragma omp parallel reduction(+ : rate) num_threads(ae_threads())
    {
        double best_s = 1e9;
        for (int round = 0; round < ROUNDS; round++) {
            const double start = ae_now_s();
            sweep(functions[which]);
            const double spent = ae_now_s() - start;
            if (spent < best_s) best_s = spent;
        }
        rate += (double)ELEMENTS * SWEEPS / best_s;
    }
    return rate;
}
