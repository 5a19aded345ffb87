#ifndef AE_OPS_HEAD_H
#define AE_OPS_HEAD_H
#include "ops/types.h"

/* The tied output layer: logits = z table^T, then cap * tanh(logits / cap) when cap > 0.  z [M, D], table [V, D].
 * Logits of all tokens never exist: they are made in chunks of tokens in `scratch` (head_scratch_bytes), which serves calls with
 * fewer tokens too. */
typedef struct {
    ptrdiff_t M, D, V;
    float cap; /* 0: none */
} ae_head_dims;

/* Forward and backward of the cross-entropy in one pass, over the tokens with weights[m] != 0 only:
 *   nll[m] = log sum_v exp(logits[m,v]) - logits[m, targets[m]], 0 where the weight is 0
 *   dz[m] and dtable of  grad_scale * sum_m weights[m] nll[m].  dz overwritten (0 where the weight is 0), dtable accumulated. */
typedef void ae_head_loss_fn(ae_f32 *nll, ae_act *dz, ae_f32 *dtable, const ae_act *z, const ae_weight *table,
                             const ae_i32 *targets, const ae_f32 *weights, float grad_scale, ae_head_dims n,
                             void *scratch);

/* nll as above, without gradients. With top > 0 also the `top` most likely ids of every token with a weight and their log-probabilities, best first,
 * the smaller id first among equals: top_ids, top_logprobs [M, top] (both may be NULL when top is 0). */
typedef void ae_head_score_fn(ae_f32 *nll, ae_i32 *top_ids, ae_f32 *top_logprobs, ptrdiff_t top,
                              const ae_act *z, const ae_weight *table, const ae_i32 *targets,
                              const ae_f32 *weights, ae_head_dims n, void *scratch);

/* All logits of a few tokens, after the cap: logits [M, V] float32. */
typedef void ae_head_logits_fn(ae_f32 *logits, const ae_act *z, const ae_weight *table, ae_head_dims n);

typedef size_t ae_head_scratch_bytes_fn(ae_head_dims n);

#endif
