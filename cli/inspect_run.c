#include "cli/inspect.h"
#include "core/file.h"
#include "exchange/adapter.h"
#include "formats/done.h"
#include "train/pretrain.h"
#include "train/run_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a checkpoint's DONE ---- */

/* Files that belong to a checkpoint and are not listed. */
static ae_status note_unlisted(ae_inspection *i, ae_done *d, const char *folder,
                               const ae_checkpoint_name *names) {
    ae_status st = AE_OK;
    for (; names->name && st == AE_OK; names++)
        if (!ae_done_lists(d, names->name))
            st = ae_inspect_note(i, ae_done_check(d, folder, names->name, names->optional, false));
    return st;
}

/* An average of checkpoints: no run has written it. */
static bool is_merged(const char *folder) {
    return ae_path_has(folder, "merge.json") && !ae_path_has(folder, "state.json");
}

/* Of pretraining, the one objective that state.json does not name: what others add only DONE says. */
static bool is_pretrained(const char *folder) {
    char *path = ae_path_join(folder, "state.json");
    json_t *state = NULL;
    const bool is_other =
        is_merged(folder) || (ae_json_load(&state, path) == AE_OK && json_object_get(state, "objective"));
    json_decref(state);
    free(path);
    return !is_other;
}

/* Every file against DONE; `list` false: only what is wrong. *weights: whether those are as they were. */
static ae_status check_done(ae_inspection *i, const char *folder, bool list, bool *weights) {
    ae_done d;
    *weights = true;
    ae_status st = ae_inspect_note(i, ae_done_read(&d, folder));
    if (st != AE_OK || !d.files) return st;
    if (is_pretrained(folder)) AE_TRY(note_unlisted(i, &d, folder, ae_pretrain_files));
    if (!is_merged(folder)) AE_TRY(note_unlisted(i, &d, folder, ae_checkpoint_engine_files));
    for (size_t k = 0; k < d.n; k++) {
        ae_done_file *f = &d.files[k];
        ae_done_look(f, folder, !i->quick);
        if (strcmp(f->name, "weights.h5") == 0) *weights = f->whole;
        AE_TRY(ae_inspect_note(i, ae_done_fault(f, folder)));
        if (!list) continue;
        ae_inspect_add_file(i, f->name, f->bytes, !i->quick && f->bytes == f->want_bytes, f->crc, &f->whole);
    }
out:
    ae_done_free(&d);
    return st;
}

/* ---- what state.json remembers ---- */

static const json_t *at(const json_t *o, const char *dotted) {
    char key[64];
    const char *dot = strchr(dotted, '.');
    if (!dot) return json_object_get(o, dotted);
    snprintf(key, sizeof key, "%.*s", (int)(dot - dotted), dotted);
    return at(json_object_get(o, key), dot + 1);
}

/* "best_before_step" and the number that decided, "best_before_eval_loss"; nothing before the first
 * evaluation. */
static void add_best(json_t *facts, const json_t *best) {
    const char *key;
    json_t *value;
    char name[96];
    if (json_integer_value(json_object_get(best, "step")) <= 0) return;
    json_object_foreach((json_t *)best, key, value) {
        snprintf(name, sizeof name, "best_before_%.64s", key);
        json_object_set(facts, name, value);
    }
}

static json_t *provenance_of(const json_t *state) {
    static const struct {
        const char *from, *name;
    } facts[] = {{"config.run.dir", "run"},
                 {"objective", "objective"},
                 {"step", "step"},
                 {"tokens", "tokens"},
                 {"config.train.steps", "steps_planned"},
                 {"best", NULL}, /* each of its numbers */
                 {"rng.seed", "seed"},
                 {"kernels", "kernels"},
                 {"config.train.dtype", "dtype"},
                 {"config.model.preset", "preset"},
                 {"config.model.init", "init"},
                 {"micro_rows", "micro_rows"},
                 {"config.data.train", "data_paths"},
                 {"data", "data"},
                 {"overrides", "overrides"},
                 {"loader", "position"}};
    json_t *o = json_object();
    for (size_t k = 0; k < sizeof facts / sizeof *facts; k++) {
        const json_t *v = at(state, facts[k].from);
        if (!facts[k].name)
            add_best(o, v);
        else if (v && !(json_is_string(v) && !json_string_length(v)))
            json_object_set(o, facts[k].name, (json_t *)v);
    }
    return o;
}

static ae_status add_provenance(ae_inspection *i, const char *folder) {
    char *path = ae_path_join(folder, "state.json");
    json_t *state = NULL;
    const ae_status st = ae_inspect_note(i, ae_json_load(&state, path));
    if (state) json_object_set_new(i->facts, "provenance", provenance_of(state));
    json_decref(state);
    free(path);
    return st;
}

/* ---- checkpoints ---- */

static ae_status read_config(ae_inspection *i, const char *folder, ae_model_config *c, bool *good) {
    char *path = ae_path_join(folder, "model.json"), *text = NULL;
    size_t n = 0;
    ae_status st = ae_file_read(path, &text, &n);
    if (st == AE_OK) st = ae_model_config_from_json(c, text, path);
    *good = st == AE_OK;
    st = st == AE_OK ? ae_inspect_shape(i, c) : ae_inspect_note(i, st);
    free(text);
    free(path);
    return st;
}

/* Of an average of checkpoints. */
static ae_status add_origin(ae_inspection *i, const char *folder) {
    char *path = ae_path_join(folder, "merge.json");
    json_t *origin = NULL;
    const ae_status st = ae_inspect_note(i, ae_json_load(&origin, path));
    if (origin) json_object_set_new(i->facts, "provenance", origin);
    free(path);
    return st;
}

/* What trained beside a base: facts.adapter is adapter.json. */
static ae_status add_adapter(ae_inspection *i, const char *folder) {
    char *path = ae_path_join(folder, ae_adapter_file);
    json_t *adapter = NULL;
    const ae_status st = ae_inspect_note(i, ae_json_load(&adapter, path));
    if (adapter) {
        json_object_set_new(i->facts, "adapter", adapter);
        json_object_set(i->facts, "score_head", json_object_get(adapter, "score_head"));
    }
    free(path);
    return st;
}

static ae_status look_into(ae_inspection *i, const char *folder) {
    ae_tensor_list list = {.whole = true};
    char *weights = ae_path_join(folder, "weights.h5");
    ae_model_config config;
    bool good = false, weights_whole = true;
    ae_status st;
    AE_TRY(is_merged(folder) ? add_origin(i, folder) : add_provenance(i, folder));
    if (!is_pretrained(folder) && !ae_path_has(folder, "model.json")) {
        AE_TRY(check_done(i, folder, true, &weights_whole));
        goto out;
    }
    AE_TRY(read_config(i, folder, &config, &good));
    AE_TRY(ae_inspect_folder_tokenizer(i, folder));
    AE_TRY(check_done(i, folder, true, &weights_whole));
    list.whole = weights_whole; /* HDF5 has nothing to say of a file that is known to be damaged */
    if (weights_whole) AE_TRY(ae_inspect_list(i, &list, folder, "weights.h5"));
    if (ae_path_has(folder, ae_adapter_file))
        AE_TRY(add_adapter(i, folder));
    else if (good && list.whole)
        AE_TRY(ae_inspect_fit(i, &config, weights));
out:
    ae_inspect_add_list(i, &list);
    free(weights);
    return st;
}

ae_status ae_inspect_checkpoint(ae_inspection *i, const char *folder) {
    json_object_set_new(i->facts, "kind", json_string("checkpoint"));
    return look_into(i, folder);
}

/* ---- runs ---- */

/* One line of the table. The one that is looked into is checked there. */
static ae_status add_checkpoint(ae_inspection *i, json_t *rows, const char *folder, int64_t step,
                                bool check) {
    const size_t before = json_array_size(i->faults);
    bool weights = false;
    ae_status st = AE_OK;
    if (check || !ae_path_has(folder, "DONE")) st = check_done(i, folder, false, &weights);
    json_array_append_new(rows, json_pack("{s:I, s:s, s:b}", "step", (json_int_t)step, "folder", folder,
                                          "whole", json_array_size(i->faults) == before));
    return st;
}

ae_status ae_inspect_run(ae_inspection *i, const char *run) {
    ae_checkpoint_list l = {0};
    json_t *rows = json_array();
    char *newest = NULL;
    int64_t newest_step = -1;
    size_t row = 0; /* of the newest */
    ae_status st;
    json_object_set_new(i->facts, "kind", json_string("run"));
    json_object_set(i->facts, "checkpoints", rows);
    AE_TRY(ae_inspect_note(i, ae_checkpoint_list_steps(&l, run)));
    AE_TRY(ae_inspect_note(i, ae_checkpoint_newest_complete(&newest, &newest_step, run)));
    for (size_t k = 0; k < l.n && st == AE_OK; k++) {
        char *folder = ae_checkpoint_path(run, l.steps[k]);
        st = add_checkpoint(i, rows, folder, l.steps[k], l.steps[k] != newest_step);
        if (l.steps[k] == newest_step) row = k;
        free(folder);
    }
    if (st != AE_OK) goto out;
    if (newest) {
        const size_t before = json_array_size(i->faults);
        json_object_set_new(i->facts, "newest", json_string(newest));
        AE_TRY(look_into(i, newest));
        if (json_array_size(i->faults) > before)
            json_object_set_new(json_array_get(rows, row), "whole", json_false());
    } else {
        AE_TRY(ae_inspect_note(
            i, AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a run with a complete checkpoint, found none in checkpoints", run)));
    }
out:
    ae_checkpoint_list_free(&l);
    json_decref(rows);
    free(newest);
    return st;
}

/* ---- several members ---- */

/* What the table of the runs says. */
static ae_status add_table(ae_inspection *i, const char *folder, const char *name) {
    char *path = ae_path_join(folder, name);
    json_t *table = NULL, *value;
    const char *key;
    const ae_status st = ae_inspect_note(i, ae_json_load(&table, path));
    json_object_foreach(table, key, value) json_object_set(i->facts, key, value);
    json_decref(table);
    free(path);
    return st;
}

static ae_status inspect_runs(ae_inspection *i, const char *folder, const char *kind, const char *table,
                              const char *made) {
    char *model = ae_path_join(folder, made);
    json_object_set_new(i->facts, "kind", json_string(kind));
    ae_status st = add_table(i, folder, table);
    if (st == AE_OK) st = look_into(i, model);
    free(model);
    return st;
}

ae_status ae_inspect_members(ae_inspection *i, const char *folder) {
    return inspect_runs(i, folder, "members and their average", "members.json", "average");
}

ae_status ae_inspect_warp(ae_inspection *i, const char *folder) {
    return inspect_runs(i, folder, "rounds of runs and their merge", "warp.json", "final");
}
