#include "train/resume.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/yaml.h"
#include "train/places.h"
#include "train/rendered.h"
#include "train/run_folder.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* ---- the folder ---- */

/* Rendered examples come first into a run's folder, then scores of a reference, metrics.jsonl, for its lock, and
 * config.yaml, aside at first: a start that was killed then has left them. */
static bool is_empty_metrics(const char *dir, const char *name) {
    if (strcmp(name, "metrics.jsonl") != 0) return false;
    char *path = ae_path_join(dir, name);
    const bool is_empty = ae_file_size(path) == 0;
    free(path);
    return is_empty;
}

bool ae_run_is_partial_config(const char *name) {
    return fnmatch("config.yaml.*.part", name, 0) == 0;
}

/* rlhf/reference_scores.h */
static bool is_reference(const char *name) {
    return strcmp(name, "reference.h5") == 0 || strcmp(name, "reference.h5.partial") == 0;
}

static bool holds_nothing(const char *dir) {
    DIR *d = opendir(dir);
    size_t entries = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
                   !is_empty_metrics(dir, e->d_name) && !ae_run_is_partial_config(e->d_name) &&
                   !is_reference(e->d_name) && strcmp(e->d_name, ae_rendered_folder) != 0;
    if (d) closedir(d);
    return entries == 0;
}

/* The file's sections as an object; NULL where it is no YAML. */
static json_t *sections_of(const char *path) {
    char *text = NULL;
    size_t n = 0;
    yaml_document_t doc;
    json_t *sections = NULL;
    if (ae_file_read(path, &text, &n) == AE_OK && ae_yaml_parse(&doc, text, n, path) == AE_OK) {
        yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root) sections = ae_yaml_to_json(&doc, root);
        yaml_document_delete(&doc);
    }
    free(text);
    return sections;
}

bool ae_run_wrote_config(const char *path) {
    json_t *sections = sections_of(path);
    const json_t *optim = json_object_get(sections, "optim");
    bool wrote = optim != NULL;
    for (size_t i = 0; wrote && i < ae_optim_n_fields; i++)
        wrote = json_object_get(optim, ae_optim_fields[i].key) != NULL;
    json_decref(sections);
    return wrote;
}

static bool has_steps(const char *dir) {
    ae_checkpoint_list l = {0};
    const bool has = ae_checkpoint_list_steps(&l, dir) == AE_OK && l.n > 0;
    ae_checkpoint_list_free(&l);
    return has;
}

bool ae_run_is_there(const char *dir) {
    char *config = ae_path_join(dir, "config.yaml");
    const bool is_run = ae_path_exists(config) && (has_steps(dir) || ae_run_wrote_config(config));
    free(config);
    return is_run;
}

ae_status ae_run_inspect(const char *dir, const ae_checkpoint_name *files, ae_run_kind *kind,
                         char **checkpoint) {
    *checkpoint = NULL;
    *kind = AE_RUN_NEW;
    if (!ae_path_exists(dir)) return AE_OK;
    if (!ae_path_is_folder(dir))
        return AE_FAIL(AE_ERR_USAGE, "run.dir: %s: expected a folder, found a file", dir);
    if (holds_nothing(dir)) return AE_OK;
    if (!ae_run_is_there(dir))
        return AE_FAIL(
            AE_ERR_USAGE,
            "run.dir: %s: expected a run (config.yaml) or an empty folder, found other files; choose "
            "another folder",
            dir);
    ae_status st = ae_checkpoint_newest_intact(dir, files, true, checkpoint);
    *kind = *checkpoint ? AE_RUN_RESUME : AE_RUN_RESTART;
    return st;
}

/* ---- keys ---- */

static json_t *value_of(const json_t *config, const char *section, const char *key) {
    return json_object_get(json_object_get(config, section), key);
}

/* A run from before a key came lacks it: it had its default, which is off. */
bool ae_resume_same_value(const json_t *a, const json_t *b) {
    if (!a && json_is_false(b)) return true;
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b) == 1;
}

/* Of what all parameters of a run came from nothing is needed any more: it may be gone, or elsewhere. Beside
 * adapters it is, and the objective compares what lies there with the base that the checkpoint names. */
static bool may_have_moved(const json_t *config, const json_t *then, const json_t *now) {
    const char *was = json_string_value(then), *is = json_string_value(now);
    if (!was || !was[0] || !is || !is[0]) return false;
    return json_integer_value(value_of(config, "lora", "rank")) > 0 || !ae_path_exists(was) ||
           ae_path_same(was, is);
}

/* The other keys of the schedule are as they were, or overridden: only its number of steps is asked about
 * here. */
static ae_status check_steps(ae_overrides *o, const json_t *then) {
    ae_schedule now = ae_train_schedule(o->config), before = now;
    before.steps = json_integer_value(then);
    if (now.steps == before.steps) return AE_OK;
    if (now.steps < o->step)
        return AE_FAIL(AE_ERR_USAGE,
                       "train.steps: expected at least the %lld steps that the run has done, found %lld",
                       (long long)o->step, (long long)now.steps);
    for (int64_t s = 1; s <= o->step; s++) {
        if (ae_schedule_lr(&now, s) == ae_schedule_lr(&before, s)) continue;
        json_t *steps = json_integer(now.steps);
        const ae_status st = ae_override_take(o, "train.steps", then, steps, AE_ERR_USAGE);
        json_decref(steps);
        return st;
    }
    return AE_OK;
}

/* The fixed keys, either those that can be overridden or those that cannot. */
static ae_status check_fixed(const json_t *then, const json_t *now, unsigned final, ae_overrides *o) {
    ae_status st = AE_OK;
    char key[96];
    const char *section, *from = json_string_value(value_of(then, "run", "from"));
    const ae_field *f;
    for (size_t i = 0; (f = ae_config_field(&o->config->table, i, &section)) != NULL && st == AE_OK; i++) {
        if (!(f->fixed & AE_KEY_FIXED) || (f->fixed & AE_KEY_DERIVED)) continue;
        if ((f->fixed & AE_KEY_FINAL) != final) continue;
        const json_t *a = value_of(then, section, f->key), *b = value_of(now, section, f->key);
        snprintf(key, sizeof key, "%s.%s", section, f->key);
        if (ae_resume_same_value(a, b)) continue;
        if (!a && (f->fixed & AE_KEY_ROUNDING)) {
            ae_log("%s: %s; the run began before this key, which changes rounding alone", key,
                   json_is_true(b) ? "true" : "false");
            continue;
        }
        if (f->type == AE_FIELD_TREE && (f->fixed & AE_KEY_PLACE) && ae_places_same(a, from, b)) continue;
        if (strcmp(key, "model.init") == 0 && may_have_moved(then, a, b))
            ae_log("model.init: %s in the place of %s, which the run was started with", json_string_value(b),
                   json_string_value(a));
        else
            st = ae_override_take(o, key, a, b, AE_ERR_USAGE);
    }
    return st;
}

/* The final keys come first: the default of another key, such as optim.lr, may follow from them. */
ae_status ae_resume_check_keys(const ae_run_state *s, ae_overrides *o) {
    ae_status st = AE_OK;
    char *text = NULL;
    json_t *then = NULL, *now = NULL;
    AE_TRY(ae_json_parse(&then, s->config, strlen(s->config), "state.json: config"));
    AE_TRY(ae_config_json(&o->config->table, &text));
    AE_TRY(ae_json_parse(&now, text, strlen(text), "configuration"));
    AE_TRY(check_fixed(then, now, AE_KEY_FINAL, o));
    AE_TRY(check_fixed(then, now, 0, o));
out:
    free(text);
    json_decref(then);
    json_decref(now);
    return st;
}

ae_status ae_resume_check_steps(const ae_run_state *s, ae_overrides *o) {
    json_t *then = NULL;
    ae_status st = ae_json_parse(&then, s->config, strlen(s->config), "state.json: config");
    if (st == AE_OK) st = check_steps(o, value_of(then, "train", "steps"));
    json_decref(then);
    return st;
}
