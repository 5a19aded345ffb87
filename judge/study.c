#include "judge/study.h"

#include "core/file.h"
#include "core/rng.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const int64_t FORMAT = 1;
static const uint64_t ORDER_STREAM = 1;

/* ---- items ---- */

static ae_status check_message(const json_t *m, const char *where) {
    if (json_is_string(json_object_get(m, "role")) && json_is_string(json_object_get(m, "content")))
        return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: prompt: expected text or a list of {\"role\", \"content\"}, found another list",
                   where);
}

static ae_status check_prompt(const json_t *prompt, const char *where) {
    size_t i;
    json_t *m;
    ae_status st = AE_OK;
    if (json_is_string(prompt)) return AE_OK;
    if (json_array_size(prompt) == 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: prompt: expected text or a list of {\"role\", \"content\"}, found %s", where,
                       json_is_array(prompt) ? "an empty list" : ae_json_type_name(prompt));
    json_array_foreach(prompt, i, m) if (st == AE_OK) st = check_message(m, where);
    return st;
}

static ae_status check_answers(const json_t *answers, int models, const char *where) {
    size_t i, n = 0;
    json_t *a;
    if (!json_is_array(answers) || json_array_size(answers) != (size_t)models)
        return AE_FAIL(AE_ERR_INPUT, "%s: answers: expected a list of %d, found %s", where, models,
                       json_is_array(answers) ? "another number" : ae_json_type_name(answers));
    json_array_foreach(answers, i, a) {
        n += json_is_string(a);
        if (!json_is_string(a) && !json_is_null(a))
            return AE_FAIL(AE_ERR_INPUT, "%s: answers: expected text or null, found %s", where,
                           ae_json_type_name(a));
    }
    return n >= 2
               ? AE_OK
               : AE_FAIL(AE_ERR_INPUT, "%s: answers: expected two or more to compare, found %zu", where, n);
}

static ae_status add_item(ae_study *s, json_t *item, const char *where) {
    const json_t *id = json_object_get(item, "id");
    if (!json_is_string(id))
        return AE_FAIL(AE_ERR_INPUT, "%s: id: expected text, found %s", where, ae_json_type_name(id));
    if (json_object_get(s->index, json_string_value(id)))
        return AE_FAIL(AE_ERR_INPUT, "%s: id: expected one of its own, found %s a second time", where,
                       json_string_value(id));
    ae_status st = check_prompt(json_object_get(item, "prompt"), where);
    if (st == AE_OK) st = check_answers(json_object_get(item, "answers"), s->n_models, where);
    if (st != AE_OK) return st;
    json_object_set_new(s->index, json_string_value(id), json_integer((json_int_t)s->n_items));
    json_array_append(s->items, item);
    s->n_items++;
    return AE_OK;
}

static ae_status read_items(ae_study *s, const char *path) {
    ae_reader *in = NULL;
    ae_status st = ae_reader_open(&in, path);
    while (st == AE_OK) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        json_t *item = NULL;
        st = ae_reader_line(in, &line, &n);
        if (st != AE_OK || !line) break;
        snprintf(where, sizeof where, "%s:%lld", path, (long long)ae_reader_line_number(in));
        st = ae_json_parse_answer(&item, line, n, where);
        if (st == AE_OK) st = add_item(s, item, where);
        json_decref(item);
    }
    ae_reader_close(in);
    return st;
}

/* ---- study.json ---- */

static ae_status read_models(ae_study *s, const char *where) {
    const json_t *models = json_object_get(s->about, "models");
    const size_t n = json_array_size(models);
    if (n < 2 || n > AE_STUDY_MODELS_MAX)
        return AE_FAIL(AE_ERR_INPUT, "%s: models: expected a list of 2 to %d, found %zu", where,
                       AE_STUDY_MODELS_MAX, n);
    for (size_t i = 0; i < n; i++) {
        s->models[i] = json_string_value(json_object_get(json_array_get(models, i), "name"));
        if (!s->models[i])
            return AE_FAIL(AE_ERR_INPUT, "%s: models: expected a name of each, found none", where);
        if (ae_study_find_model(s, s->models[i]) >= 0)
            return AE_FAIL(AE_ERR_INPUT, "%s: models: expected different names, found %s twice", where,
                           s->models[i]);
        s->n_models++;
    }
    return AE_OK;
}

static ae_status read_about(ae_study *s, const char *where) {
    int64_t format = 0, seed = 0;
    ae_status st = ae_json_int(s->about, "format", where, &format);
    if (st == AE_OK) st = ae_json_int(s->about, "seed", where, &seed);
    if (st != AE_OK) return st;
    s->seed = (uint64_t)seed;
    if (format != FORMAT)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: format: expected %lld, found %lld; it is of another version of aerie", where,
                       (long long)FORMAT, (long long)format);
    return read_models(s, where);
}

/* Votes are about these texts and no others. */
static ae_status check_items(ae_study *s, const char *path, const char *where) {
    int64_t items = 0, sum = 0, size;
    uint32_t crc = 0;
    ae_status st = ae_json_int(s->about, "items", where, &items);
    if (st == AE_OK) st = ae_json_int(s->about, "items_crc32", where, &sum);
    if (st == AE_OK) st = ae_file_crc32(path, &crc, &size);
    if (st != AE_OK) return st;
    s->items_crc32 = sum;
    if (items == s->n_items && sum == (int64_t)crc && items > 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected the file that study.json was written with, found another; votes on it "
                   "would mean nothing",
                   path);
}

/* ---- comparisons ---- */

/* All of an item; how many. */
static ptrdiff_t pairs_of_item(const ae_study *s, ptrdiff_t item, ae_comparison *pairs) {
    ptrdiff_t n = 0;
    for (int a = 0; a < s->n_models; a++)
        for (int b = a + 1; b < s->n_models; b++)
            if (ae_study_answer(s, item, a) && ae_study_answer(s, item, b))
                pairs[n++] = (ae_comparison){item, a, b};
    return n;
}

static ae_status order_comparisons(ae_study *s) {
    enum { PAIRS_MAX = AE_STUDY_MODELS_MAX * (AE_STUDY_MODELS_MAX - 1) / 2 };
    ae_comparison pairs[PAIRS_MAX];
    const ptrdiff_t rounds = ae_study_pairs(s);
    s->comparisons = calloc((size_t)(rounds * s->n_items), sizeof *s->comparisons);
    if (!s->comparisons) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", s->folder);
    for (ptrdiff_t round = 0; round < rounds; round++)
        for (ptrdiff_t i = 0; i < s->n_items; i++) {
            const ptrdiff_t item =
                (ptrdiff_t)ae_rng_permute(s->seed, ORDER_STREAM, (uint64_t)s->n_items, (uint64_t)i);
            const ptrdiff_t n = pairs_of_item(s, item, pairs);
            if (round < n) s->comparisons[s->n_comparisons++] = pairs[(item + round) % n];
        }
    return AE_OK;
}

ae_status ae_study_open(ae_study *s, const char *folder) {
    char *about = ae_path_join(folder, "study.json"), *items = ae_path_join(folder, "items.jsonl");
    ae_status st;
    *s = (ae_study){.items = json_array(), .index = json_object(), .folder = strdup(folder)};
    if (!ae_path_exists(about))
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a study with study.json, found none; aerie judge make makes one",
                       folder));
    AE_TRY(ae_json_load(&s->about, about));
    AE_TRY(read_about(s, about));
    AE_TRY(read_items(s, items));
    AE_TRY(check_items(s, items, about));
    AE_TRY(order_comparisons(s));
out:
    free(about);
    free(items);
    if (st != AE_OK) ae_study_free(s);
    return st;
}

void ae_study_free(ae_study *s) {
    json_decref(s->about);
    json_decref(s->items);
    json_decref(s->index);
    free(s->folder);
    free(s->comparisons);
    *s = (ae_study){0};
}

bool ae_study_exists(const char *folder) {
    return ae_path_has(folder, "study.json");
}

/* ---- writing ---- */

static ae_status items_text(const json_t *items, char **text, size_t *n) {
    size_t i;
    json_t *item;
    FILE *f = open_memstream(text, n);
    ae_status st = f ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "items.jsonl: out of memory");
    if (!f) return st;
    json_array_foreach(items, i, item) if (st == AE_OK) st = ae_json_write_line(item, f, "items.jsonl");
    if (fclose(f) != 0 && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "items.jsonl: out of memory");
    return st;
}

ae_status ae_study_write(const char *folder, json_t *about, const json_t *items) {
    char *path = ae_path_join(folder, "items.jsonl"), *text = NULL;
    size_t n = 0;
    uint32_t crc = 0;
    int64_t size;
    ae_status st;
    AE_TRY(items_text(items, &text, &n));
    AE_TRY(ae_file_write(path, text, n));
    AE_TRY(ae_file_crc32(path, &crc, &size));
    json_object_set_new(about, "format", json_integer(FORMAT));
    json_object_set_new(about, "items", json_integer((json_int_t)json_array_size(items)));
    json_object_set_new(about, "items_crc32", json_integer(crc));
    AE_TRY(ae_json_write_file(about, folder, "study.json"));
out:
    free(text);
    free(path);
    return st;
}

/* ---- what is in it ---- */

const json_t *ae_study_item(const ae_study *s, ptrdiff_t item) {
    return json_array_get(s->items, (size_t)item);
}

const char *ae_study_id(const ae_study *s, ptrdiff_t item) {
    return json_string_value(json_object_get(ae_study_item(s, item), "id"));
}

int ae_study_find_model(const ae_study *s, const char *name) {
    for (int i = 0; i < s->n_models; i++)
        if (strcmp(s->models[i], name) == 0) return i;
    return -1;
}

ptrdiff_t ae_study_find_item(const ae_study *s, const char *id) {
    const json_t *number = json_object_get(s->index, id);
    return number ? (ptrdiff_t)json_integer_value(number) : -1;
}

int ae_study_pairs(const ae_study *s) {
    return s->n_models * (s->n_models - 1) / 2;
}

const json_t *ae_study_answer(const ae_study *s, ptrdiff_t item, int model) {
    const json_t *answer = json_array_get(json_object_get(ae_study_item(s, item), "answers"), (size_t)model);
    return json_is_string(answer) ? answer : NULL;
}
