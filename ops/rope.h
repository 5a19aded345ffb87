#ifndef AE_OPS_ROPE_H
#define AE_OPS_ROPE_H
#include "ops/types.h"

#include <stdbool.h>

/* cos and sin [M, R/2] of positions[m] * theta^(-2j/R), j < R/2: R elements of each head are turned. Angles
 * in double. */
#define AE_ROPE_TABLE(ROW)                                                                                   \
    ROW(rope_table,                                                                                          \
        (const ae_backend *be, ae_f32 *cosines, ae_f32 *sines, const ae_i32 *positions, double theta,        \
         ptrdiff_t M, ptrdiff_t R),                                                                          \
        (be, cosines, sines, positions, theta, M, R), ae_work_moved(0, ae_work_reals(M, R)))

/* Turns the first R elements of each head of x [M, heads, H], in place: the pair (j, j + R/2) by the angle of
 * (m, j); by its negative when `inverse`, which is the backward pass. Source: Su et al., arXiv 2104.09864. */
#define AE_ROPE_APPLY(ROW)                                                                                   \
    ROW(rope_apply,                                                                                          \
        (const ae_backend *be, ae_act *x, const ae_f32 *cosines, const ae_f32 *sines, bool inverse,          \
         ptrdiff_t M, ptrdiff_t heads, ptrdiff_t H, ptrdiff_t R),                                            \
        (be, x, cosines, sines, inverse, M, heads, H, R),                                                    \
        ae_work_moved(ae_work_acts(t, M, heads *R) + ae_work_reals(M, R), ae_work_acts(t, M, heads * R)))

#endif
