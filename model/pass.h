#ifndef AE_MODEL_PASS_H
#define AE_MODEL_PASS_H
#include "model/model.h"

/* Passes over a micro-batch: forward, and backward of a loss. */

/* How much is kept between forward and backward. */
typedef struct {
    ptrdiff_t B, T;             /* of a micro-batch */
    ptrdiff_t recompute_blocks; /* the first n blocks keep only their input; backward recomputes the rest */
    ptrdiff_t recompute_mlps;   /* the first n blocks recompute gate and up of their MLP in backward */
} ae_pass_dims;

/* The memory of one pass over micro-batches of a fixed shape; made once, used for every step. */
typedef struct ae_pass ae_pass;
size_t ae_pass_bytes(const ae_backend *be, const ae_model_config *c, ae_pass_dims n, bool training);
ae_status ae_pass_new(ae_pass **out, const ae_model *m, ae_pass_dims n, bool training);
void ae_pass_delete(ae_pass *p);

/* The states that rows go on from (model/decode.h): row b, unless its first position is 0, goes on from sequence first + b of `before`, and
 * `after` gets the state at its end. A pass that only scores may be given one state as both. No gradient flows into `before`. */
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

/* Forward and backward: gradients of sum(weights * nll) * grad_scale accumulate in the model; *nll_sum is sum(weights * nll) in double;
 * nll ([B, T] on the host, 0 where masked) may be NULL. */
void ae_model_train_pass(ae_model *m, ae_pass *p, const ae_micro_batch *b, float grad_scale, double *nll_sum,
                         float *nll);

/* Forward only. `top` most likely ids and log-probabilities of every place with a weight, when top > 0 ([B, T, top] on the host, else NULL). */
void ae_model_score_pass(const ae_model *m, ae_pass *p, const ae_micro_batch *b, double *nll_sum, float *nll,
                         ptrdiff_t top, int32_t *top_ids, float *top_logprobs);

/* Forward only, logits of every place after the cap, [B, T, V] on the host: for tests and small shapes. */
ae_status ae_model_logits(const ae_model *m, ae_pass *p, const ae_micro_batch *b, float *logits);

#endif
