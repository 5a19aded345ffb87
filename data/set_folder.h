#ifndef AE_DATA_SET_FOLDER_H
#define AE_DATA_SET_FOLDER_H
#include "core/status.h"

#include <stdbool.h>

/* DIR/train.h5 and DIR/heldout.h5 of `data prepare`: written in DIR/.partial, and put in their place when
 * both are whole. */
typedef struct {
    const char *folder;
    bool force; /* sets that exist are replaced */
    char *train, *heldout, *staging, *staged_train, *staged_heldout;
    bool made_folder, made_staging;
    int lock;
} ae_set_folder;

/* Names the files: AE_ERR_USAGE where one exists and is not to be replaced. */
ae_status ae_set_folder_open(ae_set_folder *f, const char *folder, bool force);
/* Makes and locks the folder. Of two processes that write one, the second is refused before it looks at
 * what the first has made so far. */
ae_status ae_set_folder_take(ae_set_folder *f);
/* Makes the place for the staged files. */
ae_status ae_set_folder_stage(ae_set_folder *f);
/* Puts the staged files, whole and on disk, in their place. A held-out set of an earlier run goes where
 * there is none now. */
ae_status ae_set_folder_publish(ae_set_folder *f, bool has_heldout);
/* Removes what was not published. */
void ae_set_folder_close(ae_set_folder *f);

#endif
