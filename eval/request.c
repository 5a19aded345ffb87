#include "eval/request.h"

#include "core/config.h"
#include "core/log.h"
#include "data/json_line.h"
#include "data/row_keys.h"

#include <stdlib.h>
#include <string.h>

static const char *kind_of(const json_t *v) {
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a broken number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

/* All that a request may have. */
static const char *const keys[] = {"text", "prompt", "tokens", "messages", "positions", "loss_mask"};
enum { N_KEYS = sizeof keys / sizeof *keys };

static bool is_one_of(const char *name, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, words[i]) == 0) return true;
    return false;
}

static void tell(const char *name, const char *where) {
    const char *near = ae_nearest_word(name, keys, N_KEYS);
    ae_warn("%s: \"%s\" is no field of a request%s%s; it has no effect, here and in other lines", where, name,
            near ? ", did you mean " : "", near ? near : "");
}

static void tell_unknown(const char *line, size_t n, const char *where, bool *told) {
    const char *at = NULL, *name;
    size_t bytes;
    while (!*told && (name = ae_json_line_name(line, n, &at, &bytes)) != NULL) {
        char *word = strndup(name, bytes);
        *told = word && !is_one_of(word, keys, N_KEYS) && !ae_is_note_key(word);
        if (*told) tell(word, where);
        free(word);
    }
}

ae_status ae_request_parse(json_t **object, const char *line, size_t n, const char *where, bool *told) {
    *object = NULL;
    if (n == strspn(line, " \t"))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a JSON object, found an empty line", where);
    const ae_status st = ae_json_line(object, line, n, keys, N_KEYS, where);
    if (st == AE_OK) tell_unknown(line, n, where, told);
    return st;
}

/* The list under `key` holds n entries. */
static ae_status check_list(const json_t *list, const char *key, const char *where, ptrdiff_t n) {
    if (!json_is_array(list))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a list, found %s", where, key, kind_of(list));
    if (n >= 0 && json_array_size(list) != (size_t)n)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected as many entries as there are tokens, %td, found %zu",
                       where, key, n, json_array_size(list));
    return AE_OK;
}

/* Entry i of a list of whole numbers; it lies between lo and hi. */
static ae_status take_entry(const json_t *list, size_t i, const char *key, const char *where, int64_t lo,
                            int64_t hi, int64_t *out) {
    const json_t *v = json_array_get(list, i);
    if (!json_is_integer(v))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s[%zu]: expected a whole number, found %s", where, key, i,
                       kind_of(v));
    *out = json_integer_value(v);
    if (*out >= lo && *out <= hi) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s[%zu]: expected %lld to %lld, found %lld", where, key, i,
                   (long long)lo, (long long)hi, (long long)*out);
}

static ae_status take_tokens(const json_t *list, const ae_request_rules *rules, const char *where,
                             ae_ids *ids) {
    ae_status st = check_list(list, "tokens", where, -1);
    for (size_t i = 0; st == AE_OK && i < json_array_size(list); i++) {
        int64_t id = 0;
        st = take_entry(list, i, "tokens", where, 0, rules->vocab - 1, &id);
        if (st == AE_OK) st = ae_ids_append(ids, (int32_t)id);
    }
    return st;
}

static ae_status take_text(const json_t *text, const char *key, const ae_request_rules *rules,
                           const char *where, ae_ids *ids) {
    if (!json_is_string(text))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text, found %s", where, key, kind_of(text));
    if (!rules->tokenizer)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: the model has no tokenizer; give \"tokens\": [ids]", where,
                       key);
    ae_status st = AE_OK;
    if (rules->bos) {
        const int32_t bos = ae_tokenizer_special(rules->tokenizer).bos;
        if (bos < 0)
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: the tokenizer has no <bos>; add --no-bos", where, key);
        st = ae_ids_append(ids, bos);
    }
    if (st == AE_OK)
        st = ae_tokenizer_encode(rules->tokenizer, json_string_value(text), json_string_length(text), ids);
    if (st != AE_OK) ae_fail_prefix("%s: %s", where, key);
    return st;
}

ae_status ae_request_check_range(const ae_ids *ids, const ae_request_rules *rules, const char *where) {
    for (ptrdiff_t i = 0; i < ids->n; i++)
        if (ids->ids[i] < 0 || ids->ids[i] >= rules->vocab)
            return AE_FAIL(AE_ERR_INPUT, "%s: the tokenizer gives id %d, the model's vocabulary ends at %lld",
                           where, ids->ids[i], (long long)rules->vocab - 1);
    return AE_OK;
}

ae_status ae_request_ids(const json_t *object, const char *text_key, const ae_request_rules *rules,
                         const char *where, ae_ids *ids) {
    const json_t *text = json_object_get(object, text_key), *tokens = json_object_get(object, "tokens");
    if (json_is_null(text)) text = NULL;
    if (json_is_null(tokens)) tokens = NULL;
    if (!text == !tokens)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected either \"%s\" or \"tokens\", found %s", where, text_key,
                       text ? "both" : "neither");
    const ae_status st =
        tokens ? take_tokens(tokens, rules, where, ids) : take_text(text, text_key, rules, where, ids);
    if (st != AE_OK) return st;
    if (ids->n == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected at least one token, found none", where,
                       tokens ? "tokens" : text_key);
    return ae_request_check_range(ids, rules, where);
}

/* ---- lists beside tokens ---- */

/* The optional list under `key`: it needs `tokens` beside it, since only then its length can be known. */
static ae_status find_list(const json_t *object, const char *key, const char *where, ptrdiff_t n,
                           const json_t **list) {
    *list = json_object_get(object, key);
    if (!*list || json_is_null(*list)) {
        *list = NULL;
        return AE_OK;
    }
    if (!json_object_get(object, "tokens"))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: goes with \"tokens\" only, found it beside text", where, key);
    return check_list(*list, key, where, n);
}

ae_status ae_request_positions(const json_t *object, const char *where, ptrdiff_t n, int32_t *positions) {
    const json_t *list = NULL;
    ae_status st = find_list(object, "positions", where, n, &list);
    for (ptrdiff_t i = 0; st == AE_OK && i < n; i++) {
        const int32_t next = i ? positions[i - 1] + 1 : 0;
        int64_t p = next;
        if (list) st = take_entry(list, (size_t)i, "positions", where, INT64_MIN, INT64_MAX, &p);
        if (st == AE_OK && p != 0 && p != next)
            st = AE_FAIL(AE_ERR_INPUT, "%s: positions[%td]: expected 0%s, found %lld", where, i,
                         i ? " or one more than the entry before" : "", (long long)p);
        positions[i] = (int32_t)p;
    }
    return st;
}

ae_status ae_request_mask(const json_t *object, const char *where, ptrdiff_t n, uint8_t *mask) {
    const json_t *list = NULL;
    ae_status st = find_list(object, "loss_mask", where, n, &list);
    for (ptrdiff_t i = 0; st == AE_OK && i < n; i++) {
        int64_t counts = 1;
        if (list) st = take_entry(list, (size_t)i, "loss_mask", where, 0, 1, &counts);
        mask[i] = (uint8_t)counts;
    }
    return st;
}
