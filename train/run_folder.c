#include "train/run_folder.h"

#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* step-000123 -> 123; -1 for another name, such as one still being written aside, or one that we would not
 * give. */
static int64_t step_of(const char *name) {
    static const char prefix[] = "step-";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return -1;
    const char *digits = name + sizeof prefix - 1;
    const size_t n = strlen(digits);
    if (n < 6 || n > 18 || strspn(digits, "0123456789") != n || (n > 6 && digits[0] == '0')) return -1;
    return strtoll(digits, NULL, 10);
}

static bool add_step(ae_checkpoint_list *l, size_t *capacity, int64_t step) {
    if (l->n == *capacity) {
        *capacity = 2 * *capacity + 8;
        int64_t *steps = realloc(l->steps, *capacity * sizeof *steps);
        if (steps == NULL) return false;
        l->steps = steps;
    }
    l->steps[l->n++] = step;
    return true;
}

static int by_step(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

char *ae_checkpoint_path(const char *run, int64_t step) {
    char name[64];
    snprintf(name, sizeof name, "checkpoints/step-%06lld", (long long)step);
    return ae_path_join(run, name);
}

ae_status ae_checkpoint_list_steps(ae_checkpoint_list *l, const char *run) {
    char *all = ae_path_join(run, "checkpoints");
    size_t capacity = 0;
    bool whole = true;
    *l = (ae_checkpoint_list){0};
    DIR *d = opendir(all);
    ae_status st = d != NULL || errno == ENOENT
                       ? AE_OK
                       : AE_FAIL(AE_ERR_INPUT, "%s: cannot be listed: %s", all, strerror(errno));
    for (struct dirent *e; d != NULL && whole && (e = readdir(d)) != NULL;) {
        const int64_t step = step_of(e->d_name);
        if (step >= 0) whole = add_step(l, &capacity, step);
    }
    if (d != NULL) closedir(d);
    if (!whole) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", all);
    if (l->n > 1) qsort(l->steps, l->n, sizeof *l->steps, by_step);
    free(all);
    return st;
}

void ae_checkpoint_list_free(ae_checkpoint_list *l) {
    free(l->steps);
    *l = (ae_checkpoint_list){0};
}

ae_status ae_checkpoint_newest_complete(char **folder, int64_t *step, const char *run) {
    ae_checkpoint_list l;
    *folder = NULL;
    const ae_status st = ae_checkpoint_list_steps(&l, run);
    while (st == AE_OK && l.n > 0 && *folder == NULL) {
        char *candidate = ae_checkpoint_path(run, l.steps[--l.n]);
        if (step != NULL) *step = l.steps[l.n];
        if (ae_path_has(candidate, "DONE"))
            *folder = candidate;
        else
            free(candidate);
    }
    if (step != NULL && *folder == NULL) *step = -1;
    ae_checkpoint_list_free(&l);
    return st;
}

ae_status ae_checkpoint_best_complete(char **folder, const char *run) {
    char *link = ae_path_join(run, "checkpoints/best"), name[64];
    const ssize_t n = readlink(link, name, sizeof name - 1);
    free(link);
    *folder = NULL;
    if (n > 0) {
        name[n] = '\0';
        const int64_t step = step_of(name);
        if (step >= 0) *folder = ae_checkpoint_path(run, step);
    }
    if (*folder && ae_path_has(*folder, "DONE")) return AE_OK;
    free(*folder);
    return ae_checkpoint_newest_complete(folder, NULL, run);
}

static ae_status open_newest(ae_model_source *s, const char *run) {
    char *checkpoint = NULL;
    ae_status st = ae_checkpoint_newest_complete(&checkpoint, NULL, run);
    if (st == AE_OK && checkpoint == NULL)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a run with a complete checkpoint, found none in checkpoints",
                     run);
    if (st == AE_OK) st = ae_model_source_open_checkpoint(s, checkpoint);
    free(checkpoint);
    return st;
}

/* Of several runs in one folder (train/warm.h, WARP). */
static ae_status open_made(ae_model_source *s, const char *path, const char *name) {
    char *made = ae_path_join(path, name);
    const ae_status st = ae_model_source_open_checkpoint(s, made);
    free(made);
    return st;
}

static bool is_step(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    char *plain = strndup(path, n);
    const bool is = plain != NULL && step_of(ae_path_last(plain)) >= 0;
    free(plain);
    return is;
}

ae_status ae_run_source_open(ae_model_source *s, const char *path) {
    *s = (ae_model_source){0};
    if (ae_path_is_folder(path) && is_step(path)) return ae_model_source_open_checkpoint(s, path);
    const bool is_model = ae_path_has(path, "model.json") || ae_path_has(path, "config.json");
    if (!is_model && ae_path_has(path, "checkpoints")) return open_newest(s, path);
    if (!is_model && ae_path_has(path, "average/model.json")) return open_made(s, path, "average");
    if (!is_model && ae_path_has(path, "final/model.json")) return open_made(s, path, "final");
    return ae_model_source_open(s, path);
}
