#include "train/state.h"

#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ae_run_state_evaluated(ae_run_state *s, double score, bool higher) {
    s->evaluated_step = s->step;
    if (!isfinite(score)) return;
    if (s->best_step != 0 && (higher ? score <= s->best_score : score >= s->best_score)) return;
    s->best_step = s->step;
    s->best_score = score;
}

void ae_run_state_free(ae_run_state *s) {
    free(s->score);
    free(s->events_name);
    free(s->objective);
    free(s->kernels);
    free(s->config);
    free(s->overrides);
    json_decref(s->own);
    *s = (ae_run_state){0};
}

ae_status ae_run_state_set(char **text, const char *value) {
    char *copy = strdup(value);
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "state of the run: out of memory");
    free(*text);
    *text = copy;
    return AE_OK;
}

/* ---- writing ---- */

/* Embedded JSON stays an object in the file, so that people can read it. */
static json_t *parsed(const char *text, json_t *otherwise) {
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_incref(otherwise);
}

static json_t *best_of(const ae_run_state *s) {
    json_t *best = json_pack("{s:I}", "step", (json_int_t)s->best_step);
    if (s->score) json_object_set_new(best, s->score, ae_json_number(s->best_score));
    return best;
}

/* The engine's keys. */
static json_t *to_json(const ae_run_state *s) {
    json_t *nothing = json_null(), *list = json_array();
    json_t *root = json_pack("{s:I, s:I, s:I, s:I, s:o, s:I, s:s?, s:I, s:{s:I, s:s}, s:s?, s:o, s:o}", //
                             "step", (json_int_t)s->step, "tokens", (json_int_t)s->tokens, "skipped_in_row",
                             (json_int_t)s->skipped_in_row, "evaluated_step", (json_int_t)s->evaluated_step,
                             "best", best_of(s), "metrics_offset", (json_int_t)s->metrics_offset, "events",
                             s->events_name, "events_offset", (json_int_t)s->events_offset, "rng", "seed",
                             (json_int_t)s->seed, "kind", "philox4x32-10", "kernels", s->kernels, "config",
                             parsed(s->config, nothing), "overrides", parsed(s->overrides, list));
    json_decref(list);
    if (!root || !s->objective || json_object_set_new(root, "objective", json_string(s->objective)) == 0)
        return root;
    json_decref(root);
    return NULL;
}

/* One object of both objects' keys: those of `order`, then the engine's, then the others; NULL for want of
 * memory. */
static json_t *in_order(const char *const *order, json_t *engine, json_t *own) {
    json_t *all = json_object();
    int failed = all ? 0 : -1;
    for (; order && *order; order++) {
        json_t *value = json_object_get(engine, *order);
        if (!value) value = json_object_get(own, *order);
        if (value) failed |= json_object_set(all, *order, value);
    }
    failed |= json_object_update_missing(all, engine);
    if (own) failed |= json_object_update_missing(all, own);
    if (!failed) return all;
    json_decref(all);
    return NULL;
}

static ae_status check_own(const json_t *engine, const json_t *own, const char *path) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)own, key, value) {
        if (json_object_get(engine, key))
            return AE_FAIL(AE_ERR_DEFECT, "%s: %s: the objective's key is one of the engine's", path, key);
    }
    return AE_OK;
}

ae_status ae_run_state_write(const ae_run_state *s, const char *path) {
    json_t *engine = to_json(s);
    ae_status st = check_own(engine, s->own, path);
    if (st != AE_OK) {
        json_decref(engine);
        return st;
    }
    json_t *root = engine ? in_order(s->order, engine, s->own) : NULL;
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(engine);
    json_decref(root);
    if (!text) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    st = ae_file_write(path, text, strlen(text));
    free(text);
    return st;
}

/* ---- reading ---- */

static ae_status take_text(const json_t *root, const char *key, const char *path, char **out) {
    const json_t *v = json_object_get(root, key);
    if (!json_is_string(v)) return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text, found none", path, key);
    return ae_run_state_set(out, json_string_value(v));
}

static ae_status take_tree(const json_t *root, const char *key, const char *path, char **out) {
    const json_t *v = json_object_get(root, key);
    if (!json_is_object(v)) return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected an object, found none", path, key);
    *out = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return *out ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

/* Checkpoints from before there were any have no list. */
static ae_status take_overrides(ae_run_state *s, const json_t *root, const char *path) {
    const json_t *v = json_object_get(root, "overrides");
    if (!v) return AE_OK;
    if (!json_is_array(v))
        return AE_FAIL(AE_ERR_INPUT, "%s: overrides: expected a list, found something else", path);
    s->overrides = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(17));
    return s->overrides ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

static ae_status take_numbers(ae_run_state *s, const json_t *root, const char *path) {
    struct {
        const char *key;
        int64_t *to;
    } numbers[] = {{"step", &s->step},
                   {"tokens", &s->tokens},
                   {"skipped_in_row", &s->skipped_in_row},
                   {"evaluated_step", &s->evaluated_step},
                   {"metrics_offset", &s->metrics_offset},
                   {"events_offset", &s->events_offset}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ae_status st = ae_json_int(root, numbers[i].key, path, numbers[i].to);
        if (st == AE_OK && *numbers[i].to < 0)
            st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected 0 or more, found %lld", path, numbers[i].key,
                         (long long)*numbers[i].to);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* {"step": 12, "eval_loss": 3.2}: the number beside the step is the one that decides. */
static ae_status take_best(ae_run_state *s, json_t *best, const char *path) {
    ae_status st = ae_json_opt_int(best, "step", path, &s->best_step);
    const char *key;
    json_t *value;
    if (st != AE_OK) return st;
    json_object_foreach(best, key, value) {
        if (strcmp(key, "step") == 0) continue;
        AE_TRY(ae_json_opt_real(best, key, path, &s->best_score));
        AE_TRY(ae_run_state_set(&s->score, key));
    }
out:
    return st;
}

/* What is not the engine's. */
static ae_status take_own(ae_run_state *s, const json_t *root, const char *path) {
    static const char *const engine[] = {"step",     "tokens",         "skipped_in_row", "evaluated_step",
                                         "best",     "metrics_offset", "events",         "events_offset",
                                         "rng",      "kernels",        "config",         "overrides",
                                         "objective"};
    s->own = json_copy((json_t *)root);
    if (!s->own) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    for (size_t i = 0; i < sizeof engine / sizeof *engine; i++) json_object_del(s->own, engine[i]);
    return AE_OK;
}

static ae_status take_all(ae_run_state *s, const json_t *root, const char *path) {
    ae_status st = AE_OK;
    int64_t seed = 0;
    AE_TRY(take_numbers(s, root, path));
    AE_TRY(ae_json_int(json_object_get(root, "rng"), "seed", path, &seed));
    s->seed = (uint64_t)seed;
    AE_TRY(take_best(s, json_object_get(root, "best"), path));
    AE_TRY(take_text(root, "events", path, &s->events_name));
    AE_TRY(take_text(root, "kernels", path, &s->kernels));
    if (json_object_get(root, "objective")) AE_TRY(take_text(root, "objective", path, &s->objective));
    AE_TRY(take_tree(root, "config", path, &s->config));
    AE_TRY(take_overrides(s, root, path));
    AE_TRY(take_own(s, root, path));
out:
    return st;
}

ae_status ae_run_state_read(ae_run_state *s, const char *path) {
    json_t *root = NULL;
    *s = (ae_run_state){0};
    ae_status st = ae_json_load(&root, path);
    if (st == AE_OK) st = take_all(s, root, path);
    if (st != AE_OK) ae_run_state_free(s);
    json_decref(root);
    return st;
}
