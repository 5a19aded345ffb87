#ifndef AE_OPS_LIMITS_LIMITS_H
#define AE_OPS_LIMITS_LIMITS_H
#include "core/status.h"
#include "ops/types.h"

#include <stddef.h>

/* What this machine can do at most, measured on the spot with all OpenMP threads. Yardsticks of
 * flops_fraction, the plan's estimate and `aerie bench`. Best of several short rounds. */

/* float32 multiply-adds out of registers, in FLOPs per second (2 a multiply-add), on the vectors that
 * ae_isa_pick allows. About 0.1 s. */
double ae_measure_peak_f32_flops(void);

/* bfloat16 products with float32 sums out of registers, as above: vectors (AVX512-BF16) and tiles (AMX), 0
 * where the machine has none, and what it can do at most: tiles, else vectors. AERIE_ISA does not hide
 * them. */
double ae_measure_bf16_dot_flops(void);
double ae_measure_bf16_tile_flops(void);
double ae_measure_peak_bf16_flops(void);
/* Peak of products on inputs of a type. bfloat16 counts as fast as the better of its own instructions and of
 * float32 ones on widened inputs, since some processors have bfloat16 vectors at half the rate of float32. */
double ae_measure_peak_flops(ae_dtype dtype);

/* The vector functions of the kernels out of the first-level cache, in evaluations per second. */
typedef enum { AE_FUNCTION_EXP, AE_FUNCTION_SIGMOID, AE_FUNCTION_TANH, AE_FUNCTIONS } ae_vector_function;
double ae_measure_function_rate(ae_vector_function which);

/* Reading `bytes` of memory in four streams a thread, in bytes per second, over and over where they are few:
 * what fits in a cache comes from there, above the caches from about 1 GB on. 0 when there is not so much
 * memory. */
double ae_measure_read_bandwidth(size_t bytes);
/* Adding 1 to every float of `bytes` of memory, in bytes per second, each counted read and written. 0 as
 * above. */
double ae_measure_update_bandwidth(size_t bytes);
/* Both in the same memory; either pointer may be NULL. */
void ae_measure_bandwidth(size_t bytes, double *read, double *update);

/* The middle one of n values, which are put in order. */
double ae_median(double *x, ptrdiff_t n);

#endif
