#include "train/source.h"

#include "core/file.h"
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

static bool holds(const char *folder, const char *name) {
    char *path = ae_path_join(folder, name);
    bool there = ae_path_exists(path);
    free(path);
    return there;
}

static void find_tokenizer(ae_model_source *s, const char *folder) {
    if (holds(folder, "tokenizer.model")) s->tokenizer = ae_path_join(folder, "tokenizer.model");
}

static ae_status open_checkpoint(ae_model_source *s, const char *folder) {
    char *text = NULL, *shape = ae_path_join(folder, "model.json");
    size_t n;
    s->weights = ae_path_join(folder, "weights.h5");
    find_tokenizer(s, folder);
    ae_status st = ae_file_read(shape, &text, &n);
    if (st == AE_OK) st = ae_model_config_from_json(&s->config, text, shape);
    free(text);
    free(shape);
    return st;
}

static ae_status open_hf(ae_model_source *s, const char *folder) {
    char *config = ae_path_join(folder, "config.json");
    s->weights = ae_path_join(folder, "");
    find_tokenizer(s, folder);
    ae_status st = ae_model_config_from_hf(&s->config, config);
    free(config);
    return st;
}

static ae_status open_run(ae_model_source *s, const char *folder) {
    char *newest = NULL;
    ae_status st = ae_checkpoint_newest(folder, false, &newest);
    if (st == AE_OK && !newest)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a run with a complete checkpoint, found none", folder);
    if (st == AE_OK) st = open_checkpoint(s, newest);
    free(newest);
    return st;
}

static ae_status open_any(ae_model_source *s, const char *path) {
    if (!ae_path_exists(path))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a model, found nothing there", path);
    if (holds(path, "DONE") && holds(path, "weights.h5")) return open_checkpoint(s, path);
    if (holds(path, "config.json")) return open_hf(s, path);
    if (holds(path, "checkpoints")) return open_run(s, path);
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected a Hugging Face folder (config.json), a checkpoint (DONE) or a run (checkpoints/), "
        "found none of them",
        path);
}

ae_status ae_model_source_open(ae_model_source *s, const char *path) {
    *s = (ae_model_source){0};
    ae_status st = open_any(s, path);
    if (st != AE_OK) ae_model_source_free(s);
    return st;
}

void ae_model_source_free(ae_model_source *s) {
    free(s->weights);
    free(s->tokenizer);
    *s = (ae_model_source){0};
}
