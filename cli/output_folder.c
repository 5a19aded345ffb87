#include "cli/output_folder.h"

#include "core/file.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool is_same(const char *output, const char *source) {
    char real_output[PATH_MAX], real_source[PATH_MAX];
    return source && realpath(output, real_output) && realpath(source, real_source) &&
           strcmp(real_output, real_source) == 0;
}

static ae_status check_output(const ae_output_folder *f, const char *output, const char *aside) {
    if (!ae_path_exists(output)) return check_replaceable(f, aside);
    if (!f->force) return AE_FAIL(AE_ERR_USAGE, "%s: exists already; --force replaces it", output);
    for (size_t i = 0; i < f->n_sources; i++)
        if (is_same(output, f->sources[i]))
            return AE_FAIL(AE_ERR_USAGE, "%s: is the model that is read; name another folder", output);
    const ae_status st = check_replaceable(f, output);
    return st == AE_OK ? check_replaceable(f, aside) : st;
}

ae_status ae_output_folder_write(const ae_output_folder *f) {
    char *output = ae_path_join("", f->output);
    for (size_t n = strlen(output); n > 1 && output[n - 1] == '/'; n--) output[n - 1] = '\0';
    char *aside = malloc(strlen(output) + 6);
    bool owned = false; /* from here on what stands beside is ours */
    ae_status st;
    if (!aside) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "--output: out of memory"));
    sprintf(aside, "%s.part", output);
    AE_TRY(check_output(f, output, aside));
    owned = true;
    AE_TRY(ae_folder_remove(aside));
    AE_TRY(ae_folder_make(aside));
    AE_TRY(f->fill(f->context, aside));
    AE_TRY(ae_path_sync(aside));
    AE_TRY(ae_folder_remove(output));
    AE_TRY(ae_path_rename(aside, output));
out:
    if (st != AE_OK && owned) (void)ae_folder_remove(aside);
    free(aside);
    free(output);
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
