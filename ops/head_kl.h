#ifndef AE_OPS_HEAD_KL_H
#define AE_OPS_HEAD_KL_H
#include "ops/types.h"

#include <stdbool.h>

/* The exact Kullback-Leibler divergence of two output layers, token by token: with the laws p and q =
 * softmax(logits / T) over the same vocabulary, logits as in ops/head.h,
 *   AE_KL_P_Q  KL(p || q) = sum_v p_v (log p_v - log q_v)
 *   AE_KL_Q_P  KL(q || p) = sum_v q_v (log q_v - log p_v)
 * in nats. Gradients flow into p alone. The two may differ in width and cap. Logits exist for one chunk of
 * tokens, in `scratch` (head_kl_scratch_bytes, which serves calls with fewer tokens too). */
typedef enum { AE_KL_P_Q, AE_KL_Q_P } ae_kl_direction;

typedef struct {
    const ae_act *z;        /* [M, D] */
    const ae_weight *table; /* [V, D] */
    ptrdiff_t D;
    float cap; /* 0: none */
} ae_head_side;

/* kl [M]: 0 where weights[m] is 0; the value of a weight does not matter. Exactly 0 where both sides have the
 * same bits; else the error of float32 sums, up to some 1e-7 nats, stands beside the logits' own. */
#define AE_HEAD_KL(ROW)                                                                                      \
    ROW(head_kl,                                                                                             \
        (const ae_backend *be, ae_f32 *kl, ae_kl_direction direction, const ae_head_side *p,                 \
         const ae_head_side *q, const ae_f32 *weights, float temperature, ptrdiff_t M, ptrdiff_t V,          \
         ae_room scratch),                                                                                   \
        (be, kl, direction, p, q, weights, temperature, M, V, scratch),                                      \
        ae_work_head_kl(t, p, q, M, V, false))

/* dz [M, D] of p and dtable [V, D] of p's table, of sum_m weights[m] kl[m]; weights of either sign. With
 * `add` dz grows by the gradient, else it is overwritten (0 where the weight is 0). dtable accumulates, and
 * may be NULL. */
#define AE_HEAD_KL_BACKWARD(ROW)                                                                             \
    ROW(head_kl_backward,                                                                                    \
        (const ae_backend *be, ae_act *dz, ae_f32 *dtable, bool add, ae_kl_direction direction,              \
         const ae_head_side *p, const ae_head_side *q, const ae_f32 *weights, float temperature,             \
         ptrdiff_t M, ptrdiff_t V, ae_room scratch),                                                         \
        (be, dz, dtable, add, direction, p, q, weights, temperature, M, V, scratch),                         \
        ae_work_head_kl(t, p, q, M, V, true))

/* D of p, D_q of q. */
#define AE_HEAD_KL_SCRATCH_BYTES(SIZE)                                                                       \
    SIZE(head_kl_scratch_bytes,                                                                              \
         (const ae_backend *be, ptrdiff_t M, ptrdiff_t V, ptrdiff_t D, ptrdiff_t D_q), (be, M, V, D, D_q))

#endif
