#ifndef AE_TRAIN_LOOP_H
#define AE_TRAIN_LOOP_H
#include "train/run.h"

/* The steps of a run that has been started, from the one behind its state to the last: updates, checkpoints, evaluations (a checkpoint
 * that is due comes first), samples. Checkpoints are written while the next steps run; one that fails ends the run at the next step.
 * A file RUN/save.now asks for one and is removed once that is complete.
 *
 * Signals that ask to stop (core/process.h): the step is finished and saved, then AE_ERR_INTERRUPTED unless the run is finished; a second SIGINT or
 * SIGTERM ends the process at once. A step whose
 * loss or gradient is not finite is skipped and told; train.skip_limit of them in a row end with AE_ERR_GUARD and RUN/bad-batch-step-N.h5. */
ae_status ae_loop_run(ae_run *run);

#endif
