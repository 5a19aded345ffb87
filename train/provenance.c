#include "train/provenance.h"

#include "core/file.h"
#include "core/json.h"
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

static bool read_state(ae_run_state *state, const ae_model_source *s) {
    *state = (ae_run_state){0};
    if (s->kind != AE_SOURCE_CHECKPOINT) return false;
    char *path = ae_path_join(s->folder, "state.json");
    const bool known = ae_path_exists(path) && ae_run_state_read(state, path) == AE_OK;
    free(path);
    return known;
}

static bool was_pretrained(const ae_run_state *s) {
    return !s->objective || strcmp(s->objective, "pretrain") == 0;
}

bool ae_source_is_pretrained(const ae_model_source *s) {
    ae_run_state state;
    const bool is = read_state(&state, s) && was_pretrained(&state);
    ae_run_state_free(&state);
    return is;
}

static bool had_no_init(const ae_run_state *s) {
    json_t *config = NULL;
    if (ae_json_parse(&config, s->config, strlen(s->config), "config") != AE_OK) return false;
    const char *init = json_string_value(json_object_get(json_object_get(config, "model"), "init"));
    const bool none = init && init[0] == '\0';
    json_decref(config);
    return none;
}

bool ae_source_is_fresh(const ae_model_source *s) {
    ae_run_state state;
    const bool is = read_state(&state, s) && was_pretrained(&state) && had_no_init(&state);
    ae_run_state_free(&state);
    return is;
}
