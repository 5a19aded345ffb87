#include "formats/stranger.h"

#include "core/file.h"
#include "core/file_kind.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char wanted[] =
    "a model: a folder with config.json (Hugging Face), a checkpoint (step-NNN), or a run with checkpoints";

/* Files by which a folder of something else is known, the most telling first. */
static const struct {
    const char *pattern, *found, *hint;
} strangers[] = {
    {"adapter_config.json", "an adapter of PEFT",
     "give it beside the model that it was trained on (--model BASE --adapter FOLDER), or export the two as "
     "a "
     "model first"},
    {"pytorch_model*.bin*", "weights as PyTorch pickles them",
     "open the folder in transformers and save it again (save_pretrained writes safetensors)"},
    {"*.gguf", "a GGUF file of llama.cpp", "take the Hugging Face folder that it was made from"},
    {"consolidated*.pth", "weights as PyTorch pickles them", "take the release in the Hugging Face layout"},
    {"tf_model.h5", "weights of TensorFlow", "take the release in safetensors"},
    {"flax_model.msgpack", "weights of Flax", "take the release in safetensors"},
    {"*.safetensors", "safetensors of another name",
     "rename them to model.safetensors, or fetch model.safetensors.index.json of the shards"},
    {"train.h5", "a folder of token sets", "give the model, and the token set where one is asked for"},
};

/* The name of an entry that fits the pattern (the caller frees it), or NULL. */
static char *entry_like(const char *folder, const char *pattern) {
    char *found = NULL;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && found == NULL && (e = readdir(d)) != NULL;)
        if (fnmatch(pattern, e->d_name, 0) == 0) found = strdup(e->d_name);
    if (d != NULL) closedir(d);
    return found;
}

/* FOLDER/x where that holds config.json: one level too high, as in a cache of the hub (snapshots/HASH). NULL
 * unless there is just one. */
static char *model_below(const char *folder) {
    char *only = NULL;
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        char *path = ae_path_join(folder, e->d_name);
        const bool is_model =
            ae_path_is_folder(path) && (ae_path_has(path, "config.json") || ae_path_has(path, "model.json"));
        n += is_model;
        if (is_model && only == NULL)
            only = path;
        else
            free(path);
    }
    if (d != NULL) closedir(d);
    if (n == 1) return only;
    free(only);
    return NULL;
}

static ae_status found_in(const char *folder, const char *expected) {
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        char *name = entry_like(folder, strangers[i].pattern);
        if (name == NULL) continue;
        const ae_status st = AE_FAIL(AE_ERR_INPUT, "%s: expected %s; found %s (%s); %s", folder, expected,
                                     strangers[i].found, name, strangers[i].hint);
        free(name);
        return st;
    }
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %s; found none of them", folder, expected);
}

static ae_status no_model_folder(const char *folder) {
    char *snapshots = ae_path_join(folder, "snapshots"), *below = model_below(folder);
    if (below == NULL) below = model_below(snapshots);
    const ae_status st =
        below != NULL ? AE_FAIL(AE_ERR_INPUT, "%s: expected %s; did you mean %s?", folder, wanted, below)
                      : found_in(folder, wanted);
    free(below);
    free(snapshots);
    return st;
}

ae_status ae_no_model(const char *path) {
    if (!ae_path_exists(path))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected %s; found nothing there", path, wanted);
    if (ae_path_is_folder(path)) return no_model_folder(path);
    const ae_file_kind *kind = ae_file_kind_of(path);
    if (kind != NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected %s; found %s; %s", path, wanted, kind->name, kind->hint);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %s; found a file", path, wanted);
}

ae_status ae_no_weights(const char *folder) {
    return found_in(folder, "model.safetensors or model.safetensors.index.json");
}
