#ifndef AE_MODEL_PASS_MEMORY_H
#define AE_MODEL_PASS_MEMORY_H
#include "model/pass.h"
#include "model/views.h"

#include <stdbool.h>

/* What the files of the pass share: its memory. */

/* The residual stream of a training pass: x[0] (embedding), mid[0], x[1], ..., x[blocks]. A block keeps x,
 * mid and the `saved` blobs of its two branches; one that recomputes keeps x only and recomputes mid and the
 * blobs, shared by all of that sort, in backward. Where backward does not need the stream (ae_stream_needed),
 * and in a scoring pass, it goes to and fro between two buffers. */
typedef struct {
    ae_f32 *x, *mid;
    ae_room temporal_saved, mlp_saved;
} ae_pass_block;

struct ae_pass {
    const ae_backend *be;
    ae_pass_dims dims;
    bool training;
    void *memory;
    size_t memory_bytes;

    ae_i32 *tokens, *targets, *positions;
    ae_f32 *weights, *cosines, *sines, *rstd;
    ae_pass_block blocks[AE_BLOCKS_MAX];
    ae_f32 *x_last, *d;
    ae_act *kept;    /* x_last as activations, where backward does not read the stream */
    ae_room scratch; /* of blocks and head: never at the same time */
    ae_act *z, *dz;
    ae_room head_scratch;
    ae_f32 *results, *factors; /* [M]: of one stage, to the host; and from the host, weights of a term */
    ae_f32 *entropies;         /* [M]: the same of entropies, either way */
    ae_f64 *sum;               /* of weights * nll */
    ae_i32 *top_ids;
    ae_f32 *top_logprobs;
    ptrdiff_t top_room; /* entries of the two above */

    /* the micro-batch at work */
    const ae_model *model; /* NULL: there are no hidden states */
    ptrdiff_t B, T;
    ae_carried_rows carried; /* `before` is NULL: every row starts empty */
    bool has_gradient;       /* dz holds one */
};

static inline ae_head_dims ae_pass_head_dims(const ae_model_config *c, ptrdiff_t M) {
    return (ae_head_dims){.M = M, .D = c->D, .V = c->V, .cap = (float)c->soft_cap};
}

/* The sizes for block i, with what its backward recomputes. */
ae_block_dims ae_pass_block_dims(const ae_pass *p, const ae_block_dims *n, ptrdiff_t i);

#endif
