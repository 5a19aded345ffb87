#include "cli/output_folder.h"

#include "core/file.h"
#include "core/lock.h"
#include "core/log.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name itself, or that of a file which a kill left half-written. */
static bool matches(const char *pattern, const char *name) {
    char part[256];
    snprintf(part, sizeof part, "%s.*part", pattern);
    return fnmatch(pattern, name, 0) == 0 || fnmatch(part, name, 0) == 0;
}

static bool is_ours(const ae_output_folder *f, const char *name) {
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
    for (size_t i = 0; i < f->n_names; i++)
        if (matches(f->names[i], name)) return true;
    return false;
}

static ae_status check_replaceable(const ae_output_folder *f, const char *folder) {
    char other[256] = "";
    DIR *d = ae_path_exists(folder) ? opendir(folder) : NULL;
    if (!d) {
        if (!ae_path_exists(folder)) return AE_OK;
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a folder or nothing, found a file that is none", folder);
    }
    for (struct dirent *e; !other[0] && (e = readdir(d)) != NULL;)
        if (!is_ours(f, e->d_name)) snprintf(other, sizeof other, "%s", e->d_name);
    closedir(d);
    if (!other[0]) return AE_OK;
    return AE_FAIL(
        AE_ERR_USAGE,
        "%s: holds '%s', which %s does not write; --force replaces only a folder that it wrote: name another",
        folder, other, f->verb);
}

/* Whether `path` lies in `folder`, or is it. */
static bool lies_in(const char *path, const char *folder) {
    char real_path[PATH_MAX], real_folder[PATH_MAX];
    if (!path || !realpath(path, real_path) || !realpath(folder, real_folder)) return false;
    const size_t n = strlen(real_folder);
    return strncmp(real_path, real_folder, n) == 0 && (real_path[n] == '/' || real_path[n] == '\0');
}

/* Nothing that is read may be in what goes. */
static ae_status check_sources(const ae_output_folder *f, const char *folder) {
    for (size_t i = 0; i < f->n_sources; i++)
        if (lies_in(f->sources[i], folder))
            return AE_FAIL(AE_ERR_USAGE, "%s: holds what is read, %s; name another folder", folder,
                           f->sources[i]);
    return AE_OK;
}

static bool is_empty(const char *folder) {
    DIR *d = opendir(folder);
    int n = 0;
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n == 2; /* itself and its parent */
}

static ae_status check_place(const ae_output_folder *f, const char *output, const char *aside,
                             const char *before) {
    const char *const goes[] = {output, aside, before};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < 3; i++) {
        st = check_sources(f, goes[i]);
        if (st == AE_OK) st = check_replaceable(f, goes[i]);
    }
    if (st != AE_OK || f->force || !ae_path_exists(output) || is_empty(output)) return st;
    return AE_FAIL(AE_ERR_USAGE, "%s: exists already; --force replaces it", output);
}

/* Of two programs that write one output the second is refused, before it looks at what the first has made so
 * far. */
static ae_status lock_aside(const char *aside, int *lock) {
    struct stat s;
    if (lstat(aside, &s) != 0) return AE_OK;
    if (S_ISDIR(s.st_mode)) return ae_folder_lock(lock, aside);
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: expected a folder or nothing, found something else; name another output", aside);
}

static ae_status make_aside(const char *aside, int *lock) {
    ae_status st = *lock ? AE_OK : ae_folder_make(aside);
    if (st == AE_OK && !*lock) st = ae_folder_lock(lock, aside);
    return st == AE_OK ? ae_folder_empty(aside) : st;
}

/* At no time is there neither the old folder nor the new one: a kill leaves one of them under its name or
 * beside it. */
static ae_status move_in(const ae_output_folder *f, const char *aside, const char *output,
                         const char *before) {
    ae_status st;
    const bool replaces = f->force && ae_path_exists(output);
    if (replaces) AE_TRY(check_replaceable(f, output)); /* once more: filling took its time */
    AE_TRY(check_replaceable(f, before));
    AE_TRY(ae_folder_remove(before));
    if (replaces) AE_TRY(ae_path_rename(output, before));
    if (!replaces) (void)rmdir(output); /* one that is empty is as good as none */
    st = ae_path_rename_new(aside, output);
    if (st != AE_OK && replaces) (void)rename(before, output);
    if (st == AE_OK && ae_folder_remove(before) != AE_OK) ae_warn("%s", ae_error_message());
out:
    return st;
}

static ae_status check_name(const char *output) {
    const char *last = ae_path_last(output);
    if (*last && strcmp(last, ".") != 0 && strcmp(last, "..") != 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "--output: expected the name of a folder that can be moved into place, found '%s'",
                   output);
}

ae_status ae_output_folder_write(const ae_output_folder *f) {
    char *named = ae_path_join("", f->output), *output = NULL, *aside = NULL, *before = NULL;
    for (size_t n = strlen(named); n > 1 && named[n - 1] == '/'; n--) named[n - 1] = '\0';
    /* What stands aside is ours and half-written: it goes; what is whole stays, whatever is in its way. */
    bool half = false;
    int lock = 0;
    ae_status st;
    AE_TRY(check_name(named));
    AE_TRY(ae_path_follow(&output, named)); /* a link stays, and its folder is replaced */
    aside = ae_path_beside(output, ".part");
    before = ae_path_beside(output, ".before");
    if (!aside || !before) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "--output: out of memory"));
    AE_TRY(lock_aside(aside, &lock));
    AE_TRY(check_place(f, output, aside, before));
    half = true;
    AE_TRY(make_aside(aside, &lock));
    AE_TRY(f->fill(f->context, aside));
    AE_TRY(ae_path_sync(aside));
    half = false;
    AE_TRY(move_in(f, aside, output, before));
out:
    if (half && lock) (void)ae_folder_remove(aside);
    if (lock) close(lock);
    free(before);
    free(aside);
    free(output);
    free(named);
    return st;
}

ae_status ae_output_folder_copy(const char *folder, const char *name, const char *from) {
    char *path = ae_path_join(folder, name), *bytes = NULL;
    size_t n = 0;
    ae_status st = ae_file_read(from, &bytes, &n);
    if (st == AE_OK) st = ae_file_write(path, bytes, n);
    free(bytes);
    free(path);
    return st;
}
