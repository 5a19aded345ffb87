#include "core/file.h"
#include "core/json.h"
#include "exchange/adapter_parts.h"

#include <stdlib.h>
#include <string.h>

/* adapter_config.json and adapter_model.safetensors of PEFT, for LoRA. What of the configuration would
 * change the function and is not obeyed is refused by its name. */

const char ae_peft_config_file[] = "adapter_config.json";
static const char weights_file[] = "adapter_model.safetensors", pickled_file[] = "adapter_model.bin";

/* ---- adapter_config.json ---- */

static ae_status refuse(const char *where, const char *key, const char *expected, const json_t *found) {
    char *text = found != NULL ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const ae_status st = AE_FAIL(AE_ERR_INPUT, "%s: %.100s: expected %s, found %.60s", where, key, expected,
                                 text != NULL ? text : "no such key");
    free(text);
    return st;
}

static bool is_absent(const json_t *v) {
    return v == NULL || json_is_null(v);
}

static bool is_unset(const json_t *v) {
    return is_absent(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

/* Keys that are read here, and those that change nothing once the adapter is trained. */
static bool is_known(const char *key) {
    static const char *const keys[] = {
        "peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "modules_to_save", "bias",
        "init_lora_weights", "base_model_name_or_path", "exclude_modules", "layers_to_transform",
        "layers_pattern",
        /* no effect */
        "task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "lora_dropout",
        "megatron_core", "qalora_group_size", "ensure_weight_tying", "eva_config", "loftq_config",
        "corda_config", "lora_ga_config", "runtime_config"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

static ae_status expect_text(const json_t *o, const char *where, const char *key, const char *text) {
    const json_t *v = json_object_get(o, key);
    const char *found = json_string_value(v);
    return found != NULL && strcmp(found, text) == 0 ? AE_OK : refuse(where, key, text, v);
}

/* Some ways to begin change the base too, which is then another one than the model that it names. */
static ae_status check_beginning(const json_t *o, const char *where) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *v = json_object_get(o, "init_lora_weights");
    const char *text = json_string_value(v);
    if (text == NULL) return AE_OK;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(harmless[i], text) == 0) return AE_OK;
    return refuse(where, "init_lora_weights", "a way to begin that leaves the base as it is", v);
}

static ae_status check_keys(const json_t *o, const char *where) {
    const char *key;
    json_t *value;
    ae_status st;
    AE_TRY(expect_text(o, where, "peft_type", "LORA"));
    if (!is_absent(json_object_get(o, "bias"))) AE_TRY(expect_text(o, where, "bias", "none"));
    AE_TRY(check_beginning(o, where));
    json_object_foreach((json_t *)o, key, value) {
        if (is_known(key) || is_unset(value)) continue;
        AE_TRY(refuse(where, key,
                      "an adapter without it (merge it into its model with PEFT: merge_and_unload)", value));
    }
out:
    return st;
}

static ae_status read_adapters(ae_adapter_options *a, const json_t *o, const char *where) {
    int64_t rank = 0;
    ae_status st;
    AE_TRY(ae_json_int(o, "r", where, &rank));
    if (rank < 1 || rank > AE_ADAPTER_RANK_MAX)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: r: expected 1 to %d, found %lld", where, AE_ADAPTER_RANK_MAX,
                       (long long)rank));
    AE_TRY(ae_json_real(o, "lora_alpha", where, &a->alpha));
    a->rank = (ptrdiff_t)rank;
    const json_t *by_root = json_object_get(o, "use_rslora");
    if (!is_unset(by_root) && !json_is_true(by_root))
        AE_TRY(refuse(where, "use_rslora", "true or false", by_root));
    a->by_root = json_is_true(by_root);
out:
    return st;
}

/* A list of names of modules; one that is null is empty. */
static ae_status read_modules(char ***list, const json_t *o, const char *key, const char *where) {
    const json_t *from = json_object_get(o, key), *item;
    size_t i;
    ae_status st = AE_OK;
    if (!is_unset(from) && !json_is_array(from)) return refuse(where, key, "a list of modules", from);
    json_array_foreach(from, i, item) {
        const char *text = json_string_value(item);
        if (text == NULL || *text == '\0') return refuse(where, key, "names of modules", item);
        st = ae_adapter_list_add(list, text, where);
        if (st != AE_OK) break;
    }
    return st;
}

/* A regular expression is not evaluated, nor what narrows a list down: those that have tensors are meant. */
static ae_status read_targets(ae_adapter_source *s, const json_t *o, const char *where) {
    const json_t *targets = json_object_get(o, "target_modules");
    const bool narrowed = !is_unset(json_object_get(o, "exclude_modules")) ||
                          !is_unset(json_object_get(o, "layers_to_transform"));
    if (json_is_string(targets) && strcmp(json_string_value(targets), "all-linear") == 0)
        return narrowed ? AE_OK : ae_adapter_list_add(&s->modules, "", where);
    if (json_is_string(targets) || narrowed) return AE_OK;
    return read_modules(&s->modules, o, "target_modules", where);
}

static ae_status check_saved(const ae_adapter_source *s, const char *where) {
    static const char *const tables[] = {"embed_tokens", "lm_head"};
    for (size_t i = 0; s->saved != NULL && s->saved[i] != NULL; i++)
        for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
            const size_t n = strlen(s->saved[i]), end = strlen(tables[k]);
            if (n >= end && strcmp(s->saved[i] + n - end, tables[k]) == 0)
                return AE_FAIL(
                    AE_ERR_INPUT,
                    "%s: modules_to_save: %.100s: expected modules other than the table, which is input and "
                    "output here; merge it into its model with PEFT (merge_and_unload)",
                    where, s->saved[i]);
        }
    return AE_OK;
}

static ae_status read_config(ae_adapter_source *s) {
    char *path = ae_path_join(s->folder, ae_peft_config_file);
    json_t *o = NULL;
    ae_status st;
    AE_TRY(ae_json_load(&o, path));
    AE_TRY(check_keys(o, path));
    AE_TRY(read_adapters(&s->options.adapters, o, path));
    AE_TRY(read_targets(s, o, path));
    AE_TRY(read_modules(&s->saved, o, "modules_to_save", path));
    AE_TRY(check_saved(s, path));
    const char *base = json_string_value(json_object_get(o, "base_model_name_or_path"));
    if (base == NULL || *base == '\0') goto out;
    s->base = strdup(base);
    if (s->base == NULL) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
out:
    json_decref(o);
    free(path);
    return st;
}

/* ---- names ---- */

static bool ends_with(const char *text, const char *tail) {
    const size_t n = strlen(text), end = strlen(tail);
    return n >= end && strcmp(text + n - end, tail) == 0;
}

/* Adapters make targets of the weights that they stand beside; all else trained whole. */
static ae_status take_name(ae_adapter_source *s, const char *name) {
    static const char a[] = ".lora_A.weight", b[] = ".lora_B.weight";
    char weight[128];
    if (ends_with(name, b)) return AE_OK;
    if (!ends_with(name, a)) {
        if (strstr(name, ".lora_") == NULL) return ae_adapter_list_add(&s->train, name, s->tensors);
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: %.200s: expected lora_A.weight and lora_B.weight of linear maps; merge it into its model "
            "with PEFT (merge_and_unload)",
            s->tensors, name);
    }
    const int n = snprintf(weight, sizeof weight, "%.*s.weight", (int)(strlen(name) - (sizeof a - 1)), name);
    if (n < 0 || (size_t)n >= sizeof weight)
        return AE_FAIL(AE_ERR_INPUT, "%s: %.200s: expected a projection of the model, found no such one",
                       s->tensors, name);
    return ae_adapter_list_add(&s->targets, weight, s->tensors);
}

static ae_status read_names(ae_adapter_source *s) {
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(ae_adapter_tensors_open(&t, s));
    AE_TRY(ae_adapter_list_add(&s->train, ae_adapter_pattern, s->tensors));
    for (ptrdiff_t i = 0; i < ae_tensors_count(t); i++) AE_TRY(take_name(s, ae_tensors_name(t, i)));
    if (s->targets == NULL)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected tensors NAME.lora_A.weight, found none", s->tensors);
out:
    ae_tensors_close(t);
    return st;
}

ae_status ae_peft_open(ae_adapter_source *s) {
    ae_status st;
    s->kind = AE_ADAPTER_PEFT;
    s->tensors = ae_path_join(s->folder, weights_file);
    if (!ae_path_exists(s->tensors))
        AE_TRY(AE_FAIL(
            AE_ERR_INPUT, "%s: expected %s, found %s", s->folder, weights_file,
            ae_path_has(s->folder, pickled_file)
                ? "adapter_model.bin; save it with PEFT once more (save_pretrained writes safetensors)"
                : "none"));
    AE_TRY(read_config(s));
    AE_TRY(read_names(s));
    ae_adapter_take_lists(s);
out:
    return st;
}

/* ---- modules ---- */

/* As PEFT compares: the name of the module, or the end of it after a dot. */
static bool is_target(char *const *modules, const char *module) {
    for (size_t i = 0; modules[i] != NULL; i++) {
        const size_t n = strlen(module), end = strlen(modules[i]);
        if (end == 0 || (ends_with(module, modules[i]) && (n == end || module[n - end - 1] == '.')))
            return true;
    }
    return false;
}

/* Of the module, or of one that it is part of. */
static bool is_saved(char *const *modules, const char *module) {
    char name[96];
    snprintf(name, sizeof name, "%s", module);
    for (char *dot = name; modules != NULL && dot != NULL; dot = strrchr(name, '.')) {
        if (dot != name) *dot = '\0';
        for (size_t i = 0; modules[i] != NULL; i++)
            if (ends_with(name, modules[i])) return true;
    }
    return false;
}

static ae_status disagree(const ae_adapter_source *s, const char *name, bool has) {
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: %s names it, and %s %s", s->folder, name,
                   has ? weights_file : ae_peft_config_file, has ? ae_peft_config_file : weights_file,
                   has ? "does not" : "lacks it");
}

ae_status ae_peft_check_modules(const ae_adapter_source *s, const ae_params *params) {
    for (ptrdiff_t i = 0; i < params->n; i++) {
        const ae_param *p = &params->items[i];
        char module[96];
        if (p->added) continue;
        snprintf(module, sizeof module, "%.*s", (int)(strrchr(p->name, '.') - p->name), p->name);
        if (is_saved(s->saved, module) != p->trainable) return disagree(s, p->name, p->trainable);
        const bool projection = p->product && p->parts == 0 && !p->often,
                   has = ae_params_find_adapter(params, module, 'A') != NULL;
        if (s->modules != NULL && projection && is_target(s->modules, module) != has)
            return disagree(s, p->name, has);
    }
    return AE_OK;
}
