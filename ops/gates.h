#ifndef AE_OPS_GATES_H
#define AE_OPS_GATES_H
#include "ops/types.h"

#include <stdbool.h>

/* Block-diagonal product: the C channels are N blocks of S = C / N; w [N, S in, S out], bias [C].
 * y[m, nS + o] = sum_i x[m, nS + i] w[n, i, o] + bias[nS + o];  x, y [M, C]. */
typedef void ae_gates_forward_fn(ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,
                                 ptrdiff_t M, ptrdiff_t C, ptrdiff_t N);
/* dx = (or +=) dy w^T by block. */
typedef void ae_gates_backward_input_fn(ae_act *dx, const ae_act *dy, const ae_weight *w, bool add,
                                        ptrdiff_t M, ptrdiff_t C, ptrdiff_t N);
/* dw += x^T dy by block; dbias += column sums of dy. */
typedef void ae_gates_backward_weight_fn(ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x,
                                         ptrdiff_t M, ptrdiff_t C, ptrdiff_t N);

#endif
