#include "train/tree_paths.h"

#include "core/file.h"
#include "core/json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *key;
    ae_tree_path_change *change;
    void *context;
} changing;

static ae_status refuse_bytes(const char *key, const char *path) {
    return AE_FAIL(AE_ERR_USAGE, "%s: expected a path in UTF-8, found %s", key, path);
}

static ae_status change_path(json_t **path, const changing *c) {
    char *other = NULL;
    ae_status st = c->change(c->context, json_string_value(*path), &other);
    json_t *now = st == AE_OK && other ? json_string(other) : NULL;
    if (st == AE_OK && other && !now) st = refuse_bytes(c->key, other);
    if (now) {
        json_decref(*path);
        *path = now;
    }
    free(other);
    return st;
}

static ae_status walk(json_t **node, const changing *c) {
    static const char *const keys[] = {"path", "adapter", "folder", "sets"};
    ae_status st = AE_OK;
    if (json_is_string(*node)) return change_path(node, c);
    for (size_t i = 0; i < json_array_size(*node) && st == AE_OK; i++) {
        json_t *item = json_incref(json_array_get(*node, i));
        st = walk(&item, c);
        json_array_set_new(*node, i, item);
    }
    for (size_t k = 0; k < sizeof keys / sizeof *keys && st == AE_OK; k++) {
        json_t *value = json_incref(json_object_get(*node, keys[k]));
        if (!value) continue;
        st = walk(&value, c);
        json_object_set_new(*node, keys[k], value);
    }
    return st;
}

static bool is_json(const char *tree) {
    return *tree && strchr("\"[{", *tree) != NULL;
}

static ae_status read_tree(json_t **root, const char *tree, const char *key) {
    if (is_json(tree)) return ae_json_parse(root, tree, strlen(tree), key);
    *root = json_string(tree);
    return *root ? AE_OK : refuse_bytes(key, tree);
}

/* As it stood: text, or JSON. */
static ae_status write_tree(char **out, const json_t *root, const char *tree, const char *key) {
    *out = is_json(tree) ? json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY) : strdup(json_string_value(root));
    return *out ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", key);
}

ae_status ae_tree_paths_change(char **out, const char *tree, const char *key, ae_tree_path_change *change,
                               void *context) {
    const changing c = {key, change, context};
    json_t *root = NULL;
    *out = NULL;
    ae_status st = read_tree(&root, tree, key);
    if (st == AE_OK) st = walk(&root, &c);
    if (st == AE_OK) st = write_tree(out, root, tree, key);
    json_decref(root);
    return st;
}

/* Words of the shell, and values of options such as --rules=FILE. */
static bool names_something(const char *text, const char *folder) {
    bool names = false;
    char *copy = strdup(text), *rest = copy, *word;
    while (!names && (word = strsep(&rest, " \t\n;|&<>()=\"'")) != NULL)
        names = word[0] && word[0] != '/' && ae_path_has(folder, word);
    free(copy);
    return names;
}

static bool works_in(const json_t *command, const char *folder) {
    if (json_is_string(command)) return names_something(json_string_value(command), folder);
    bool names = false;
    for (size_t i = 0; i < json_array_size(command) && !names; i++) {
        const char *word = json_string_value(json_array_get(command, i));
        names = word &&
                ((word[0] && word[0] != '/' && ae_path_has(folder, word)) || names_something(word, folder));
    }
    return names;
}

static size_t give_folder(json_t *node, const char *folder, bool to_all) {
    size_t given = 0;
    for (size_t i = 0; i < json_array_size(node); i++)
        given += give_folder(json_array_get(node, i), folder, to_all);
    const json_t *command = json_object_get(node, "command");
    if (!command || json_object_get(node, "folder") || (!to_all && !works_in(command, folder))) return given;
    return given + (json_object_set_new(node, "folder", json_string(folder)) == 0);
}

ae_status ae_tree_give_folder(char **out, const char *tree, const char *key, const char *folder, bool to_all,
                              size_t *given) {
    json_t *root = NULL;
    *out = NULL;
    *given = 0;
    ae_status st = read_tree(&root, tree, key);
    if (st == AE_OK) *given = give_folder(root, folder, to_all);
    if (st == AE_OK) st = write_tree(out, root, tree, key);
    json_decref(root);
    return st;
}
