#include "benchmark/documents_parts.h"
#include "core/file.h"
#include "core/json.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status no_memory(const char *at) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", at);
}

void ae_kept_rows_free(ae_kept_rows *k) {
    ae_rows_free(&k->rows);
    free(k->kept);
}

json_t *ae_kept_row(const ae_kept_rows *k, size_t i) {
    return json_array_get(k->rows.list, k->kept[i]);
}

/* The folder below `data` that a task's files may have of their own: tasks/mmlu.yaml has mmlu. */
static void own_folder(char *folder, size_t n, const ae_task *task) {
    const char *name = ae_path_last(task->file);
    snprintf(folder, n, "%.*s", (int)strcspn(name, "."), name);
}

/* PATH, or PATH.gz. */
static ae_status first_there(char **found, const char *path) {
    char packed[PATH_MAX];
    snprintf(packed, sizeof packed, "%.*s.gz", PATH_MAX - 8, path);
    const char *there = ae_path_exists(path) ? path : ae_path_exists(packed) ? packed : NULL;
    if (there == NULL) return AE_OK;
    *found = strdup(there);
    return *found != NULL ? AE_OK : no_memory(path);
}

/* `data`, or the folder that has the file `data`. */
static void data_folder(char *folder, size_t n, const char *data) {
    const char *slash = strrchr(data, '/');
    if (ae_path_is_folder(data))
        snprintf(folder, n, "%s", data);
    else
        snprintf(folder, n, "%.*s", slash != NULL ? (int)(slash - data) : 1, slash != NULL ? data : ".");
}

/* Where files are looked for, in this order: all names in the task's own folder, then all of them in `data`. */
typedef enum { PLACE_OWN, PLACE_DATA, N_PLACES } data_place;

static void path_in(char *path, size_t n, data_place place, const char *data, const ae_task *task,
                    const char *name) {
    char folder[PATH_MAX], own[256];
    data_folder(folder, sizeof folder, data);
    own_folder(own, sizeof own, task);
    if (place == PLACE_OWN)
        snprintf(path, n, "%.2000s/%.200s/%.1000s", folder, own, name);
    else
        snprintf(path, n, "%.2000s/%.1000s", folder, name);
}

static int by_version(const void *a, const void *b) {
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* Whether the file before this one in the order is the same without .gz. */
static bool is_packed_twin(const glob_t *g, size_t i) {
    const size_t n = i > 0 ? strlen(g->gl_pathv[i - 1]) : 0;
    return i > 0 && strncmp(g->gl_pathv[i - 1], g->gl_pathv[i], n) == 0 &&
           strcmp(g->gl_pathv[i] + n, ".gz") == 0;
}

/* A name with * or ?: all files of that form, packed or not, in the order in which people count. */
static ae_status read_pattern(ae_kept_rows *k, const char *pattern, const ae_rows_spec *spec, bool *found) {
    char packed[PATH_MAX];
    glob_t g = {0};
    snprintf(packed, sizeof packed, "%.*s.gz", PATH_MAX - 8, pattern);
    int rc = glob(pattern, GLOB_NOSORT, NULL, &g);
    if (rc != GLOB_NOSPACE) rc = glob(packed, GLOB_NOSORT | GLOB_APPEND, NULL, &g);
    ae_status st = rc == GLOB_NOSPACE ? no_memory(pattern) : AE_OK;
    *found = st == AE_OK && g.gl_pathc > 0;
    if (*found) qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_version);
    for (size_t i = 0; st == AE_OK && i < g.gl_pathc; i++)
        if (!is_packed_twin(&g, i)) st = ae_rows_read(&k->rows, g.gl_pathv[i], spec);
    globfree(&g);
    return st;
}

static ae_status render_name(char **name, const ae_template *t, const ae_task *task, const json_t *more) {
    const ae_template_scope scope = {.more = more, .where = task->file};
    return ae_template_text(name, t, &scope);
}

static ae_status render_names(json_t **names, const ae_task_source *s, const ae_task *task,
                              const json_t *more) {
    ae_status st = (*names = json_array()) != NULL ? AE_OK : no_memory(task->file);
    for (size_t i = 0; i < s->n_files && st == AE_OK; i++) {
        char *name = NULL;
        st = render_name(&name, s->files[i], task, more);
        if (st == AE_OK && json_array_append_new(*names, json_string(name)) != 0) st = no_memory(task->file);
        free(name);
    }
    return st;
}

ae_status ae_task_files(json_t **rows, json_t **examples, const ae_task *leaf) {
    json_t *more = json_pack("{s:s}", "part", leaf->part);
    *rows = *examples = NULL;
    ae_status st = more != NULL ? render_names(rows, &leaf->text->rows, leaf, more) : no_memory(leaf->file);
    if (st == AE_OK) st = render_names(examples, &leaf->text->shots, leaf, more);
    json_decref(more);
    if (st == AE_OK) return AE_OK;
    json_decref(*rows);
    json_decref(*examples);
    return st;
}

/* Tries one name of the source in one place. */
static ae_status read_name(ae_kept_rows *k, const char *name, data_place place, const ae_task *task,
                           const char *data, const ae_rows_spec *spec, bool *found) {
    char path[PATH_MAX], *there = NULL;
    ae_status st;
    if (strpbrk(name, "*?") != NULL) {
        path_in(path, sizeof path, place, data, task, "");
        char *pattern = ae_path_pattern(path, name);
        st = read_pattern(k, pattern, spec, found);
        free(pattern);
        return st;
    }
    path_in(path, sizeof path, place, data, task, name);
    st = first_there(&there, path);
    *found = there != NULL;
    if (*found) st = ae_rows_read(&k->rows, there, spec);
    free(there);
    return st;
}

/* Copies on the Hugging Face hub are in Parquet. */
static bool has_parquet(const char *data, const ae_task *task) {
    char folder[PATH_MAX], own[256], names[3][300];
    glob_t g = {0};
    data_folder(folder, sizeof folder, data);
    own_folder(own, sizeof own, task);
    snprintf(names[0], sizeof names[0], "%.200s/*.parquet", own);
    snprintf(names[1], sizeof names[1], "%.200s/*/*.parquet", own);
    snprintf(names[2], sizeof names[2], "*.parquet");
    for (int i = 0; i < 3; i++) {
        char *pattern = ae_path_pattern(folder, names[i]);
        glob(pattern, i > 0 ? GLOB_APPEND : 0, NULL, &g);
        free(pattern);
    }
    const bool found = g.gl_pathc > 0;
    globfree(&g);
    return found;
}

static ae_status none_found(const ae_task_source *s, const ae_task *task, const json_t *more,
                            const char *data, const char *what) {
    char names[512] = "";
    for (size_t i = 0, used = 0; i < s->n_files && used < sizeof names - 100; i++) {
        char *name = NULL;
        if (render_name(&name, s->files[i], task, more) == AE_OK)
            used +=
                (size_t)snprintf(names + used, sizeof names - used, "%s%.90s", i == 0 ? "" : " or ", name);
        free(name);
    }
    if (!ae_path_exists(data))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a folder or file, found none", data);
    const bool parquet = has_parquet(data, task), shots = s == &task->text->shots;
    const char *found =
        parquet ? "Parquet files; write their rows as JSON lines (docs/tasks.md says how)" : "none";
    const char *remedy =
        parquet || !shots ? ""
        : ae_path_is_folder(data)
            ? "; --num-fewshot 0 asks without examples"
            : " beside it; take a folder with both, or --num-fewshot 0 to ask without examples";
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %s of %s (%s; .gz too), found %s%s", data, what, task->name,
                   names, found, remedy);
}

static ae_status find_label(char **labels, data_place place, const json_t *name, const char *data,
                            const ae_task *task) {
    char path[PATH_MAX];
    if (!json_is_string(name))
        return AE_FAIL(AE_ERR_USAGE, "%s: labels: expected the name of a file, found %s", task->file,
                       ae_json_type_name(name));
    path_in(path, sizeof path, place, data, task, json_string_value(name));
    return first_there(labels, path);
}

/* The first of the files of labels that is there. */
static ae_status find_labels(char **labels, const ae_task_source *s, const ae_task *task, const json_t *more,
                             const char *data) {
    const ae_template_scope scope = {.more = more, .where = task->file};
    json_t *names = NULL;
    if (s->labels == NULL) return AE_OK;
    ae_status st = ae_template_value(&names, s->labels, &scope);
    const size_t n = json_is_array(names) ? json_array_size(names) : 1;
    for (int place = 0; place < N_PLACES; place++)
        for (size_t i = 0; i < n && st == AE_OK && *labels == NULL; i++)
            st = find_label(labels, (data_place)place,
                            json_is_array(names) ? json_array_get(names, i) : names, data, task);
    json_decref(names);
    return st;
}

static ae_status read_files(ae_kept_rows *k, const ae_task_source *s, const ae_task *task, const json_t *more,
                            const char *data, ae_rows_spec *spec, const char *what) {
    json_t *names = NULL;
    bool found = false;
    ae_status st = render_names(&names, s, task, more);
    for (int place = 0; place < N_PLACES; place++)
        for (size_t i = 0; i < s->n_files && !found && st == AE_OK; i++)
            st = read_name(k, json_string_value(json_array_get(names, i)), (data_place)place, task, data,
                           spec, &found);
    json_decref(names);
    return st != AE_OK || found ? st : none_found(s, task, more, data, what);
}

/* Leaves the rows for which `where` holds. */
static ae_status keep(ae_kept_rows *k, const ae_task_source *s, const struct ae_task_text *t,
                      const json_t *more) {
    const size_t n = json_array_size(k->rows.list);
    k->kept = calloc(n + 1, sizeof *k->kept);
    if (k->kept == NULL) return no_memory(k->rows.files[0]);
    for (size_t i = 0; i < n; i++) {
        char place[AE_WHERE_BYTES], where[AE_WHERE_BYTES + 16];
        json_t *yes = NULL;
        ae_rows_where(place, sizeof place, &k->rows, i);
        snprintf(where, sizeof where, "%s: where", place);
        const ae_template_scope scope = {t->lets, t->n_lets, json_array_get(k->rows.list, i),
                                         more,    where,     NULL};
        ae_status st = s->where != NULL ? ae_template_value(&yes, s->where, &scope) : AE_OK;
        if (st == AE_OK && yes != NULL && !json_is_boolean(yes))
            st =
                AE_FAIL(AE_ERR_INPUT, "%s: expected true or false, found %s%s", where, ae_json_type_name(yes),
                        json_is_string(yes) ? "; write the whole condition in one {{ }}" : "");
        if (st == AE_OK && (yes == NULL || json_is_true(yes))) k->kept[k->n++] = i;
        json_decref(yes);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_kept_rows_read(ae_kept_rows *k, const ae_task_source *s, const ae_task *task, const json_t *more,
                            const char *data, const char *what) {
    char *labels = NULL;
    ae_status st;
    AE_TRY(find_labels(&labels, s, task, more, data));
    ae_rows_spec spec = {.form = s->form,
                         .key = s->key,
                         .columns = s->columns,
                         .flatten = s->flatten,
                         .labels = labels,
                         .label_field = s->label_field};
    const bool one_file = &task->text->rows == s && ae_path_exists(data) && !ae_path_is_folder(data);
    st = one_file ? ae_rows_read(&k->rows, data, &spec) : read_files(k, s, task, more, data, &spec, what);
    if (st == AE_OK) st = keep(k, s, task->text, more);
    if (st == AE_OK && k->n == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected %s of %s, found none%s", k->rows.files[0], what, task->name,
                     s->where != NULL ? " for which `where` holds" : "");
out:
    free(labels);
    return st;
}
