#ifndef AE_OPS_CPU_FEW_H
#define AE_OPS_CPU_FEW_H
#include "core/dims.h"

/* out = residual + x w^T + bias for a few rows (decoding): each weight is read once for all rows, and an output is summed in
 * an order that depends on I alone. x [M, I], w [O, I]; residual and bias may be NULL; out may be residual. */
void ae_cpu_few_rows_avx2(float *out, const float *residual, const float *x, const float *w,
                          const float *bias, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);
void ae_cpu_few_rows_avx512(float *out, const float *residual, const float *x, const float *w,
                            const float *bias, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);

#endif
