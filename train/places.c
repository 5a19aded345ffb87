#include "train/places.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "train/set_paths.h"

#include <stdio.h>
#include <stdlib.h>
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
                              "either; give %s=PATH",
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

static ae_status find_texts(const ae_train_config *c) {
    const char *section;
    const ae_field *f;
    ae_status st = AE_OK;
    for (size_t i = 0; (f = ae_config_field(&c->table, i, &section)) != NULL && st == AE_OK; i++) {
        char key[96];
        if (!(f->fixed & AE_KEY_PLACE)) continue;
        snprintf(key, sizeof key, "%s.%s", section, f->key);
        const place p = {.from = c->run.from, .key = key, .may_lack = f->fixed & AE_KEY_START};
        st = find_one(ae_config_text(&c->table, i), &p);
    }
    return st;
}

ae_status ae_places_find(ae_train_config *c) {
    place train = {.from = c->run.from, .key = "data.train"};
    char *tree = NULL;
    ae_status st = AE_OK;
    if (!c->run.from[0]) return AE_OK;
    AE_TRY(ae_set_paths_change(&tree, c->data.train, find_path, &train));
    free(c->data.train);
    c->data.train = tree;
    AE_TRY(find_texts(c));
out:
    return st;
}

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
