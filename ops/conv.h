#ifndef AE_OPS_CONV_H
#define AE_OPS_CONV_H
#include "ops/types.h"

typedef struct {
    ptrdiff_t B, T, C, K;
} ae_conv_dims;

/* Causal depthwise convolution: y[b,t,c] = bias[c] + sum_k w[c,k] x[b, t-(K-1)+k, c]; a tap that would reach past the
 * start of its document adds 0, past a fork (ops/types.h) it takes the trunk's. x, y [B, T, C]; w [C, K]; bias [C];
 * positions [B, T]. `state` [B, K-1, C] or NULL: the K-1 inputs before this call (oldest first), replaced by the last
 * K-1 inputs. A row whose first position is p > 0 sees min(p, K-1) of them; without a state such taps add 0. */
#define AE_CONV_FORWARD(ROW)                                                                                 \
    ROW(conv_forward,                                                                                        \
        (const ae_backend *be, ae_act *y, ae_f32 *state, const ae_act *x, const ae_f32 *w,                   \
         const ae_f32 *bias, const ae_i32 *positions, ae_conv_dims n),                                       \
        (be, y, state, x, w, bias, positions, n),                                                            \
        ae_work_moved(ae_work_acts(t, n.B *n.T, n.C), ae_work_acts(t, n.B *n.T, n.C)))

/* dx overwritten, dw and dbias accumulated. `state` [B, K-1, C] or NULL: the inputs before the call, as
 * forward found them; dw gets their part, no gradient flows into them. Threads split C. */
#define AE_CONV_BACKWARD(ROW)                                                                                \
    ROW(conv_backward,                                                                                       \
        (const ae_backend *be, ae_act *dx, ae_f32 *dw, ae_f32 *dbias, const ae_act *dy, const ae_act *x,     \
         const ae_f32 *state, const ae_f32 *w, const ae_i32 *positions, ae_conv_dims n),                     \
        (be, dx, dw, dbias, dy, x, state, w, positions, n),                                                  \
        ae_work_moved(2 * ae_work_acts(t, n.B * n.T, n.C), ae_work_acts(t, n.B * n.T, n.C)))

#endif
