#ifndef AE_OPS_CPU_VMATH_PROBE_H
#define AE_OPS_CPU_VMATH_PROBE_H
#include <stddef.h>

/* The vector functions over arrays, so that tests can hold their error bounds for each instruction set. */
typedef enum {
    AE_VMATH_EXP,
    AE_VMATH_EXPM1_NEG,
    AE_VMATH_SIGMOID,
    AE_VMATH_TANH,
    AE_VMATH_EXP_SHORT,
    AE_VMATH_SIGMOID_SHORT,
    AE_VMATH_FUNCTIONS
} ae_vmath_function;
void ae_cpu_vmath_probe_avx2(int which, float *y, const float *x, ptrdiff_t n);
void ae_cpu_vmath_probe_avx512(int which, float *y, const float *x, ptrdiff_t n);

/* The same as fast as they go, for EXP, SIGMOID and TANH; n in multiples of 64. */
void ae_cpu_vmath_rate_avx2(int which, float *y, const float *x, ptrdiff_t n);
void ae_cpu_vmath_rate_avx512(int which, float *y, const float *x, ptrdiff_t n);

#endif
