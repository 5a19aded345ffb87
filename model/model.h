#ifndef AE_MODEL_MODEL_H
#define AE_MODEL_MODEL_H
#include "model/config.h"
#include "model/params.h"
#include "ops/backend.h"

/* A model on a backend: parameters, and the passes over a batch. Source: docs/model.md. */

typedef struct {
    const ae_backend *be; /* borrowed */
    ae_model_config config;
    ae_params params;
    bool training; /* gradients exist */
    void *value_memory, *grad_memory, *packed_memory;
    size_t value_bytes, grad_bytes, packed_bytes;
    struct ae_model_views *views; /* the parameter structs of ops/blocks.h, one a block */
} ae_model;

/* Memory for parameters, and for gradients when `training`. Values are undefined until initialised or loaded; gradients are 0. */
ae_status ae_model_init(ae_model *m, const ae_backend *be, const ae_model_config *c, bool training);
void ae_model_free(ae_model *m);
/* Bytes of the parameters of a model without gradients: what loading takes, and what decoding a token reads. */
size_t ae_model_value_bytes(const ae_params *p, const ae_backend *be);
ae_status ae_model_set_initial(ae_model *m, uint64_t seed);
/* Values from a file of tensors; every parameter must be there with its shape, lm_head.weight may repeat the embedding. */
ae_status ae_model_load(ae_model *m, const char *path);
/* The values as native HDF5: one data set a parameter. */
ae_status ae_model_save(const ae_model *m, const char *path);
/* To be called after the values changed: makes the packed forms again. */
void ae_model_values_changed(ae_model *m);

/* How much is kept between forward and backward. */
typedef struct {
    ptrdiff_t B, T; /* of a micro-batch */
    ptrdiff_t
        recompute_blocks; /* so many blocks, from the first, keep their input only and run forward again in backward */
    ptrdiff_t lean_mlps; /* so many blocks, from the first, make gate and up of their MLP again in backward */
} ae_pass_dims;

/* The memory of one pass over micro-batches of a fixed shape; made once, used for every step. */
typedef struct ae_pass ae_pass;
size_t ae_pass_bytes(const ae_backend *be, const ae_model_config *c, ae_pass_dims n, bool training);
ae_status ae_pass_new(ae_pass **out, const ae_model *m, ae_pass_dims n, bool training);
void ae_pass_delete(ae_pass *p);

/* What rows go on from: row b, where its first position is not 0, from sequence first + b of `before` (model/decode.h). `after` becomes the
 * state behind the rows; a pass that only scores may be given one state as both. No gradient flows into `before`. */
typedef struct {
    const struct ae_decode_state *before;
    struct ae_decode_state *after;
    ptrdiff_t first;
} ae_past;

/* Host arrays of one micro-batch, [B, T] each. B and T may be smaller than the pass was made for. */
typedef struct {
    const int32_t *tokens, *targets, *positions;
    const float *weights; /* of the targets: 0 masks */
    ptrdiff_t B, T;
    const ae_past *past; /* NULL: rows start without one */
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
