#ifndef AE_OPS_HEAD_H
#define AE_OPS_HEAD_H
#include "ops/types.h"

#include <stdbool.h>

/* The tied output layer: logits = z table^T, then cap * tanh(logits / cap) when cap > 0. z [M, D], table [V,
 * D]. Logits of all tokens never exist: they are made in chunks of tokens in `scratch` (head_scratch_bytes),
 * which serves calls with fewer tokens too. */
typedef struct {
    ptrdiff_t M, D, V;
    float cap; /* 0: none */
} ae_head_dims;

/* Forward and backward of the cross-entropy in one pass, over the tokens with weights[m] != 0 only:
 *   nll[m] = log sum_v exp(logits[m,v]) - logits[m, targets[m]], 0 where the weight is 0
 *   dz[m] and dtable of  grad_scale * sum_m weights[m] nll[m]
 * dz overwritten (0 where the weight is 0), dtable accumulated.
 * For weights that are known beforehand; those that depend on the log-probabilities take head_logprobs, then
 * head_backward. */
#define AE_HEAD_LOSS(ROW)                                                                                    \
    ROW(head_loss,                                                                                           \
        (const ae_backend *be, ae_f32 *nll, ae_act *dz, ae_f32 *dtable, const ae_act *z,                     \
         const ae_weight *table, const ae_i32 *targets, const ae_f32 *weights, float grad_scale,             \
         ae_head_dims n, ae_room scratch),                                                                   \
        (be, nll, dz, dtable, z, table, targets, weights, grad_scale, n, scratch),                           \
        ae_work_head(t, n, AE_HEAD_LOSS))

/* nll as above, without gradients. With top > 0 also the `top` most likely ids of every token with a weight
 * and their log-probabilities, best first, the smaller id first among equals: top_ids, top_logprobs [M, top]
 * (both may be NULL when top is 0). */
#define AE_HEAD_SCORE(ROW)                                                                                   \
    ROW(head_score,                                                                                          \
        (const ae_backend *be, ae_f32 *nll, ae_i32 *top_ids, ae_f32 *top_logprobs, ptrdiff_t top,            \
         const ae_act *z, const ae_weight *table, const ae_i32 *targets, const ae_f32 *weights,              \
         ae_head_dims n, ae_room scratch),                                                                   \
        (be, nll, top_ids, top_logprobs, top, z, table, targets, weights, n, scratch),                       \
        ae_work_head(t, n, AE_HEAD_SCORE))

/* With the law p = softmax(logits[m] / temperature) of every token with weights[m] != 0 (the value does not
 * matter here):
 *   logprobs[m]  = log p[targets[m]]
 *   entropies[m] = -sum_v p_v log p_v      in nats; entropies may be NULL
 * and 0 where the weight is 0. At temperature 1 logprobs are the bits of head_score's nll but for the
 * sign. */
#define AE_HEAD_LOGPROBS(ROW)                                                                                \
    ROW(head_logprobs,                                                                                       \
        (const ae_backend *be, ae_f32 *logprobs, ae_f32 *entropies, const ae_act *z, const ae_weight *table, \
         const ae_i32 *targets, const ae_f32 *weights, float temperature, ae_head_dims n, ae_room scratch),  \
        (be, logprobs, entropies, z, table, targets, weights, temperature, n, scratch),                      \
        ae_work_head(t, n, AE_HEAD_SCORE))

/* Backward of those: dz[m] and dtable of
 *   sum_m weights[m] nll[m] + entropy_weights[m] entropies[m],   nll = -logprobs
 * with weights of either sign; entropy_weights may be NULL. Only tokens with one that is not 0 take part.
 * With `add` dz grows by the gradient, else it is overwritten (0 where nothing takes part). dtable
 * accumulates, and may be NULL. With u = logits / temperature the gradient of nll with respect to u is p -
 * onehot, that of the entropy -p (log p + entropy). */
#define AE_HEAD_BACKWARD(ROW)                                                                                \
    ROW(head_backward,                                                                                       \
        (const ae_backend *be, ae_act *dz, ae_f32 *dtable, bool add, const ae_act *z,                        \
         const ae_weight *table, const ae_i32 *targets, const ae_f32 *weights,                               \
         const ae_f32 *entropy_weights, float temperature, ae_head_dims n, ae_room scratch),                 \
        (be, dz, dtable, add, z, table, targets, weights, entropy_weights, temperature, n, scratch),         \
        ae_work_head(t, n, AE_HEAD_LOSS))

/* All logits of a few tokens, after the cap: logits [M, V] float32. */
#define AE_HEAD_LOGITS(ROW)                                                                                  \
    ROW(head_logits,                                                                                         \
        (const ae_backend *be, ae_f32 *logits, const ae_act *z, const ae_weight *table, ae_head_dims n),     \
        (be, logits, z, table, n), ae_work_head(t, n, AE_HEAD_LOGITS))

#define AE_HEAD_SCRATCH_BYTES(SIZE) SIZE(head_scratch_bytes, (const ae_backend *be, ae_head_dims n), (be, n))

#endif
