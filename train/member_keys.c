#include "train/member_keys.h"

#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char where[] = "configuration";

/* "section.key=value"; NULL: no memory. */
static char *assignment(const char *key, const json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)), *word = NULL;
    if (text && asprintf(&word, "%s=%s", key, text) < 0) word = NULL;
    free(text);
    return word;
}

static ae_status set(ae_config *c, const char *key, const json_t *value) {
    char *word = assignment(key, value);
    const ae_status st =
        word ? ae_config_set(c, word, where) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", key);
    free(word);
    return st;
}

ae_status ae_keys_copy(ae_config *to, const ae_config *from) {
    ae_status st = AE_OK;
    char *text = NULL, key[96];
    json_t *all = NULL;
    const char *section;
    const ae_field *f;
    AE_TRY(ae_config_json(from, &text));
    AE_TRY(ae_json_parse(&all, text, strlen(text), where));
    for (size_t i = 0; (f = ae_config_field(from, i, &section)) != NULL; i++) {
        snprintf(key, sizeof key, "%s.%s", section, f->key);
        if (!ae_config_is_set(from, key)) continue;
        AE_TRY(set(to, key, json_object_get(json_object_get(all, section), f->key)));
    }
out:
    json_decref(all);
    free(text);
    return st;
}

ae_status ae_key_set_text(ae_config *c, const char *key, const char *value) {
    json_t *text = json_string(value);
    const ae_status st =
        text ? set(c, key, text) : AE_FAIL(AE_ERR_USAGE, "%s: expected text in UTF-8, found %s", key, value);
    json_decref(text);
    return st;
}

ae_status ae_key_set_count(ae_config *c, const char *key, int64_t value) {
    json_t *number = json_integer(value);
    const ae_status st = set(c, key, number);
    json_decref(number);
    return st;
}

ae_status ae_key_set_real(ae_config *c, const char *key, double value) {
    json_t *number = json_real(value);
    const ae_status st = set(c, key, number);
    json_decref(number);
    return st;
}
