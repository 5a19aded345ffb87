#ifndef AE_OPS_CONV_H
#define AE_OPS_CONV_H
#include "ops/types.h"

typedef struct {
    ptrdiff_t B, T, C, K;
} ae_conv_dims;

/* Causal depthwise convolution: y[b,t,c] = bias[c] + sum_k w[c,k] x[b, t-(K-1)+k, c]; a tap that would reach past the start of its
 * document adds 0. x, y [B, T, C]; w [C, K]; bias [C]; positions [B, T].
 * `state` [B, K-1, C] or NULL: the K-1 inputs before this call (oldest first), replaced by the last K-1 inputs. A row whose first
 * position is p > 0 sees min(p, K-1) of them; without a state such taps add 0. */
typedef void ae_conv_forward_fn(ae_act *y, ae_f32 *state, const ae_act *x, const ae_f32 *w,
                                const ae_f32 *bias, const ae_i32 *positions, ae_conv_dims n);

/* dx overwritten, dw and dbias accumulated. `state` [B, K-1, C] or NULL: the inputs before the call, as forward found them; dw gets their part, no
 * gradient flows into them. Threads split C. */
typedef void ae_conv_backward_fn(ae_act *dx, ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x,
                                 const ae_f32 *state, const ae_f32 *w, const ae_i32 *positions,
                                 ae_conv_dims n);

#endif
