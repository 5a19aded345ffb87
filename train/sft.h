#ifndef AE_TRAIN_SFT_H
#define AE_TRAIN_SFT_H
#include "train/tuned.h"

/* Supervised fine-tuning: the answers of dialogues, token by token, given what stands before them. Examples
 * are documents of token sets with a loss mask, packed whole into rows (data/packing.h); sets without a mask
 * are text, whose rows are mixed in by weight against forgetting.
 *
 *   loss = sum(w nll) / sum(w) over the counted targets of the global batch, w = 1 (tokens), or 1 / the
 *   number of targets of the answer (answers: each answer counts alike). An answer is a run of counted
 *   targets. */

typedef enum { AE_SFT_TOKENS, AE_SFT_ANSWERS } ae_sft_average;

typedef struct {
    int average;         /* ae_sft_average */
    int64_t exact_match; /* held-out dialogues that are answered at each evaluation */
} ae_sft_keys;

typedef struct {
    ae_tune_config tune;
    ae_sft_keys sft;
} ae_sft_config; /* do not move it */

ae_status ae_sft_config_init(ae_sft_config *c);

/* Trains as the configuration says, whose train.steps it sets where train.epochs is given; goes on with a run
 * that is in run.dir already. `dry_run`: checks everything, tells the plan, writes nothing. */
ae_status ae_sft(ae_sft_config *config, bool dry_run);

/* Weighs the targets of a batch for that average; returns the sum of the weights. */
double ae_sft_weigh(ae_batch *b, ae_sft_average average);
/* Adds the gradients of the loss of a batch whose weights sum to `weight`, `micro_rows` rows at a time; returns
 * the loss, NaN where nothing counts. */
double ae_sft_gradients(ae_model *m, ae_pass *pass, const ae_batch *b, double weight, ptrdiff_t micro_rows);

#endif
