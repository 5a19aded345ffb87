#ifndef AE_MODEL_SWEEP_H
#define AE_MODEL_SWEEP_H
#include "model/logits.h"

/* The sweeps of model/logits.h that take the longest, once for each instruction set: the same bits. */

float ae_sweep_top_avx2(const float *x, ptrdiff_t n);
float ae_sweep_top_avx512(const float *x, ptrdiff_t n);
/* Of the groups from `first` to before `end`. */
void ae_sweep_tops_avx2(const ae_logit_groups *of, ptrdiff_t first, ptrdiff_t end);
void ae_sweep_tops_avx512(const ae_logit_groups *of, ptrdiff_t first, ptrdiff_t end);
double ae_sweep_exp_sum_avx2(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by);
double ae_sweep_exp_sum_avx512(double *each, const float *x, ptrdiff_t n, const ae_logit_law *by);
ae_logit_split ae_sweep_split_avx2(float *between, const float *x, ptrdiff_t n, const ae_logit_law *by,
                                   float low, float high);
ae_logit_split ae_sweep_split_avx512(float *between, const float *x, ptrdiff_t n, const ae_logit_law *by,
                                     float low, float high);
ae_logit_split ae_sweep_rough_split_avx2(float *between, const float *x, ptrdiff_t n,
                                         const ae_logit_rough_law *by, float low, float high,
                                         const ae_logit_groups *also, ptrdiff_t group);
ae_logit_split ae_sweep_rough_split_avx512(float *between, const float *x, ptrdiff_t n,
                                           const ae_logit_rough_law *by, float low, float high,
                                           const ae_logit_groups *also, ptrdiff_t group);
ptrdiff_t ae_sweep_pick_avx2(float *out, const float *x, ptrdiff_t n, float low, float high);
ptrdiff_t ae_sweep_pick_avx512(float *out, const float *x, ptrdiff_t n, float low, float high);

#endif
