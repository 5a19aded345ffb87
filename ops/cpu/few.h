#ifndef AE_OPS_CPU_FEW_H
#define AE_OPS_CPU_FEW_H
#include "ops/cpu/act.h"

/* out = x w^T + bias for up to AE_LINEAR_EACH rows (decoding): each weight is read once for all rows, and an
 * output is summed in an order that depends on I alone. x [M, I], w [O, I]; bias may be NULL. */
void AE_ROW_NAME(ae_cpu_few_rows)(const ae_backend *be, ae_elem *out, const ae_elem *x,
                                  const ae_cpu_weight *w, const float *bias, ptrdiff_t M, ptrdiff_t I,
                                  ptrdiff_t O);
/* The same with a float32 result, to which `residual` is added unless NULL; out may be residual. */
void AE_ROW_NAME(ae_cpu_few_rows_residual)(const ae_backend *be, float *out, const float *residual,
                                           const ae_elem *x, const ae_cpu_weight *w, const float *bias,
                                           ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);

#endif
