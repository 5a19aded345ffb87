#include "cli/inspect.h"
#include "core/file.h"
#include "data/tokenizer.h"
#include "exchange/adapter.h"
#include "exchange/hf_config.h"
#include "model/params_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shape ---- */

ae_status ae_inspect_shape(ae_inspection *i, const ae_model_config *c) {
    ae_params params;
    char *text = NULL;
    json_t *shape = NULL;
    ae_status st = ae_params_init(&params, c);
    if (st != AE_OK) return st;
    json_object_set_new(i->facts, "parameters", json_integer(params.total));
    ae_params_free(&params);
    AE_TRY(ae_model_config_to_json(c, &text));
    AE_TRY(ae_json_parse(&shape, text, strlen(text), "shape"));
    json_object_set(i->facts, "shape", shape);
out:
    json_decref(shape);
    free(text);
    return st;
}

/* A head is no part of the shape. */
static void note_head(ae_inspection *i, const ae_params *params, const ae_tensors *t) {
    const ae_param *p = ae_params_find(params, "score.weight");
    const bool has = ae_tensors_find(t, p->name) >= 0;
    json_t *total = json_object_get(i->facts, "parameters");
    json_object_set_new(i->facts, "score_head", json_boolean(has));
    if (has && total) json_integer_set(total, json_integer_value(total) + p->n);
}

/* The first element of each: that it is there, of its shape, and read. */
static ae_status check_fit(ae_inspection *i, const ae_params *params, ae_tensors *t, const char *path) {
    const size_t before = json_array_size(i->faults);
    ae_status st = AE_OK;
    float first;
    const ae_params_match_options match = {.lacks_added = true};
    for (ptrdiff_t k = 0; k < params->n; k++) {
        const ae_param *p = &params->items[k];
        if (p->added && ae_tensors_find(t, p->name) < 0) continue;
        AE_TRY(ae_inspect_note(i, ae_tensors_read_part(t, p->name, p->rank, p->shape, 0, 1, &first)));
    }
    if (json_array_size(i->faults) == before)
        st = ae_inspect_note(i, ae_params_match(params, t, path, &match));
out:
    return st;
}

ae_status ae_inspect_fit(ae_inspection *i, const ae_model_config *c, const char *tensors) {
    ae_params params = {0};
    ae_tensors *t = NULL;
    ae_status st = ae_params_init_with(&params, c, &(ae_params_options){.score_head = true});
    if (st != AE_OK) return st;
    st = ae_tensors_open(&t, tensors);
    if (st == AE_OK) note_head(i, &params, t);
    st = st == AE_OK ? check_fit(i, &params, t, tensors) : ae_inspect_note(i, st);
    ae_tensors_close(t);
    ae_params_free(&params);
    return st;
}

/* ---- tokenizer ---- */

static json_t *describe_tokenizer(const ae_tokenizer *t) {
    const ae_special_ids s = ae_tokenizer_special(t);
    char hash[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ae_tokenizer_hash(t));
    return json_pack("{s:i, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i}", "pieces", (int)ae_tokenizer_size(t),
                     "hash", hash, "wordwise", ae_tokenizer_is_wordwise(t), "pad", s.pad, "eos", s.eos, "bos",
                     s.bos, "unk", s.unk, "start_of_turn", s.start_of_turn, "end_of_turn", s.end_of_turn);
}

ae_status ae_inspect_tokenizer_bytes(ae_inspection *i, const void *bytes, size_t n, const char *where) {
    ae_tokenizer *t = NULL;
    const ae_status st = ae_tokenizer_from_bytes(&t, bytes, n, where);
    if (st == AE_OK) json_object_set_new(i->facts, "tokenizer", describe_tokenizer(t));
    ae_tokenizer_delete(t);
    return ae_inspect_note(i, st);
}

ae_status ae_inspect_folder_tokenizer(ae_inspection *i, const char *folder) {
    char *path = ae_path_join(folder, "tokenizer.model"), *bytes = NULL;
    size_t n = 0;
    ae_status st = AE_OK;
    if (ae_path_exists(path)) {
        st = ae_inspect_note(i, ae_file_read(path, &bytes, &n));
        if (bytes) st = ae_inspect_tokenizer_bytes(i, bytes, n, path);
    } else {
        json_object_set_new(i->facts, "tokenizer", json_null());
    }
    free(bytes);
    free(path);
    return st;
}

ae_status ae_inspect_tokenizer(ae_inspection *i, const char *path) {
    char *bytes = NULL;
    size_t n = 0;
    json_object_set_new(i->facts, "kind", json_string("tokenizer"));
    ae_status st = ae_inspect_note(i, ae_file_read(path, &bytes, &n));
    if (bytes) st = ae_inspect_tokenizer_bytes(i, bytes, n, path);
    if (st == AE_OK) st = ae_inspect_file(i, NULL, path);
    free(bytes);
    return st;
}

/* ---- a Hugging Face folder ---- */

/* What config.json says of where it comes from, as far as it does. */
static ae_status add_origin(ae_inspection *i, const char *path) {
    static const char *const keys[] = {"torch_dtype", "dtype", "transformers_version", "_name_or_path"};
    json_t *root = NULL, *origin = json_object();
    const ae_status st = ae_json_load(&root, path);
    for (size_t k = 0; st == AE_OK && k < sizeof keys / sizeof *keys; k++) {
        json_t *v = json_object_get(root, keys[k]);
        if (v) json_object_set(origin, keys[k], v);
    }
    json_object_set(i->facts, "config", origin);
    json_decref(origin);
    json_decref(root);
    return st;
}

/* What aerie merge has made it of. */
static ae_status add_merge(ae_inspection *i, const char *folder) {
    char *path = ae_path_join(folder, "merge.json");
    json_t *root = NULL;
    ae_status st = AE_OK;
    if (ae_path_exists(path)) {
        st = ae_inspect_note(i, ae_json_load(&root, path));
        if (root) json_object_set_new(i->facts, "provenance", root);
    }
    free(path);
    return st;
}

static ae_status read_config(ae_inspection *i, const char *folder, ae_model_config *c, bool *good) {
    char *path = ae_path_join(folder, "config.json");
    ae_weight_type type = AE_WEIGHT_F32;
    ptrdiff_t group = 0;
    ae_status st = ae_model_config_from_hf(c, path);
    *good = st == AE_OK;
    if (st == AE_OK) st = ae_quantization_from_hf(&type, &group, path);
    if (*good && st == AE_OK && group > 0)
        json_object_set_new(
            i->facts, "integers",
            json_pack("{s:i, s:I}", "bits", type == AE_WEIGHT_INT8 ? 8 : 4, "group", (json_int_t)group));
    if (*good && st == AE_OK) st = add_origin(i, path);
    if (*good && st == AE_OK) st = ae_inspect_shape(i, c);
    free(path);
    return ae_inspect_note(i, st);
}

static bool listed(const json_t *names, const char *name) {
    size_t k;
    json_t *v;
    json_array_foreach(names, k, v) {
        if (strcmp(json_string_value(v), name) == 0) return true;
    }
    return false;
}

static ae_status list_shard(ae_inspection *i, ae_tensor_list *l, const char *folder, const char *index,
                            const char *name) {
    char *path = NULL;
    ae_status st = ae_shard_find(&path, index, name);
    free(path);
    if (st == AE_OK) {
        st = ae_inspect_list(i, l, folder, name);
    } else {
        l->whole = false;
        st = ae_inspect_note(i, st);
    }
    return st == AE_OK ? ae_inspect_file(i, folder, name) : st;
}

/* The shards that the index names, each once. */
static ae_status list_shards(ae_inspection *i, ae_tensor_list *l, const char *folder, const char *index) {
    json_t *files = NULL, *seen = json_array(), *file;
    const char *tensor;
    ae_status st = ae_shard_index_read(&files, index);
    l->whole = st == AE_OK;
    AE_TRY(ae_inspect_note(i, st));
    AE_TRY(ae_inspect_file(i, folder, ae_shard_index_name));
    json_object_foreach(files, tensor, file) {
        if (listed(seen, json_string_value(file))) continue;
        json_array_append(seen, file);
        AE_TRY(list_shard(i, l, folder, index, json_string_value(file)));
    }
out:
    json_decref(files);
    json_decref(seen);
    return st;
}

/* The weights of a folder, shard by shard, so that what is unreadable does not hide the rest. */
static ae_status list_weights(ae_inspection *i, ae_tensor_list *l, const char *folder) {
    static const char single[] = "model.safetensors";
    char *index = ae_path_join(folder, ae_shard_index_name);
    ae_status st;
    if (ae_path_has(folder, single) || !ae_path_exists(index)) {
        AE_TRY(ae_inspect_list(i, l, folder, single));
        AE_TRY(ae_inspect_file(i, folder, single));
    } else {
        AE_TRY(list_shards(i, l, folder, index));
    }
out:
    free(index);
    return st;
}

/* JSON that somebody else will read. */
static ae_status check_json(ae_inspection *i, const char *folder, const char *name) {
    char *path = ae_path_join(folder, name);
    json_t *root = NULL;
    const ae_status st = ae_inspect_note(i, ae_json_load(&root, path));
    json_decref(root);
    free(path);
    return st;
}

static ae_status add_small_files(ae_inspection *i, const char *folder) {
    static const char *const names[] = {"config.json",     "generation_config.json",
                                        "tokenizer.model", "tokenizer_config.json",
                                        "merge.json",      "README.md"};
    ae_status st = AE_OK;
    for (size_t k = 0; st == AE_OK && k < sizeof names / sizeof *names; k++) {
        if (ae_path_has(folder, names[k])) st = ae_inspect_file(i, folder, names[k]);
    }
    for (size_t k = 0; st == AE_OK && k < sizeof names / sizeof *names; k++)
        if (strstr(names[k], "_config.json") && ae_path_has(folder, names[k]))
            st = check_json(i, folder, names[k]);
    return st;
}

ae_status ae_inspect_hf(ae_inspection *i, const char *folder) {
    ae_tensor_list list = {.whole = true};
    ae_model_config config;
    bool good = false;
    ae_status st;
    json_object_set_new(i->facts, "kind", json_string("Hugging Face folder"));
    AE_TRY(read_config(i, folder, &config, &good));
    AE_TRY(add_merge(i, folder));
    AE_TRY(ae_inspect_folder_tokenizer(i, folder));
    AE_TRY(add_small_files(i, folder));
    AE_TRY(list_weights(i, &list, folder));
    ae_inspect_add_checksum(i, &list);
    if (good && list.whole) AE_TRY(ae_inspect_fit(i, &config, folder));
out:
    ae_inspect_add_list(i, &list);
    return st;
}

/* ---- an adapter of PEFT ---- */

/* A fault too where it asks for what is not done here: it cannot be used. */
static ae_status check_adapter(ae_inspection *i, const char *folder) {
    ae_adapter_source a;
    const ae_status st = ae_adapter_source_open(&a, folder);
    if (st == AE_OK) ae_adapter_source_free(&a);
    return ae_inspect_note(i, st);
}

static ae_status add_adapter_config(ae_inspection *i, const char *folder) {
    char *path = ae_path_join(folder, ae_peft_config_file);
    json_t *config = NULL;
    const ae_status st = ae_inspect_note(i, ae_json_load(&config, path));
    if (config) json_object_set_new(i->facts, "adapter", config);
    free(path);
    return st;
}

ae_status ae_inspect_peft(ae_inspection *i, const char *folder) {
    static const char weights[] = "adapter_model.safetensors";
    ae_tensor_list list = {.whole = true};
    const size_t before = json_array_size(i->faults);
    ae_status st;
    json_object_set_new(i->facts, "kind", json_string("adapter of PEFT"));
    AE_TRY(add_adapter_config(i, folder));
    AE_TRY(ae_inspect_file(i, folder, ae_peft_config_file));
    if (ae_path_has(folder, weights)) {
        AE_TRY(ae_inspect_list(i, &list, folder, weights));
        AE_TRY(ae_inspect_file(i, folder, weights));
    }
    ae_inspect_add_checksum(i, &list);
    if (json_array_size(i->faults) == before) AE_TRY(check_adapter(i, folder));
out:
    ae_inspect_add_list(i, &list);
    return st;
}
