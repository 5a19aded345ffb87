#include "data/set_folder.h"

#include "core/file.h"
#include "core/lock.h"

#include <stdlib.h>
#include <unistd.h>

static ae_status check_absent(const ae_set_folder *f) {
    const char *const paths[] = {f->train, f->heldout};
    for (int i = 0; i < 2 && !f->force; i++)
        if (ae_path_exists(paths[i]))
            return AE_FAIL(AE_ERR_USAGE, "%s: exists already; name another folder or replace it with --force",
                           paths[i]);
    return AE_OK;
}

ae_status ae_set_folder_open(ae_set_folder *f, const char *folder, bool force) {
    *f = (ae_set_folder){.folder = folder, .force = force};
    f->staging = ae_path_join(folder, ".partial");
    f->train = ae_path_join(folder, "train.h5");
    f->heldout = ae_path_join(folder, "heldout.h5");
    f->staged_train = ae_path_join(f->staging, "train.h5");
    f->staged_heldout = ae_path_join(f->staging, "heldout.h5");
    return check_absent(f);
}

ae_status ae_set_folder_take(ae_set_folder *f) {
    ae_status st;
    f->made_folder = !ae_path_exists(f->folder);
    AE_TRY(ae_folder_make(f->folder));
    AE_TRY(ae_folder_lock(&f->lock, f->folder));
    AE_TRY(check_absent(f));
out:
    return st;
}

ae_status ae_set_folder_stage(ae_set_folder *f) {
    ae_status st = AE_OK;
    if (ae_path_exists(f->staging)) AE_TRY(ae_folder_remove(f->staging));
    AE_TRY(ae_folder_make(f->staging));
    f->made_staging = true;
out:
    return st;
}

ae_status ae_set_folder_publish(ae_set_folder *f, bool has_heldout) {
    ae_status st = AE_OK;
    if (!has_heldout) unlink(f->heldout);
    if (has_heldout) AE_TRY(ae_path_rename(f->staged_heldout, f->heldout));
    AE_TRY(ae_path_rename(f->staged_train, f->train));
    f->made_folder = false;
out:
    return st;
}

void ae_set_folder_close(ae_set_folder *f) {
    if (f->made_staging) ae_folder_remove(f->staging);
    if (f->made_folder && f->lock) rmdir(f->folder);
    if (f->lock) close(f->lock);
    free(f->staging);
    free(f->train);
    free(f->heldout);
    free(f->staged_train);
    free(f->staged_heldout);
    *f = (ae_set_folder){0};
}
