#include "train/set_paths.h"

#include "core/json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ae_set_path_change *change;
    void *context;
} changing;

static ae_status change_path(json_t **path, const changing *c) {
    char *other = NULL;
    ae_status st = c->change(c->context, json_string_value(*path), &other);
    json_t *now = st == AE_OK && other ? json_string(other) : NULL;
    if (st == AE_OK && other && !now)
        st = AE_FAIL(AE_ERR_USAGE, "data.train: expected a path in UTF-8, found %s", other);
    if (now) {
        json_decref(*path);
        *path = now;
    }
    free(other);
    return st;
}

static ae_status walk(json_t **node, const changing *c) {
    static const char *const keys[] = {"path", "sets"};
    ae_status st = AE_OK;
    if (json_is_string(*node)) return change_path(node, c);
    for (size_t i = 0; i < json_array_size(*node) && st == AE_OK; i++) {
        json_t *item = json_incref(json_array_get(*node, i));
        st = walk(&item, c);
        json_array_set_new(*node, i, item);
    }
    for (int k = 0; k < 2 && st == AE_OK; k++) {
        json_t *value = json_incref(json_object_get(*node, keys[k]));
        if (!value) continue;
        st = walk(&value, c);
        json_object_set_new(*node, keys[k], value);
    }
    return st;
}

ae_status ae_set_paths_change(char **out, const char *tree, ae_set_path_change *change, void *context) {
    const changing c = {change, context};
    json_t *root = NULL;
    const bool is_json = *tree && strchr("\"[{", *tree) != NULL;
    *out = NULL;
    if (!is_json) root = json_string(tree);
    ae_status st = is_json ? ae_json_parse(&root, tree, strlen(tree), "data.train") : AE_OK;
    if (st == AE_OK && !root)
        st = AE_FAIL(AE_ERR_USAGE, "data.train: expected a path in UTF-8, found %s", tree);
    if (st == AE_OK) st = walk(&root, &c);
    if (st == AE_OK)
        *out = is_json ? json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY) : strdup(json_string_value(root));
    json_decref(root);
    if (st == AE_OK && !*out) st = AE_FAIL(AE_ERR_RESOURCE, "data.train: out of memory");
    return st;
}
