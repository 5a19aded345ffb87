#include "cli/run_stage.h"

#include "core/file.h"
#include "core/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *load(const char *run) {
    char *path = ae_path_join(run, "config.yaml"), *text = NULL;
    size_t n = 0;
    yaml_document_t doc;
    json_t *config = NULL;
    if (ae_path_exists(path) && ae_file_read(path, &text, &n) == AE_OK &&
        ae_yaml_parse(&doc, text, n, path) == AE_OK) {
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        config = root ? ae_yaml_to_json(&doc, root) : NULL;
        yaml_document_delete(&doc);
    }
    free(text);
    free(path);
    return config;
}

static ae_stage_kind kind_of(const json_t *config) {
    return json_object_get(config, "rl")       ? AE_STAGE_RLHF
           : json_object_get(config, "reward") ? AE_STAGE_REWARD
           : json_object_get(config, "sft")    ? AE_STAGE_SFT
                                               : AE_STAGE_PRETRAIN;
}

void ae_run_stage_read(ae_run_stage *s, const char *run) {
    json_t *config = load(run);
    const char *method = json_string_value(json_object_get(json_object_get(config, "rl"), "method"));
    *s = (ae_run_stage){.kind = kind_of(config),
                        .seed = json_integer_value(json_object_get(json_object_get(config, "run"), "seed"))};
    if (s->kind == AE_STAGE_RLHF) snprintf(s->method, sizeof s->method, "%s", method ? method : "reinforce");
    if (json_is_object(config)) {
        json_object_del(config, "run");
        s->others = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(config);
}

int64_t ae_asked_seed(const char *run) {
    char *path = ae_path_join(run, "asked.json");
    json_t *asked = json_load_file(path, 0, NULL);
    const int64_t seed = json_integer_value(json_object_get(asked, "run.seed"));
    json_decref(asked);
    free(path);
    return seed;
}

void ae_run_stage_free(ae_run_stage *s) {
    free(s->others);
    *s = (ae_run_stage){0};
}

void ae_run_stage_title(char *out, const ae_run_stage *s) {
    static const char *const names[] = {[AE_STAGE_PRETRAIN] = "pretraining",
                                        [AE_STAGE_SFT] = "supervised tuning",
                                        [AE_STAGE_REWARD] = "reward model",
                                        [AE_STAGE_RLHF] = "rlhf"};
    snprintf(out, 64, "%s%s%s", names[s->kind], s->method[0] ? ": " : "", s->method);
}
