#ifndef AE_TRAIN_RESUME_H
#define AE_TRAIN_RESUME_H
#include "train/checkpoint.h"
#include "train/override.h"
#include "train/state.h"

/* Whether a command goes on with what lies in its run folder, and whether it would go on with the same
 * bits. */

typedef enum {
    AE_RUN_NEW,     /* nothing there, an empty folder, or what a start killed at once has left */
    AE_RUN_RESTART, /* a run's folder without a complete checkpoint */
    AE_RUN_RESUME
} ae_run_kind;

/* `checkpoint` (caller frees) is the folder to go on from, or NULL; `files` as of
 * ae_checkpoint_newest_intact. A folder with something else in it is AE_ERR_USAGE, one with damaged
 * checkpoints only AE_ERR_INPUT. */
ae_status ae_run_inspect(const char *dir, const ae_checkpoint_name *files, ae_run_kind *kind,
                         char **checkpoint);
/* Whether a run wrote the configuration at `path`: it gives every key of `optim`, where a recipe gives
 * those that matter to it. Sections of an objective's own are not looked at. */
bool ae_run_wrote_config(const char *path);
/* Whether a run lies in `dir`: a config.yaml that a run wrote, or one beside checkpoints. */
bool ae_run_is_there(const char *dir);
/* Whether a file of a run's folder is a config.yaml that was not written to its end. */
bool ae_run_is_partial_config(const char *name);

/* The keys marked AE_KEY_FIXED must be as they were, or be listed by run.override (override.h):
 * AE_ERR_USAGE names the first that is neither, with both values. Those marked AE_KEY_ROUNDING may be
 * missing in the run's configuration; a line says so. model.init may name another place where
 * the one before is gone or the same folder, and beside adapters always: what lies there is compared. */
ae_status ae_resume_check_keys(const ae_run_state *s, ae_overrides *o);
/* train.steps, which an objective may have counted, may change where the learning rates of the steps done
 * stay what they were, or be listed. */
ae_status ae_resume_check_steps(const ae_run_state *s, ae_overrides *o);
/* Whether a key has the value it had; `before` is NULL in a run from before the key came, which had its
 * default, off. */
bool ae_resume_same_value(const json_t *before, const json_t *now);

#endif
