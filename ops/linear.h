#ifndef AE_OPS_LINEAR_H
#define AE_OPS_LINEAR_H
#include "ops/types.h"

#include <stdbool.h>

/* y = x w^T + bias;  x [M, I], w [O, I], bias [O] or NULL, y [M, O].
 * Up to AE_LINEAR_FEW rows each output is summed in an order that does not depend on M: decoding gives the
 * same bits whatever the batch. */
enum { AE_LINEAR_FEW = 16 };
#define AE_LINEAR_FORWARD(ROW)                                                                               \
    ROW(linear_forward,                                                                                      \
        (const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,           \
         ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),                                                             \
        (be, y, x, w, bias, M, I, O), ae_work_linear(t, M, I, O, false))

/* out = residual + x w^T + bias, in float32; out may be residual itself. */
#define AE_LINEAR_RESIDUAL(ROW)                                                                              \
    ROW(linear_residual,                                                                                     \
        (const ae_backend *be, ae_f32 *out, const ae_f32 *residual, const ae_act *x, const ae_weight *w,     \
         const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),                                         \
        (be, out, residual, x, w, bias, M, I, O), ae_work_linear(t, M, I, O, true))

/* The same two for rows that have nothing to do with each other, as those of several sequences: up to
 * AE_LINEAR_EACH of them, and each has the bits that linear_forward and linear_residual give it alone. Each
 * weight is read once for all. */
enum { AE_LINEAR_EACH = 64 };
#define AE_LINEAR_EACH_FORWARD(ROW)                                                                          \
    ROW(linear_each_forward,                                                                                 \
        (const ae_backend *be, ae_act *y, const ae_act *x, const ae_weight *w, const ae_f32 *bias,           \
         ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),                                                             \
        (be, y, x, w, bias, M, I, O), ae_work_linear(t, M, I, O, false))
#define AE_LINEAR_EACH_RESIDUAL(ROW)                                                                         \
    ROW(linear_each_residual,                                                                                \
        (const ae_backend *be, ae_f32 *out, const ae_f32 *residual, const ae_act *x, const ae_weight *w,     \
         const ae_f32 *bias, ptrdiff_t M, ptrdiff_t I, ptrdiff_t O),                                         \
        (be, out, residual, x, w, bias, M, I, O), ae_work_linear(t, M, I, O, true))

/* dx = dy w, or dx += dy w where several products share an input. */
#define AE_LINEAR_BACKWARD_INPUT(ROW)                                                                        \
    ROW(linear_backward_input,                                                                               \
        (const ae_backend *be, ae_act *dx, const ae_act *dy, const ae_weight *w, bool add, ptrdiff_t M,      \
         ptrdiff_t I, ptrdiff_t O),                                                                          \
        (be, dx, dy, w, add, M, I, O), ae_work_linear_input(t, M, I, O, add))

/* dw += dy^T x; dbias += column sums of dy (dbias may be NULL, and dw may be NULL). */
#define AE_LINEAR_BACKWARD_WEIGHT(ROW)                                                                       \
    ROW(linear_backward_weight,                                                                              \
        (const ae_backend *be, ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x, ptrdiff_t M,    \
         ptrdiff_t I, ptrdiff_t O),                                                                          \
        (be, dw, dbias, dy, x, M, I, O),                                                                     \
        dw ? ae_work_linear_weight(t, M, I, O) : ae_work_moved(ae_work_acts(t, M, O), ae_work_reals(1, O)))

#endif
