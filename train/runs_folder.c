#include "train/runs_folder.h"

#include "core/file.h"
#include "core/lock.h"

#include <dirent.h>
#include <string.h>

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static ae_status check(const char *dir, bool (*is_ours)(const char *name), const char *made_by) {
    ae_status st = ae_folder_check(dir);
    if (st != AE_OK) {
        ae_fail_prefix("run.dir");
        return st;
    }
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (!is_dots(e->d_name) && !is_ours(e->d_name))
            st =
                AE_FAIL(AE_ERR_USAGE,
                        "run.dir: %s: expected an empty folder, or one of %s, found %s in it; choose another "
                        "folder",
                        dir, made_by, e->d_name);
    if (d) closedir(d);
    return st;
}

ae_status ae_runs_folder_take(int *lock, const char *dir, bool (*is_ours)(const char *name),
                              const char *made_by, bool dry_run) {
    ae_status st = check(dir, is_ours, made_by);
    if (st != AE_OK || dry_run) return st;
    st = ae_folder_make(dir);
    return st == AE_OK ? ae_folder_lock(lock, dir) : st;
}
