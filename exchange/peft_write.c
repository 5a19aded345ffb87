#include "exchange/peft_write.h"

#include "core/file.h"
#include "core/json.h"
#include "formats/safetensors_write.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const ae_adapter_source *a;
    const ae_model_source *base;
    ae_params params;
    ae_tensors *trained, *frozen;
    const ae_param **items; /* what is written */
    size_t n;
    json_t *targets, *saved; /* names of modules */
} writing;

/* ---- modules ---- */

/* model.layers.3.temporal_block.q_proj.weight -> model.layers.3.temporal_block.q_proj */
static void module_of(const ae_param *p, char module[96]) {
    snprintf(module, 96, "%.*s", (int)(strrchr(p->name, '.') - p->name), p->name);
}

/* model.layers.3.temporal_block.q_proj -> q_proj */
static const char *kind_of(const char *module) {
    return strrchr(module, '.') + 1;
}

typedef bool choice(const writing *w, const char *module);

static bool has_adapter(const writing *w, const char *module) {
    return ae_params_find_adapter(&w->params, module, 'A') != NULL;
}

static bool trained_whole(const writing *w, const char *module) {
    char other[96];
    for (ptrdiff_t i = 0; i < w->params.n; i++) {
        const ae_param *p = &w->params.items[i];
        if (p->added || !p->trainable) continue;
        module_of(p, other);
        if (strcmp(other, module) == 0) return true;
    }
    return false;
}

/* Whether all modules of that kind are chosen, so that one short name says it. */
static bool is_chosen_everywhere(const writing *w, const char *kind, choice *chosen) {
    char module[96];
    for (ptrdiff_t i = 0; i < w->params.n; i++) {
        if (w->params.items[i].added) continue;
        module_of(&w->params.items[i], module);
        if (strcmp(kind_of(module), kind) == 0 && !chosen(w, module)) return false;
    }
    return true;
}

static bool holds(const json_t *list, const char *text) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0) return true;
    return false;
}

static void name_module(const writing *w, json_t *list, const char *module, choice *chosen) {
    const char *kind = kind_of(module), *name = is_chosen_everywhere(w, kind, chosen) ? kind : module;
    if (!holds(list, name)) json_array_append_new(list, json_string(name));
}

/* Modules that have no parts of their own, no adapter and no second use: PEFT can keep a copy of one. */
static bool can_be_saved(const char *module) {
    static const char *const kinds[] = {
        "conv_1d",    "rg_lru",          "temporal_pre_norm",        "channel_pre_norm",
        "final_norm", "input_layernorm", "post_attention_layernorm", "norm"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind_of(module), kinds[i]) == 0) return true;
    return false;
}

static ae_status refuse(const writing *w, const ae_param *p) {
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: %s trained whole, for which an adapter of PEFT has no place; export it merged, without --peft",
        w->a->folder, p->name);
}

static ae_status choose(writing *w) {
    char module[96];
    for (ptrdiff_t i = 0; i < w->params.n; i++) {
        const ae_param *p = &w->params.items[i];
        module_of(p, module);
        if (p->added && strstr(p->name, ".lora_") == NULL) return refuse(w, p);
        const bool whole = !p->added && trained_whole(w, module);
        if (whole && p->trainable && !can_be_saved(module)) return refuse(w, p);
        if (whole) name_module(w, w->saved, module, trained_whole);
        if (!p->added && has_adapter(w, module)) name_module(w, w->targets, module, has_adapter);
        if (p->added || whole) w->items[w->n++] = p;
    }
    if (json_array_size(w->targets) > 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected adapters of linear maps, found none; export it merged, without --peft",
                   w->a->folder);
}

/* ---- the files ---- */

static json_t *number(double x) {
    return x >= -1e15 && x <= 1e15 && (double)(int64_t)x == x ? json_integer((json_int_t)x) : json_real(x);
}

static ae_status write_config(const writing *w, const char *folder) {
    const ae_adapter_options *o = &w->a->options.adapters;
    char *base = realpath(w->base->folder, NULL), *path = ae_path_join(folder, ae_peft_config_file),
         *text = NULL;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:I, s:o, s:b, s:O, s:O*, s:s, s:f, s:b, s:b, s:b, s:{}, s:{}, s:b}", "peft_type",
        "LORA", "task_type", "CAUSAL_LM", "base_model_name_or_path", base != NULL ? base : w->base->folder,
        "r", (json_int_t)o->rank, "lora_alpha", number(o->alpha), "use_rslora", (int)o->by_root,
        "target_modules", w->targets, "modules_to_save", json_array_size(w->saved) > 0 ? w->saved : NULL,
        "bias", "none", "lora_dropout", 0.0, "fan_in_fan_out", 0, "init_lora_weights", 1, "use_dora", 0,
        "rank_pattern", "alpha_pattern", "inference_mode", 1);
    if (root != NULL) text = ae_json_text(root);
    const ae_status st = text != NULL ? ae_file_write(path, text, strlen(text))
                                      : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    json_decref(root);
    free(text);
    free(path);
    free(base);
    return st;
}

static ae_status create(const writing *w, ae_safetensors_writer **to, const char *path) {
    ae_safetensor_entry *entries = calloc(w->n, sizeof *entries);
    if (entries == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    for (size_t i = 0; i < w->n; i++) {
        const ae_param *p = w->items[i];
        entries[i] = (ae_safetensor_entry){.dtype = "F32", .rank = p->rank};
        snprintf(entries[i].name, sizeof entries[i].name, "base_model.model.%.94s", p->name);
        memcpy(entries[i].shape, p->shape, sizeof p->shape);
    }
    const ae_status st = ae_safetensors_create(to, path, entries, w->n);
    free(entries);
    return st;
}

static ae_status put(const writing *w, ae_safetensors_writer *to, const ae_param *p) {
    const size_t bytes = (size_t)p->n * sizeof(float);
    float *values = malloc(bytes);
    if (values == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", p->name);
    ae_status st = ae_tensors_read(p->trainable ? w->trained : w->frozen, p->name, p->rank, p->shape, values);
    if (st == AE_OK) st = ae_safetensors_write(to, values, bytes);
    free(values);
    return st;
}

static ae_status write_weights(const writing *w, const char *folder) {
    char *path = ae_path_join(folder, "adapter_model.safetensors");
    ae_safetensors_writer *to = NULL;
    ae_status st;
    AE_TRY(create(w, &to, path));
    for (size_t i = 0; i < w->n; i++) AE_TRY(put(w, to, w->items[i]));
    st = ae_safetensors_finish(to);
    to = NULL;
out:
    ae_safetensors_discard(to);
    free(path);
    return st;
}

ae_status ae_adapter_write_peft(const char *folder, const ae_adapter_source *a, const ae_model_source *base) {
    writing w = {.a = a, .base = base, .targets = json_array(), .saved = json_array()};
    ae_status st;
    AE_TRY(ae_params_init_with(&w.params, &base->config, &a->options));
    w.items = calloc((size_t)w.params.n, sizeof *w.items);
    if (w.items == NULL || w.targets == NULL || w.saved == NULL)
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder));
    AE_TRY(choose(&w));
    AE_TRY(ae_adapter_tensors_open(&w.trained, a));
    AE_TRY(ae_tensors_open(&w.frozen, base->tensors));
    AE_TRY(write_config(&w, folder));
    AE_TRY(write_weights(&w, folder));
out:
    json_decref(w.targets);
    json_decref(w.saved);
    ae_tensors_close(w.trained);
    ae_tensors_close(w.frozen);
    free(w.items);
    ae_params_free(&w.params);
    return st;
}
