#ifndef AE_TRAIN_SAVER_H
#define AE_TRAIN_SAVER_H
#include "train/checkpoint.h"

/* Writes checkpoints in a thread while training goes on, without a second copy of what is written:
 * parameters and moments change only in the optimiser's update, which waits for each parameter until the
 * thread is past it. What else belongs to a checkpoint is small, changes between steps, and is written
 * before ae_saver_start returns. One save at a time; HDF5 has a lock of its own. */
typedef struct ae_saver ae_saver;

/* `optimizer` is told to wait; it must outlive the saver or be freed together with it. */
ae_status ae_saver_new(ae_saver **s, ae_optimizer *optimizer);
/* Takes over a job to which all files were added, and starts to write what was added for later. Waits for
 * the save under way; the failure of that one becomes the failure of this call. */
ae_status ae_saver_start(ae_saver *s, ae_checkpoint_job *job);
/* The failure of the last save, once; AE_OK while it is under way. */
ae_status ae_saver_check(ae_saver *s);
/* The same, at its end. */
ae_status ae_saver_wait(ae_saver *s);
bool ae_saver_is_busy(ae_saver *s);
/* Waits; a failure not asked for is lost. */
void ae_saver_delete(ae_saver *s);

#endif
