#include "benchmark/result_folder.h"

#include "core/file.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

static const char RESULTS[] = "results.json", RESULTS_OF_LM_EVAL[] = "results_*.json",
                  REQUESTS[] = "requests.jsonl";

static ae_status out_of_memory(const char *folder) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder);
}

/* FOLDER/NAME, or the last FOLDER/PATTERN in the order of names; NULL in *path where there is neither. */
static ae_status last_file(char **path, const char *folder, const char *name, const char *pattern) {
    *path = ae_path_join(folder, name);
    if (ae_path_exists(*path)) return AE_OK;
    free(*path);
    *path = NULL;
    char *all = ae_path_pattern(folder, pattern);
    glob_t g = {0};
    const int rc = glob(all, 0, NULL, &g);
    if (rc == 0) *path = strdup(g.gl_pathv[g.gl_pathc - 1]);
    const bool failed = rc == GLOB_NOSPACE || (rc == 0 && !*path);
    globfree(&g);
    free(all);
    return failed ? out_of_memory(folder) : AE_OK;
}

static ae_status check_results(const ae_result_folder *f) {
    static const char *const wanted[] = {"results", "configs"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const json_t *member = json_object_get(f->root, wanted[i]);
        if (!json_is_object(member))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: expected an object, as aerie eval and lm-eval write it, found %s",
                           f->path, wanted[i], ae_json_type_name(member));
    }
    return AE_OK;
}

bool ae_result_folder_is(const char *folder) {
    char *path;
    if (ae_path_has(folder, REQUESTS)) return true;
    const bool is = last_file(&path, folder, RESULTS, RESULTS_OF_LM_EVAL) == AE_OK && path;
    free(path);
    return is;
}

static ae_status no_results(const char *folder) {
    if (ae_path_has(folder, REQUESTS))
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected results, found an evaluation that is not done; the command that began "
                       "it goes on",
                       folder);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected results.json, as aerie eval writes it, found none", folder);
}

ae_status ae_result_folder_open(ae_result_folder *f, const char *folder) {
    *f = (ae_result_folder){.folder = strdup(folder)};
    if (!f->folder) return out_of_memory(folder);
    for (size_t n = strlen(folder); n > 1 && f->folder[n - 1] == '/'; n--) f->folder[n - 1] = '\0';
    ae_status st = last_file(&f->path, folder, RESULTS, RESULTS_OF_LM_EVAL);
    if (st == AE_OK && !f->path) st = no_results(folder);
    if (st == AE_OK) st = ae_json_load_python(&f->root, f->path);
    if (st == AE_OK) st = check_results(f);
    if (st != AE_OK) ae_result_folder_close(f);
    return st;
}

void ae_result_folder_close(ae_result_folder *f) {
    free(f->folder);
    free(f->path);
    json_decref(f->root);
    *f = (ae_result_folder){0};
}

const char *ae_result_folder_name(const ae_result_folder *f) {
    return ae_path_last(f->folder);
}

ae_status ae_result_folder_samples(const ae_result_folder *f, const char *task, bool *found,
                                   ae_status (*line)(void *, const json_t *, const char *), void *context) {
    char name[NAME_MAX + 1], pattern[NAME_MAX + 1], where[AE_WHERE_BYTES];
    char *path = NULL, *text;
    ae_reader *r = NULL;
    size_t n;
    snprintf(name, sizeof name, "samples_%.200s.jsonl", task);
    snprintf(pattern, sizeof pattern, "samples_%.200s_[0-9]*.jsonl", task);
    ae_status st = last_file(&path, f->folder, name, pattern);
    *found = path != NULL;
    if (st == AE_OK && path) st = ae_reader_open(&r, path);
    while (st == AE_OK && path && (st = ae_reader_line(r, &text, &n)) == AE_OK && text) {
        json_t *row = NULL;
        snprintf(where, sizeof where, "%s:%lld", path, (long long)ae_reader_line_number(r));
        st = ae_json_parse_python(&row, text, n, where);
        if (st == AE_OK) st = line(context, row, where);
        json_decref(row);
    }
    ae_reader_close(r);
    free(path);
    return st;
}

static bool add_leaves(json_t *list, const json_t *groups, const char *name, int depth) {
    const json_t *parts = json_object_get(groups, name);
    if (!json_is_array(parts) || json_array_size(parts) == 0 || depth > 16)
        return json_array_append_new(list, json_string(name)) == 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const char *part = json_string_value(json_array_get(parts, i));
        if (part && !add_leaves(list, groups, part, depth + 1)) return false;
    }
    return true;
}

json_t *ae_result_folder_leaves(const ae_result_folder *f, const char *group) {
    json_t *list = json_array();
    if (list && add_leaves(list, json_object_get(f->root, "group_subtasks"), group, 0)) return list;
    json_decref(list);
    return NULL;
}
