#ifndef AE_MODEL_PASS_H
#define AE_MODEL_PASS_H
#include "model/model.h"

/* A pass over a micro-batch, in stages:
 *
 *   1. ae_pass_forward                    to the final hidden states (after the final norm), which the pass
 *                                         holds from then on
 *   2. ae_pass_logprobs, score, kl,       read from them: any of these, in any order
 *      values
 *   3. ae_pass_add_loss, add_targets,     add the gradient of one more term of the objective, which is their
 *      add_kl, add_values, add_hidden     sum. Its weights may come from what was read: no block runs forward
 *                                         again for it
 *   4. ae_pass_backward                   through the blocks, once
 *
 * 1 and 2 alone serve inference. The model must not change in between. Gradients of parameters accumulate in
 * the model; those of parameters without gradient memory are skipped. All laws are softmax(logits /
 * temperature), logits after the cap.
 *
 * Host arrays are [B, T]; device memory is called so. Places are the B T tokens of the micro-batch; a place
 * counts where the micro-batch gives its target a weight other than 0. */

/* What a pass has room for, and how much is kept between forward and backward. */
typedef struct {
    ptrdiff_t B, T;             /* of a micro-batch */
    ptrdiff_t recompute_blocks; /* the first n blocks keep only their input; backward recomputes the rest */
    ptrdiff_t recompute_mlps;   /* the first n blocks recompute gate and up of their MLP in backward */
    ptrdiff_t kl_width;         /* D of the models that ae_pass_kl compares with; 0: none */
    ptrdiff_t adapter_rank;     /* of the model, which ae_pass_new knows by itself; 0: no adapters */
} ae_pass_dims;

/* The memory of one pass over micro-batches of a fixed shape; made once, used for every step. */
typedef struct ae_pass ae_pass;
size_t ae_pass_bytes(const ae_backend *be, const ae_model_config *c, ae_pass_dims n, bool training);
ae_status ae_pass_new(ae_pass **out, const ae_model *m, ae_pass_dims n, bool training);
void ae_pass_delete(ae_pass *p);

/* The states that rows go on from (model/decode.h): row b, unless its first position is 0, goes on from
 * sequence first + b of `before`, and `after` gets the state at its end. A pass that only scores may be given
 * one state as both. No gradient flows into `before`. Caches have room for the positions of the rows
 * (ae_decode_state_reserve). */
typedef struct {
    const struct ae_decode_state *before;
    struct ae_decode_state *after;
    ptrdiff_t first;
} ae_carried_rows;

/* Host arrays of one micro-batch, [B, T] each. B and T may be smaller than the pass was made for. */
typedef struct {
    const int32_t *tokens, *targets, *positions;
    const float *weights; /* of the targets: 0 masks */
    ptrdiff_t B, T;
    const ae_carried_rows *carried; /* NULL: every row starts empty */
} ae_micro_batch;

/* ---- forward ---- */

/* `targets` and `weights` of the micro-batch may be NULL where no later stage reads them. Of what it points
 * to, only the states of its carried rows must outlive the call, until backward. */
void ae_pass_forward(ae_pass *p, const ae_model *m, const ae_micro_batch *b);

/* The hidden states: device memory [B T, D], good until the next forward or backward. */
const ae_act *ae_pass_hidden(const ae_pass *p);

/* ---- readings ---- */

/* Log-probabilities of the targets, and the entropies of their laws (NULL: none); 0 at places that do not
 * count. At temperature 1 they are the bits of a score. */
void ae_pass_logprobs(ae_pass *p, float temperature, float *logprobs, float *entropies);

/* nll of the targets at temperature 1 (may be NULL), 0 at places that do not count, and *nll_sum, the sum of
 * weights * nll in double (may be NULL). With top > 0 also the `top` likeliest ids of every place that counts
 * and their log-probabilities, [B, T, top] each. */
void ae_pass_score(ae_pass *p, double *nll_sum, float *nll, ptrdiff_t top, int32_t *top_ids,
                   float *top_logprobs);

/* Exact divergence of the laws of this pass (p) and of `other` (q), which has run the same micro-batch
 * through its own model, of the same vocabulary and on the same backend; 0 at places that do not count. */
void ae_pass_kl(ae_pass *p, const ae_pass *other, ae_kl_direction direction, float temperature, float *kl);

/* The scalar head: values = hidden w, at every place; w [D] in device memory. */
void ae_pass_values(ae_pass *p, const ae_f32 *w, float *values);

/* All logits after the cap, [B, T, V] on the host: for tests and small shapes. */
ae_status ae_pass_logits(ae_pass *p, float *logits);

/* ---- gradients: each adds the gradient of its term ---- */

/* grad_scale * sum(weights * nll) with the micro-batch's own weights, and *nll_sum and nll as ae_pass_score
 * gives them: loss and gradient from one sweep over the logits, for weights that are known beforehand. The
 * first term, where there are several. */
void ae_pass_add_loss(ae_pass *p, float grad_scale, double *nll_sum, float *nll);

/* sum(weights * nll) + sum(entropy_weights * entropy): weights of either sign and any size, 0 where there is
 * nothing to learn; entropy_weights may be NULL. The targets are the micro-batch's; note that nll is minus
 * the log-probability. */
void ae_pass_add_targets(ae_pass *p, const float *weights, const float *entropy_weights, float temperature);

/* sum(weights * kl), kl as ae_pass_kl gives it. The other model is a constant. */
void ae_pass_add_kl(ae_pass *p, const ae_pass *other, ae_kl_direction direction, const float *weights,
                    float temperature);

/* A term whose gradient with respect to the values of ae_pass_values is dvalues. dw [D] (device memory, may
 * be NULL) accumulates that of w. */
void ae_pass_add_values(ae_pass *p, const ae_f32 *w, ae_f32 *dw, const float *dvalues);

/* A term whose gradient with respect to the hidden states is `dhidden`, device memory [B T, D]. */
void ae_pass_add_hidden(ae_pass *p, const ae_f32 *dhidden);

/* ---- backward ---- */

/* From the sum of the terms to the parameters, down to the lowest block in which something trains; nothing
 * happens where no term was added. The hidden states are gone afterwards. */
void ae_pass_backward(ae_pass *p);

/* ---- several stages in one call ---- */

/* Forward, ae_pass_add_loss, backward. */
void ae_model_train_pass(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale, double *nll_sum,
                         float *nll);
/* Forward, ae_pass_score. */
void ae_model_score_pass(const ae_model *m, ae_pass *p, const ae_micro_batch *b, double *nll_sum, float *nll,
                         ptrdiff_t top, int32_t *top_ids, float *top_logprobs);
/* Forward, ae_pass_logits. */
ae_status ae_model_logits(const ae_model *m, ae_pass *p, const ae_micro_batch *b, float *logits);

#endif
