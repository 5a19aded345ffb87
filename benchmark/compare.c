#include "benchmark/compare.h"

#include "benchmark/sample_table.h"
#include "core/log.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "comparison: out of memory");
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

static void row_free(ae_comparison_row *r) {
    free(r->task);
    free(r->metric);
    free(r->filter);
}

static ae_status add_row(ae_comparison *c, const char *task, const ae_sample_column *of, bool is_group) {
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
static ae_status compare_tables(ae_comparison *c, const char *task, const ae_sample_table *a,
                                const ae_sample_table *b, bool is_group) {
    pair *list = calloc(a->n + 1, sizeof *list);
    size_t n = 0;
    ptrdiff_t rows = 0;
    ae_status st = list ? AE_OK : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < a->n; i++) {
        const ae_sample_column *x = &a->items[i], *y = ae_sample_column_find(b, x->column.name, x->filter);
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
static ae_status append(ae_sample_table *to, const ae_sample_table *from, const ae_sample_table *other) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < from->n; i++) {
        const ae_sample_column *x = &from->items[i],
                               *y = ae_sample_column_find(other, x->column.name, x->filter);
        if (!y || y->column.over != x->column.over) continue;
        ae_sample_column *c = ae_sample_column_find(to, x->column.name, x->filter);
        if (!c) st = ae_sample_column_add(&c, to, x->column.name, x->filter);
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
    ae_sample_table a, b;
} leaf_samples;

typedef struct {
    const ae_result_folder *a, *b;
    leaf_samples *items;
    size_t n;
} all_samples;

static ae_status check_columns(const leaf_samples *l) {
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < l->a.n; i++) {
        const ae_sample_column *x = &l->a.items[i];
        const ae_sample_column *y = ae_sample_column_find(&l->b, x->column.name, x->filter);
        if (y) st = ae_sample_rows_check(x, y, &l->b);
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
        st = ae_sample_table_read(&l->a, all->a, name);
        if (st == AE_OK) st = ae_sample_table_read(&l->b, all->b, name);
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
    ae_sample_table a = {.folder = all->a, .task = name}, b = {.folder = all->b, .task = name};
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
    ae_sample_table_free(&a);
    ae_sample_table_free(&b);
    return st;
}

/* What the folder says of a group, or NAN. */
static double stated(const ae_result_folder *f, const ae_comparison_row *r) {
    char key[256];
    snprintf(key, sizeof key, "%s,%s", r->metric, r->filter);
    const json_t *entry = json_object_get(json_object_get(f->root, "results"), r->task);
    const json_t *value = json_object_get(entry, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Drops rows behind the first ones whose numbers are not those of the rows compared: of a group whose parts count alike
 * whatever their size, or of which one folder lacks parts. */
static void drop_other_means(ae_comparison *c, size_t first, const all_samples *all) {
    static const double rounding = 1e-6;
    size_t kept = first;
    for (size_t i = first; i < c->n; i++) {
        ae_comparison_row *r = &c->items[i];
        const double a = stated(all->a, r), b = stated(all->b, r);
        if (fabs(a - r->a) > rounding || fabs(b - r->b) > rounding) {
            ae_warn("%s: %s: left out: the rows of both folders do not make its number (parts that one of "
                    "them lacks, or weighted: false); compare its parts",
                    r->task, r->metric);
            row_free(r);
        } else
            c->items[kept++] = *r;
    }
    c->n = kept;
}

static ae_status compare_all(ae_comparison *c, const all_samples *all) {
    const char *name;
    json_t *entry;
    ae_status st = AE_OK;
    json_object_foreach(json_object_get(all->a->root, "results"), name, entry) {
        leaf_samples *l = find_leaf(all, name);
        const size_t first = c->n;
        st = l ? compare_tables(c, name, &l->a, &l->b, false) : compare_group(c, all, name);
        if (st == AE_OK && !l) drop_other_means(c, first, all);
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
        ae_sample_table_free(&all.items[i].a);
        ae_sample_table_free(&all.items[i].b);
    }
    free(all.items);
    if (st != AE_OK) ae_comparison_free(c);
    return st;
}

void ae_comparison_free(ae_comparison *c) {
    for (size_t i = 0; i < c->n; i++) row_free(&c->items[i]);
    free(c->items);
    *c = (ae_comparison){0};
}
