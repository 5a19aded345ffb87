#include "benchmark/compare.h"

#include "benchmark/scoring.h"
#include "core/file.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "comparison: out of memory");
}

/* ---- what the samples of a leaf say ---- */

/* A row of the benchmark: it is the same one where its document is, or prompt and target are (lm-eval hashes documents
 * after its own changes). */
enum { HASH_BYTES = 65 };
typedef struct {
    json_int_t number;
    char document[HASH_BYTES], prompt[HASH_BYTES], target[HASH_BYTES];
} row_name;

typedef struct {
    ae_column column;
    char *filter;
    row_name *rows;
    ptrdiff_t n, room;
} sample_column;

typedef struct {
    const ae_result_folder *folder;
    const char *task;
    sample_column *items;
    size_t n;
} sample_table;

static void table_free(sample_table *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->items[i].column.name);
        free(t->items[i].column.values);
        free(t->items[i].filter);
        free(t->items[i].rows);
    }
    free(t->items);
    *t = (sample_table){0};
}

/* Where a configuration leaves it out. */
static const char *usual_aggregation(const char *metric) {
    const bool perplexity = strcmp(metric, "word_perplexity") == 0 || strcmp(metric, "byte_perplexity") == 0;
    if (perplexity) return "weighted_perplexity";
    return strcmp(metric, "bits_per_byte") == 0 ? "bits_per_byte" : "mean";
}

/* How the values of a metric become one number; false: in a way that is not known here. */
static bool find_over(ae_over *over, bool *higher, const sample_table *t, const char *metric) {
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

static sample_column *find_column(const sample_table *t, const char *metric, const char *filter) {
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->items[i].column.name, metric) == 0 && strcmp(t->items[i].filter, filter) == 0)
            return &t->items[i];
    return NULL;
}

static ae_status add_column(sample_column **out, sample_table *t, const char *metric, const char *filter) {
    ae_over over;
    bool higher;
    *out = NULL;
    if (!find_over(&over, &higher, t, metric)) return AE_OK;
    sample_column *grown = realloc(t->items, (t->n + 1) * sizeof *grown);
    if (!grown) return out_of_memory();
    t->items = grown;
    sample_column *c = &grown[t->n];
    *c = (sample_column){.column = {.name = strdup(metric), .higher_is_better = higher, .over = over},
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

static void take_hash(char out[HASH_BYTES], const json_t *line, const char *key) {
    const char *hash = json_string_value(json_object_get(line, key));
    snprintf(out, HASH_BYTES, "%s", hash ? hash : "");
}

static ae_status add_value(sample_column *c, const json_t *line, const ae_value *v) {
    if (c->n == c->room) {
        const ptrdiff_t room = 2 * c->room + 64;
        row_name *rows = realloc(c->rows, (size_t)room * sizeof *rows);
        if (rows) c->rows = rows;
        ae_value *values = realloc(c->column.values, (size_t)room * sizeof *values);
        if (values) c->column.values = values;
        if (!rows || !values) return out_of_memory();
        c->room = room;
    }
    row_name *r = &c->rows[c->n];
    r->number = json_integer_value(json_object_get(line, "doc_id"));
    take_hash(r->document, line, "doc_hash");
    take_hash(r->prompt, line, "prompt_hash");
    take_hash(r->target, line, "target_hash");
    c->column.values[c->n++] = *v;
    return AE_OK;
}

static ae_status take_sample(void *context, const json_t *line, const char *where) {
    sample_table *t = context;
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
        sample_column *c = find_column(t, metric, filter ? filter : "none");
        if (!c) st = add_column(&c, t, metric, filter ? filter : "none");
        if (st == AE_OK && c && !read_value(&v, c->column.over, json_object_get(line, metric)))
            st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected what the metric has of a row, found %s", where,
                         metric, ae_json_type_name(json_object_get(line, metric)));
        if (st == AE_OK && c) st = add_value(c, line, &v);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

static ae_status table_read(sample_table *t, const ae_result_folder *f, const char *task) {
    bool found;
    *t = (sample_table){.folder = f, .task = task};
    const ae_status st = ae_result_folder_samples(f, task, &found, take_sample, t);
    if (st != AE_OK || found) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected samples_%s.jsonl, found none; evaluate with --log-samples",
                   f->folder, task);
}

static bool same_hash(const char *a, const char *b) {
    return a[0] && strcmp(a, b) == 0;
}

static bool same_row(const row_name *a, const row_name *b) {
    if (a->number != b->number) return false;
    return same_hash(a->document, b->document) ||
           (same_hash(a->prompt, b->prompt) && same_hash(a->target, b->target));
}

static ae_status check_rows(const sample_column *a, const sample_column *b, const sample_table *of) {
    if (a->n != b->n)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %td rows, as in the other folder, found %td",
                       of->folder->folder, of->task, a->n, b->n);
    for (ptrdiff_t i = 0; i < a->n; i++)
        if (!same_row(&a->rows[i], &b->rows[i]))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected row %lld of the other folder, found another one",
                           of->folder->folder, of->task, (long long)a->rows[i].number);
    return AE_OK;
}

/* ---- pairs of columns ---- */

typedef struct {
    const ae_column *a, *b;
} pair;

typedef struct {
    const pair *pairs;
    size_t n;
} pairs;

static void differences(double *out, const ae_resample *r, const void *data) {
    const pairs *p = data;
    for (size_t i = 0; i < p->n; i++)
        out[i] = ae_column_aggregate(p->pairs[i].b, r->units, r->n_units) -
                 ae_column_aggregate(p->pairs[i].a, r->units, r->n_units);
}

/* Twice the smaller share of resamples on one side of 0; those at 0 count half on each. */
static double p_of(double below) {
    const double n = AE_BOOTSTRAP_RESAMPLES, smaller = fmin(below, 1 - below) * n;
    return fmin(1, 2 * (smaller + 1) / (n + 1));
}

/* Rows [first, first + n) of the comparison from pairs [n] over `rows` rows. */
static ae_status estimate(ae_comparison *c, size_t first, const pair *list, size_t n, ptrdiff_t rows) {
    ae_estimate *found = calloc(n, sizeof *found);
    double *below = calloc(n, sizeof *below);
    const pairs all = {list, n};
    const ae_bootstrap_job job = {rows, 1, n, differences, &all, below};
    ae_status st = found && below ? ae_bootstrap(found, &job) : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        ae_comparison_row *r = &c->items[first + i];
        r->rows = rows;
        r->a = ae_column_aggregate(list[i].a, NULL, rows);
        r->b = ae_column_aggregate(list[i].b, NULL, rows);
        r->difference = found[i];
        r->p = p_of(below[i]);
    }
    free(found);
    free(below);
    return st;
}

static ae_status add_row(ae_comparison *c, const char *task, const sample_column *of, bool is_group) {
    if (c->n == c->room) {
        const size_t room = 2 * c->room + 16;
        ae_comparison_row *grown = realloc(c->items, room * sizeof *grown);
        if (!grown) return out_of_memory();
        c->items = grown;
        c->room = room;
    }
    ae_comparison_row *r = &c->items[c->n++];
    *r = (ae_comparison_row){.task = strdup(task),
                             .metric = strdup(of->column.name),
                             .filter = strdup(of->filter),
                             .is_group = is_group,
                             .higher_is_better = of->column.higher_is_better};
    return r->task && r->metric && r->filter ? AE_OK : out_of_memory();
}

/* Metrics that both tables have, rows of the comparison for them, and their bootstrap: one for those of as many rows. In
 * a group a metric may be of some leaves only. */
static ae_status compare_tables(ae_comparison *c, const char *task, const sample_table *a,
                                const sample_table *b, bool is_group) {
    pair *list = calloc(a->n + 1, sizeof *list);
    size_t n = 0;
    ptrdiff_t rows = 0;
    ae_status st = list ? AE_OK : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < a->n; i++) {
        const sample_column *x = &a->items[i], *y = find_column(b, x->column.name, x->filter);
        if (!y || y->column.over != x->column.over || x->n == 0) continue;
        assert(y->n == x->n);
        if (n > 0 && x->n != rows) {
            st = estimate(c, c->n - n, list, n, rows);
            n = 0;
        }
        rows = x->n;
        if (st == AE_OK) st = add_row(c, task, x, is_group);
        if (st == AE_OK) list[n++] = (pair){&x->column, &y->column};
    }
    if (st == AE_OK && n > 0) st = estimate(c, c->n - n, list, n, rows);
    free(list);
    return st;
}

/* ---- leaves and groups ---- */

/* The rows of `from` behind those of `to`, of the metrics that `other`, the same leaf on the other side, has too. */
static ae_status append(sample_table *to, const sample_table *from, const sample_table *other) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < from->n; i++) {
        const sample_column *x = &from->items[i], *y = find_column(other, x->column.name, x->filter);
        if (!y || y->column.over != x->column.over) continue;
        sample_column *c = find_column(to, x->column.name, x->filter);
        if (!c) st = add_column(&c, to, x->column.name, x->filter);
        if (st != AE_OK || !c) return st;
        c->column.over = x->column.over;
        c->column.higher_is_better = x->column.higher_is_better;
        ae_value *values = realloc(c->column.values, (size_t)(c->n + x->n + 1) * sizeof *values);
        if (!values) return out_of_memory();
        c->column.values = values;
        memcpy(values + c->n, x->column.values, (size_t)x->n * sizeof *values);
        c->n += x->n;
    }
    return st;
}

/* Leaves that both have. */
typedef struct {
    const char *name;
    sample_table a, b;
} leaf_samples;

typedef struct {
    const ae_result_folder *a, *b;
    leaf_samples *items;
    size_t n;
} all_samples;

static ae_status check_columns(const leaf_samples *l) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < l->a.n; i++) {
        const sample_column *x = &l->a.items[i];
        const sample_column *y = find_column(&l->b, x->column.name, x->filter);
        if (y) st = check_rows(x, y, &l->b);
    }
    return st;
}

static ae_status read_all(all_samples *all) {
    const json_t *mine = json_object_get(all->a->root, "configs"),
                 *other = json_object_get(all->b->root, "configs");
    const char *name;
    json_t *config;
    ae_status st = AE_OK;
    all->items = calloc(json_object_size(mine) + 1, sizeof *all->items);
    if (!all->items) return out_of_memory();
    json_object_foreach((json_t *)(uintptr_t)mine, name, config) {
        if (!json_object_get(other, name)) continue;
        leaf_samples *l = &all->items[all->n++];
        l->name = name;
        st = table_read(&l->a, all->a, name);
        if (st == AE_OK) st = table_read(&l->b, all->b, name);
        if (st == AE_OK) st = check_columns(l);
        if (st != AE_OK) return st;
    }
    if (all->n > 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a task that %s has too, found none", all->b->folder,
                   all->a->folder);
}

static leaf_samples *find_leaf(const all_samples *all, const char *name) {
    for (size_t i = 0; name && i < all->n; i++)
        if (strcmp(all->items[i].name, name) == 0) return &all->items[i];
    return NULL;
}

static ae_status compare_group(ae_comparison *c, const all_samples *all, const char *name) {
    sample_table a = {.folder = all->a, .task = name}, b = {.folder = all->b, .task = name};
    json_t *leaves = ae_result_folder_leaves(all->a, name);
    ae_status st = leaves ? AE_OK : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < json_array_size(leaves); i++) {
        const leaf_samples *l = find_leaf(all, json_string_value(json_array_get(leaves, i)));
        if (!l) continue;
        st = append(&a, &l->a, &l->b);
        if (st == AE_OK) st = append(&b, &l->b, &l->a);
    }
    if (st == AE_OK) st = compare_tables(c, name, &a, &b, true);
    json_decref(leaves);
    table_free(&a);
    table_free(&b);
    return st;
}

static ae_status compare_all(ae_comparison *c, const all_samples *all) {
    const char *name;
    json_t *entry;
    ae_status st = AE_OK;
    json_object_foreach(json_object_get(all->a->root, "results"), name, entry) {
        leaf_samples *l = find_leaf(all, name);
        st = l ? compare_tables(c, name, &l->a, &l->b, false) : compare_group(c, all, name);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_compare(ae_comparison *c, const ae_result_folder *a, const ae_result_folder *b) {
    all_samples all = {.a = a, .b = b};
    *c = (ae_comparison){0};
    ae_status st = read_all(&all);
    if (st == AE_OK) st = compare_all(c, &all);
    for (size_t i = 0; i < all.n; i++) {
        table_free(&all.items[i].a);
        table_free(&all.items[i].b);
    }
    free(all.items);
    if (st != AE_OK) ae_comparison_free(c);
    return st;
}

void ae_comparison_free(ae_comparison *c) {
    for (size_t i = 0; i < c->n; i++) {
        free(c->items[i].task);
        free(c->items[i].metric);
        free(c->items[i].filter);
    }
    free(c->items);
    *c = (ae_comparison){0};
}
