#include "cli/eval_table.h"

#include "train/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "evaluations: out of memory");
}

const char *ae_eval_folder_label(const ae_result_folder *folders, size_t n, size_t i) {
    const char *name = ae_result_folder_name(&folders[i]);
    for (size_t k = 0; k < n; k++)
        if (k != i && strcmp(ae_result_folder_name(&folders[k]), name) == 0) return folders[i].folder;
    return name;
}

static const json_t *member(const ae_result_folder *f, const char *key, const char *task) {
    return json_object_get(json_object_get(f->root, key), task);
}

/* The group that lists a task; NULL: none does. */
static const char *group_of(const ae_result_folder *f, const char *task) {
    const char *group;
    json_t *parts;
    json_object_foreach(json_object_get(f->root, "group_subtasks"), group,
                        parts) for (size_t i = 0; i < json_array_size(parts); i++) {
        const char *part = json_string_value(json_array_get(parts, i));
        if (part && strcmp(part, task) == 0 && strcmp(group, task) != 0) return group;
    }
    return NULL;
}

static const char *top_of(const ae_result_folder *f, const char *task) {
    const char *group = group_of(f, task);
    for (int depth = 0; group && depth < 16; depth++) {
        task = group;
        group = group_of(f, task);
    }
    return task;
}

/* ---- rows ---- */

static ae_eval_row *find_row(const ae_eval_table *t, const char *task, const char *metric,
                             const char *filter) {
    for (size_t i = 0; i < t->n; i++) {
        ae_eval_row *r = &t->rows[i];
        if (strcmp(r->task, task) == 0 && strcmp(r->metric, metric) == 0 && strcmp(r->filter, filter) == 0)
            return r;
    }
    return NULL;
}

static ae_status add_row(ae_eval_row **out, ae_eval_table *t, const ae_result_folder *f, const char *task,
                         const char *metric, const char *filter) {
    if (t->n == t->room) {
        const size_t room = 2 * t->room + 32;
        ae_eval_row *grown = realloc(t->rows, room * sizeof *grown);
        if (!grown) return out_of_memory();
        t->rows = grown;
        t->room = room;
    }
    const json_t *entry = member(f, "results", task), *shots = member(f, "n-shot", task);
    const char *alias = json_string_value(json_object_get(entry, "alias"));
    ae_eval_row *r = *out = &t->rows[t->n++];
    *r = (ae_eval_row){.task = task,
                       .alias = alias ? alias : task,
                       .metric = strdup(metric),
                       .filter = strdup(filter),
                       .top = top_of(f, task),
                       .is_group = !member(f, "configs", task),
                       .higher_is_better =
                           !json_is_false(json_object_get(member(f, "higher_is_better", task), metric)),
                       .shots = json_is_integer(shots) ? (int)json_integer_value(shots) : -1,
                       .rows = (ptrdiff_t)json_integer_value(json_object_get(entry, "sample_len")),
                       .cells = calloc(t->n_folders, sizeof *r->cells)};
    if (!r->metric || !r->filter || !r->cells) return out_of_memory();
    for (size_t i = 0; i < t->n_folders; i++)
        r->cells[i] = (ae_estimate){(double)NAN, (double)NAN, (double)NAN};
    return AE_OK;
}

/* "acc_norm,none" in two; false for keys that are no metric, and for standard errors. */
static bool split_key(char metric[128], char filter[128], const char *key) {
    const char *comma = strchr(key, ',');
    if (!comma || comma - key >= 128 || strlen(comma + 1) >= 128) return false;
    snprintf(metric, 128, "%.*s", (int)(comma - key), key);
    snprintf(filter, 128, "%s", comma + 1);
    const size_t n = strlen(metric);
    return n < 7 || strcmp(metric + n - 7, "_stderr") != 0;
}

/* The mean over rows of what is right (1) or not (0), or of a part of it. */
static bool is_share_of_right(const char *metric) {
    static const char *const starts[] = {"acc", "exact_match", "pass@"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(metric, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

/* With as many rows of right and wrong as have this standard error, sqrt(p (1 - p) / (n - 1)): all of a task's; of a
 * group's, whose error is pooled, or where a row may be right in part, about as many. */
static void wilson(ae_estimate *cell, double error, double rows) {
    const double p = cell->value, n = p > 0 && p < 1 && error > 0 ? 1 + p * (1 - p) / (error * error) : rows;
    ae_share_interval(p, n, &cell->low, &cell->high);
}

static void fill_cell(ae_estimate *cell, const json_t *entry, double value, const char *metric,
                      const char *filter) {
    char key[300];
    snprintf(key, sizeof key, "%s_stderr,%s", metric, filter);
    const json_t *stderr_ = json_object_get(entry, key);
    const double error = json_is_number(stderr_) ? json_number_value(stderr_) : (double)NAN;
    const double rows = json_number_value(json_object_get(entry, "sample_len"));
    *cell = (ae_estimate){value, value - 1.96 * error, value + 1.96 * error};
    if (is_share_of_right(metric) && value >= 0 && value <= 1 && isfinite(error) && rows >= 1)
        wilson(cell, error, rows);
}

static ae_status add_entry(ae_eval_table *t, size_t folder, const char *task, const json_t *entry) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)entry, key, value) {
        char metric[128], filter[128];
        if (!json_is_number(value) || !split_key(metric, filter, key)) continue;
        ae_eval_row *r = find_row(t, task, metric, filter);
        const ae_status st = r ? AE_OK : add_row(&r, t, &t->folders[folder], task, metric, filter);
        if (st != AE_OK) return st;
        fill_cell(&r->cells[folder], entry, json_number_value(value), metric, filter);
    }
    return AE_OK;
}

/* ---- the main metric ---- */

/* Accuracy by length where a task has it, as papers report it; then the usual names; else the first. */
static int rank_of(const char *metric) {
    static const char *const names[] = {"acc_norm", "acc", "exact_match", "pass@1", "pct_stereotype", "f1"};
    const int n = sizeof names / sizeof *names;
    for (int i = 0; i < n; i++)
        if (strcmp(metric, names[i]) == 0) return i;
    return n;
}

static void mark_main(ae_eval_table *t) {
    for (size_t i = 0; i < t->n; i++) {
        bool better = false;
        for (size_t k = 0; k < t->n && !better; k++) {
            if (strcmp(t->rows[k].task, t->rows[i].task) != 0) continue;
            const int mine = rank_of(t->rows[i].metric), other = rank_of(t->rows[k].metric);
            better = other < mine || (other == mine && k < i);
        }
        t->rows[i].is_main = !better;
    }
}

ae_status ae_eval_table_make(ae_eval_table *t, const ae_result_folder *folders, size_t n) {
    *t = (ae_eval_table){.folders = folders, .n_folders = n};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        const char *task;
        json_t *entry;
        json_object_foreach(json_object_get(folders[i].root, "results"), task, entry) {
            if (st == AE_OK) st = add_entry(t, i, task, entry);
        }
    }
    if (st == AE_OK)
        mark_main(t);
    else
        ae_eval_table_free(t);
    return st;
}

void ae_eval_table_free(ae_eval_table *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->rows[i].metric);
        free(t->rows[i].filter);
        free(t->rows[i].cells);
    }
    free(t->rows);
    *t = (ae_eval_table){0};
}
