#include "train/runs_folder.h"

#include "core/file.h"
#include "core/lock.h"
#include "train/rendered.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What lies there and is not known, the last of it (the caller frees it); NULL: nothing. */
static char *find_other(const char *dir, bool (*is_known)(const char *name)) {
    char *other = NULL;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (is_dots(e->d_name) || is_known(e->d_name)) continue;
        free(other);
        other = strdup(e->d_name);
    }
    if (d) closedir(d);
    return other;
}

static bool holds_only(const char *dir, bool (*is_known)(const char *name)) {
    char *other = find_other(dir, is_known);
    const bool only = !other;
    free(other);
    return only;
}

static ae_status check(const char *dir, bool (*is_ours)(const char *name), const char *made_by) {
    ae_status st = ae_folder_check(dir);
    if (st != AE_OK) {
        ae_fail_prefix("run.dir");
        return st;
    }
    char *other = find_other(dir, is_ours);
    if (other)
        st = AE_FAIL(
            AE_ERR_USAGE,
            "run.dir: %s: expected an empty folder, or one of %s, found %s in it; choose another folder", dir,
            made_by, other);
    free(other);
    return st;
}

ae_status ae_runs_folder_take(ae_runs_folder *f, const char *dir, bool (*is_ours)(const char *name),
                              const char *made_by, bool dry_run) {
    ae_status st = check(dir, is_ours, made_by);
    if (st != AE_OK || dry_run) return st;
    st = ae_made_folder_init(&f->folder, dir);
    if (st == AE_OK) st = ae_folder_lock(&f->lock, dir);
    if (st == AE_OK) f->dir = dir;
    return st;
}

static bool is_rendered(const char *name) {
    return strcmp(name, ae_rendered_folder) == 0;
}

void ae_runs_folder_leave(ae_runs_folder *f, ae_status st) {
    if (f->dir && st != AE_OK && holds_only(f->dir, is_rendered)) ae_made_folder_undo(&f->folder, f->dir);
    if (f->lock) close(f->lock);
    *f = (ae_runs_folder){0};
}
