#include "train/places.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "train/tree_paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *from, *key;
    bool may_lack;
} place;

static ae_status find_path(void *context, const char *path, char **other) {
    const place *p = context;
    if (path[0] == '\0' || path[0] == '/' || ae_path_exists(path)) return AE_OK;
    char *there = ae_path_join(p->from, path);
    if (ae_path_exists(there)) {
        ae_log("%s: %s is not here; taken from %s, where the run was started", p->key, path, p->from);
        *other = there;
        return AE_OK;
    }
    const ae_status st =
        p->may_lack ? AE_OK
                    : AE_FAIL(AE_ERR_INPUT,
                              "%s: expected %s here or at %s, where the run was started, found nothing at "
                              "either; give %s anew",
                              p->key, path, there, p->key);
    free(there);
    return st;
}

static ae_status find_one(char **path, const place *p) {
    char *other = NULL;
    const ae_status st = find_path((void *)p, *path, &other);
    if (!other) return st;
    free(*path);
    *path = other;
    return st;
}

/* *text becomes `tree`, which may be NULL after a failure. */
static void replace(char **text, char *tree) {
    if (!tree) return;
    free(*text);
    *text = tree;
}

/* Programs work where they did. */
static ae_status find_tree(char **text, const place *p) {
    char *tree = NULL;
    size_t given = 0;
    ae_status st = ae_tree_paths_change(&tree, *text, p->key, find_path, (void *)p);
    replace(text, tree);
    if (st != AE_OK || ae_path_same(p->from, ".") || !ae_path_is_folder(p->from)) return st;
    st = ae_tree_give_folder(&tree, *text, p->key, p->from, false, &given);
    replace(text, tree);
    if (given > 0)
        ae_log("%s: %zu program%s run%s in %s, where the run was started", p->key, given,
               ae_plural((int64_t)given), given == 1 ? "s" : "", p->from);
    return st;
}

static bool is_given(const char *key, const char *const *given, size_t n) {
    const size_t length = strlen(key);
    for (size_t i = 0; i < n; i++)
        if (strncmp(given[i], key, length) == 0 && given[i][length] == '=') return true;
    return false;
}

ae_status ae_places_find(ae_train_config *c, const char *const *given, size_t n) {
    const char *section;
    const ae_field *f;
    ae_status st = AE_OK;
    if (!c->run.from[0]) return AE_OK;
    for (size_t i = 0; (f = ae_config_field(&c->table, i, &section)) != NULL && st == AE_OK; i++) {
        char key[96];
        if (!(f->fixed & AE_KEY_PLACE)) continue;
        snprintf(key, sizeof key, "%s.%s", section, f->key);
        if (is_given(key, given, n)) continue;
        const place p = {.from = c->run.from, .key = key, .may_lack = f->fixed & AE_KEY_START};
        char **text = ae_config_text(&c->table, i);
        st = f->type == AE_FIELD_TREE ? find_tree(text, &p) : find_one(text, &p);
    }
    return st;
}

/* ---- the same places ---- */

static ae_status resolve(void *base, const char *path, char **other) {
    char *whole = path[0] == '/' ? strdup(path) : ae_path_join(base, path);
    *other = whole ? realpath(whole, NULL) : NULL;
    if (!*other)
        *other = whole;
    else
        free(whole);
    return AE_OK;
}

/* A tree with its paths as they are from `base`; NULL: it is none. */
static json_t *resolved(const json_t *tree, const char *base, bool to_all) {
    static const char key[] = "paths";
    char *text = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY), *with = NULL, *out = NULL;
    size_t given = 0;
    json_t *root = NULL;
    if (text && ae_tree_give_folder(&with, text, key, base, to_all, &given) == AE_OK &&
        ae_tree_paths_change(&out, with, key, resolve, (void *)(uintptr_t)base) == AE_OK &&
        ae_json_parse(&root, out, strlen(out), key) != AE_OK)
        root = NULL;
    free(text);
    free(with);
    free(out);
    return root;
}

static bool same(const json_t *then, const char *from, const json_t *now, bool to_all) {
    json_t *a = then ? resolved(then, from && from[0] ? from : ".", to_all) : NULL,
           *b = now ? resolved(now, ".", to_all) : NULL;
    const bool equal = a && b && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return equal;
}

/* Programs found by PATH are the same anywhere, and also where one is given the folder that the other works in. */
bool ae_places_same(const json_t *then, const char *from, const json_t *now) {
    return same(then, from, now, false) || same(then, from, now, true);
}

/* ---- where a run is started ---- */

ae_status ae_places_note(ae_train_config *c) {
    char *here = getcwd(NULL, 0), *word = NULL;
    json_t *text = here ? json_string(here) : NULL; /* a name that is no UTF-8 is not noted */
    char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    if (quoted && asprintf(&word, "run.from=%s", quoted) < 0) word = NULL;
    const ae_status st = word ? ae_config_set(&c->table, word, "working directory") : AE_OK;
    json_decref(text);
    free(quoted);
    free(word);
    free(here);
    return st;
}
