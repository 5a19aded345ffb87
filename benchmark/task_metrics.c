#include "benchmark/filters.h"
#include "benchmark/task_parts.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICE = 1 << AE_TASK_CHOICE, GENERATE = 1 << AE_TASK_GENERATE, ROLLING = 1 << AE_TASK_ROLLING };

/* By ae_metric_kind. */
static const struct {
    const char *name;
    unsigned kinds;
    bool higher_is_better;
} metrics[AE_N_METRICS] = {
    {"acc", CHOICE, true},
    {"acc_norm", CHOICE, true},
    {"acc_bytes", CHOICE, true},
    {"acc_tokens", CHOICE, true},
    {"acc_mutual_info", CHOICE, true},
    {"gold_mass", CHOICE, true},
    {"likelihood_diff", CHOICE, false},
    {"prefers_first", CHOICE, false},
    {"bbq", CHOICE, true},
    {"exact_match", GENERATE, true},
    {"f1", GENERATE, true},
    {"math", GENERATE, true},
    {"pass_at_k", GENERATE, true},
    {"toxicity", GENERATE, false},
    {"sentiment", GENERATE, true},
    {"memorised", GENERATE, false},
    {"word_perplexity", ROLLING, false},
    {"byte_perplexity", ROLLING, false},
    {"bits_per_byte", ROLLING, false},
};

static const char *const kinds[] = {"choice", "generate", "rolling"};

const char *ae_task_kind_name(ae_task_kind kind) {
    return kinds[kind];
}

const char *ae_metric_kind_name(ae_metric_kind kind) {
    return metrics[kind].name;
}

bool ae_metric_fits(ae_metric_kind metric, ae_task_kind kind) {
    return (metrics[metric].kinds >> kind & 1u) != 0;
}

static ae_status no_memory(const char *at) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", at);
}

/* `v` names a metric: the value of `key`, or of `at` itself where that is "". */
static ae_status find_metric(ae_metric *m, const json_t *v, ae_task_kind task, const char *key,
                             const char *at) {
    char what[80];
    const char *names[AE_N_METRICS];
    int found = 0;
    for (size_t i = 0; i < AE_N_METRICS; i++) names[i] = metrics[i].name;
    ae_status st = ae_task_word(&found, v, names, AE_N_METRICS, key, "a metric", at);
    if (st != AE_OK) return st;
    m->kind = (ae_metric_kind)found;
    m->higher_is_better = metrics[found].higher_is_better;
    snprintf(what, sizeof what, "a metric of tasks of kind %s", kinds[task]);
    if (!ae_metric_fits(m->kind, task)) return ae_task_word(&found, v, names, 0, key, what, at);
    m->name = strdup(metrics[found].name);
    return m->name != NULL ? AE_OK : no_memory(at);
}

/* `k` of pass_at_k: a number or a list of them. */
static ae_status read_k(ae_metric *m, const json_t *o, const char *at) {
    const json_t *v = json_object_get(o, "k");
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;
    m->k = calloc(n + 1, sizeof *m->k);
    if (m->k == NULL) return no_memory(at);
    m->k[0] = 1;
    m->n_k = 1;
    for (size_t i = 0; i < n && v != NULL; i++) {
        const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_integer(item) || json_integer_value(item) < 1 || json_integer_value(item) > 1000000)
            return AE_FAIL(AE_ERR_USAGE, "%sk: expected whole numbers from 1, found %s", at,
                           ae_json_type_name(item));
        m->k[i] = (int)json_integer_value(item);
    }
    m->n_k = n;
    return n > 0 ? AE_OK
                 : AE_FAIL(AE_ERR_USAGE, "%sk: expected whole numbers from 1, found an empty list", at);
}

/* What is none would come to light after all answers. */
static ae_status check_pattern(const char *text, const char *where) {
    ae_pattern *p = NULL;
    const ae_status st = ae_pattern_new(&p, text, where);
    ae_pattern_delete(p);
    return st;
}

static ae_status check_ignored(const ae_metric *m, const char *at) {
    char where[640];
    ae_status st = AE_OK;
    snprintf(where, sizeof where, "%.600signore", at);
    for (size_t i = 0; st == AE_OK && i < m->n_ignore; i++) st = check_pattern(m->ignore[i], where);
    return st;
}

static ae_status read_metric(ae_metric *m, const json_t *v, ae_task_kind task, const char *at) {
    static const char *const keys[] = {
        "metric", "name", "higher_is_better", "ignore_case", "ignore_punctuation", "ignore", "k", NULL};
    ae_status st = AE_OK;
    if (json_is_string(v)) return find_metric(m, v, task, "", at);
    AE_TRY(ae_task_keys_check(v, keys, at));
    AE_TRY(find_metric(m, json_object_get(v, "metric"), task, "metric", at));
    AE_TRY(ae_task_key_text(&m->name, v, "name", at));
    AE_TRY(ae_task_key_bool(&m->higher_is_better, v, "higher_is_better", at));
    AE_TRY(ae_task_key_bool(&m->ignore_case, v, "ignore_case", at));
    AE_TRY(ae_task_key_bool(&m->ignore_punctuation, v, "ignore_punctuation", at));
    AE_TRY(ae_task_key_texts(&m->ignore, &m->n_ignore, v, "ignore", at));
    AE_TRY(check_ignored(m, at));
    st = read_k(m, v, at);
out:
    return st;
}

ae_status ae_task_read_metrics(ae_task *task, const json_t *o, const char *at) {
    const json_t *list = json_object_get(o, "metrics");
    const size_t n = json_array_size(list);
    if (n == 0)
        return AE_FAIL(AE_ERR_USAGE, "%smetrics: expected a list of metrics, found %s", at,
                       ae_json_type_name(list));
    task->metrics = calloc(n, sizeof *task->metrics);
    if (task->metrics == NULL) return no_memory(at);
    task->n_metrics = n;
    for (size_t i = 0; i < n; i++) {
        char inner[512];
        snprintf(inner, sizeof inner, "%.400smetrics[%zu].", at, i);
        ae_status st = read_metric(&task->metrics[i], json_array_get(list, i), task->kind, inner);
        if (st == AE_OK && task->metrics[i].k == NULL) st = read_k(&task->metrics[i], NULL, inner);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* By ae_filter_kind. */
static const char *const steps[] = {"regex", "trim", "lowercase", "take_first", "take_first_k", "majority"};
enum { N_STEPS = sizeof steps / sizeof steps[0] };

static ae_status read_step(ae_filter_step *s, const json_t *v, const char *at) {
    static const char *const keys[] = {"regex", "match", "fallback", "take_first_k", NULL};
    char inner[660];
    int kind = 0;
    ae_status st = AE_OK;
    snprintf(inner, sizeof inner, "%.640s.", at);
    s->fallback = strdup("[invalid]");
    s->k = 1;
    if (s->fallback == NULL) return no_memory(at);
    if (json_is_string(v)) {
        AE_TRY(ae_task_word(&kind, v, steps, N_STEPS, "", "a step", at));
        s->kind = (ae_filter_kind)kind;
        if (s->kind == AE_FILTER_REGEX || s->kind == AE_FILTER_TAKE_FIRST_K)
            st = AE_FAIL(AE_ERR_USAGE, "%s: expected %s: with its value, found the word alone", at,
                         steps[kind]);
        goto out;
    }
    AE_TRY(ae_task_keys_check(v, keys, inner));
    s->kind = json_object_get(v, "regex") != NULL ? AE_FILTER_REGEX : AE_FILTER_TAKE_FIRST_K;
    AE_TRY(ae_task_key_text(&s->pattern, v, "regex", inner));
    if (s->pattern != NULL) AE_TRY(check_pattern(s->pattern, at));
    AE_TRY(ae_task_key_text(&s->fallback, v, "fallback", inner));
    AE_TRY(ae_task_key_int(&s->match, v, "match", -1, 1000, inner));
    AE_TRY(ae_task_key_int(&s->k, v, "take_first_k", 1, 1000000, inner));
    if (s->pattern == NULL && json_object_get(v, "take_first_k") == NULL)
        st = AE_FAIL(AE_ERR_USAGE, "%s: expected regex: or take_first_k:, found neither", at);
out:
    return st;
}

static ae_status read_filter(ae_filter *f, const json_t *v, const char *at) {
    static const char *const keys[] = {"name", "steps", NULL};
    ae_status st = ae_task_keys_check(v, keys, at);
    if (st == AE_OK) st = ae_task_key_text(&f->name, v, "name", at);
    if (st != AE_OK) return st;
    const json_t *list = json_object_get(v, "steps");
    if (f->name == NULL) return AE_FAIL(AE_ERR_USAGE, "%sname: expected text, found no such key", at);
    if (!json_is_array(list))
        return AE_FAIL(AE_ERR_USAGE, "%ssteps: expected a list of steps, found %s", at,
                       ae_json_type_name(list));
    f->steps = calloc(json_array_size(list) + 1, sizeof *f->steps);
    if (f->steps == NULL) return no_memory(at);
    f->n_steps = json_array_size(list);
    for (size_t i = 0; i < f->n_steps && st == AE_OK; i++) {
        char inner[640];
        snprintf(inner, sizeof inner, "%.500ssteps[%zu]", at, i);
        st = read_step(&f->steps[i], json_array_get(list, i), inner);
    }
    return st;
}

ae_status ae_task_read_filters(ae_task *task, const json_t *o, const char *at) {
    const json_t *list = json_object_get(o, "filters");
    json_t *own = NULL;
    if (list == NULL) list = own = json_pack("[{s:s, s:[s]}]", "name", "none", "steps", "take_first");
    ae_status st = AE_OK;
    if (json_array_size(list) == 0)
        st = AE_FAIL(AE_ERR_USAGE, "%sfilters: expected a list of filters, found %s", at,
                     ae_json_type_name(list));
    else if ((task->filters = calloc(json_array_size(list), sizeof *task->filters)) == NULL)
        st = no_memory(at);
    else
        task->n_filters = json_array_size(list);
    for (size_t i = 0; i < task->n_filters && st == AE_OK; i++) {
        char inner[512];
        snprintf(inner, sizeof inner, "%.400sfilters[%zu].", at, i);
        st = read_filter(&task->filters[i], json_array_get(list, i), inner);
    }
    json_decref(own);
    return st;
}
