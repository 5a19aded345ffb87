#include "cli/results.h"

#include "core/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Nothing is there, but for a link that leads nowhere. */
static ae_status check_absent(const char *path) {
    char *real;
    ae_status st = ae_path_follow(&real, path);
    if (st == AE_OK) st = ae_folder_check(path);
    free(real);
    return st;
}

ae_status ae_results_check(const char *path, bool force, bool *is_device) {
    struct stat s;
    *is_device = false;
    if (stat(path, &s) != 0) return check_absent(path);
    if (S_ISDIR(s.st_mode))
        return AE_FAIL(AE_ERR_USAGE, "%s: expected the name of a file, found a folder", path);
    *is_device = !S_ISREG(s.st_mode);
    if (*is_device || force) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: exists already; --force replaces it", path);
}

ae_status ae_results_check_file(const char *path, bool force) {
    bool is_device = false;
    const ae_status st = ae_results_check(path, force, &is_device);
    if (st != AE_OK || !is_device) return st;
    return AE_FAIL(AE_ERR_USAGE, "%s: expected the name of a file, found a device or pipe", path);
}

static ae_status name_aside(ae_results *r, const char *path) {
    char ending[32];
    const ae_status st = ae_path_follow(&r->path, path);
    if (st != AE_OK) return st;
    snprintf(ending, sizeof ending, ".part-%ld", (long)getpid());
    r->aside = ae_path_beside(r->path, ending);
    return r->aside ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

ae_status ae_results_open(ae_results *r, const char *path, bool force) {
    *r = (ae_results){.file = stdout, .name = "standard output"};
    if (!path || strcmp(path, "-") == 0) return AE_OK;
    r->name = path;
    r->force = force;
    bool is_device = false;
    ae_status st = ae_results_check(path, force, &is_device);
    if (st == AE_OK && !is_device) st = name_aside(r, path);
    if (st == AE_OK && !is_device) st = ae_parent_make(path);
    if (st != AE_OK) return ae_results_close(r, st);
    r->file = fopen(is_device ? path : r->aside, "we");
    r->owned = r->file != NULL;
    return r->owned ? AE_OK : ae_results_close(r, ae_output_failed(path));
}

ae_status ae_results_flush(ae_results *r) {
    errno = EIO;
    return fflush(r->file) == 0 && !ferror(r->file) ? AE_OK : ae_output_failed(r->name);
}

static ae_status put_in_place(const ae_results *r) {
    return r->force ? ae_path_rename(r->aside, r->path) : ae_path_rename_new(r->aside, r->path);
}

ae_status ae_results_close(ae_results *r, ae_status st) {
    if (r->owned) {
        if (st == AE_OK) st = ae_results_flush(r);
        if (fclose(r->file) != 0 && st == AE_OK) st = ae_output_failed(r->name);
        if (st == AE_OK && r->aside) st = ae_path_sync(r->aside);
        if (st != AE_OK && r->aside) unlink(r->aside);
        if (st == AE_OK && r->aside)
            st = put_in_place(r); /* it is whole: where it cannot go it stays aside */
    }
    free(r->path);
    free(r->aside);
    *r = (ae_results){0};
    return st;
}
