#include "exchange/hf_config.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "model/config_check.h"
#include "model/config_json.h"

#include <stdlib.h>
#include <string.h>

/* config.json of a Hugging Face folder, field by field as docs/model.md lists them. A field that would change
 * the function and cannot be obeyed is refused by its name; fields that change nothing are not looked at. */

static const ae_size_names hf_names = {
    .V = "vocab_size",
    .D = "hidden_size",
    .C = "lru_width",
    .E = "half of intermediate_size",
    .N = "num_attention_heads",
    .G = "num_key_value_heads",
    .H = "head_dim",
    .W = "attention_window_size",
    .K = "conv1d_width",
    .blocks = "num_hidden_layers",
    .rope_theta = "rope_theta",
    .rope_share = "partial_rotary_factor",
    .norm_eps = "rms_norm_eps",
    .soft_cap = "logits_soft_cap",
};

/* In Gemma intermediate_size is E itself. */
static ae_size_names names_of(bool gemma) {
    ae_size_names names = hf_names;
    if (gemma) names.E = "intermediate_size";
    return names;
}

typedef struct {
    const json_t *root;
    const char *path;
    bool gemma; /* model_type */
} source;

/* Fields whose null means the same as their absence. */
static ae_status nullable_int(const source *s, const char *key, ptrdiff_t *out) {
    int64_t value = *out;
    ae_status st = ae_json_opt_int(s->root, key, s->path, &value);
    *out = (ptrdiff_t)value;
    return st;
}

static ae_status required_int(const source *s, const char *key, ptrdiff_t *out) {
    int64_t value = 0;
    ae_status st = ae_json_int(s->root, key, s->path, &value);
    *out = (ptrdiff_t)value;
    return st;
}

/* Absent: the default stands. Null is refused, since other families give it a meaning of its own. */
static ae_status optional_int(const source *s, const char *key, ptrdiff_t *out) {
    return json_object_get(s->root, key) == NULL ? AE_OK : required_int(s, key, out);
}

static ae_status optional_real(const source *s, const char *key, double *out) {
    return json_object_get(s->root, key) == NULL ? AE_OK : ae_json_real(s->root, key, s->path, out);
}

/* ---- what must be one value ---- */

static void show(const json_t *v, char *out, size_t n) {
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(out, n, "%s", text != NULL ? text : "something else");
    if (text != NULL && strlen(text) >= n) memcpy(out + n - 4, "...", 4);
    free(text);
}

static ae_status refuse(const source *s, const char *key, const char *expected, const json_t *found) {
    char text[64] = "nothing";
    if (found != NULL) show(found, text, sizeof text);
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %s, found %s", s->path, key, expected, text);
}

static ae_status expect_text(const source *s, const char *key, const char *text, bool required) {
    const json_t *v = json_object_get(s->root, key);
    if (v == NULL && !required) return AE_OK;
    if (json_is_string(v) && strcmp(json_string_value(v), text) == 0) return AE_OK;
    return refuse(s, key, text, v);
}

static ae_status expect_bool(const source *s, const char *key, bool value) {
    const json_t *v = json_object_get(s->root, key);
    if (v == NULL || (json_is_boolean(v) && json_is_true(v) == value)) return AE_OK;
    return refuse(s, key, value ? "true" : "false", v);
}

static ae_status expect_unset(const source *s, const char *key) {
    const json_t *v = json_object_get(s->root, key);
    return v == NULL || json_is_null(v) ? AE_OK : refuse(s, key, "no such field", v);
}

static bool is_text(const json_t *v, const char *text) {
    return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

static ae_status read_model_type(source *s) {
    const json_t *type = json_object_get(s->root, "model_type");
    const char *name = json_string_value(type);
    s->gemma = is_text(type, "gemma");
    if (s->gemma || is_text(type, "recurrent_gemma")) return AE_OK;
    if (name != NULL && strncmp(name, "gemma", strlen("gemma")) == 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: model_type: expected recurrent_gemma or gemma, found \"%.32s\": of the Gemma "
                       "models only the first generation opens here",
                       s->path, name);
    return refuse(s, "model_type", "recurrent_gemma or gemma", type);
}

/* The first releases of Gemma said "gelu" and meant the tanh approximation, which hidden_activation, or null in
 * it, came to say later. */
static ae_status expect_gemma_fields(const source *s) {
    const json_t *act = json_object_get(s->root, "hidden_act");
    ae_status st;
    if (act != NULL && !is_text(act, "gelu")) AE_TRY(expect_text(s, "hidden_act", "gelu_pytorch_tanh", true));
    AE_TRY(expect_unset(s, "final_logit_softcapping"));
    AE_TRY(expect_unset(s, "attn_logit_softcapping"));
    AE_TRY(expect_unset(s, "sliding_window"));
    if (!json_is_null(json_object_get(s->root, "use_bidirectional_attention")))
        AE_TRY(expect_bool(s, "use_bidirectional_attention", false));
out:
    return st;
}

static ae_status expect_fixed_fields(const source *s) {
    ae_status st;
    if (!json_is_null(json_object_get(s->root, "hidden_activation")) || !s->gemma)
        AE_TRY(expect_text(s, "hidden_activation", "gelu_pytorch_tanh", false));
    if (s->gemma) AE_TRY(expect_gemma_fields(s));
    AE_TRY(expect_bool(s, "tie_word_embeddings", true));
    AE_TRY(expect_bool(s, "attention_bias", false));
    AE_TRY(expect_bool(s, "embeddings_scale_by_sqrt_dim", true));
    AE_TRY(expect_unset(s, "rope_scaling"));
out:
    return st;
}

/* ---- rope: at the top, or inside rope_parameters; in both only when they agree ---- */

static ae_status read_rope_field(const source *s, const json_t *inside, const char *key, double *out) {
    double top = *out, nested;
    ae_status st = optional_real(s, key, &top);
    if (st != AE_OK) return st;
    const bool at_top = json_object_get(s->root, key) != NULL;
    *out = nested = top;
    if (json_object_get(inside, key) == NULL) return AE_OK;
    st = ae_json_real(inside, key, s->path, &nested);
    *out = nested;
    if (st == AE_OK && at_top && (nested < top || nested > top))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected one value, found %g, and %g inside rope_parameters",
                       s->path, key, top, nested);
    return st;
}

/* Other rules of turning are refused, and so are parameters by kind of layer. */
static ae_status check_rope_type(const source *s, json_t *inside) {
    static const char *const keys[] = {"rope_type", "type"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *type = json_object_get(inside, keys[i]);
        char name[64];
        snprintf(name, sizeof name, "rope_parameters.%s", keys[i]);
        if (type != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "default") != 0))
            return refuse(s, name, "default", type);
    }
    const char *key;
    json_t *value;
    json_object_foreach(inside, key, value) {
        char name[128];
        snprintf(name, sizeof name, "rope_parameters.%.100s", key);
        if (json_is_object(value)) return refuse(s, name, "a number", value);
    }
    return AE_OK;
}

static ae_status read_rope(const source *s, ae_model_config *c) {
    json_t *inside = json_object_get(s->root, "rope_parameters");
    if (inside != NULL && json_is_null(inside)) inside = NULL;
    if (inside != NULL && !json_is_object(inside)) return refuse(s, "rope_parameters", "an object", inside);
    ae_status st = check_rope_type(s, inside);
    if (st == AE_OK) st = read_rope_field(s, inside, "rope_theta", &c->rope_theta);
    return st == AE_OK ? read_rope_field(s, inside, "partial_rotary_factor", &c->rope_share) : st;
}

/* ---- blocks ---- */

static ae_status read_kind(const source *s, const json_t *v, unsigned char *kind) {
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    *kind = strcmp(text, "attention") == 0 ? AE_ATTENTION : AE_RECURRENT;
    if (strcmp(text, "attention") == 0 || strcmp(text, "recurrent") == 0) return AE_OK;
    return refuse(s, "block_types", "\"recurrent\" or \"attention\"", v);
}

static ae_status read_block_types(const source *s, ae_model_config *c) {
    static const unsigned char usual[] = {AE_RECURRENT, AE_RECURRENT, AE_ATTENTION};
    const json_t *types = json_object_get(s->root, "block_types");
    if (types == NULL || json_is_null(types)) {
        for (size_t i = 0; i < AE_BLOCKS_MAX; i++) c->pattern[i] = usual[i % 3];
        return AE_OK;
    }
    const size_t n = json_array_size(types); /* 0 for what is no list */
    if (n == 0) return refuse(s, "block_types", "a list of block kinds", types);
    ae_status st = AE_OK;
    unsigned char kind;
    for (size_t i = 0; i < n; i++) {
        AE_TRY(read_kind(s, json_array_get(types, i), &kind));
        if (i < AE_BLOCKS_MAX) c->pattern[i] = kind;
    }
    for (size_t i = n; i < AE_BLOCKS_MAX; i++) c->pattern[i] = c->pattern[i - n];
out:
    return st;
}

/* ---- sizes ---- */

static ae_status read_required_sizes(const source *s, ae_model_config *c) {
    const ptrdiff_t halves = s->gemma ? 1 : 2;
    ptrdiff_t intermediate;
    ae_status st;
    AE_TRY(required_int(s, "vocab_size", &c->V));
    AE_TRY(required_int(s, "hidden_size", &c->D));
    AE_TRY(required_int(s, "num_hidden_layers", &c->blocks));
    AE_TRY(required_int(s, "num_attention_heads", &c->N));
    AE_TRY(required_int(s, "intermediate_size", &intermediate));
    if (intermediate < halves || intermediate % halves != 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: intermediate_size: expected an %snumber above 0, found %td",
                       s->path, s->gemma ? "" : "even ", intermediate);
    c->E = intermediate / halves;
out:
    return st;
}

/* An explicit head_dim need not be D / N; an absent one is, and then it must come out whole. */
static ae_status read_head_dim(const source *s, ae_model_config *c) {
    if (c->N < 1)
        return AE_FAIL(AE_ERR_INPUT, "%s: num_attention_heads: expected at least 1, found %td", s->path,
                       c->N);
    const json_t *given = json_object_get(s->root, "head_dim");
    c->H = c->D / c->N;
    if ((given == NULL || json_is_null(given)) && c->D % c->N != 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: num_attention_heads: expected a divisor of hidden_size, which is %td, found %td",
                       s->path, c->D, c->N);
    return nullable_int(s, "head_dim", &c->H);
}

/* transformers 5 takes sliding_window for attention_window_size. */
static ae_status check_sliding_window(const source *s, ptrdiff_t W) {
    ptrdiff_t window = W;
    const ae_status st = nullable_int(s, "sliding_window", &window);
    if (st != AE_OK || window == W) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: sliding_window: expected attention_window_size, which is %td, found %td", s->path, W,
                   window);
}

static ae_status read_recurrent_gemma(const source *s, ae_model_config *c) {
    ae_status st;
    c->C = c->D;
    c->G = c->N;
    AE_TRY(nullable_int(s, "num_key_value_heads", &c->G));
    AE_TRY(read_head_dim(s, c));
    AE_TRY(nullable_int(s, "lru_width", &c->C));
    AE_TRY(optional_int(s, "attention_window_size", &c->W));
    AE_TRY(check_sliding_window(s, c->W));
    AE_TRY(optional_int(s, "conv1d_width", &c->K));
    AE_TRY(optional_real(s, "logits_soft_cap", &c->soft_cap));
    AE_TRY(read_block_types(s, c));
out:
    return st;
}

/* transformers scales embeddings in the type of the weights: sqrt(D) is rounded to bfloat16 where they have that
 * type. Folders that aerie wrote in another one say so themselves. */
static ae_status read_scale_type(const source *s, ae_model_config *c) {
    static const char *const keys[] = {"embedding_scale_dtype", "torch_dtype", "dtype"};
    const json_t *type = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && type == NULL; i++)
        type = json_object_get(s->root, keys[i]);
    c->scale_exact = type != NULL && !is_text(type, "bfloat16");
    if (json_object_get(s->root, keys[0]) == NULL || !c->scale_exact || is_text(type, "float32"))
        return AE_OK;
    return refuse(s, keys[0], "bfloat16 or float32", type);
}

/* Heads are named, since transformers takes those of another size for absent ones. */
static ae_status read_gemma(const source *s, ae_model_config *c) {
    ae_status st;
    c->C = c->D;
    memset(c->pattern, AE_ATTENTION, sizeof c->pattern);
    c->W = -1;
    c->soft_cap = 0;
    c->no_biases = true;
    AE_TRY(required_int(s, "num_key_value_heads", &c->G));
    AE_TRY(required_int(s, "head_dim", &c->H));
    AE_TRY(read_scale_type(s, c));
out:
    return st;
}

static ae_status read_optional_sizes(const source *s, ae_model_config *c) {
    ae_status st;
    AE_TRY((s->gemma ? read_gemma : read_recurrent_gemma)(s, c));
    AE_TRY(optional_real(s, "rms_norm_eps", &c->norm_eps));
    AE_TRY(read_rope(s, c));
out:
    return st;
}

/* Values that the native form knows and this one does not. */
static ae_status refuse_native_values(const source *s, const ae_model_config *c) {
    if (s->gemma && c->rope_share < 1)
        return AE_FAIL(AE_ERR_INPUT, "%s: partial_rotary_factor: expected 1 in a Gemma model, found %g",
                       s->path, c->rope_share);
    if (s->gemma) return AE_OK;
    if (c->W < 1)
        return AE_FAIL(AE_ERR_INPUT, "%s: attention_window_size: expected at least 1, found %td", s->path,
                       c->W);
    if (!(c->soft_cap > 0))
        return AE_FAIL(AE_ERR_INPUT, "%s: logits_soft_cap: expected a number above 0, found %g", s->path,
                       c->soft_cap);
    return AE_OK;
}

/* ---- what ends an answer ---- */

/* An id that the table has no row for is never drawn: it is left out, and told. False: so are all that
 * follow, for want of places. */
static bool add_end(ae_model_config *c, const json_t *id, const char *path) {
    const json_int_t value = json_integer_value(id);
    const bool sound = json_is_integer(id) && value >= 0 && value < c->V;
    if (!sound && !json_is_null(id))
        ae_warn("%s: eos_token_id: expected ids below %td, found something else, which is left out", path,
                c->V);
    if (!sound || ae_model_config_add_end(c, (int32_t)value)) return true;
    ae_warn("%s: eos_token_id: expected at most %d ids, found more; %d and those after it end no answer",
            path, AE_ENDS_MAX, (int)value);
    return false;
}

/* eos_token_id: an id, a list of them, or null. */
static void take_ends(ae_model_config *c, const json_t *root, const char *path) {
    const json_t *ends = json_object_get(root, "eos_token_id"), *id;
    size_t i;
    c->n_ends = 0;
    if (!json_is_array(ends)) {
        if (ends != NULL) (void)add_end(c, ends, path);
        return;
    }
    json_array_foreach(ends, i, id) {
        if (!add_end(c, id, path)) break;
    }
}

/* generation_config.json beside config.json has the last word on it, as in transformers. */
static ae_status read_ends(ae_model_config *c, const json_t *root, const char *path) {
    json_t *generation = NULL;
    char *folder = strndup(path, (size_t)(ae_path_last(path) - path));
    if (folder == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    char *beside = ae_path_join(*folder != '\0' ? folder : ".", "generation_config.json");
    take_ends(c, root, path);
    if (ae_path_exists(beside) && ae_json_load(&generation, beside) != AE_OK)
        ae_warn("%s; what it says of eos_token_id is left out", ae_error_message());
    if (json_object_get(generation, "eos_token_id") != NULL) take_ends(c, generation, beside);
    json_decref(generation);
    free(beside);
    free(folder);
    return AE_OK;
}

ae_status ae_model_config_from_hf(ae_model_config *c, const char *path) {
    json_t *root = NULL;
    ae_status st = ae_json_load(&root, path);
    if (st != AE_OK) return st;
    source s = {root, path, false};
    *c = (ae_model_config){.W = 2048,
                           .K = 4,
                           .rope_theta = 10000,
                           .rope_share = 0.5,
                           .norm_eps = 1e-6,
                           .soft_cap = 30,
                           .scale_embeddings = true};
    ae_weight_type weights;
    ptrdiff_t group;
    AE_TRY(read_model_type(&s));
    if (s.gemma) c->rope_share = 1;
    AE_TRY(expect_fixed_fields(&s));
    AE_TRY(ae_quantization_from_hf(&weights, &group, path)); /* another maker's is refused */
    AE_TRY(read_required_sizes(&s, c));
    AE_TRY(read_optional_sizes(&s, c));
    AE_TRY(refuse_native_values(&s, c));
    const ae_size_names names = names_of(s.gemma);
    AE_TRY(ae_model_config_check_named(c, path, &names));
    AE_TRY(read_ends(c, root, path));
    AE_TRY(ae_model_reward_scale_read(c, root, path));
out:
    json_decref(root);
    return st;
}
