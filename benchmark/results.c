#include "benchmark/results_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "results: out of memory");
}

void ae_result_key(char *out, size_t n, const char *name, const char *filter, bool of_stderr) {
    snprintf(out, n, "%s%s,%s", name, of_stderr ? "_stderr" : "", filter);
}

/* ---- scoring ---- */

static ae_status score_document(ae_eval_results *r, size_t leaf, ptrdiff_t d) {
    ae_request q;
    ae_outcome o;
    ae_status st = ae_request_make(&q, ae_evaluation_documents(r->evaluation, leaf), d);
    if (st != AE_OK) return st;
    ae_evaluation_outcome(&o, r->evaluation, leaf, d);
    st = ae_scoring_add(r->scorings[leaf], d, &q, &o);
    r->groups[leaf][d] = strdup(q.group ? q.group : "");
    if (st == AE_OK && !r->groups[leaf][d]) st = out_of_memory();
    ae_request_free(&q);
    return st;
}

static ae_status score_leaf(ae_eval_results *r, size_t leaf, const ae_judges *judges) {
    const ae_task_documents *documents = ae_evaluation_documents(r->evaluation, leaf);
    const ptrdiff_t n = ae_task_documents_count(documents);
    ae_status st =
        ae_scoring_new(&r->scorings[leaf], ae_evaluation_leaf(r->evaluation, leaf), documents, judges);
    if (st != AE_OK) return st;
    r->groups[leaf] = calloc((size_t)n + 1, sizeof *r->groups[leaf]);
    if (!r->groups[leaf]) return out_of_memory();
    for (ptrdiff_t d = 0; st == AE_OK && d < n; d++) st = score_document(r, leaf, d);
    return st == AE_OK ? ae_scoring_finish(r->scorings[leaf]) : st;
}

/* ---- entries ---- */

static ae_status new_entry(ae_result_entry **out, ae_eval_results *r, const ae_task *task, int depth) {
    if (r->n_entries == r->room) {
        const size_t room = 2 * r->room + 16;
        ae_result_entry *grown = realloc(r->entries, room * sizeof *grown);
        if (!grown) return out_of_memory();
        r->entries = grown;
        r->room = room;
    }
    *out = &r->entries[r->n_entries++];
    **out = (ae_result_entry){.task = task, .depth = depth};
    return AE_OK;
}

static size_t leaf_number(const ae_eval_results *r, const ae_task *task) {
    size_t i = 0;
    while (strcmp(ae_evaluation_leaf(r->evaluation, i)->name, task->name) != 0) i++;
    return i;
}

static ae_status fill_leaf(ae_result_entry *e, const ae_eval_results *r) {
    e->leaf = leaf_number(r, e->task);
    const ae_scoring *s = r->scorings[e->leaf];
    const ae_task_documents *documents = ae_evaluation_documents(r->evaluation, e->leaf);
    e->documents = ae_task_documents_count(documents);
    e->shots = ae_task_documents_shots(documents);
    e->items = calloc(ae_scoring_n_columns(s) + 1, sizeof *e->items);
    if (!e->items) return out_of_memory();
    for (; e->n < ae_scoring_n_columns(s); e->n++) {
        const ae_column *c = ae_scoring_column(s, e->n);
        e->items[e->n] = (ae_result){c->name,
                                     c->filter,
                                     ae_column_aggregate(c, NULL, e->documents),
                                     ae_column_stderr(c, NULL, e->documents),
                                     c->higher_is_better,
                                     e->documents};
    }
    return AE_OK;
}

static const ae_result *find(const ae_result_entry *e, const char *name, const char *filter) {
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->items[i].name, name) == 0 && strcmp(e->items[i].filter, filter) == 0)
            return &e->items[i];
    return NULL;
}

/* One metric of a group from those of its leaves [n] that have it. */
static ae_status pool(ae_result *out, const ae_result *like, const ae_result_entry *leaves, size_t n,
                      bool weighted) {
    double *means = calloc(n, sizeof *means), *stderrs = calloc(n, sizeof *stderrs);
    ptrdiff_t *sizes = calloc(n, sizeof *sizes);
    size_t k = 0;
    *out =
        (ae_result){.name = like->name, .filter = like->filter, .higher_is_better = like->higher_is_better};
    for (size_t i = 0; means && stderrs && sizes && i < n; i++) {
        const ae_result *x = leaves[i].task->n_parts > 0 ? NULL : find(&leaves[i], like->name, like->filter);
        if (!x) continue;
        means[k] = x->value;
        stderrs[k] = x->stderr_;
        sizes[k++] = x->documents;
        out->documents += x->documents;
    }
    const bool fine = means && stderrs && sizes;
    if (fine) out->value = ae_pooled_mean(means, sizes, k, weighted);
    if (fine) out->stderr_ = ae_pooled_stderr(stderrs, sizes, k, weighted);
    free(means);
    free(stderrs);
    free(sizes);
    return fine ? AE_OK : out_of_memory();
}

/* Entries from `first` on are what the group at place `at` has below it. */
static ae_status fill_group(ae_eval_results *r, size_t at, size_t first) {
    ae_result_entry *e = &r->entries[at];
    const ae_result_entry *below = &r->entries[first];
    const size_t n = r->n_entries - first;
    size_t most = 0;
    ae_status st = AE_OK;
    for (size_t i = 0; i < n; i++) most += below[i].n;
    e->items = calloc(most + 1, sizeof *e->items);
    if (!e->items) return out_of_memory();
    e->shots = n > 0 ? below[0].shots : 0;
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        if (below[i].task->n_parts > 0) continue;
        e->documents += below[i].documents;
        if (below[i].shots != e->shots) e->shots = -1;
        for (size_t k = 0; st == AE_OK && k < below[i].n; k++) {
            const ae_result *x = &below[i].items[k];
            if (find(e, x->name, x->filter)) continue;
            st = pool(&e->items[e->n], x, below, n, e->task->weighted);
            e->n++;
        }
    }
    return st;
}

static ae_status add_task(ae_eval_results *r, const ae_task *task, int depth) {
    ae_result_entry *e;
    const size_t at = r->n_entries;
    ae_status st = new_entry(&e, r, task, depth);
    if (st != AE_OK) return st;
    if (task->n_parts == 0) return fill_leaf(e, r);
    for (size_t i = 0; st == AE_OK && i < task->n_parts; i++) st = add_task(r, task->parts[i], depth + 1);
    return st == AE_OK ? fill_group(r, at, at + 1) : st;
}

/* ---- groups of documents ---- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

ae_status ae_result_groups(const char ***names, size_t *n, const ae_eval_results *r, size_t leaf) {
    const ptrdiff_t documents = ae_task_documents_count(ae_evaluation_documents(r->evaluation, leaf));
    const char **list = *names = calloc((size_t)documents + 1, sizeof *list);
    *n = 0;
    if (!list) return out_of_memory();
    for (ptrdiff_t d = 0; d < documents; d++)
        if (r->groups[leaf][d][0]) list[(*n)++] = r->groups[leaf][d];
    qsort(list, *n, sizeof *list, by_text);
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (i == 0 || strcmp(list[i], list[kept - 1]) != 0) list[kept++] = list[i];
    *n = kept;
    return AE_OK;
}

ae_status ae_result_documents(ptrdiff_t **which, ptrdiff_t *n, const ae_eval_results *r, size_t leaf,
                              const char *group) {
    const ptrdiff_t documents = ae_task_documents_count(ae_evaluation_documents(r->evaluation, leaf));
    *which = calloc((size_t)documents + 1, sizeof **which);
    *n = 0;
    if (!*which) return out_of_memory();
    for (ptrdiff_t d = 0; d < documents; d++)
        if (strcmp(r->groups[leaf][d], group) == 0) (*which)[(*n)++] = d;
    return AE_OK;
}

/* ---- the caller's side ---- */

ae_status ae_eval_results_make(ae_eval_results **out, const ae_evaluation *e, const ae_task *const *tasks,
                               size_t n, const ae_judges *judges) {
    ae_eval_results *r = *out = calloc(1, sizeof *r);
    if (!r) return out_of_memory();
    r->evaluation = e;
    const size_t leaves = ae_evaluation_n_leaves(e);
    r->scorings = calloc(leaves + 1, sizeof(ae_scoring *));
    r->groups = calloc(leaves + 1, sizeof *r->groups);
    ae_status st = r->scorings && r->groups ? AE_OK : out_of_memory();
    for (size_t i = 0; st == AE_OK && i < leaves; i++) st = score_leaf(r, i, judges);
    for (size_t i = 0; st == AE_OK && i < n; i++) st = add_task(r, tasks[i], 0);
    if (st == AE_OK) return AE_OK;
    ae_eval_results_free(r);
    *out = NULL;
    return st;
}

void ae_eval_results_free(ae_eval_results *r) {
    if (!r) return;
    for (size_t i = 0; r->scorings && r->groups && i < ae_evaluation_n_leaves(r->evaluation); i++) {
        const ptrdiff_t n = ae_task_documents_count(ae_evaluation_documents(r->evaluation, i));
        for (ptrdiff_t d = 0; r->groups[i] && d < n; d++) free(r->groups[i][d]);
        free(r->groups[i]);
        ae_scoring_delete(r->scorings[i]);
    }
    for (size_t i = 0; i < r->n_entries; i++) free(r->entries[i].items);
    free(r->scorings);
    free(r->groups);
    free(r->entries);
    free(r);
}

/* ---- the table ---- */

enum { COLUMNS = 7 };
typedef struct {
    char cells[COLUMNS][96];
} row;

static void fill_row(row *w, const ae_result_entry *e, const ae_result *x, bool first) {
    const char *name = e->depth > 0 && e->task->part[0] ? e->task->part : e->task->name;
    memset(w, 0, sizeof *w);
    if (first) {
        snprintf(w->cells[0], sizeof w->cells[0], "%*s%s%s", e->depth > 1 ? 2 * (e->depth - 1) : 0, "",
                 e->depth > 0 ? "- " : "", name);
        snprintf(w->cells[1], sizeof w->cells[1], "%s", e->task->version);
    }
    snprintf(w->cells[2], sizeof w->cells[2], "%s", x->filter);
    if (e->shots >= 0) snprintf(w->cells[3], sizeof w->cells[3], "%d", e->shots);
    snprintf(w->cells[4], sizeof w->cells[4], "%s", x->name);
    if (isnan(x->value))
        snprintf(w->cells[5], sizeof w->cells[5], "N/A");
    else
        snprintf(w->cells[5], sizeof w->cells[5], "%.4f", x->value);
    if (isnan(x->stderr_))
        snprintf(w->cells[6], sizeof w->cells[6], "N/A");
    else
        snprintf(w->cells[6], sizeof w->cells[6], "%.4f", x->stderr_);
}

static const row headings = {{"Tasks", "Version", "Filter", "n-shot", "Metric", "Value", "Stderr"}};

static void widen(int widths[COLUMNS], const row *w) {
    for (int c = 0; c < COLUMNS; c++) widths[c] = (int)ae_max(widths[c], (ptrdiff_t)strlen(w->cells[c]));
}

static void print_row(FILE *out, const row *w, const int widths[COLUMNS], bool heading) {
    for (int c = 0; c < COLUMNS; c++) {
        const bool right = !heading && (c == 1 || c == 3 || c >= 5);
        fprintf(out, "%s%*s%s", c == 0 ? "|" : "", right ? widths[c] : -widths[c], w->cells[c],
                c == 5 ? "|\u00B1|" : "|");
    }
    fputc('\n', out);
}

ae_status ae_eval_results_table(const ae_eval_results *r, FILE *out) {
    int widths[COLUMNS] = {0};
    row w;
    widen(widths, &headings);
    for (size_t i = 0; i < r->n_entries; i++)
        for (size_t k = 0; k < r->entries[i].n; k++) {
            fill_row(&w, &r->entries[i], &r->entries[i].items[k], k == 0);
            widen(widths, &w);
        }
    print_row(out, &headings, widths, true);
    for (int c = 0; c < COLUMNS; c++) {
        fputs(c == 0 ? "|" : "", out);
        for (int i = 0; i < widths[c]; i++) fputc('-', out);
        fputs(c == 5 ? "|-|" : "|", out);
    }
    fputc('\n', out);
    for (size_t i = 0; i < r->n_entries; i++)
        for (size_t k = 0; k < r->entries[i].n; k++) {
            fill_row(&w, &r->entries[i], &r->entries[i].items[k], k == 0);
            print_row(out, &w, widths, false);
        }
    return ferror(out) ? AE_FAIL(AE_ERR_RESOURCE, "standard output: cannot be written") : AE_OK;
}

ae_status ae_eval_results_numbers(const ae_eval_results *r,
                                  ae_status (*take)(void *context, const ae_eval_number *number),
                                  void *context) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < r->n_entries; i++) {
        const ae_result_entry *e = &r->entries[i];
        for (size_t k = 0; e->depth == 0 && st == AE_OK && k < e->n; k++) {
            const ae_result *x = &e->items[k];
            const ae_eval_number number = {e->task->name, x->name, x->filter, x->value, x->stderr_};
            st = take(context, &number);
        }
    }
    return st;
}
