#ifndef AE_OPS_ATTENTION_H
#define AE_OPS_ATTENTION_H
#include "ops/types.h"

/* N query heads share G key and value heads (G divides N; query head n reads key head n / (N/G)).
 * W < 0: no window. Rings without one are longer than any position, and their length stands for W. */
typedef struct {
    ptrdiff_t B, T, N, G, H, W;
    ptrdiff_t rooms; /* threads that scratch has room for, 1 and more: no more at once: the backend's */
} ae_attention_dims;

/* o[t] = sum_s softmax_s(q[t] k[s] / sqrt(H)) v[s] over the keys s of the same document with 0 <= t - s <= W
 * (W + 1 keys); in a continuation (ops/types.h) those before the fork are the last ones of the trunk. q, o
 * [B, T, N, H]; k, v [B, T, G, H], already turned by RoPE; positions [B, T]; lse [B, T, N] (the logarithm of the
 * softmax's denominator) is saved for backward. Softmax in float32, on the fly over blocks of keys. k_ring,
 * v_ring [B, W, G, H] or both NULL: the keys of position p lie at p mod W; read for rows whose first position is
 * > 0, and brought up to date. They need W > 0. `scratch`: attention_scratch_bytes; with W < 0 for any ring. */
#define AE_ATTENTION_FORWARD(ROW)                                                                            \
    ROW(attention_forward,                                                                                   \
        (const ae_backend *be, ae_act *o, ae_f32 *lse, ae_act *k_ring, ae_act *v_ring, const ae_act *q,      \
         const ae_act *k, const ae_act *v, const ae_i32 *positions, ae_attention_dims n, ae_room scratch),   \
        (be, o, lse, k_ring, v_ring, q, k, v, positions, n, scratch),                                        \
        ae_work_attention_of(be, t, positions, n, k_ring != NULL, false))

/* P is recomputed block by block from q, k and lse; with delta = sum(do * o):
 *   dv = P^T do;  dS = P (do v^T - delta) / sqrt(H);  dq = dS k;  dk = dS^T q.
 * dq, dk, dv overwritten; nothing overlaps. k_ring, v_ring: as forward found them, or NULL; no gradient flows
 * into them. Keys and values receive from several blocks of queries: each block writes apart and the parts
 * are added to the sums of the row in order, so the bits do not depend on the threads. */
#define AE_ATTENTION_BACKWARD(ROW)                                                                           \
    ROW(attention_backward,                                                                                  \
        (const ae_backend *be, ae_act *dq, ae_act *dk, ae_act *dv, const ae_act *d_o, const ae_act *q,       \
         const ae_act *k, const ae_act *v, const ae_act *k_ring, const ae_act *v_ring, const ae_act *o,      \
         const ae_f32 *lse, const ae_i32 *positions, ae_attention_dims n, ae_room scratch),                  \
        (be, dq, dk, dv, d_o, q, k, v, k_ring, v_ring, o, lse, positions, n, scratch),                       \
        ae_work_attention_of(be, t, positions, n, k_ring != NULL, true))

/* Bytes of scratch that serve both passes (forward only when `inference`) with these dims: the same number of
 * rooms. */
#define AE_ATTENTION_SCRATCH_BYTES(SIZE)                                                                     \
    SIZE(attention_scratch_bytes, (const ae_backend *be, ae_attention_dims n, int inference),                \
         (be, n, inference))

#endif
