#ifndef AE_TRAIN_RUNS_FOLDER_H
#define AE_TRAIN_RUNS_FOLDER_H
#include "core/status.h"

#include <stdbool.h>

/* A folder that holds several runs. Makes it and takes its lock, which goes with *lock. AE_ERR_USAGE "run.dir: ..."
 * where it cannot be made, another process has it, or it holds a name that `is_ours` does not know; `made_by` says what
 * makes such folders. `dry_run`: looks alone, and *lock stays. */
ae_status ae_runs_folder_take(int *lock, const char *dir, bool (*is_ours)(const char *name),
                              const char *made_by, bool dry_run);

#endif
