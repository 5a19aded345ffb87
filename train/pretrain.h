#ifndef AE_TRAIN_PRETRAIN_H
#define AE_TRAIN_PRETRAIN_H
#include "train/config.h"

#include <stdbool.h>

/* Trains on token sets as the configuration says; goes on with a run that is in run.dir already, bit for bit as if it had never
 * stopped. `dry_run`: checks everything, tells the plan, writes nothing. */
ae_status ae_pretrain(const ae_train_config *config, bool dry_run);

#endif
