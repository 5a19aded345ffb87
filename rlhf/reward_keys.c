#include "core/config.h"
#include "rlhf/reward_kind.h"

#include <stdlib.h>
#include <string.h>

/* The value of a key that is there and not null; else NULL. */
static const json_t *given(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_null(v) ? NULL : v;
}

static ae_status refuse(const char *where, const char *key, const char *expected, const json_t *v) {
    return AE_FAIL(AE_ERR_USAGE, "%s.%s: expected %s, found %s", where, key, expected, ae_json_type_name(v));
}

ae_status ae_reward_key_text(const json_t *o, const char *key, const char *where, char **out) {
    const json_t *v = given(o, key);
    if (!v) return AE_OK;
    if (!json_is_string(v)) return refuse(where, key, "text", v);
    free(*out);
    *out = strdup(json_string_value(v));
    return *out ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
}

ae_status ae_reward_key_bool(const json_t *o, const char *key, const char *where, bool *out) {
    const json_t *v = given(o, key);
    if (!v) return AE_OK;
    if (!json_is_boolean(v)) return refuse(where, key, "true or false", v);
    *out = json_is_true(v);
    return AE_OK;
}

ae_status ae_reward_key_real(const json_t *o, const char *key, const char *where, double min, double max,
                             double *out) {
    const json_t *v = given(o, key);
    if (!v) return AE_OK;
    if (!json_is_number(v)) return refuse(where, key, "a number", v);
    const double x = json_number_value(v);
    if (!(x >= min && x <= max))
        return AE_FAIL(AE_ERR_USAGE, "%s.%s: expected %g to %g, found %g", where, key, min, max, x);
    *out = x;
    return AE_OK;
}

ae_status ae_reward_key_int(const json_t *o, const char *key, const char *where, int64_t min, int64_t max,
                            int64_t *out) {
    const json_t *v = given(o, key);
    if (!v) return AE_OK;
    if (!json_is_integer(v)) return refuse(where, key, "a whole number", v);
    const json_int_t x = json_integer_value(v);
    if (x < min || x > max)
        return AE_FAIL(AE_ERR_USAGE, "%s.%s: expected %lld to %lld, found %lld", where, key, (long long)min,
                       (long long)max, (long long)x);
    *out = x;
    return AE_OK;
}

ae_status ae_reward_key_choice(const json_t *o, const char *key, const char *where, const char *const *words,
                               size_t n, int *out) {
    const json_t *v = given(o, key);
    if (!v) return AE_OK;
    if (!json_is_string(v)) return refuse(where, key, words[0], v);
    for (size_t i = 0; i < n; i++)
        if (strcmp(json_string_value(v), words[i]) == 0) {
            *out = (int)i;
            return AE_OK;
        }
    char list[256] = "";
    for (size_t i = 0, used = 0; i < n && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    const char *near = ae_nearest_word(json_string_value(v), words, n);
    return AE_FAIL(AE_ERR_USAGE, "%s.%s: expected one of %s, found '%s'%s%s%s", where, key, list,
                   json_string_value(v), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
