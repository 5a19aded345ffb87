#ifndef AE_OPS_LINEAR_H
#define AE_OPS_LINEAR_H
#include "ops/types.h"

#include <stdbool.h>

/* y = x w^T + bias;  x [M, I], w [O, I], bias [O] or NULL, y [M, O].
 * Up to AE_LINEAR_FEW rows each output is summed in an order that does not depend on M: decoding gives the same bits whatever the
 * batch. */
enum { AE_LINEAR_FEW = 16 };
typedef void ae_linear_forward_fn(ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,
                                  ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);

/* out = residual + x w^T + bias, in float32; out may be residual itself. */
typedef void ae_linear_residual_fn(ae_f32 *out, const ae_f32 *residual, const ae_act *x, const ae_weight *w,
                                   const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);

/* dx = dy w, or dx += dy w where several products share an input. */
typedef void ae_linear_backward_input_fn(ae_act *dx, const ae_act *dy, const ae_weight *w, bool add,
                                         ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);

/* dw += dy^T x; dbias += column sums of dy (dbias may be NULL, and dw may be NULL). */
typedef void ae_linear_backward_weight_fn(ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x,
                                          ptrdiff_t M, ptrdiff_t I, ptrdiff_t O);

#endif
