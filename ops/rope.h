#ifndef AE_OPS_ROPE_H
#define AE_OPS_ROPE_H
#include "ops/types.h"

#include <stdbool.h>

/* cos and sin [M, R/2] of positions[m] * theta^(-2j/R), j < R/2: R elements of each head are turned. Angles in double. */
typedef void ae_rope_table_fn(ae_f32 *cosines, ae_f32 *sines, const ae_i32 *positions, double theta,
                              ptrdiff_t M, ptrdiff_t R);

/* Turns the first R elements of each head of x [M, heads, H], in place: the pair (j, j + R/2) by the angle of (m, j); by its
 * negative when `inverse`, which is the backward pass. Source: Su et al., arXiv 2104.09864. */
typedef void ae_rope_apply_fn(ae_act *x, const ae_f32 *cosines, const ae_f32 *sines, bool inverse,
                              ptrdiff_t M, ptrdiff_t heads, ptrdiff_t H, ptrdiff_t R);

#endif
