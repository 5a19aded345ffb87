#include "data/row_name.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The file whose sound rows the set begins with, where all of its rows were sound; NULL: another set. */
static const char *only_source(const json_t *manifest) {
    const json_t *sources = json_object_get(manifest, "sources");
    const json_t *bad = json_object_get(json_object_get(manifest, "input"), "bad_lines");
    const char *part = json_string_value(json_object_get(manifest, "part"));
    if (json_array_size(sources) != 1 || !json_is_integer(bad) || json_integer_value(bad) != 0) return NULL;
    if (!part || strcmp(part, "train") != 0) return NULL;
    return json_string_value(json_object_get(json_array_get(sources, 0), "path"));
}

void ae_row_name(char *out, size_t bytes, const ae_token_set *s, int64_t row, const char *noun) {
    const char *text = ae_token_set_manifest(s);
    json_t *manifest = ae_token_set_kind(s) == AE_KIND_TEXT ? NULL : json_loads(text, 0, NULL);
    const char *source = only_source(manifest);
    if (source)
        snprintf(out, bytes, "%s: row %lld of %s", ae_token_set_path(s), (long long)row + 1, source);
    else
        snprintf(out, bytes, "%s: %s %lld", ae_token_set_path(s), noun, (long long)row);
    json_decref(manifest);
}
