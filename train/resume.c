#include "train/resume.h"

#include "core/file.h"
#include "core/json.h"
#include "train/checkpoint.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the folder ---- */

/* metrics.jsonl comes first into a run's folder, for its lock: a start that was killed then has left it, empty. */
static bool is_empty_metrics(const char *dir, const char *name) {
    if (strcmp(name, "metrics.jsonl") != 0) return false;
    char *path = ae_path_join(dir, name);
    const bool is_empty = ae_file_size(path) == 0;
    free(path);
    return is_empty;
}

static bool holds_nothing(const char *dir) {
    DIR *d = opendir(dir);
    size_t entries = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        entries +=
            strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !is_empty_metrics(dir, e->d_name);
    if (d) closedir(d);
    return entries == 0;
}

ae_status ae_run_inspect(const char *dir, ae_run_kind *kind, char **checkpoint) {
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
    ae_status st = ae_checkpoint_newest(dir, true, checkpoint);
    *kind = *checkpoint ? AE_RUN_RESUME : AE_RUN_RESTART;
    return st;
}

/* ---- keys ---- */

static const char *const fixed_keys[] = {
    "run.seed",           "model.init",           "data.shuffle", "train.dtype",    "train.row_tokens",
    "train.batch_rows",   "train.carry_state",    "optim.lr",     "optim.schedule", "optim.warmup_steps",
    "optim.decay_steps",  "optim.lr_final_ratio", "optim.beta1",  "optim.beta2",    "optim.eps",
    "optim.weight_decay", "optim.clip_norm",
};

static json_t *value_of(const json_t *config, const char *dotted) {
    char section[32];
    const char *dot = strchr(dotted, '.');
    snprintf(section, sizeof section, "%.*s", (int)(dot - dotted), dotted);
    return json_object_get(json_object_get(config, section), dot + 1);
}

static ae_status clash(const char *key, const json_t *then, const json_t *now) {
    char *a = then ? json_dumps(then, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    char *b = now ? json_dumps(now, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    ae_status st =
        AE_FAIL(AE_ERR_USAGE,
                "%s: the run in this folder was started with %s, found %s; set it back or choose another "
                "run.dir",
                key, a ? a : "nothing", b ? b : "nothing");
    free(a);
    free(b);
    return st;
}

/* A run from before a key came lacks it: it had its default, which is off. */
static bool same_value(const json_t *a, const json_t *b) {
    if (!a && json_is_false(b)) return true;
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b) == 1;
}

/* The keys of a schedule are fixed, so only its number of steps can differ. */
static ae_status check_steps(int64_t then, int64_t done, const ae_train_config *c) {
    ae_schedule now = ae_train_schedule(c), before = now;
    before.steps = then;
    if (now.steps == then) return AE_OK;
    if (now.steps < done)
        return AE_FAIL(AE_ERR_USAGE,
                       "train.steps: expected at least the %lld steps that the run has done, found %lld",
                       (long long)done, (long long)now.steps);
    for (int64_t s = 1; s <= done; s++) {
        if (ae_schedule_lr(&now, s) == ae_schedule_lr(&before, s)) continue;
        return AE_FAIL(
            AE_ERR_USAGE,
            "train.steps: the run in this folder was started with %lld, and %lld would have given step "
            "%lld another learning rate; set it back or choose another run.dir",
            (long long)then, (long long)now.steps, (long long)s);
    }
    return AE_OK;
}

ae_status ae_resume_check_keys(const ae_run_state *s, const ae_train_config *c) {
    ae_status st = AE_OK;
    char *text = NULL;
    json_t *then = NULL, *now = NULL;
    AE_TRY(ae_json_parse(&then, s->config, strlen(s->config), "state.json: config"));
    AE_TRY(ae_config_json(&c->table, &text));
    AE_TRY(ae_json_parse(&now, text, strlen(text), "configuration"));
    for (size_t i = 0; i < sizeof fixed_keys / sizeof *fixed_keys; i++) {
        const json_t *a = value_of(then, fixed_keys[i]), *b = value_of(now, fixed_keys[i]);
        if (!same_value(a, b)) AE_TRY(clash(fixed_keys[i], a, b));
    }
    AE_TRY(check_steps(json_integer_value(value_of(then, "train.steps")), s->step, c));
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

ae_status ae_resume_check_data(const ae_run_state *s, const char *data) {
    json_t *then = json_loads(s->data, 0, NULL), *now = json_loads(data, 0, NULL);
    ae_status st = AE_OK;
    if (!json_equal(json_object_get(then, "sets"), json_object_get(now, "sets"))) {
        st = AE_FAIL(AE_ERR_INPUT,
                     "data.train: the run in this folder was trained on other token sets (tokens, mask or "
                     "vocabulary differ); give it those or choose another run.dir");
    } else if (!json_equal(json_object_get(then, "phases"), json_object_get(now, "phases"))) {
        st = AE_FAIL(AE_ERR_USAGE,
                     "data.train: the run in this folder was started with other weights or phases; set "
                     "them back or choose another run.dir");
    }
    json_decref(then);
    json_decref(now);
    return st;
}

/* ---- shape ---- */

ae_status ae_resume_check_model(const ae_model_config *then, const ae_model_config *now) {
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
        AE_TRY(clash(dotted, value, other));
    }
out:
    free(then_text);
    free(now_text);
    json_decref(a);
    json_decref(b);
    return st;
}
