#include "data/row_name.h"

#include "core/file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

const char ae_rendered_folder[] = "rendered";

/* The file whose sound rows the set begins with, where all of its rows were sound; NULL: another set. */
static const char *only_source(const json_t *manifest) {
    const json_t *sources = json_object_get(manifest, "sources");
    const json_t *bad = json_object_get(json_object_get(manifest, "input"), "bad_lines");
    const char *part = json_string_value(json_object_get(manifest, "part"));
    if (json_array_size(sources) != 1 || !json_is_integer(bad) || json_integer_value(bad) != 0) return NULL;
    if (!part || strcmp(part, "train") != 0) return NULL;
    return json_string_value(json_object_get(json_array_get(sources, 0), "path"));
}

static bool is_rendered(const char *path) {
    const char *last = ae_path_last(path);
    const size_t n = strlen(ae_rendered_folder) + 1, before = (size_t)(last - path);
    return before >= n && memcmp(last - n, ae_rendered_folder, n - 1) == 0 &&
           (before == n || last[-(ptrdiff_t)n - 1] == '/');
}

static json_t *manifest_of(const ae_token_set *s) {
    return ae_token_set_kind(s) == AE_KIND_TEXT ? NULL : json_loads(ae_token_set_manifest(s), 0, NULL);
}

void ae_set_name(char *out, size_t bytes, const ae_token_set *s) {
    const char *path = ae_token_set_path(s);
    json_t *manifest = is_rendered(path) ? manifest_of(s) : NULL;
    const char *source = only_source(manifest);
    snprintf(out, bytes, "%s", source ? source : path);
    json_decref(manifest);
}

void ae_row_name(char *out, size_t bytes, const ae_token_set *s, int64_t row, const char *noun) {
    const char *path = ae_token_set_path(s);
    json_t *manifest = manifest_of(s);
    const char *source = only_source(manifest);
    const bool rendered = source && is_rendered(path);
    if (source)
        snprintf(out, bytes, "%s%srow %lld of %s", rendered ? "" : path, rendered ? "" : ": ",
                 (long long)row + 1, source);
    else
        snprintf(out, bytes, "%s: %s %lld", path, noun, (long long)row);
    json_decref(manifest);
}
