#include "train/resume.h"

#include "core/file.h"
#include "core/json.h"

#include <dirent.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the folder ---- */

/* metrics.jsonl comes first into a run's folder, for its lock, and config.yaml next, aside at first: a start that was killed then has left them. */
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

static bool holds_nothing(const char *dir) {
    DIR *d = opendir(dir);
    size_t entries = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
                   !is_empty_metrics(dir, e->d_name) && !ae_run_is_partial_config(e->d_name);
    if (d) closedir(d);
    return entries == 0;
}

ae_status ae_run_inspect(const char *dir, const ae_checkpoint_name *files, ae_run_kind *kind,
                         char **checkpoint) {
    *checkpoint = NULL;
    *kind = AE_RUN_NEW;
    if (!ae_path_exists(dir)) return AE_OK;
    if (!ae_path_is_folder(dir))
        return AE_FAIL(AE_ERR_USAGE, "run.dir: %s: expected a folder, found a file", dir);
    if (holds_nothing(dir)) return AE_OK;
    char *config = ae_path_join(dir, "config.yaml");
    bool is_run = ae_path_exists(config);
    free(config);
    if (!is_run)
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

static json_t *value_of(const json_t *config, const char *dotted) {
    char section[32];
    const char *dot = strchr(dotted, '.');
    snprintf(section, sizeof section, "%.*s", (int)(dot - dotted), dotted);
    return json_object_get(json_object_get(config, section), dot + 1);
}

/* A run from before a key came lacks it: it had its default, which is off. */
static bool same_value(const json_t *a, const json_t *b) {
    if (!a && json_is_false(b)) return true;
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b) == 1;
}

/* The other keys of the schedule are as they were, or overridden: only its number of steps is asked about here. */
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

ae_status ae_resume_check_keys(const ae_run_state *s, ae_overrides *o) {
    ae_status st = AE_OK;
    char *text = NULL;
    json_t *then = NULL, *now = NULL;
    AE_TRY(ae_json_parse(&then, s->config, strlen(s->config), "state.json: config"));
    AE_TRY(ae_config_json(&o->config->table, &text));
    AE_TRY(ae_json_parse(&now, text, strlen(text), "configuration"));
    for (size_t i = 0; ae_fixed_key(i); i++) {
        const char *key = ae_fixed_key(i);
        const json_t *a = value_of(then, key), *b = value_of(now, key);
        if (!same_value(a, b)) AE_TRY(ae_override_take(o, key, a, b, AE_ERR_USAGE));
    }
    AE_TRY(check_steps(o, value_of(then, "train.steps")));
out:
    free(text);
    json_decref(then);
    json_decref(now);
    return st;
}

/* ---- data ---- */

static json_t *phases_of(const ae_mixture *m) {
    json_t *phases = json_array();
    for (size_t i = 0; i < m->n_phases; i++) {
        json_t *weights = json_array();
        for (size_t k = 0; k < m->n_sets; k++)
            json_array_append_new(weights, json_real(m->phases[i].weight[k]));
        json_array_append_new(phases, json_pack("{s:I, s:o}", "from_step", (json_int_t)m->phases[i].from_step,
                                                "weights", weights));
    }
    return phases;
}

ae_status ae_resume_data(const ae_mixture *m, char **json) {
    ae_status st = AE_OK;
    uint64_t hash;
    char text[32];
    json_t *sets = json_array(), *root = NULL;
    *json = NULL;
    for (size_t i = 0; i < m->n_sets; i++) {
        AE_TRY(ae_token_set_hash(m->sets[i], &hash));
        snprintf(text, sizeof text, "%016" PRIx64, hash);
        json_array_append_new(sets, json_string(text));
    }
    root = json_pack("{s:O, s:o}", "sets", sets, "phases", phases_of(m));
    *json = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (!*json) st = AE_FAIL(AE_ERR_RESOURCE, "data.train: out of memory");
out:
    json_decref(sets);
    json_decref(root);
    return st;
}

ae_status ae_resume_check_data(const ae_run_state *s, const char *data, ae_overrides *o) {
    json_t *then = json_loads(s->data, 0, NULL), *now = json_loads(data, 0, NULL);
    const bool same_sets = json_equal(json_object_get(then, "sets"), json_object_get(now, "sets"));
    const bool same =
        same_sets && json_equal(json_object_get(then, "phases"), json_object_get(now, "phases"));
    ae_status st = AE_OK;
    if (!same) st = ae_override_take(o, "data.train", then, now, same_sets ? AE_ERR_USAGE : AE_ERR_INPUT);
    o->new_rows |= !same_sets;
    json_decref(then);
    json_decref(now);
    return st;
}

ae_status ae_resume_check_tokenizer(uint64_t then, uint64_t now, ae_overrides *o) {
    char before[32], behind[32];
    if (then == now) return AE_OK;
    snprintf(before, sizeof before, "%016" PRIx64, then);
    snprintf(behind, sizeof behind, "%016" PRIx64, now);
    json_t *a = json_string(before), *b = json_string(behind);
    const ae_status st = ae_override_take(o, "data.tokenizer", a, b, AE_ERR_INPUT);
    json_decref(a);
    json_decref(b);
    return st;
}

/* ---- shape ---- */

ae_status ae_resume_check_model(const ae_model_config *then, const ae_model_config *now, ae_overrides *o) {
    ae_status st = AE_OK;
    char *then_text = NULL, *now_text = NULL, dotted[96];
    json_t *a = NULL, *b = NULL, *value;
    const char *key;
    AE_TRY(ae_model_config_to_json(then, &then_text));
    AE_TRY(ae_model_config_to_json(now, &now_text));
    AE_TRY(ae_json_parse(&a, then_text, strlen(then_text), "model.json"));
    AE_TRY(ae_json_parse(&b, now_text, strlen(now_text), "model.json"));
    json_object_foreach(a, key, value) {
        const json_t *other = json_object_get(b, key);
        if (same_value(value, other)) continue;
        snprintf(dotted, sizeof dotted, "model.%s", key);
        AE_TRY(ae_override_take(o, dotted, value, other, AE_ERR_USAGE));
    }
out:
    free(then_text);
    free(now_text);
    json_decref(a);
    json_decref(b);
    return st;
}
