#ifndef AE_OPS_QUANTIZE_H
#define AE_OPS_QUANTIZE_H
#include "ops/types.h"

/* Integers for a row of a matrix, on the host: x[i] ~ q[i] * scales[i / group], scales in bfloat16. INT8: |q|
 * <= 127, from the largest value. INT4: -8 <= q <= 7 and of some candidates, of either sign, the scale with
 * the smallest squared error. */
void ae_quantize_row(int8_t *q, uint16_t *scales, const float *x, ptrdiff_t cols, ptrdiff_t group,
                     ae_weight_type type);
/* x rounded to bfloat16. */
void ae_round_to_bf16(uint16_t *out, const float *x, ptrdiff_t n);

#endif
