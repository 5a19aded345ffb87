#include "train/outputs.h"

#include "core/file.h"
#include "core/lock.h"
#include "core/log.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ae_checkpoint_keep ae_outputs_keep(const ae_engine *e) {
    const ae_train_keys *t = &e->config->train;
    return (ae_checkpoint_keep){.newest = t->keep,
                                .best_step = t->keep_best ? e->state.best_step : 0,
                                .marked_step = t->keep_best ? e->marked_step : 0,
                                .every = t->keep_every};
}

void ae_outputs_mark_best(ae_engine *e) {
    const char *dir = e->config->run.dir;
    e->marked_step = e->config->train.keep_best ? e->state.best_step : 0;
    ae_checkpoint_mark_best(dir, e->marked_step);
    const ae_checkpoint_keep keep = ae_outputs_keep(e);
    ae_checkpoint_prune(dir, e->saved_step, &keep);
}

/* Events of a start that never reached a checkpoint would stand beside those of this one. */
static void remove_left(const char *dir, bool with_events) {
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        const bool is_events = strncmp(e->d_name, "events.out.tfevents.", 20) == 0;
        if (!(is_events && with_events) && !ae_run_is_partial_config(e->d_name)) continue;
        char *path = ae_path_join(dir, e->d_name);
        remove(path);
        free(path);
    }
    if (d) closedir(d);
}

/* Copies PATH to PATH.before. */
static ae_status keep_copy(const char *path) {
    char *copy = malloc(strlen(path) + sizeof ".before"), *bytes = NULL;
    size_t n = 0;
    ae_status st =
        copy ? ae_file_read(path, &bytes, &n) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (st == AE_OK) {
        sprintf(copy, "%s.before", path);
        st = ae_file_write(copy, bytes, n);
    }
    free(bytes);
    free(copy);
    return st;
}

/* Lines that cannot be gone on from are cut off; they stay in a copy. */
static ae_status copy_metrics(const char *metrics) {
    const ae_status st = keep_copy(metrics);
    if (st == AE_OK)
        ae_warn("%s: lines from which the run does not go on are cut off; %s.before has the whole file",
                metrics, metrics);
    return st;
}

/* The run's configuration as it is now; one that somebody else has put in its place stays in a copy. */
static ae_status write_config(const ae_engine *e, const char *path) {
    ae_status st = AE_OK;
    if (ae_path_exists(path) && !ae_run_wrote_config(path)) {
        st = keep_copy(path);
        if (st == AE_OK) ae_warn("%s: another one stood there; %s.before has it", path, path);
    }
    return st == AE_OK ? ae_config_write(&e->config->table, path) : st;
}

/* Its lines are only told of: what trains comes from the checkpoint. */
static ae_status keep_metrics(ae_engine *e, const char *metrics) {
    ae_run_state *s = &e->state;
    ae_metrics_mark mark = {s->step, s->evaluated_step, s->metrics_offset};
    ae_metrics_gap gap;
    if (!e->checkpoint) return ae_file_size(metrics) > 0 ? copy_metrics(metrics) : AE_OK;
    const ae_status st = ae_metrics_find_end(metrics, e->objective.score, &mark, &gap);
    if (st != AE_OK) return st;
    ae_metrics_tell_gap(metrics, &gap);
    s->metrics_offset = mark.offset;
    return gap.cuts ? copy_metrics(metrics) : AE_OK;
}

/* The line of an evaluation that followed the checkpoint stays, and its figures go into the events again. */
static ae_status keep_evaluation(ae_engine *e, const char *metrics, json_t **line) {
    ae_run_state *s = &e->state;
    *line = NULL;
    if (!e->checkpoint || e->new_score || s->evaluated_step == s->step) return AE_OK;
    return ae_metrics_find_evaluation(metrics, e->objective.score, s->step, &s->metrics_offset, line);
}

static ae_status note_evaluation(ae_engine *e, const json_t *line) {
    ae_numbers numbers = {0};
    const char *name;
    json_t *value;
    if (!line) return AE_OK;
    json_object_foreach((json_t *)line, name, value) if (strcmp(name, "step") != 0)
        ae_numbers_add(&numbers, name, json_is_number(value) ? json_number_value(value) : (double)NAN);
    ae_run_state_evaluated(&e->state, json_number_value(json_object_get(line, e->objective.score)),
                           e->objective.higher);
    const ae_status st = ae_events_evaluation(&e->events, e->state.step, &numbers);
    ae_numbers_free(&numbers);
    return st;
}

/* A folder that was empty may have been taken, and its run even ended, since. */
static ae_status lock_folder(ae_engine *e, const char *metrics) {
    ae_run_kind kind = AE_RUN_NEW;
    char *checkpoint = NULL;
    ae_status st = e->lock ? AE_OK : ae_folder_lock(&e->lock, e->config->run.dir);
    if (st != AE_OK || e->metrics.file) return st;
    st = ae_metrics_lock(&e->metrics, metrics, true);
    if (st == AE_OK && e->kind == AE_RUN_NEW)
        st = ae_run_inspect(e->config->run.dir, e->objective.files, &kind, &checkpoint);
    free(checkpoint);
    if (st == AE_OK && kind != AE_RUN_NEW)
        st = AE_FAIL(AE_ERR_USAGE,
                     "run.dir: %s: another process has started a run there meanwhile; the same command again "
                     "goes on with it, or choose another run.dir",
                     e->config->run.dir);
    if (st != AE_OK) ae_metrics_close(&e->metrics);
    return st;
}

/* What a start has made so far. */
typedef struct {
    bool folder, config;
} made;

static ae_status open_outputs(ae_engine *e, made *m) {
    ae_status st = AE_OK;
    const char *dir = e->config->run.dir;
    ae_run_state *s = &e->state;
    char *config = ae_path_join(dir, "config.yaml"), *metrics = ae_path_join(dir, "metrics.jsonl");
    json_t *line = NULL;
    m->folder = !ae_path_exists(dir);
    AE_TRY(ae_folder_make(dir));
    AE_TRY(lock_folder(e, metrics));
    AE_TRY(keep_metrics(e, metrics));
    AE_TRY(keep_evaluation(e, metrics, &line));
    AE_TRY(ae_metrics_open(&e->metrics, metrics, s->metrics_offset));
    AE_TRY(write_config(e, config));
    m->config = true;
    AE_TRY(ae_checkpoint_clean(dir));
    remove_left(dir, !e->checkpoint);
    AE_TRY(ae_events_open(&e->events, dir, s->events_name, s->events_offset));
    AE_TRY(ae_run_state_set(&s->events_name, ae_events_name(&e->events)));
    AE_TRY(note_evaluation(e, line));
    ae_outputs_mark_best(e);
out:
    json_decref(line);
    free(config);
    free(metrics);
    return st;
}

static void remove_from(const char *dir, const char *name) {
    char *path = ae_path_join(dir, name);
    remove(path);
    free(path);
}

/* By name: whatever else is in the folder somebody has put there meanwhile. */
static void take_back(const ae_engine *e, const made *m) {
    const char *dir = e->config->run.dir;
    remove_from(dir, "metrics.jsonl");
    if (m->config) remove_from(dir, "config.yaml");
    if (e->events.path) remove(e->events.path);
    if (m->folder) rmdir(dir);
}

/* What a first start has made is taken back when the start fails; without its lock the folder belongs to
 * another process. */
ae_status ae_outputs_open(ae_engine *e) {
    made m = {0};
    ae_status st = open_outputs(e, &m);
    if (st != AE_OK && e->kind == AE_RUN_NEW && e->metrics.file) take_back(e, &m);
    return st;
}
