#ifndef AE_TRAIN_OUTPUTS_H
#define AE_TRAIN_OUTPUTS_H
#include "train/engine.h"

/* RUN: config.yaml, metrics.jsonl, events.*, checkpoints/. */

/* Makes the folder of a first start, with its lock, or cuts the files of a run to the checkpoint that it
 * goes on from. A first start that fails takes back what it made. */
ae_status ae_outputs_open(ae_engine *e);

/* Which checkpoints stay as things are. */
ae_checkpoint_keep ae_outputs_keep(const ae_engine *e);
/* checkpoints/best leads to the best of the checkpoints that are complete; the one before it goes where no
 * other rule keeps it. */
void ae_outputs_mark_best(ae_engine *e);

#endif
