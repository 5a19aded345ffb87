#ifndef AE_MODEL_SWEEP_H
#define AE_MODEL_SWEEP_H
#include <stddef.h>

/* The sweeps of model/logits.h that take the longest, once for each instruction set: the same bits. */

double ae_sweep_exp_sum_avx2(double *each, const float *x, ptrdiff_t n, double top, double scale);
double ae_sweep_exp_sum_avx512(double *each, const float *x, ptrdiff_t n, double top, double scale);
ptrdiff_t ae_sweep_pick_avx2(float *out, const float *x, ptrdiff_t n, float low, float high);
ptrdiff_t ae_sweep_pick_avx512(float *out, const float *x, ptrdiff_t n, float low, float high);

#endif
