#ifndef AE_TRAIN_RUN_FOLDER_H
#define AE_TRAIN_RUN_FOLDER_H
#include "exchange/source.h"

/* The layout of a run's folder: RUN/checkpoints/step-000123, and the link RUN/checkpoints/best. */

/* Steps of the folders RUN/checkpoints/step-000123, rising, complete or not; none without the folder. */
typedef struct {
    int64_t *steps;
    size_t n;
} ae_checkpoint_list;
ae_status ae_checkpoint_list_steps(ae_checkpoint_list *l, const char *run);
void ae_checkpoint_list_free(ae_checkpoint_list *l);
/* Folder of a run's step: "RUN/checkpoints/step-000123"; the caller frees it. */
char *ae_checkpoint_path(const char *run, int64_t step);

/* The newest checkpoint of a run that has a DONE (caller frees); NULL with AE_OK when there is none.
 * `step` may be NULL. Its files are not looked at: ae_checkpoint_newest_intact (checkpoint.h) does. */
ae_status ae_checkpoint_newest_complete(char **folder, int64_t *step, const char *run);

/* The checkpoint with the best evaluation, to which RUN/checkpoints/best leads (caller frees); without one that is
 * complete, or with train.keep_best off, the newest one as above. */
ae_status ae_checkpoint_best_complete(char **folder, const char *run);

/* What a "model" argument may be: a Hugging Face folder, a checkpoint, or a run (its newest complete
 * checkpoint, or RUN/average or RUN/final of several members). Reads the configuration, as ae_model_source_open does. */
ae_status ae_run_source_open(ae_model_source *s, const char *path);

#endif
