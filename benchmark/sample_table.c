#include "benchmark/sample_table.h"

#include "core/file.h"
#include "data/hash.h"

#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
}

void ae_sample_table_free(ae_sample_table *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->items[i].column.name);
        free(t->items[i].column.values);
        free(t->items[i].filter);
        free(t->items[i].rows);
    }
    free(t->items);
    *t = (ae_sample_table){0};
}

/* Where a configuration leaves it out. */
static const char *usual_aggregation(const char *metric) {
    const bool perplexity = strcmp(metric, "word_perplexity") == 0 || strcmp(metric, "byte_perplexity") == 0;
    if (perplexity) return "weighted_perplexity";
    return strcmp(metric, "bits_per_byte") == 0 ? "bits_per_byte" : "mean";
}

/* How the values of a metric become one number; false: in a way that is not known here. */
static bool find_over(ae_over *over, bool *higher, const ae_sample_table *t, const char *metric) {
    const json_t *config = json_object_get(json_object_get(t->folder->root, "configs"), t->task), *entry;
    size_t i;
    *over = AE_OVER_MEAN;
    *higher = true;
    json_array_foreach(json_object_get(config, "metric_list"), i, entry) {
        const char *name = json_string_value(json_object_get(entry, "metric"));
        if (!name || strcmp(name, metric) != 0) continue;
        const char *aggregation = json_string_value(json_object_get(entry, "aggregation"));
        *higher = !json_is_false(json_object_get(entry, "higher_is_better"));
        return ae_over_find(over, aggregation ? aggregation : usual_aggregation(metric));
    }
    return ae_over_find(over, usual_aggregation(metric));
}

ae_sample_column *ae_sample_column_find(const ae_sample_table *t, const char *metric, const char *filter) {
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->items[i].column.name, metric) == 0 && strcmp(t->items[i].filter, filter) == 0)
            return &t->items[i];
    return NULL;
}

ae_status ae_sample_column_add(ae_sample_column **out, ae_sample_table *t, const char *metric,
                               const char *filter) {
    ae_over over;
    bool higher;
    *out = NULL;
    if (!find_over(&over, &higher, t, metric)) return AE_OK;
    ae_sample_column *grown = realloc(t->items, (t->n + 1) * sizeof *grown);
    if (!grown) return out_of_memory();
    t->items = grown;
    ae_sample_column *c = &grown[t->n];
    *c = (ae_sample_column){.column = {.name = strdup(metric), .higher_is_better = higher, .over = over},
                            .filter = strdup(filter)};
    t->n++;
    *out = c;
    return c->column.name && c->filter ? AE_OK : out_of_memory();
}

/* Numbers as ae_value has them, from where a sample has them; false: no numbers. */
static bool read_value(ae_value *v, ae_over over, const json_t *value) {
    const bool by_condition =
        over == AE_OVER_COUNTED || over == AE_OVER_AMBIGUOUS || over == AE_OVER_DISAMBIGUATED;
    *v = (ae_value){{json_number_value(value)}};
    if (!json_is_array(value))
        return over == AE_OVER_MEAN && (json_is_number(value) || json_is_boolean(value));
    const size_t n = json_array_size(value);
    for (size_t i = 0; i < n && i < 4; i++) {
        const json_t *x = json_array_get(value, i);
        v->v[by_condition && i == 1 ? 3 : i] = json_is_boolean(x) ? json_is_true(x) : json_number_value(x);
    }
    return over != AE_OVER_MEAN && n >= 2 && n <= 4;
}

static void take_hash(char out[AE_ROW_HASH_BYTES], const json_t *line, const char *key) {
    const char *hash = json_string_value(json_object_get(line, key));
    snprintf(out, AE_ROW_HASH_BYTES, "%s", hash ? hash : "");
}

/* Of the keys and values, in the order of the keys. */
static uint64_t hash_of(const json_t *value) {
    char *text = json_is_object(value) ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const uint64_t hash = text ? ae_fnv(AE_FNV_START, text, strlen(text)) : 0;
    free(text);
    return hash;
}

static ae_status add_value(ae_sample_column *c, const json_t *line, const ae_value *v) {
    if (c->n == c->room) {
        const ptrdiff_t room = 2 * c->room + 64;
        ae_row_name *rows = realloc(c->rows, (size_t)room * sizeof *rows);
        if (rows) c->rows = rows;
        ae_value *values = realloc(c->column.values, (size_t)room * sizeof *values);
        if (values) c->column.values = values;
        if (!rows || !values) return out_of_memory();
        c->room = room;
    }
    ae_row_name *r = &c->rows[c->n];
    r->number = json_integer_value(json_object_get(line, "doc_id"));
    take_hash(r->document, line, "doc_hash");
    take_hash(r->prompt, line, "prompt_hash");
    take_hash(r->target, line, "target_hash");
    r->asked = hash_of(json_object_get(line, "arguments"));
    c->column.values[c->n++] = *v;
    return AE_OK;
}

static ae_status take_sample(void *context, const json_t *line, const char *where) {
    ae_sample_table *t = context;
    const char *filter = json_string_value(json_object_get(line, "filter"));
    const json_t *metrics = json_object_get(line, "metrics"), *name;
    size_t i;
    ae_status st = AE_OK;
    if (!json_is_array(metrics) || !json_is_integer(json_object_get(line, "doc_id")))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a sample with doc_id and metrics, found another line",
                       where);
    json_array_foreach(metrics, i, name) {
        const char *metric = json_string_value(name);
        ae_value v;
        if (!metric) continue;
        ae_sample_column *c = ae_sample_column_find(t, metric, filter ? filter : "none");
        if (!c) st = ae_sample_column_add(&c, t, metric, filter ? filter : "none");
        if (st == AE_OK && c && !read_value(&v, c->column.over, json_object_get(line, metric)))
            st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected what the metric has of a row, found %s", where,
                         metric, ae_json_type_name(json_object_get(line, metric)));
        if (st == AE_OK && c) st = add_value(c, line, &v);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_sample_table_read(ae_sample_table *t, const ae_result_folder *f, const char *task) {
    bool found;
    *t = (ae_sample_table){.folder = f, .task = task};
    const ae_status st = ae_result_folder_samples(f, task, &found, take_sample, t);
    if (st != AE_OK || found) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected samples_%s.jsonl, found none; evaluate with --log-samples",
                   f->folder, task);
}

static bool same_hash(const char *a, const char *b) {
    return a[0] && strcmp(a, b) == 0;
}

static bool same_row(const ae_row_name *a, const ae_row_name *b) {
    if (a->number != b->number) return false;
    return same_hash(a->document, b->document) ||
           (same_hash(a->prompt, b->prompt) && same_hash(a->target, b->target)) ||
           (a->asked != 0 && a->asked == b->asked);
}

ae_status ae_sample_rows_check(const ae_sample_column *a, const ae_sample_column *b,
                               const ae_sample_table *of) {
    if (a->n != b->n)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %td rows, as in the other folder, found %td",
                       of->folder->folder, of->task, a->n, b->n);
    for (ptrdiff_t i = 0; i < a->n; i++)
        if (!same_row(&a->rows[i], &b->rows[i]))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected row %lld of the other folder, found another one",
                           of->folder->folder, of->task, (long long)a->rows[i].number);
    return AE_OK;
}
