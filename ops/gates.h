#ifndef AE_OPS_GATES_H
#define AE_OPS_GATES_H
#include "ops/types.h"

#include <stdbool.h>

/* Block-diagonal product: the C channels are N blocks of S = C / N; w [N, S in, S out], bias [C].
 * y[m, nS + o] = sum_i x[m, nS + i] w[n, i, o] + bias[nS + o];  x, y [M, C]. */
#define AE_GATES_FORWARD(ROW)                                                                                \
    ROW(gates_forward,                                                                                       \
        (const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,           \
         ptrdiff_t M, ptrdiff_t C, ptrdiff_t N),                                                             \
        (be, y, x, w, bias, M, C, N), ae_work_gates(t, M, C, N, AE_GATES_FORWARD))
/* The same for up to AE_LINEAR_EACH rows (ops/linear.h), each with the bits that it has alone. */
#define AE_GATES_EACH_FORWARD(ROW)                                                                           \
    ROW(gates_each_forward,                                                                                  \
        (const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,           \
         ptrdiff_t M, ptrdiff_t C, ptrdiff_t N),                                                             \
        (be, y, x, w, bias, M, C, N), ae_work_gates(t, M, C, N, AE_GATES_FORWARD))
/* dx = (or +=) dy w^T by block. */
#define AE_GATES_BACKWARD_INPUT(ROW)                                                                         \
    ROW(gates_backward_input,                                                                                \
        (const ae_backend *be, ae_act *dx, const ae_act *dy, const ae_weight *w, bool add, ptrdiff_t M,      \
         ptrdiff_t C, ptrdiff_t N),                                                                          \
        (be, dx, dy, w, add, M, C, N), ae_work_gates(t, M, C, N, add ? AE_GATES_INPUT_ADD : AE_GATES_INPUT))
/* dw += x^T dy by block; dbias += column sums of dy. */
#define AE_GATES_BACKWARD_WEIGHT(ROW)                                                                        \
    ROW(gates_backward_weight,                                                                               \
        (const ae_backend *be, ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, ptrdiff_t M,    \
         ptrdiff_t C, ptrdiff_t N),                                                                          \
        (be, dw, dbias, dy, x, M, C, N), ae_work_gates(t, M, C, N, AE_GATES_WEIGHT))

#endif
