#ifndef AE_TRAIN_LOOP_H
#define AE_TRAIN_LOOP_H
#include "train/engine.h"

/* The steps of an engine that was started, from the one after its state to the last: updates, checkpoints,
 * evaluations (a checkpoint that is due comes first), samples. An evaluation that fails ends the run with its
 * status, after a checkpoint of its step; a sample that fails is told. Checkpoints are written while the next
 * steps run; one that fails ends the run at the next step. A file RUN/save.now asks for one and is removed
 * once that is complete.
 *
 * Once a signal has asked to stop (train/stop.h) the step is finished and saved, then AE_ERR_INTERRUPTED
 * unless the run is finished. A step whose loss or gradient is not finite is skipped and told;
 * train.skip_limit of them in a row end with AE_ERR_GUARD and RUN/bad-batch-step-N.h5, where the objective
 * dumps it. */
ae_status ae_loop_run(ae_engine *e);

#endif
