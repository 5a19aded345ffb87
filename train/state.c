#include "train/state.h"

#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ae_run_state_evaluated(ae_run_state *s, double loss) {
    s->evaluated_step = s->step;
    if (!isfinite(loss) || (s->best_step != 0 && loss >= s->best_loss)) return;
    s->best_step = s->step;
    s->best_loss = loss;
}

void ae_run_state_free(ae_run_state *s) {
    free(s->events_name);
    free(s->kernels);
    free(s->loader);
    free(s->data);
    free(s->config);
    free(s->overrides);
    *s = (ae_run_state){0};
}

ae_status ae_run_state_set(char **text, const char *value) {
    char *copy = strdup(value);
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "state of the run: out of memory");
    free(*text);
    *text = copy;
    return AE_OK;
}

/* Embedded JSON stays an object in the file, so that people can read it. */
static json_t *parsed(const char *text) {
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
}

static json_t *parsed_list(const char *text) {
    return text ? json_loads(text, 0, NULL) : json_array();
}

static json_t *to_json(const ae_run_state *s) {
    return json_pack("{s:I, s:I, s:I, s:I, s:{s:I, s:o}, s:I, s:s?, s:I, s:I, s:I, s:{s:I, s:s}, s:s?, s:o, "
                     "s:o, s:o, s:o}", //
                     "step", (json_int_t)s->step, "tokens", (json_int_t)s->tokens, "skipped_in_row",
                     (json_int_t)s->skipped_in_row, "evaluated_step", (json_int_t)s->evaluated_step, "best",
                     "step", (json_int_t)s->best_step, "eval_loss", ae_json_number(s->best_loss),
                     "metrics_offset", (json_int_t)s->metrics_offset, "events", s->events_name,
                     "events_offset", (json_int_t)s->events_offset, "micro_rows", (json_int_t)s->micro_rows,
                     "recompute_blocks", (json_int_t)s->recompute_blocks, "rng", "seed", (json_int_t)s->seed,
                     "kind", "philox4x32-10", "kernels", s->kernels, "loader", parsed(s->loader), "data",
                     parsed(s->data), "config", parsed(s->config), "overrides", parsed_list(s->overrides));
}

ae_status ae_run_state_write(const ae_run_state *s, const char *path) {
    json_t *root = to_json(s);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    if (!text) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    ae_status st = ae_file_write(path, text, strlen(text));
    free(text);
    return st;
}

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
                   {"events_offset", &s->events_offset},
                   {"micro_rows", &s->micro_rows},
                   {"recompute_blocks", &s->recompute_blocks}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        ae_status st = ae_json_int(root, numbers[i].key, path, numbers[i].to);
        if (st == AE_OK && *numbers[i].to < 0)
            st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected 0 or more, found %lld", path, numbers[i].key,
                         (long long)*numbers[i].to);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

static ae_status take_all(ae_run_state *s, const json_t *root, const char *path) {
    ae_status st = AE_OK;
    int64_t seed = 0;
    const json_t *best = json_object_get(root, "best");
    AE_TRY(take_numbers(s, root, path));
    AE_TRY(ae_json_int(json_object_get(root, "rng"), "seed", path, &seed));
    s->seed = (uint64_t)seed;
    AE_TRY(ae_json_opt_int(best, "step", path, &s->best_step));
    AE_TRY(ae_json_opt_real(best, "eval_loss", path, &s->best_loss));
    AE_TRY(take_text(root, "events", path, &s->events_name));
    AE_TRY(take_text(root, "kernels", path, &s->kernels));
    AE_TRY(take_tree(root, "loader", path, &s->loader));
    AE_TRY(take_tree(root, "data", path, &s->data));
    AE_TRY(take_tree(root, "config", path, &s->config));
    AE_TRY(take_overrides(s, root, path));
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
