#include "benchmark/task_parts.h"
#include "benchmark/words.h"
#include "core/config.h"
#include "core/file.h"
#include "core/json.h"
#include "core/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part has these too, but for `format` and `task`; they stand over those of the whole. */
static const char *const keys[] = {"format",         "task",        "title",
                                   "source",         "version",     "kind",
                                   "rows",           "let",         "description",
                                   "prompt",         "choices",     "contexts",
                                   "continuation",   "gold",        "answer",
                                   "text",           "program",     "by",
                                   "facts",          "fewshot",     "target_delimiter",
                                   "shot_delimiter", "stop",        "max_new",
                                   "temperature",    "top_p",       "repeats",
                                   "prompt_tokens",  "filters",     "metrics",
                                   "parts",          "part_prefix", "weighted",
                                   "topic",          NULL};

static const char *const topics[AE_N_TOPICS] = {"commonsense", "knowledge", "reasoning", "mathematics",
                                                "code",        "safety",    "text",      "other"};

enum { TASK_FORMAT = 1, DEPTH_MAX = 8 };

static ae_status no_memory(const char *at) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", at);
}

static void texts_free(char **texts, size_t n) {
    for (size_t i = 0; i < n && texts != NULL; i++) free(texts[i]);
    free(texts);
}

static void filter_free(ae_filter *f) {
    for (size_t i = 0; i < f->n_steps; i++) {
        free(f->steps[i].pattern);
        free(f->steps[i].fallback);
    }
    free(f->steps);
    free(f->name);
}

void ae_task_free(ae_task *task) {
    if (task == NULL) return;
    for (size_t i = 0; i < task->n_parts; i++) ae_task_free(task->parts[i]);
    free(task->parts);
    for (size_t i = 0; i < task->n_metrics; i++) {
        texts_free(task->metrics[i].ignore, task->metrics[i].n_ignore);
        free(task->metrics[i].name);
        free(task->metrics[i].k);
    }
    free(task->metrics);
    for (size_t i = 0; i < task->n_filters; i++) filter_free(&task->filters[i]);
    free(task->filters);
    texts_free(task->stops, task->n_stops);
    ae_task_text_free(task->text);
    char *own[] = {task->name,
                   task->part,
                   task->title,
                   task->source,
                   task->version,
                   task->file,
                   task->target_delimiter,
                   task->shot_delimiter};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) free(own[i]);
    free(task);
}

static ae_task *task_new(const char *file) {
    ae_task *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->file = strdup(file);
    t->name = strdup("");
    t->part = strdup("");
    t->title = strdup("");
    t->source = strdup("");
    t->version = strdup("");
    t->target_delimiter = strdup(" ");
    t->shot_delimiter = strdup("\n\n");
    t->topic = AE_TOPIC_OTHER;
    t->weighted = true;
    t->max_new = 256;
    t->top_p = 1;
    t->repeats = 1;
    if (t->file && t->name && t->part && t->title && t->source && t->version && t->target_delimiter &&
        t->shot_delimiter)
        return t;
    ae_task_free(t);
    return NULL;
}

/* Numbers with points between them: "1", "1.0", "2.1.3". */
static bool is_dotted(const char *s) {
    for (;; s++) {
        const size_t n = strspn(s, "0123456789");
        s += n;
        if (n == 0 || *s != '.') return n > 0 && *s == '\0';
    }
}

/* Numbers as YAML has them, or text: "1.0" and 1.0 are one version. */
static ae_status read_version(ae_task *t, const json_t *o, const char *at) {
    const json_t *v = json_object_get(o, "version");
    char digits[AE_NUMBER_BYTES] = "";
    if (json_is_number(v)) ae_words_number(digits, json_number_value(v));
    const char *version = json_is_string(v) ? json_string_value(v) : digits;
    if (!is_dotted(version))
        return AE_FAIL(AE_ERR_USAGE, "%sversion: expected a number, as 1.0, found %.100s", at,
                       *version != '\0' ? version : ae_json_type_name(v));
    char *copy = strdup(version);
    if (copy == NULL) return no_memory(at);
    free(t->version);
    t->version = copy;
    return AE_OK;
}

/* Results and their files are called after it. */
static ae_status check_name(const char *name, const char *at) {
    const char *bad =
        name + strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    if (*bad == '\0') return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%stask: expected a name of letters, digits, _, - and ., found \"%.100s\"",
                   at, name);
}

const char *ae_task_topic_name(ae_task_topic topic) {
    return topics[topic];
}

static ae_status read_topic(ae_task *t, const json_t *o, const char *at) {
    const json_t *v = json_object_get(o, "topic");
    int topic = AE_TOPIC_OTHER;
    if (v == NULL) return AE_OK;
    ae_status st =
        ae_task_word(&topic, v, topics, AE_N_TOPICS, "topic", "a topic of `aerie eval ls`, or other", at);
    t->topic = (ae_task_topic)topic;
    return st;
}

static ae_status read_head(ae_task *t, const json_t *o, const char *at) {
    ae_status st;
    AE_TRY(read_topic(t, o, at));
    AE_TRY(ae_task_key_text(&t->title, o, "title", at));
    AE_TRY(ae_task_key_text(&t->source, o, "source", at));
    AE_TRY(ae_task_key_bool(&t->weighted, o, "weighted", at));
    st = read_version(t, o, at);
out:
    return st;
}

static ae_status read_kind(ae_task *t, const json_t *o, const char *at) {
    static const char *const words[] = {"choice", "generate", "rolling"};
    int kind = 0;
    ae_status st =
        ae_task_word(&kind, json_object_get(o, "kind"), words, 3, "kind", "choice, generate or rolling", at);
    t->kind = (ae_task_kind)kind;
    return st;
}

static ae_status read_generation(ae_task *t, const json_t *o, const char *at) {
    ae_status st;
    AE_TRY(ae_task_key_texts(&t->stops, &t->n_stops, o, "stop", at));
    AE_TRY(ae_task_key_int(&t->max_new, o, "max_new", 1, 1000000, at));
    AE_TRY(ae_task_key_real(&t->temperature, o, "temperature", 0, 100, at));
    AE_TRY(ae_task_key_real(&t->top_p, o, "top_p", 1e-6, 1, at));
    AE_TRY(ae_task_key_int(&t->repeats, o, "repeats", 1, 100000, at));
    AE_TRY(ae_task_key_int(&t->prompt_tokens, o, "prompt_tokens", 1, 1000000, at));
    if (t->stops == NULL) {
        t->stops = calloc(1, sizeof *t->stops);
        if (t->stops == NULL || (t->stops[0] = strdup(t->shot_delimiter)) == NULL) return no_memory(at);
        t->n_stops = 1;
    }
    for (size_t i = 0; i < t->n_stops; i++)
        if (t->stops[i][0] == '\0')
            return AE_FAIL(AE_ERR_USAGE, "%sstop: expected text, found an empty one", at);
out:
    return st;
}

static ae_status read_leaf(ae_task *t, const json_t *o, const char *at) {
    ae_status st;
    AE_TRY(read_kind(t, o, at));
    AE_TRY(ae_task_key_text(&t->target_delimiter, o, "target_delimiter", at));
    AE_TRY(ae_task_key_text(&t->shot_delimiter, o, "shot_delimiter", at));
    AE_TRY(ae_task_read_metrics(t, o, at));
    if (t->kind == AE_TASK_GENERATE) {
        AE_TRY(ae_task_read_filters(t, o, at));
        AE_TRY(read_generation(t, o, at));
    }
    st = ae_task_text_read(t, o, at);
out:
    return st;
}

static ae_status read_task(ae_task **task, const json_t *o, const char *name, const char *part,
                           const char *prefix, const char *file, int depth);

/* The whole's keys under those of the part, which is a name or a map with a name. */
static ae_status merge_part(json_t **merged, const char **name, const json_t *o, const json_t *part,
                            const char *at) {
    const json_t *word = json_is_string(part) ? part : json_object_get(part, "name");
    if (!json_is_string(word) || json_string_length(word) == 0)
        return AE_FAIL(AE_ERR_USAGE, "%sparts: expected names or maps with a name, found %s", at,
                       ae_json_type_name(json_is_object(part) ? word : part));
    *name = json_string_value(word);
    *merged = json_copy((json_t *)o);
    if (*merged == NULL) return no_memory(at);
    json_object_del(*merged, "parts");
    json_object_del(*merged, "title");
    if (json_is_object(part) && json_object_update(*merged, (json_t *)part) != 0) return no_memory(at);
    json_object_del(*merged, "name");
    return AE_OK;
}

static ae_status read_parts(ae_task *t, const json_t *o, const json_t *parts, const char *prefix,
                            const char *at, int depth) {
    if (!json_is_array(parts) || json_array_size(parts) == 0 || depth > DEPTH_MAX)
        return AE_FAIL(AE_ERR_USAGE, "%sparts: expected a list of names, no more than %d deep, found %s", at,
                       DEPTH_MAX, ae_json_type_name(parts));
    t->parts = calloc(json_array_size(parts), sizeof(ae_task *));
    if (t->parts == NULL) return no_memory(at);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        json_t *merged = NULL;
        const char *part = NULL;
        char name[256];
        ae_status st = merge_part(&merged, &part, o, json_array_get(parts, i), at);
        if (st == AE_OK) {
            snprintf(name, sizeof name, "%.100s%.100s", prefix, part);
            st = read_task(&t->parts[i], merged, name, part, prefix, t->file, depth + 1);
        }
        json_decref(merged);
        if (st != AE_OK) return st;
        t->n_parts = i + 1;
    }
    return AE_OK;
}

static ae_status set_text(char **to, const char *text) {
    free(*to);
    *to = strdup(text);
    return *to != NULL ? AE_OK : no_memory(text);
}

/* `at` of a part names it: messages of "FILE: PART: key". */
static ae_status read_task(ae_task **task, const json_t *o, const char *name, const char *part,
                           const char *prefix, const char *file, int depth) {
    char at[400];
    const json_t *parts = json_object_get(o, "parts");
    snprintf(at, sizeof at, "%.200s: %.80s%s", file, part, part[0] != '\0' ? ": " : "");
    ae_task *t = *task = task_new(file);
    if (t == NULL) return no_memory(file);
    ae_status st;
    AE_TRY(ae_task_keys_check(o, keys, at));
    AE_TRY(check_name(name, at));
    AE_TRY(set_text(&t->name, name));
    AE_TRY(set_text(&t->part, part));
    AE_TRY(read_head(t, o, at));
    st = parts != NULL ? read_parts(t, o, parts, prefix, at, depth) : read_leaf(t, o, at);
out:
    if (st != AE_OK) {
        ae_task_free(t);
        *task = NULL;
    }
    return st;
}

/* A file of a later language must not be taken for one of ours. */
static ae_status check_format(const json_t *o, const char *file) {
    const json_t *v = json_object_get(o, "format");
    if (json_is_integer(v) && json_integer_value(v) == TASK_FORMAT) return AE_OK;
    if (json_is_integer(v))
        return AE_FAIL(AE_ERR_USAGE, "%s: format: expected %d, which this program reads, found %lld", file,
                       TASK_FORMAT, (long long)json_integer_value(v));
    return AE_FAIL(AE_ERR_USAGE, "%s: format: expected %d, the version of task files, found %s", file,
                   TASK_FORMAT, ae_json_type_name(v));
}

static ae_status read_root(ae_task **task, const json_t *o, const char *file) {
    const json_t *name = json_object_get(o, "task"), *prefix = json_object_get(o, "part_prefix");
    char own[256], at[PATH_MAX + 4];
    snprintf(at, sizeof at, "%s: ", file);
    if (!json_is_object(o))
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a map of keys, found %s", file, ae_json_type_name(o));
    ae_status st = check_format(o, file);
    if (st == AE_OK) st = ae_task_keys_check(o, keys, at);
    if (st != AE_OK) return st;
    if (!json_is_string(name) || json_string_length(name) == 0)
        return AE_FAIL(AE_ERR_USAGE, "%s: task: expected a name, found %s", file, ae_json_type_name(name));
    snprintf(own, sizeof own, "%.200s_", json_string_value(name));
    return read_task(task, o, json_string_value(name), "",
                     json_is_string(prefix) ? json_string_value(prefix) : own, file, 0);
}

static ae_status parse_yaml(json_t **o, const char *text, size_t n, const char *file) {
    yaml_document_t doc;
    ae_status st = ae_yaml_parse(&doc, text, n, file);
    if (st != AE_OK) return st;
    yaml_node_t *root = yaml_document_get_root_node(&doc);
    *o = root != NULL ? ae_yaml_to_json(&doc, root) : NULL;
    if (*o == NULL)
        st = AE_FAIL(AE_ERR_USAGE, "%s: expected a map of keys, found %s", file,
                     root == NULL ? "nothing" : "a key that comes twice, or too much");
    yaml_document_delete(&doc);
    return st;
}

static const ae_builtin_task *find_builtin(const char *name) {
    for (size_t i = 0; i < ae_n_builtin_tasks; i++)
        if (strcmp(ae_builtin_tasks[i].name, name) == 0) return &ae_builtin_tasks[i];
    return NULL;
}

/* The keys of an embedded task under those of the file. */
static ae_status add_base(json_t **o, const char *file) {
    const json_t *name = json_object_get(*o, "base");
    json_t *base = NULL;
    if (name == NULL) return AE_OK;
    const ae_builtin_task *b = json_is_string(name) ? find_builtin(json_string_value(name)) : NULL;
    if (b == NULL)
        return AE_FAIL(AE_ERR_USAGE, "%s: base: expected a task that `aerie eval ls` lists, found %s", file,
                       json_is_string(name) ? json_string_value(name) : ae_json_type_name(name));
    ae_status st = parse_yaml(&base, b->text, b->n, b->name);
    if (st == AE_OK && json_object_get(base, "base") != NULL)
        st = AE_FAIL(AE_ERR_USAGE, "%s: base: expected a task without a base of its own, found %s", file,
                     b->name);
    if (st == AE_OK && json_object_update(base, *o) != 0) st = no_memory(file);
    if (st != AE_OK) {
        json_decref(base);
        return st;
    }
    json_decref(*o);
    *o = base;
    json_object_del(base, "base");
    return AE_OK;
}

static ae_status read_yaml(ae_task **task, const char *text, size_t n, const char *file) {
    json_t *o = NULL;
    ae_status st = parse_yaml(&o, text, n, file);
    if (st == AE_OK && json_is_object(o)) st = add_base(&o, file);
    if (st == AE_OK) st = read_root(task, o, file);
    json_decref(o);
    return st;
}

const char *ae_task_name(size_t i) {
    return i < ae_n_builtin_tasks ? ae_builtin_tasks[i].name : NULL;
}

/* Takes the part of that name out of the tree; NULL: there is none. */
static ae_task *take_part(ae_task *t, const char *name) {
    for (size_t i = 0; i < t->n_parts; i++) {
        ae_task *found = t->parts[i];
        if (strcmp(found->name, name) == 0) {
            t->parts[i] = t->parts[--t->n_parts];
            return found;
        }
        found = take_part(found, name);
        if (found != NULL) return found;
    }
    return NULL;
}

static ae_status load_builtin(ae_task **task, const ae_builtin_task *b) {
    char file[256];
    snprintf(file, sizeof file, "tasks/%.200s.yaml", b->name);
    return read_yaml(task, b->text, b->n, file);
}

/* With the file that may have been meant, else the nearest name. */
static ae_status no_such_task(const char *name) {
    char file[NAME_MAX + 8];
    const char **words = calloc(ae_n_builtin_tasks + 1, sizeof *words);
    if (words == NULL) return no_memory(name);
    for (size_t i = 0; i < ae_n_builtin_tasks; i++) words[i] = ae_builtin_tasks[i].name;
    snprintf(file, sizeof file, "%.*s.yaml", NAME_MAX, name);
    const char *near = ae_path_exists(file) ? file : ae_nearest_word(name, words, ae_n_builtin_tasks);
    free(words);
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: no such task%s%s%s; `aerie eval ls` lists them, and a path to a .yaml is one too",
                   name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static ae_status load_name(ae_task **task, const char *name) {
    const ae_builtin_task *whole_task = find_builtin(name);
    if (whole_task != NULL) return load_builtin(task, whole_task);
    for (size_t i = 0; i < ae_n_builtin_tasks; i++) {
        ae_task *whole = NULL;
        if (memmem(ae_builtin_tasks[i].text, ae_builtin_tasks[i].n, "\nparts:", 7) == NULL) continue;
        ae_status st = load_builtin(&whole, &ae_builtin_tasks[i]);
        if (st != AE_OK) return st;
        *task = take_part(whole, name);
        ae_task_free(whole);
        if (*task != NULL) return AE_OK;
    }
    return no_such_task(name);
}

static bool is_path(const char *name) {
    const size_t n = strlen(name);
    return strchr(name, '/') != NULL || (n > 5 && strcmp(name + n - 5, ".yaml") == 0);
}

ae_status ae_task_load(ae_task **task, const char *name_or_path) {
    char *text = NULL;
    size_t n = 0;
    *task = NULL;
    if (!is_path(name_or_path)) return load_name(task, name_or_path);
    ae_status st = ae_file_read(name_or_path, &text, &n);
    if (st == AE_OK) st = read_yaml(task, text, n, name_or_path);
    free(text);
    return st;
}

size_t ae_task_n_leaves(const ae_task *task) {
    size_t n = 0;
    if (task->n_parts == 0) return 1;
    for (size_t i = 0; i < task->n_parts; i++) n += ae_task_n_leaves(task->parts[i]);
    return n;
}

void ae_task_leaves(const ae_task *task, const ae_task **leaves) {
    if (task->n_parts == 0) {
        *leaves = task;
        return;
    }
    for (size_t i = 0; i < task->n_parts; i++) {
        ae_task_leaves(task->parts[i], leaves);
        leaves += ae_task_n_leaves(task->parts[i]);
    }
}
