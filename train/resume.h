#ifndef AE_TRAIN_RESUME_H
#define AE_TRAIN_RESUME_H
#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/override.h"
#include "train/state.h"

/* Whether a command goes on with what lies in its run folder, and whether it would go on with the same bits. */

typedef enum {
    AE_RUN_NEW,     /* nothing there, an empty folder, or what a start killed at once has left */
    AE_RUN_RESTART, /* a run's folder without a complete checkpoint */
    AE_RUN_RESUME
} ae_run_kind;

/* `checkpoint` (caller frees) is the folder to go on from, or NULL; `files` as of ae_checkpoint_newest_intact. A folder with something else in it
 * is AE_ERR_USAGE, one with damaged checkpoints only AE_ERR_INPUT. */
ae_status ae_run_inspect(const char *dir, const ae_checkpoint_name *files, ae_run_kind *kind,
                         char **checkpoint);
/* Whether a file of a run's folder is a config.yaml that was not written to its end. */
bool ae_run_is_partial_config(const char *name);

/* What decides the order and content of the rows besides the keys: hashes of the sets, weights and phases (JSON, caller frees). Paths
 * are no part of it: a set may move. */
ae_status ae_resume_data(const ae_mixture *m, char **json);

/* What must be as it was, or be listed by run.override (override.h): the first that is neither is named, with both values.
 *
 * Keys: AE_ERR_USAGE. train.steps may change where the learning rates of the steps done stay what they were. */
ae_status ae_resume_check_keys(const ae_run_state *s, ae_overrides *o);
/* Token sets: AE_ERR_INPUT; their weights and phases: AE_ERR_USAGE. */
ae_status ae_resume_check_data(const ae_run_state *s, const char *data, ae_overrides *o);
/* Hashes of the checkpoint's tokenizer and of that of the token sets, where there are both: AE_ERR_INPUT. */
ae_status ae_resume_check_tokenizer(uint64_t then, uint64_t now, ae_overrides *o);
/* Shapes: AE_ERR_USAGE names the first size that differs; never overridden. */
ae_status ae_resume_check_model(const ae_model_config *then, const ae_model_config *now, ae_overrides *o);

#endif
