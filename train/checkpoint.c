#include "train/checkpoint.h"

#include "core/file.h"
#include "core/log.h"
#include "formats/done.h"
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char PARTIAL[] = ".partial";

size_t ae_checkpoint_bytes(const ae_params *params) {
    int64_t most = 1;
    for (ptrdiff_t i = 0; i < params->n; i++)
        if (params->items[i].trainable) most = ae_max(most, params->items[i].n);
    return (size_t)most * sizeof(float);
}

/* ---- DONE ---- */

const ae_checkpoint_name ae_checkpoint_engine_files[] = {
    {"optimizer.h5", false}, {"config.yaml", false}, {"state.json", false}, {NULL, false}};

static ae_status check_names(ae_done *d, const char *folder, const ae_checkpoint_name *names) {
    ae_status st = AE_OK;
    for (; names->name && st == AE_OK; names++)
        st = ae_done_check(d, folder, names->name, names->optional, false);
    return st;
}

/* Every file that belongs to a checkpoint is listed, and every file that is listed is as it was. */
static ae_status agree(ae_done *d, const char *folder, const ae_checkpoint_name *names, bool thorough) {
    ae_status st = AE_OK;
    AE_TRY(check_names(d, folder, names));
    AE_TRY(check_names(d, folder, ae_checkpoint_engine_files));
    for (size_t i = 0; i < d->n; i++) AE_TRY(ae_done_check(d, folder, d->files[i].name, false, thorough));
out:
    return st;
}

static ae_status verify(const char *folder, const ae_checkpoint_name *names, bool thorough) {
    ae_done d;
    ae_status st = ae_done_read(&d, folder);
    if (st == AE_OK) st = agree(&d, folder, names, thorough);
    ae_done_free(&d);
    return st;
}

/* ---- the folder of checkpoints ---- */

/* A file that may not be looked at is there for all we know. */
static bool has_done(const char *folder) {
    struct stat s;
    char *path = ae_path_join(folder, "DONE");
    const bool absent = stat(path, &s) != 0 && (errno == ENOENT || errno == ENOTDIR);
    free(path);
    return !absent;
}

/* AE_ERR_INPUT says that a checkpoint is damaged, other failures say nothing about it. */
static ae_status consider(char **folder, const char *path, const ae_checkpoint_name *names, bool thorough,
                          size_t *damaged) {
    if (!has_done(path)) {
        ae_warn("%s: has no DONE: its writing was cut off; the checkpoint is passed over", path);
        return AE_OK;
    }
    const ae_status st = verify(path, names, thorough);
    if (st == AE_ERR_RESOURCE) return st;
    if (st != AE_OK) {
        ae_warn("%s; the checkpoint is passed over", ae_error_message());
        ++*damaged;
        return AE_OK;
    }
    *folder = strdup(path);
    return *folder ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

ae_status ae_checkpoint_newest_intact(const char *run, const ae_checkpoint_name *files, bool thorough,
                                      char **folder) {
    ae_checkpoint_list l;
    size_t damaged = 0;
    *folder = NULL;
    ae_status st = ae_checkpoint_list_steps(&l, run);
    for (size_t i = l.n; st == AE_OK && i-- > 0 && !*folder;) {
        char *path = ae_checkpoint_path(run, l.steps[i]);
        st = consider(folder, path, files, thorough, &damaged);
        free(path);
    }
    ae_checkpoint_list_free(&l);
    if (st == AE_OK && !*folder && damaged > 0)
        st = AE_FAIL(
            AE_ERR_INPUT,
            "%s/checkpoints: expected a checkpoint that agrees with its DONE, found %zu that cannot be read "
            "or are damaged; mend them, or move the folder away to train anew",
            run, damaged);
    return st;
}

ae_status ae_checkpoint_clean(const char *run) {
    ae_status st = AE_OK;
    char *folder = ae_path_join(run, "checkpoints");
    DIR *d = opendir(folder);
    for (struct dirent *e; st == AE_OK && d && (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name), tail = strlen(PARTIAL);
        if (n < tail || strcmp(e->d_name + n - tail, PARTIAL) != 0) continue;
        char *path = ae_path_join(folder, e->d_name);
        st = ae_folder_remove(path);
        free(path);
    }
    if (d) closedir(d);
    free(folder);
    return st;
}

void ae_checkpoint_mark_best(const char *run, int64_t step) {
    char *target = ae_checkpoint_path(run, step), *link = ae_path_join(run, "checkpoints/best"),
         *aside = ae_path_join(run, "checkpoints/best.partial");
    if (step == 0 || !has_done(target)) {
        unlink(link);
    } else {
        unlink(aside);
        if (symlink(strrchr(target, '/') + 1, aside) != 0 || rename(aside, link) != 0)
            ae_warn("%s: cannot be made a link to the best checkpoint: %s", link, strerror(errno));
    }
    free(target);
    free(link);
    free(aside);
}

static bool stays(const ae_checkpoint_keep *keep, int64_t step) {
    return step == keep->best_step || step == keep->marked_step ||
           (keep->every > 0 && step > 0 && step % keep->every == 0);
}

/* Under another name first: a kill in the middle leaves nothing that looks like a checkpoint. */
static ae_status retire(const char *folder) {
    ae_status st;
    const size_t n = strlen(folder) + sizeof PARTIAL;
    char *aside = malloc(n);
    if (!aside) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder);
    snprintf(aside, n, "%s%s", folder, PARTIAL);
    AE_TRY(ae_folder_remove(aside));
    AE_TRY(ae_path_rename(folder, aside));
    AE_TRY(ae_folder_remove(aside));
out:
    free(aside);
    return st;
}

void ae_checkpoint_prune(const char *run, int64_t step, const ae_checkpoint_keep *keep) {
    ae_checkpoint_list l = {0};
    if (keep->newest > 0 && ae_checkpoint_list_steps(&l, run) == AE_OK) {
        while (l.n > 0 && l.steps[l.n - 1] > step) l.n--;
        for (size_t i = 0; i + (size_t)keep->newest < l.n; i++) {
            if (stays(keep, l.steps[i])) continue;
            char *path = ae_checkpoint_path(run, l.steps[i]);
            if (retire(path) != AE_OK) ae_warn("%s", ae_error_message());
            free(path);
        }
    }
    ae_checkpoint_list_free(&l);
}

/* ---- saving ---- */

ae_status ae_checkpoint_begin(ae_checkpoint_job *j, const char *run, int64_t step,
                              const ae_checkpoint_keep *keep) {
    ae_status st = AE_OK;
    *j = (ae_checkpoint_job){.step = step, .keep = *keep, .folder = ae_checkpoint_path(run, step)};
    const size_t n = strlen(j->folder) + sizeof PARTIAL;
    j->run = strdup(run);
    j->partial = malloc(n);
    if (j->partial) snprintf(j->partial, n, "%s%s", j->folder, PARTIAL);
    if (!j->run || !j->partial) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", j->folder);
    AE_TRY(ae_folder_remove(j->partial));
    AE_TRY(ae_folder_make(j->partial));
out:
    return st;
}

ae_status ae_checkpoint_add_later(ae_checkpoint_job *j, const char *name, ae_checkpoint_writer *write,
                                  void *context) {
    ae_checkpoint_file *grown = realloc(j->files, (j->n + 1) * sizeof *grown);
    if (grown) j->files = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", j->folder);
    j->files[j->n++] = (ae_checkpoint_file){copy, write, context};
    return AE_OK;
}

static ae_status write_file(const ae_checkpoint_job *j, const ae_checkpoint_file *f) {
    char *path = ae_path_join(j->partial, f->name);
    const ae_status st = f->write(f->context, path);
    free(path);
    return st;
}

ae_status ae_checkpoint_add(ae_checkpoint_job *j, const char *name, ae_checkpoint_writer *write,
                            void *context) {
    ae_status st = ae_checkpoint_add_later(j, name, write, context);
    if (st != AE_OK) return st;
    ae_checkpoint_file *f = &j->files[j->n - 1];
    st = write_file(j, f);
    f->write = NULL;
    return st;
}

typedef struct {
    const void *bytes;
    size_t n;
} text;

static ae_status write_text(void *context, const char *path) {
    const text *t = context;
    return ae_file_write(path, t->bytes, t->n);
}

ae_status ae_checkpoint_add_bytes(ae_checkpoint_job *j, const char *name, const void *bytes, size_t n) {
    text t = {bytes, n};
    return ae_checkpoint_add(j, name, write_text, &t);
}

/* A parameter may change once it stands in every file: the moments come last, one parameter after another. */
static ae_status write_tensors(const ae_checkpoint_job *j, ae_optimizer_call written) {
    ae_status st = AE_OK;
    char *moments = ae_path_join(j->partial, "optimizer.h5");
    for (size_t i = 0; i < j->n; i++)
        if (j->files[i].write) AE_TRY(write_file(j, &j->files[i]));
    AE_TRY(ae_optimizer_save(&j->optimizer, moments, written));
out:
    free(moments);
    return st;
}

/* In a list that ends with NULL; its length for what is not in it. */
static size_t place_of(const char *const *order, const char *name) {
    size_t place = 0;
    while (order && order[place] && (!name || strcmp(order[place], name) != 0)) place++;
    return place;
}

static ae_status write_done(ae_checkpoint_job *j) {
    ae_status st = ae_checkpoint_add_later(j, "optimizer.h5", NULL, NULL);
    const char **names = st == AE_OK ? calloc(j->n, sizeof *names) : NULL;
    size_t n = 0;
    if (st == AE_OK && !names) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", j->folder);
    const size_t last = place_of(j->order, NULL);
    for (size_t place = 0; names && place <= last; place++)
        for (size_t i = 0; i < j->n; i++)
            if (place_of(j->order, j->files[i].name) == place) names[n++] = j->files[i].name;
    if (st == AE_OK) st = ae_done_write(j->partial, names, n);
    free(names);
    return st;
}

ae_status ae_checkpoint_write(ae_checkpoint_job *j, ae_optimizer_call written) {
    ae_status st = AE_OK;
    AE_TRY(write_tensors(j, written));
    AE_TRY(write_done(j));
    AE_TRY(ae_folder_remove(j->folder)); /* there only if it is damaged */
    AE_TRY(ae_path_rename(j->partial, j->folder));
    ae_checkpoint_prune(j->run, j->step, &j->keep);
out:
    if (st != AE_OK) ae_checkpoint_give_up(j);
    return st;
}

void ae_checkpoint_give_up(const ae_checkpoint_job *j) {
    char *reason = strdup(ae_error_message());
    if (j->partial) ae_folder_remove(j->partial);
    if (reason) ae_fail_at(__FILE__, __LINE__, "%s", reason);
    free(reason);
}

void ae_checkpoint_job_free(ae_checkpoint_job *j) {
    for (size_t i = 0; i < j->n; i++) free(j->files[i].name);
    free(j->files);
    free(j->run);
    free(j->folder);
    free(j->partial);
    *j = (ae_checkpoint_job){0};
}
