#ifndef AE_TRAIN_PLAN_H
#define AE_TRAIN_PLAN_H
#include "model/model.h"

#include <stdbool.h>
#include <stdio.h>

/* What a run will need, before it starts: a memory table whose sum is the predicted peak of resident
 * memory, FLOPs, and the choices that trade memory for time: rows of a micro-batch, weights packed for
 * each product instead of once a step, MLPs that recompute gate and up in backward, and whole blocks that
 * do. None but the first changes a bit of the result. */

/* What stands beside the model that trains: other models, and passes of theirs over the same micro-batches. Zeroed:
 * nothing. */
typedef struct {
    size_t bytes[2]; /* of those models and what they need, passes left out: without and with pack_at_use */
    ptrdiff_t kl_width; /* ae_pass_dims of the pass that trains */
    struct {
        const ae_model_config *model; /* NULL: no such pass */
        ptrdiff_t adapter_rank;
        bool training;
    } passes[3];
} ae_plan_beside;

typedef struct {
    const ae_backend *be;
    const ae_model_config *model;
    ae_model_options options; /* of the model that trains, but for pack_at_use, which is chosen */
    ptrdiff_t row_tokens, batch_rows;
    ptrdiff_t micro_rows;       /* 0: chosen */
    ptrdiff_t recompute_blocks; /* -1: chosen */
    ptrdiff_t recompute_mlps;   /* -1: chosen */
    int64_t heldout_rows;       /* scored between steps; 0: none */
    ptrdiff_t sample_tokens;    /* of the prompt that text is sampled from; 0: none */
    int64_t sample_new;         /* tokens of an answer at most */
    ptrdiff_t sample_answers;   /* that grow at once; 0: one */
    bool carry;                 /* rows carry their state */
    ae_plan_beside beside;
    size_t program_bytes;   /* resident already: code, libraries, opened token sets */
    size_t available_bytes; /* for what is to come */
    const char *limit;      /* the key that says how much; NULL: the machine does */
} ae_plan_request;

typedef struct {
    ptrdiff_t micro_rows, recompute_blocks, recompute_mlps;
    bool pack_at_use;          /* for the options of the model */
    ptrdiff_t evaluation_rows; /* of a pass that only scores */
    int64_t parameters;        /* elements */
    size_t program_bytes;
    size_t values_bytes; /* parameters and their packed forms */
    size_t gradients_bytes;
    size_t optimizer_bytes;
    size_t pass_bytes;       /* activations and workspace of a micro-batch */
    size_t loader_bytes;     /* batches made ahead */
    size_t beside_bytes;     /* models beside the one that trains, and their passes */
    size_t carry_bytes;      /* states that rows carry from step to step */
    size_t checkpoint_bytes; /* host copy of the largest tensor while saving */
    size_t evaluation_bytes; /* pass of an evaluation, or the decoder of a sample, whichever is more */
    size_t peak_bytes;       /* all but the last two, and the larger of them */
    double flops_per_token;  /* model FLOPs of forward and backward */
} ae_plan;

/* Up to so many tokens a larger micro-batch makes the products faster; beyond them only the memory grows. */
enum { AE_PLAN_MICRO_TOKENS = 16384, AE_PLAN_EVALUATION_TOKENS = 4096 };

/* Chooses what is left to choose: the largest micro-batch up to AE_PLAN_MICRO_TOKENS that fits without
 * recomputing; else one row, and as little of the rest, in the order above, as fits. AE_ERR_RESOURCE,
 * naming what would fit, when nothing does. */
ae_status ae_plan_make(ae_plan *p, const ae_plan_request *r);

/* Fills in what is resident now, and what is left when the whole program may take `memory_gb` (0: as much
 * as there is), which `key` says. */
void ae_plan_limit(ae_plan_request *r, const char *key, double memory_gb);

/* The table, aligned. */
void ae_plan_print(const ae_plan *p, const ae_plan_request *r, FILE *out);
/* The same, as lines of the log. */
void ae_plan_tell(const ae_plan *p, const ae_plan_request *r);

#endif
