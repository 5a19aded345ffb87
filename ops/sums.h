#ifndef AE_OPS_SUMS_H
#define AE_OPS_SUMS_H
#include "ops/types.h"

/* Sums over whole tensors. They are added to a float64 that stays on the device: zero it before, sum as many
 * tensors into it as belong together, download it when the number is wanted. */

/* *sum += the squares of x [n], in double, in blocks whose order does not depend on the threads. */
#define AE_SUM_SQUARES(ROW)                                                                                  \
    ROW(sum_squares, (const ae_backend *be, ae_f64 *sum, const ae_f32 *x, ptrdiff_t n), (be, sum, x, n),     \
        ae_work_moved(ae_work_reals(n, 1), 0))

/* *sum += weights[i] x[i] for i < n, in double and in the order of i, leaving out weights of 0. On one
 * thread. */
#define AE_SUM_WEIGHTED(ROW)                                                                                 \
    ROW(sum_weighted,                                                                                        \
        (const ae_backend *be, ae_f64 *sum, const ae_f32 *x, const ae_f32 *weights, ptrdiff_t n),            \
        (be, sum, x, weights, n), ae_work_moved(ae_work_reals(n, 2), 0))

#endif
