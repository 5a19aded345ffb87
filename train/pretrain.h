#ifndef AE_TRAIN_PRETRAIN_H
#define AE_TRAIN_PRETRAIN_H
#include "train/checkpoint.h"
#include "train/config.h"

#include <stdbool.h>

/* Trains on token sets as the configuration says; goes on with a run that is in run.dir already, bit for bit as if it had never
 * stopped. `dry_run`: checks everything, tells the plan, writes nothing. */
ae_status ae_pretrain(const ae_train_config *config, bool dry_run);

/* What it adds to a checkpoint:
 *
 *   weights.h5        one data set a parameter, float32, by its Hugging Face name
 *   model.json        the shape
 *   tokenizer.model   when the token set or model.init carries one
 *   carry.h5          where rows carry their state: what the next step's rows go on from
 *
 * and to state.json: loader (position), data (hashes of the token sets), micro_rows, recompute_blocks. */
extern const ae_checkpoint_name ae_pretrain_files[];

#endif
