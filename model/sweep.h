#ifndef AE_MODEL_SWEEP_H
#define AE_MODEL_SWEEP_H
#include "model/logits.h"

/* The sweeps of model/logits.h that take the longest, once for each instruction set: the same bits. */

float ae_sweep_top_avx2(const float *x, ptrdiff_t n);
float ae_sweep_top_avx512(const float *x, ptrdiff_t n);
void ae_sweep_tops_avx2(float *tops, float *sample, const float *x, ptrdiff_t n, ptrdiff_t first);
void ae_sweep_tops_avx512(float *tops, float *sample, const float *x, ptrdiff_t n, ptrdiff_t first);
double ae_sweep_exp_sum_avx2(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by);
double ae_sweep_exp_sum_avx512(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by);
ae_logit_split ae_sweep_split_avx2(float *between, const float *x, const float *next, ptrdiff_t n,
                                   const ae_logit_law *by, float low, float high);
ae_logit_split ae_sweep_split_avx512(float *between, const float *x, const float *next, ptrdiff_t n,
                                     const ae_logit_law *by, float low, float high);
ptrdiff_t ae_sweep_pick_avx2(float *out, const float *x, ptrdiff_t n, float low, float high);
ptrdiff_t ae_sweep_pick_avx512(float *out, const float *x, ptrdiff_t n, float low, float high);

#endif
