#include "benchmark/task_parts.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status no_memory(const char *at) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", at);
}

static void source_free(ae_task_source *s) {
    for (size_t i = 0; i < s->n_files; i++) ae_template_free(s->files[i]);
    free(s->files);
    free(s->key);
    free(s->label_field);
    json_decref(s->columns);
    json_decref(s->flatten);
    ae_template_free(s->labels);
    ae_template_free(s->where);
}

static void lets_free(ae_let *lets, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(lets[i].name);
        ae_template_free(lets[i].value);
    }
    free(lets);
}

void ae_task_text_free(struct ae_task_text *t) {
    if (t == NULL) return;
    source_free(&t->rows);
    source_free(&t->shots);
    lets_free(t->lets, t->n_lets);
    lets_free(t->facts, t->n_facts);
    ae_template *all[] = {t->description,  t->prompt, t->choices,     t->contexts,
                          t->continuation, t->gold,   t->answer,      t->text,
                          t->program,      t->by,     t->shot_prompt, t->shot_answer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) ae_template_free(all[i]);
    json_decref(t->examples);
    free(t);
}

static ae_status read_files(ae_task_source *s, const json_t *o, const char *at) {
    const json_t *v = json_object_get(o, "file");
    const size_t n = json_is_array(v) ? json_array_size(v) : json_is_string(v) ? 1 : 0;
    if (v == NULL) return AE_OK;
    if (n == 0)
        return AE_FAIL(AE_ERR_USAGE, "%sfile: expected the name of a file or a list of names, found %s", at,
                       ae_json_type_name(v));
    char where[640];
    snprintf(where, sizeof where, "%.600sfile", at);
    s->files = calloc(n, sizeof *s->files);
    if (s->files == NULL) return no_memory(at);
    s->n_files = n;
    for (size_t i = 0; i < n; i++) {
        ae_status st = ae_template_parse(&s->files[i], json_is_array(v) ? json_array_get(v, i) : v, where);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_task_source_read(ae_task_source *s, const json_t *o, const char *at) {
    static const char *const forms[] = {"auto", "jsonl", "json", "object", "csv", "tsv", "lines"};
    const json_t *form = json_object_get(o, "form");
    int found = AE_ROWS_AUTO;
    ae_status st;
    AE_TRY(read_files(s, o, at));
    if (form != NULL)
        AE_TRY(
            ae_task_word(&found, form, forms, 7, "form", "auto, jsonl, json, object, csv, tsv or lines", at));
    s->form = (ae_rows_form)found;
    AE_TRY(ae_task_key_text(&s->key, o, "key", at));
    AE_TRY(ae_task_key_list(&s->columns, o, "columns", at));
    AE_TRY(ae_task_key_list(&s->flatten, o, "flatten", at));
    AE_TRY(ae_task_key_template(&s->labels, o, "labels", at));
    AE_TRY(ae_task_key_text(&s->label_field, o, "label_field", at));
    AE_TRY(ae_task_key_template(&s->where, o, "where", at));
    if ((s->labels == NULL) != (s->label_field == NULL))
        st = AE_FAIL(AE_ERR_USAGE, "%slabels: expected labels and label_field together, found one alone", at);
out:
    return st;
}

ae_status ae_task_lets_read(ae_let **lets, size_t *n, const json_t *o, const char *key, const char *at) {
    const json_t *map = json_object_get(o, key);
    const char *name;
    json_t *value;
    if (map == NULL) return AE_OK;
    if (!json_is_object(map))
        return AE_FAIL(AE_ERR_USAGE, "%s%s: expected a map of names and values, found %s", at, key,
                       ae_json_type_name(map));
    *lets = calloc(json_object_size(map) + 1, sizeof **lets);
    if (*lets == NULL) return no_memory(at);
    json_object_foreach((json_t *)map, name, value) {
        char where[640];
        ae_let *let = &(*lets)[(*n)++];
        snprintf(where, sizeof where, "%.400s%.60s.%.100s", at, key, name);
        if ((let->name = strdup(name)) == NULL) return no_memory(at);
        ae_status st = ae_template_parse(&let->value, value, where);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

static ae_status read_rows(struct ae_task_text *t, const json_t *o, const char *at) {
    static const char *const keys[] = {"file",   "form",        "key",   "columns", "flatten",
                                       "labels", "label_field", "where", NULL};
    char inner[512];
    snprintf(inner, sizeof inner, "%.400srows.", at);
    const json_t *rows = json_object_get(o, "rows");
    ae_status st = ae_task_keys_check(rows, keys, inner);
    if (st == AE_OK) st = ae_task_source_read(&t->rows, rows, inner);
    if (st == AE_OK && t->rows.n_files == 0)
        st = AE_FAIL(AE_ERR_USAGE, "%sfile: expected the name of the file of rows, found no such key", inner);
    return st;
}

/* What examples do not say about their file they take from the rows. */
static ae_status read_shot_source(struct ae_task_text *t, const json_t *shots, const json_t *o,
                                  const char *at) {
    static const char *const inherited[] = {"form", "key", "columns", "flatten"};
    json_t *merged = json_copy((json_t *)shots);
    if (merged == NULL) return no_memory(at);
    for (size_t i = 0; i < sizeof inherited / sizeof inherited[0]; i++) {
        json_t *v = json_object_get(json_object_get(o, "rows"), inherited[i]);
        if (v != NULL && json_object_get(merged, inherited[i]) == NULL)
            json_object_set(merged, inherited[i], v);
    }
    ae_status st = ae_task_source_read(&t->shots, merged, at);
    json_decref(merged);
    return st;
}

static ae_status read_shots(ae_task *task, const json_t *o, const char *at) {
    static const char *const keys[] = {"count",   "pick",   "leave_out_self", "examples", "prompt",
                                       "answer",  "file",   "form",           "key",      "columns",
                                       "flatten", "labels", "label_field",    "where",    NULL};
    static const char *const picks[] = {"first", "drawn"};
    struct ae_task_text *t = task->text;
    const json_t *shots = json_object_get(o, "fewshot"), *pick = json_object_get(shots, "pick");
    char inner[512];
    int found = AE_SHOTS_FIRST;
    ae_status st = AE_OK;
    if (shots == NULL) return AE_OK;
    snprintf(inner, sizeof inner, "%.400sfewshot.", at);
    AE_TRY(ae_task_keys_check(shots, keys, inner));
    AE_TRY(ae_task_key_int(&task->shots, shots, "count", 0, 1000, inner));
    if (pick != NULL) AE_TRY(ae_task_word(&found, pick, picks, 2, "pick", "first or drawn", inner));
    t->pick = (ae_shots_pick)found;
    AE_TRY(ae_task_key_bool(&t->leave_out_self, shots, "leave_out_self", inner));
    AE_TRY(ae_task_key_list(&t->examples, shots, "examples", inner));
    AE_TRY(ae_task_key_template(&t->shot_prompt, shots, "prompt", inner));
    AE_TRY(ae_task_key_template(&t->shot_answer, shots, "answer", inner));
    AE_TRY(read_shot_source(t, shots, o, inner));
    if (t->examples != NULL && t->shots.n_files > 0)
        st = AE_FAIL(AE_ERR_USAGE, "%sexamples: expected file or examples, found both", inner);
out:
    return st;
}

static ae_status need_key(const ae_template *t, const char *key, const char *why, const char *at) {
    if (t != NULL) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s%s: expected a template, as %s, found no such key", at, key, why);
}

/* `{question}` in place of `{{question}}` would ask the same of all documents. */
static ae_status need_names(const ae_template *t, const json_t *o, const char *key, const char *at) {
    const json_t *text = json_object_get(o, key);
    if (t == NULL || ae_template_has_names(t) || (json_is_string(text) && json_string_length(text) == 0))
        return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s%s: expected a template that names a field, as {{question}}, found none",
                   at, key);
}

static ae_status check_choice(const struct ae_task_text *t, const char *at) {
    ae_status st;
    if (t->contexts != NULL) {
        AE_TRY(need_key(t->continuation, "continuation", "contexts are given", at));
        AE_TRY(need_key(t->gold, "gold", "contexts are given", at));
        if (t->choices != NULL || t->prompt != NULL)
            st = AE_FAIL(AE_ERR_USAGE,
                         "%scontexts: expected contexts and continuation, or prompt and choices, found both",
                         at);
        goto out;
    }
    AE_TRY(need_key(t->prompt, "prompt", "kind is choice", at));
    AE_TRY(need_key(t->choices, "choices", "kind is choice", at));
    st = need_key(t->gold, "gold", "kind is choice", at);
out:
    return st;
}

static bool has_fact(const struct ae_task_text *t, const char *name) {
    for (size_t i = 0; i < t->n_facts; i++)
        if (strcmp(t->facts[i].name, name) == 0) return true;
    return false;
}

/* How many of the answers to a document a filter leaves. */
static int answers_after(const ae_filter *f, int answers) {
    for (size_t i = 0; i < f->n_steps; i++) {
        const ae_filter_step *s = &f->steps[i];
        const bool one = s->kind == AE_FILTER_TAKE_FIRST || s->kind == AE_FILTER_MAJORITY;
        const int most = one ? 1 : s->kind == AE_FILTER_TAKE_FIRST_K ? s->k : answers;
        answers = most < answers ? most : answers;
    }
    return answers;
}

/* pass@k needs k answers; fewer would come to light after all of them are written. */
static ae_status check_pass(const ae_task *task, const ae_metric *m, const char *at) {
    for (size_t f = 0; f < task->n_filters; f++) {
        const int n = answers_after(&task->filters[f], task->repeats);
        for (size_t i = 0; i < m->n_k; i++)
            if (m->k[i] > n)
                return AE_FAIL(
                    AE_ERR_USAGE,
                    "%smetrics: pass@%d: expected at least as many answers to a document, found %d "
                    "(repeats: %d, filter %s)",
                    at, m->k[i], n, task->repeats, task->filters[f].name);
    }
    return need_key(task->text->program, "program", "a metric is pass_at_k", at);
}

static ae_status check_metric(const ae_task *task, const ae_metric *m, const char *at) {
    static const char *const bbq[] = {"condition", "unknown", "biased"};
    if (m->kind == AE_METRIC_PASS_AT_K) return check_pass(task, m, at);
    if ((m->kind == AE_METRIC_MEMORISED) != (task->prompt_tokens > 0))
        return AE_FAIL(
            AE_ERR_USAGE,
            "%sprompt_tokens: expected this key and the metric memorised together, found one alone", at);
    if (m->kind == AE_METRIC_EXACT_MATCH || m->kind == AE_METRIC_F1 || m->kind == AE_METRIC_MATH)
        return need_key(task->text->answer, "answer", "a metric compares with it", at);
    for (size_t i = 0; i < 3 && m->kind == AE_METRIC_BBQ; i++)
        if (!has_fact(task->text, bbq[i]))
            return AE_FAIL(AE_ERR_USAGE, "%sfacts: expected %s, as a metric is bbq, found no such fact", at,
                           bbq[i]);
    return AE_OK;
}

static ae_status check(const ae_task *task, const json_t *o, const char *at) {
    const struct ae_task_text *t = task->text;
    ae_status st = AE_OK;
    AE_TRY(need_names(t->prompt, o, "prompt", at));
    AE_TRY(need_names(t->contexts, o, "contexts", at));
    AE_TRY(need_names(t->text, o, "text", at));
    AE_TRY(need_names(t->program, o, "program", at));
    if (task->kind == AE_TASK_CHOICE)
        st = check_choice(t, at);
    else if (task->kind == AE_TASK_GENERATE)
        st = need_key(t->prompt, "prompt", "kind is generate", at);
    else
        st = need_key(t->text, "text", "kind is rolling", at);
    for (size_t i = 0; i < task->n_metrics && st == AE_OK; i++)
        st = check_metric(task, &task->metrics[i], at);
out:
    return st;
}

ae_status ae_task_text_read(ae_task *task, const json_t *o, const char *at) {
    struct ae_task_text *t = task->text = calloc(1, sizeof *t);
    if (t == NULL) return no_memory(at);
    const struct {
        const char *key;
        ae_template **template;
    } texts[] = {{"description", &t->description},
                 {"prompt", &t->prompt},
                 {"choices", &t->choices},
                 {"contexts", &t->contexts},
                 {"continuation", &t->continuation},
                 {"gold", &t->gold},
                 {"answer", &t->answer},
                 {"text", &t->text},
                 {"program", &t->program},
                 {"by", &t->by}};
    ae_status st;
    AE_TRY(read_rows(t, o, at));
    AE_TRY(ae_task_lets_read(&t->lets, &t->n_lets, o, "let", at));
    AE_TRY(ae_task_lets_read(&t->facts, &t->n_facts, o, "facts", at));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        AE_TRY(ae_task_key_template(texts[i].template, o, texts[i].key, at));
    AE_TRY(read_shots(task, o, at));
    task->has_program = t->program != NULL;
    st = check(task, o, at);
out:
    return st;
}
