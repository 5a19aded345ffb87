#include "benchmark/task_parts.h"
#include "core/config.h"
#include "core/json.h"

#include <stdlib.h>
#include <string.h>

static ae_status no_memory(const char *at) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", at);
}

/* Bytes of `at` before `key`: without a key it ends before the point or colon that would lead to one. */
static int at_bytes(const char *at, const char *key) {
    size_t n = strlen(at);
    while (*key == '\0' && n > 0 && strchr(".: ", at[n - 1]) != NULL) n--;
    return (int)n;
}

static ae_status wrong(const json_t *v, const char *key, const char *what, const char *at) {
    return AE_FAIL(AE_ERR_USAGE, "%.*s%s: expected %s, found %s", at_bytes(at, key), at, key, what,
                   ae_json_type_name(v));
}

static ae_status copy_text(char **out, const json_t *v, const char *at) {
    char *copy = strdup(json_string_value(v));
    if (copy == NULL) return no_memory(at);
    free(*out);
    *out = copy;
    return AE_OK;
}

ae_status ae_task_key_text(char **out, const json_t *o, const char *key, const char *at) {
    const json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    return json_is_string(v) ? copy_text(out, v, at) : wrong(v, key, "text (in quotes)", at);
}

ae_status ae_task_key_int(int *out, const json_t *o, const char *key, int min, int max, const char *at) {
    const json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    if (!json_is_integer(v)) return wrong(v, key, "a whole number", at);
    if (json_integer_value(v) < min || json_integer_value(v) > max)
        return AE_FAIL(AE_ERR_USAGE, "%s%s: expected %d to %d, found %lld", at, key, min, max,
                       (long long)json_integer_value(v));
    *out = (int)json_integer_value(v);
    return AE_OK;
}

ae_status ae_task_key_real(double *out, const json_t *o, const char *key, double min, double max,
                           const char *at) {
    const json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    if (!json_is_number(v)) return wrong(v, key, "a number", at);
    const double x = json_number_value(v);
    if (!(x >= min && x <= max))
        return AE_FAIL(AE_ERR_USAGE, "%s%s: expected %g to %g, found %g", at, key, min, max, x);
    *out = x;
    return AE_OK;
}

ae_status ae_task_key_bool(bool *out, const json_t *o, const char *key, const char *at) {
    const json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    if (!json_is_boolean(v)) return wrong(v, key, "true or false", at);
    *out = json_is_true(v);
    return AE_OK;
}

ae_status ae_task_key_template(ae_template **out, const json_t *o, const char *key, const char *at) {
    const json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    char where[512];
    snprintf(where, sizeof where, "%.400s%.100s", at, key);
    ae_template_free(*out);
    return ae_template_parse(out, v, where);
}

ae_status ae_task_key_texts(char ***out, size_t *n, const json_t *o, const char *key, const char *at) {
    const json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    const bool one = json_is_string(v);
    const size_t count = one ? 1 : json_array_size(v);
    if (!one && !json_is_array(v)) return wrong(v, key, "a text or a list of texts", at);
    *out = calloc(count + 1, sizeof **out);
    if (*out == NULL) return no_memory(at);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = one ? v : json_array_get(v, i);
        ae_status st = json_is_string(item) ? copy_text(&(*out)[i], item, at)
                                            : wrong(item, key, "a list of texts (in quotes)", at);
        if (st != AE_OK) return st;
        *n = i + 1;
    }
    return AE_OK;
}

ae_status ae_task_key_list(json_t **out, const json_t *o, const char *key, const char *at) {
    json_t *v = json_object_get(o, key);
    if (v == NULL) return AE_OK;
    if (!json_is_array(v) || json_array_size(v) == 0) return wrong(v, key, "a list that is not empty", at);
    json_decref(*out);
    *out = json_incref(v);
    return AE_OK;
}

ae_status ae_task_word(int *out, const json_t *v, const char *const *words, size_t n, const char *key,
                       const char *what, const char *at) {
    if (!json_is_string(v)) return wrong(v, key, what, at);
    const char *word = json_string_value(v);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], word) != 0) continue;
        *out = (int)i;
        return AE_OK;
    }
    const char *near = ae_nearest_word(word, words, n);
    return AE_FAIL(AE_ERR_USAGE, "%.*s%s: expected %s, found %.100s%s%s%s", at_bytes(at, key), at, key, what,
                   *word != '\0' ? word : "an empty text", near ? "; did you mean " : "", near ? near : "",
                   near ? "?" : "");
}

ae_status ae_task_keys_check(const json_t *o, const char *const *keys, const char *at) {
    size_t n = 0;
    const char *key;
    json_t *value;
    while (keys[n] != NULL) n++;
    if (!json_is_object(o)) return wrong(o, "", "a map of keys", at);
    json_object_foreach((json_t *)o, key, value) {
        size_t i = 0;
        while (i < n && strcmp(keys[i], key) != 0) i++;
        if (i < n) continue;
        (void)value;
        const char *near = ae_nearest_word(key, keys, n);
        return AE_FAIL(AE_ERR_USAGE, "%s%s: no such key%s%s%s", at, key, near ? "; did you mean " : "",
                       near ? near : "", near ? "?" : "");
    }
    return AE_OK;
}
