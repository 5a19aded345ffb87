#include "benchmark/results_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "results.json: out of memory");
}

static json_t *stderr_of(double x) {
    return isnan(x) ? json_string("N/A") : json_real(x);
}

static void add_metric(json_t *to, const char *name, const char *filter, double value, double stderr_) {
    char key[AE_RESULT_KEY];
    ae_result_key(key, sizeof key, name, filter, false);
    json_object_set_new(to, key, ae_json_number(value));
    ae_result_key(key, sizeof key, name, filter, true);
    json_object_set_new(to, key, stderr_of(stderr_));
}

/* ---- members of results.json, a key for each task ---- */

static json_t *metrics_of(const ae_result_entry *e) {
    const char *alias = e->depth > 0 && e->task->part[0] ? e->task->part : e->task->name;
    json_t *m = json_pack("{s:s, s:s, s:I}", "name", e->task->name, "alias", alias, "sample_len",
                          (json_int_t)e->documents);
    for (size_t i = 0; i < e->n; i++)
        add_metric(m, e->items[i].name, e->items[i].filter, e->items[i].value, e->items[i].stderr_);
    if (e->task->n_parts == 0) return m;
    json_t *counts = json_object();
    for (size_t i = 0; i < e->n; i++) {
        char key[AE_RESULT_KEY];
        ae_result_key(key, sizeof key, e->items[i].name, e->items[i].filter, false);
        json_object_set_new(counts, key, json_integer((json_int_t)e->items[i].documents));
    }
    json_object_set_new(m, "sample_count", counts);
    return m;
}

static json_t *parts_of(const ae_task *t) {
    json_t *names = json_array();
    for (size_t i = 0; i < t->n_parts; i++) json_array_append_new(names, json_string(t->parts[i]->name));
    return names;
}

static json_t *directions_of(const ae_result_entry *e) {
    json_t *d = json_object();
    for (size_t i = 0; i < e->n; i++)
        json_object_set_new(d, e->items[i].name, json_boolean(e->items[i].higher_is_better));
    return d;
}

static json_t *metric_list(const ae_scoring *s) {
    json_t *list = json_array();
    for (size_t i = 0; i < ae_scoring_n_columns(s); i++) {
        const ae_column *c = ae_scoring_column(s, i);
        if (strcmp(c->filter, ae_scoring_column(s, 0)->filter) != 0) break;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b}", "metric", c->name, "aggregation",
                                        ae_over_name(c->over), "higher_is_better", (int)c->higher_is_better));
    }
    return list;
}

static json_t *filter_list(const ae_task *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_filters; i++)
        json_array_append_new(list, json_pack("{s:s}", "name", t->filters[i].name));
    return list;
}

json_t *ae_result_generation(const ae_task *t) {
    json_t *stops = json_array();
    for (size_t i = 0; i < t->n_stops; i++) json_array_append_new(stops, json_string(t->stops[i]));
    return json_pack("{s:o, s:i, s:b, s:f, s:f}", "until", stops, "max_gen_toks", t->max_new, "do_sample",
                     t->temperature > 0, "temperature", t->temperature, "top_p", t->top_p);
}

static json_t *config_of(const ae_eval_results *r, const ae_result_entry *e) {
    static const char *const types[] = {[AE_TASK_CHOICE] = "multiple_choice",
                                        [AE_TASK_GENERATE] = "generate_until",
                                        [AE_TASK_ROLLING] = "loglikelihood_rolling"};
    const ae_task *t = e->task;
    const ae_task_documents *documents = ae_evaluation_documents(r->evaluation, e->leaf);
    json_t *c =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:i, s:{s:s}}", "task", t->name, "dataset_path",
                  ae_task_documents_path(documents), "output_type", types[t->kind], "target_delimiter",
                  t->target_delimiter, "fewshot_delimiter", t->shot_delimiter, "num_fewshot",
                  ae_task_documents_shots(documents), "metric_list", metric_list(r->scorings[e->leaf]),
                  "repeats", t->kind == AE_TASK_GENERATE ? t->repeats : 1, "metadata", "version", t->version);
    if (t->kind != AE_TASK_GENERATE) return c;
    json_object_set_new(c, "generation_kwargs", ae_result_generation(t));
    json_object_set_new(c, "filter_list", filter_list(t));
    return c;
}

/* ---- metrics of groups of documents ---- */

static ae_status group_metrics(json_t **out, const ae_eval_results *r, size_t leaf, const char *group) {
    ptrdiff_t *which, n;
    const ae_scoring *s = r->scorings[leaf];
    const ae_status st = ae_result_documents(&which, &n, r, leaf, group);
    *out = NULL;
    if (st != AE_OK) return st;
    *out = json_pack("{s:I}", "sample_len", (json_int_t)n);
    for (size_t i = 0; i < ae_scoring_n_columns(s); i++) {
        const ae_column *c = ae_scoring_column(s, i);
        add_metric(*out, c->name, c->filter, ae_column_aggregate(c, which, n), ae_column_stderr(c, which, n));
    }
    free(which);
    return AE_OK;
}

static ae_status add_groups(json_t *all, const ae_eval_results *r, size_t leaf) {
    const char **names;
    size_t n;
    ae_status st = ae_result_groups(&names, &n, r, leaf);
    json_t *groups = json_object();
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        json_t *m = NULL;
        st = group_metrics(&m, r, leaf, names[i]);
        json_object_set_new(groups, names[i], m);
    }
    if (n > 0)
        json_object_set_new(all, ae_evaluation_leaf(r->evaluation, leaf)->name, groups);
    else
        json_decref(groups);
    free(names);
    return st;
}

/* ---- the whole ---- */

typedef struct {
    json_t *results, *groups, *subtasks, *configs, *versions, *shots, *directions, *samples, *by;
} members;

static void add_entry(const members *m, const ae_eval_results *r, const ae_result_entry *e) {
    const char *name = e->task->name;
    json_object_set_new(m->results, name, metrics_of(e));
    json_object_set_new(m->directions, name, directions_of(e));
    if (e->shots >= 0) json_object_set_new(m->shots, name, json_integer(e->shots));
    json_object_set_new(m->versions, name, json_string(e->task->version));
    if (e->task->n_parts > 0) {
        json_object_set_new(m->groups, name, metrics_of(e));
        json_object_set_new(m->subtasks, name, parts_of(e->task));
        return;
    }
    const json_int_t n = (json_int_t)e->documents;
    json_object_set_new(m->configs, name, config_of(r, e));
    json_object_set_new(
        m->samples, name,
        json_pack("{s:I, s:I}", "original",
                  (json_int_t)ae_task_documents_all(ae_evaluation_documents(r->evaluation, e->leaf)),
                  "effective", n));
}

static ae_status add_all(const members *m, const ae_eval_results *r) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < r->n_entries; i++) add_entry(m, r, &r->entries[i]);
    for (size_t i = 0; st == AE_OK && i < ae_evaluation_n_leaves(r->evaluation); i++)
        st = add_groups(m->by, r, i);
    return st;
}

static json_t *config(const ae_eval_facts *f) {
    json_t *c = json_pack("{s:s, s:o, s:I, s:s, s:s, s:s, s:n, s:n, s:i}", "model", "aerie", "model_args",
                          ae_json_label(f->model), "model_num_parameters", (json_int_t)f->parameters,
                          "model_dtype", f->dtype, "batch_size", "", "device", "cpu", "use_cache",
                          "gen_kwargs", "bootstrap_iters", 0);
    if (!c) return NULL;
    char batch[32];
    snprintf(batch, sizeof batch, "%td", f->batch);
    json_object_set_new(c, "batch_size", json_string(batch));
    json_object_set_new(c, "limit", f->limit < 0 ? json_null() : json_integer((json_int_t)f->limit));
    json_object_set_new(c, "random_seed", json_integer((json_int_t)f->seed));
    json_object_set_new(c, "fewshot_seed", json_integer((json_int_t)f->seed));
    return c;
}

/* What is ours: how prompts were made, and what was cut. */
static json_t *ours(const ae_eval_results *r, const ae_eval_facts *f) {
    const ae_evaluation_counts n = ae_evaluation_count(r->evaluation);
    json_t *o = json_pack("{s:s, s:b, s:I, s:I}", "version", AERIE_VERSION, "bos", (int)f->bos, "requests",
                          (json_int_t)n.requests, "cut_prompts", (json_int_t)n.cut);
    if (!o) return NULL;
    /* of the process that ended the evaluation */
    json_object_set_new(o, "tokens_read", json_integer((json_int_t)n.cost.read));
    json_object_set_new(o, "tokens_asked", json_integer((json_int_t)n.cost.asked));
    json_object_set_new(o, "new_tokens", json_integer((json_int_t)n.new_tokens));
    json_object_set_new(o, "max_length",
                        f->max_length > 0 ? json_integer((json_int_t)f->max_length) : json_null());
    if (f->more) json_object_update(o, (json_t *)(uintptr_t)f->more);
    return o;
}

static void add_facts(json_t *root, const ae_eval_results *r, const ae_eval_facts *f) {
    char seconds[32], hash[65];
    snprintf(seconds, sizeof seconds, "%.3f", f->seconds);
    json_object_set_new(root, "config", config(f));
    json_object_set_new(root, "aerie", ours(r, f));
    json_object_set_new(root, "date", json_real(f->date));
    json_object_set_new(root, "max_length",
                        f->max_length > 0 ? json_integer((json_int_t)f->max_length) : json_null());
    json_object_set_new(root, "model_source", json_string("aerie"));
    json_object_set_new(root, "model_name", ae_json_label(f->model));
    json_object_set_new(root, "system_instruction", json_null());
    json_object_set_new(root, "fewshot_as_multiturn", json_boolean(f->chat_template != NULL));
    json_object_set_new(root, "chat_template",
                        f->chat_template ? json_string(f->chat_template) : json_null());
    if (f->chat_template) ae_sha256(hash, f->chat_template);
    json_object_set_new(root, "chat_template_sha", f->chat_template ? json_string(hash) : json_null());
    json_object_set_new(root, "total_evaluation_time_seconds", json_string(seconds));
}

static ae_status write_samples(json_t *hashes, const ae_eval_results *r, const char *folder) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < ae_evaluation_n_leaves(r->evaluation); i++) {
        char hash[65];
        st = ae_result_samples(r, i, folder, hash);
        if (st == AE_OK)
            json_object_set_new(hashes, ae_evaluation_leaf(r->evaluation, i)->name, json_string(hash));
    }
    return st;
}

ae_status ae_eval_results_write(const ae_eval_results *r, const ae_eval_facts *f, const char *folder,
                                bool samples) {
    const members m = {json_object(), json_object(), json_object(), json_object(), json_object(),
                       json_object(), json_object(), json_object(), json_object()};
    json_t *hashes = json_object();
    ae_status st = add_all(&m, r);
    if (st == AE_OK && samples) st = write_samples(hashes, r, folder);
    json_t *root = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "results", m.results,
                             "groups", m.groups, "group_subtasks", m.subtasks, "configs", m.configs,
                             "versions", m.versions, "n-shot", m.shots, "higher_is_better", m.directions,
                             "n-samples", m.samples, "by_group", m.by, "task_hashes", hashes);
    if (root && json_object_size(m.groups) == 0) json_object_del(root, "groups");
    if (root) add_facts(root, r, f);
    if (st == AE_OK) st = root ? ae_json_write_file(root, folder, "results.json") : out_of_memory();
    json_decref(root);
    return st;
}
