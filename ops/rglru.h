#ifndef AE_OPS_RGLRU_H
#define AE_OPS_RGLRU_H
#include "ops/types.h"

typedef struct {
    ptrdiff_t B, T, C;
} ae_rglru_dims;

/* The gated linear recurrence, gate pre-activations given; h[t-1] is that of the token before (ops/types.h, forks):
 *   i = sigmoid(gate_i), r = sigmoid(gate_r), log a = -8 r softplus(p), m = sqrt(1 - a^2)
 *   h[t] = a h[t-1] + m i u[t];  at the start of a document (position 0) a = 0 and m = 1.
 * u, gate_i, gate_r, h [B, T, C]; p [C]; positions [B, T]. 1 - a^2 is computed as -expm1(2 log a), exact near
 * a = 1. `state` [B, C] or NULL: h before this call, replaced by the last h. A row whose first position is
 * not 0 starts from it; without a state from 0.
 * Backward needs u, gate_i, gate_r, h. Threads split channels and sequences. Source: Griffin, arXiv
 * 2402.19427, section 2.4. */
#define AE_RGLRU_FORWARD(ROW)                                                                                \
    ROW(rglru_forward,                                                                                       \
        (const ae_backend *be, ae_act *h, ae_f32 *state, const ae_act *u, const ae_act *gate_i,              \
         const ae_act *gate_r, const ae_f32 *p, const ae_i32 *positions, ae_rglru_dims n),                   \
        (be, h, state, u, gate_i, gate_r, p, positions, n), ae_work_rglru(t, n, false))

/* With d[t] = dh[t] + a[t+1] d[t+1] (nothing across a document start; at a trunk's end the sum over its forks):
 *   du = d m i;  di = d m u;  dlog_a = d h[t-1] a - 2 a^2 min(1/(2m), 1000) d i u, 0 at a document start
 *   dgate_i = di i (1-i);  dgate_r = -8 softplus(p) dlog_a r (1-r);  dp += sum(-8 r dlog_a) sigmoid(p)
 * The clip at 1000 on the derivative of the square root is part of the definition and holds when m is 0.
 * du overwritten. dgate_i may be gate_i and dgate_r gate_r. `state` [B, C] or NULL: h before the call, as
 * forward found it; no gradient flows into it. */
#define AE_RGLRU_BACKWARD(ROW)                                                                               \
    ROW(rglru_backward,                                                                                      \
        (const ae_backend *be, ae_act *du, ae_act *dgate_i, ae_act *dgate_r, ae_f32 *dp, const ae_act *dh,   \
         const ae_act *u, const ae_act *gate_i, const ae_act *gate_r, const ae_act *h, const ae_f32 *state,  \
         const ae_f32 *p, const ae_i32 *positions, ae_rglru_dims n),                                         \
        (be, du, dgate_i, dgate_r, dp, dh, u, gate_i, gate_r, h, state, p, positions, n),                    \
        ae_work_rglru(t, n, true))

#endif
