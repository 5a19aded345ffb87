#include "cli/judge_prompts.h"

#include "core/file.h"
#include "data/json_line.h"
#include "data/utf8.h"

#include <string.h>

/* Calls `take` for each line that is not blank. *rows counts them. */
typedef ae_status take_fn(void *context, const json_t *row, ptrdiff_t number, const char *where);

static ae_status read_rows(const char *path, const char *const *keys, size_t n_keys, ptrdiff_t limit,
                           take_fn *take, void *context, ptrdiff_t *rows) {
    ae_reader *in = NULL;
    ae_status st = ae_reader_open(&in, path);
    *rows = 0;
    while (st == AE_OK && (limit == 0 || *rows < limit)) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        json_t *row = NULL;
        st = ae_reader_line(in, &line, &n);
        if (st != AE_OK || !line) break;
        if (ae_text_is_blank(line, n)) continue;
        snprintf(where, sizeof where, "%s:%lld", path, (long long)ae_reader_line_number(in));
        st = ae_json_line(&row, line, n, keys, n_keys, where);
        if (st == AE_OK) st = take(context, row, (*rows)++, where);
        json_decref(row);
    }
    ae_reader_close(in);
    if (st == AE_OK && *rows == 0) st = AE_FAIL(AE_ERR_INPUT, "%s: expected lines of JSON, found none", path);
    return st;
}

/* A whole number is taken as its digits; without an id the row's number is one. */
static ae_status id_of(const json_t *row, ptrdiff_t number, const char *where, json_t **id) {
    char digits[32];
    json_t *v = json_object_get(row, "id");
    *id = NULL;
    if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v)) *id = json_incref(v);
    if (json_is_integer(v)) snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
    if (!v || json_is_null(v)) snprintf(digits, sizeof digits, "%td", number + 1);
    if (json_is_integer(v) || !v || json_is_null(v)) *id = json_string(digits);
    return *id ? AE_OK
               : AE_FAIL(AE_ERR_INPUT, "%s: id: expected text or a whole number, found %s", where,
                         ae_json_type_name(v));
}

/* ---- prompts ---- */

static ae_status prompt_of(const json_t *row, const char *where, json_t **prompt) {
    json_t *text = json_object_get(row, "prompt"), *messages = json_object_get(row, "messages");
    *prompt = text ? text : messages;
    if (text && messages)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected \"prompt\" or \"messages\", found both", where);
    if (json_is_string(*prompt) || json_is_array(*prompt)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: prompt: expected text or a list of messages, found %s", where,
                   ae_json_type_name(*prompt));
}

static ae_status read_completion(const json_t *c, const char *where, json_t **model, json_t **text) {
    *model = json_object_get(c, "model");
    *text = json_object_get(c, "completion");
    if (json_is_string(*model) && json_is_string(*text)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: completions: expected {\"model\": text, \"completion\": text}, found %s", where,
                   json_is_object(c) ? "another object" : ae_json_type_name(c));
}

/* Its number among the models that rows have; a new one gets the next. */
static size_t number_of(ae_judge_prompts *p, json_t *model) {
    size_t i;
    json_t *other;
    json_array_foreach(p->models, i, other) if (json_equal(other, model)) return i;
    json_array_append(p->models, model);
    return i;
}

static void pad(json_t *answers, size_t n) {
    while (json_array_size(answers) < n) json_array_append_new(answers, json_null());
}

static ae_status take_completions(ae_judge_prompts *p, const json_t *row, json_t *answers,
                                  const char *where) {
    const json_t *completions = json_object_get(row, "completions");
    size_t i;
    json_t *c, *model, *text;
    if (completions && !json_is_array(completions))
        return AE_FAIL(AE_ERR_INPUT, "%s: completions: expected a list, found %s", where,
                       ae_json_type_name(completions));
    json_array_foreach(completions, i, c) {
        const ae_status st = read_completion(c, where, &model, &text);
        if (st != AE_OK) return st;
        const size_t k = number_of(p, model);
        pad(answers, k + 1);
        const json_t *before = json_array_get(answers, k);
        if (json_is_string(before) && !json_equal(before, text))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: completions: expected one of each model to a prompt, found two of %s", where,
                           json_string_value(model));
        json_array_set(answers, k, text);
    }
    return AE_OK;
}

/* The item of the row: one that is there, where the row only has more completions for it. */
static ae_status item_of(ae_judge_prompts *p, const json_t *row, json_t *id, json_t *prompt,
                         const char *where, json_t **item) {
    const char *name = json_string_value(id);
    *item = json_object_get(p->by_id, name);
    if (!*item) {
        *item = json_pack("{s:O, s:O, s:[]}", "id", id, "prompt", prompt, "answers");
        json_array_append_new(p->items, *item);
        json_object_set(p->by_id, name, *item);
        return *item ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    }
    if (json_object_get(row, "completions") && json_equal(prompt, json_object_get(*item, "prompt")))
        return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: id: expected one of its own for each prompt, found %s a second time",
                   where, name);
}

static ae_status take_prompt(void *context, const json_t *row, ptrdiff_t number, const char *where) {
    ae_judge_prompts *p = context;
    json_t *id = NULL, *prompt = NULL, *item = NULL;
    ae_status st = id_of(row, number, where, &id);
    if (st == AE_OK) st = prompt_of(row, where, &prompt);
    if (st == AE_OK) st = item_of(p, row, id, prompt, where, &item);
    if (st == AE_OK) st = take_completions(p, row, json_object_get(item, "answers"), where);
    json_decref(id);
    return st;
}

ae_status ae_judge_prompts_read(ae_judge_prompts *p, const char *path, ptrdiff_t limit) {
    static const char *const keys[] = {"id", "prompt", "messages", "completions"};
    ptrdiff_t rows;
    size_t i;
    json_t *item;
    *p = (ae_judge_prompts){json_array(), json_object(), json_array()};
    ae_status st = read_rows(path, keys, sizeof keys / sizeof *keys, limit, take_prompt, p, &rows);
    json_array_foreach(p->items, i, item) pad(json_object_get(item, "answers"), json_array_size(p->models));
    if (st != AE_OK) ae_judge_prompts_free(p);
    return st;
}

void ae_judge_prompts_free(ae_judge_prompts *p) {
    json_decref(p->items);
    json_decref(p->by_id);
    json_decref(p->models);
    *p = (ae_judge_prompts){0};
}

/* ---- answers ---- */

typedef struct {
    const ae_judge_prompts *prompts;
    json_t *by_id; /* id -> answer; NULL where the first row has none */
    const char *path;
    bool limited;
} answers;

static ae_status text_of(const json_t *row, const char *where, json_t **text) {
    static const char *const keys[] = {"answer", "completion", "text"};
    *text = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *v = json_object_get(row, keys[i]);
        if (!v) continue;
        if (*text || !json_is_string(v))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found %s", where, keys[i],
                           *text ? "one of answer, completion and text" : "text",
                           *text ? "two" : ae_json_type_name(v));
        *text = v;
    }
    return *text ? AE_OK : AE_FAIL(AE_ERR_INPUT, "%s: answer: expected text, found no such key", where);
}

/* Answers of other prompts would be judged in silence. */
static ae_status check_prompt(const json_t *row, const json_t *item, const char *where) {
    const json_t *prompt = json_object_get(row, "prompt");
    if (!prompt || json_equal(prompt, json_object_get(item, "prompt"))) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: prompt: expected that of item %s, found another", where,
                   json_string_value(json_object_get(item, "id")));
}

static ae_status take_by_id(answers *a, const json_t *row, json_t *text, const char *where) {
    json_t *id = NULL;
    if (!json_object_get(row, "id"))
        return AE_FAIL(AE_ERR_INPUT, "%s: id: expected one, as in the first row, found no such key", where);
    ae_status st = id_of(row, 0, where, &id);
    if (st == AE_OK && json_object_get(a->by_id, json_string_value(id)))
        st = AE_FAIL(AE_ERR_INPUT, "%s: id: expected one answer to %s, found a second", where,
                     json_string_value(id));
    if (st == AE_OK) json_object_set(a->by_id, json_string_value(id), text);
    json_decref(id);
    return st;
}

static ae_status take_answer(void *context, const json_t *row, ptrdiff_t number, const char *where) {
    answers *a = context;
    const size_t n = json_array_size(a->prompts->items);
    json_t *text = NULL;
    ae_status st = text_of(row, where, &text);
    if (st != AE_OK) return st;
    if (number == 0 && json_object_get(row, "id")) a->by_id = json_object();
    if (a->by_id) return take_by_id(a, row, text, where);
    json_t *item = json_array_get(a->prompts->items, (size_t)number);
    if (!item && a->limited) return AE_OK;
    if (!item)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected %zu answers, one for each prompt, found more", where, n);
    st = check_prompt(row, item, where);
    if (st == AE_OK) json_array_append(json_object_get(item, "answers"), text);
    return st;
}

static ae_status hand_out(const answers *a) {
    size_t i;
    json_t *item;
    json_array_foreach(a->prompts->items, i, item) {
        const char *id = json_string_value(json_object_get(item, "id"));
        json_t *text = json_object_get(a->by_id, id);
        if (!text) return AE_FAIL(AE_ERR_INPUT, "%s: expected an answer to item %s, found none", a->path, id);
        json_array_append(json_object_get(item, "answers"), text);
    }
    return AE_OK;
}

ae_status ae_judge_answers_read(const ae_judge_prompts *p, const char *path, bool limited) {
    static const char *const keys[] = {"id", "prompt", "answer", "completion", "text"};
    answers a = {.prompts = p, .path = path, .limited = limited};
    const ptrdiff_t n = (ptrdiff_t)json_array_size(p->items);
    ptrdiff_t rows;
    ae_status st = read_rows(path, keys, sizeof keys / sizeof *keys, 0, take_answer, &a, &rows);
    if (st == AE_OK && a.by_id) st = hand_out(&a);
    if (st == AE_OK && !a.by_id && rows < n)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected %td answers, one for each prompt, found %td", path, n, rows);
    json_decref(a.by_id);
    return st;
}
