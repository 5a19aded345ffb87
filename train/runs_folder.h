#ifndef AE_TRAIN_RUNS_FOLDER_H
#define AE_TRAIN_RUNS_FOLDER_H
#include "train/made_folder.h"

/* A folder that holds several runs. */
typedef struct {
    const char *dir; /* borrowed; NULL: not taken */
    int lock;        /* 0: none */
    ae_made_folder folder;
} ae_runs_folder;

/* Makes it and takes its lock. AE_ERR_USAGE "run.dir: ..." where it cannot be made, another process has it, or it holds
 * a name that `is_ours` does not know; `made_by` says what makes such folders. `dry_run`: looks alone, and takes
 * nothing. */
ae_status ae_runs_folder_take(ae_runs_folder *f, const char *dir, bool (*is_ours)(const char *name),
                              const char *made_by, bool dry_run);
/* Gives the lock back. After a failure (`st`) a folder that was made here goes again where it holds no more than what
 * was rendered. Fine where nothing was taken. */
void ae_runs_folder_leave(ae_runs_folder *f, ae_status st);

#endif
