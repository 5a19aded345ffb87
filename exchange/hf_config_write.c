#include "exchange/hf_config.h"
#include "model/config_json.h"

#include <stdlib.h>
#include <string.h>

static const char method[] = "aerie";

/* ---- quantization_config ---- */

static ae_status read_quantization(const json_t *q, ae_weight_type *weights, ptrdiff_t *group,
                                   const char *path) {
    const char *name = json_string_value(json_object_get(q, "quant_method"));
    int64_t bits = 0, size = 0;
    if (name == NULL || strcmp(name, method) != 0)
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: quantization_config: expected quant_method \"%s\", found %.40s: only folders of aerie "
            "quantize can be read",
            path, method, name != NULL ? name : "nothing");
    ae_status st;
    AE_TRY(ae_json_int(q, "bits", path, &bits));
    AE_TRY(ae_json_int(q, "group_size", path, &size));
    if ((bits != 8 && bits != 4) || size < 8 || size > 256 || (size & (size - 1)) != 0)
        AE_TRY(
            AE_FAIL(AE_ERR_INPUT,
                    "%s: quantization_config: expected bits 4 or 8 and group_size 8, 16, ... or 256, found "
                    "%lld and %lld",
                    path, (long long)bits, (long long)size));
    *weights = bits == 8 ? AE_WEIGHT_INT8 : AE_WEIGHT_INT4;
    *group = (ptrdiff_t)size;
out:
    return st;
}

ae_status ae_quantization_from_hf(ae_weight_type *weights, ptrdiff_t *group, const char *path) {
    json_t *root = NULL;
    ae_status st = ae_json_load(&root, path);
    *weights = AE_WEIGHT_F32;
    *group = 0;
    if (st != AE_OK) return st;
    const json_t *q = json_object_get(root, "quantization_config");
    if (q != NULL && !json_is_null(q)) st = read_quantization(q, weights, group, path);
    json_decref(root);
    return st;
}

static json_t *quantization_of(const ae_model_config *c, ae_weight_type weights, ptrdiff_t group) {
    const char *kept = ae_model_is_gemma(c) ? NULL : "rg_lru.input_gate_weight, rg_lru.recurrent_gate_weight";
    return json_pack("{s:s, s:i, s:I, s:b, s:s, s:s, s:s*}", "quant_method", method, "bits",
                     weights == AE_WEIGHT_INT8 ? 8 : 4, "group_size", (json_int_t)group, "symmetric", 1,
                     "scale_dtype", "bfloat16", "packing",
                     weights == AE_WEIGHT_INT8 ? "int8" : "two int4 in a byte, the lower first",
                     "kept_in_bfloat16", kept);
}

/* ---- the whole ---- */

static ae_status check_gemma(const ae_model_config *c) {
    if (c->soft_cap > 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "model.soft_cap: config.json of Gemma has no word for a cap of the logits");
    if (c->rope_share < 1)
        return AE_FAIL(
            AE_ERR_INPUT,
            "model.partial_rotary_factor: config.json of Gemma has no word for heads that are rotated "
            "in part");
    return AE_OK;
}

static ae_status check_recurrent_gemma(const ae_model_config *c) {
    if (c->W < 1)
        return AE_FAIL(AE_ERR_INPUT, "model.window: config.json has no word for attention without a window");
    if (!(c->soft_cap > 0))
        return AE_FAIL(AE_ERR_INPUT, "model.soft_cap: config.json has no word for logits without a cap");
    if (c->no_biases)
        return AE_FAIL(AE_ERR_INPUT,
                       "model.biases: config.json has a word for projections without biases only where every "
                       "block attends without a window");
    if (c->scale_exact)
        return AE_FAIL(AE_ERR_INPUT, "model.scale_embeddings: config.json has no word for an exact scale");
    return AE_OK;
}

static ae_status check_expressible(const ae_model_config *c) {
    if (!c->scale_embeddings)
        return AE_FAIL(AE_ERR_INPUT,
                       "model.scale_embeddings: config.json has no word for embeddings that are not scaled");
    return ae_model_is_gemma(c) ? check_gemma(c) : check_recurrent_gemma(c);
}

static json_t *blocks_of(const ae_model_config *c) {
    json_t *types = json_array();
    for (ptrdiff_t i = 0; i < c->blocks; i++)
        json_array_append_new(types, json_string(c->pattern[i] == AE_ATTENTION ? "attention" : "recurrent"));
    return types;
}

static const char *torch_dtype(ae_weight_type weights) {
    return weights == AE_WEIGHT_BF16 ? "bfloat16" : "float32";
}

/* embedding_scale_dtype is aerie's own: what transformers takes from the type of the weights. */
static json_t *fields_of_gemma(const ae_model_config *c, ae_weight_type weights) {
    return json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:s, s:s, s:b, s:b, s:s, s:s}",
        "architectures", "GemmaForCausalLM", "model_type", "gemma", "vocab_size", (json_int_t)c->V,
        "hidden_size", (json_int_t)c->D, "intermediate_size", (json_int_t)c->E, "num_attention_heads",
        (json_int_t)c->N, "num_key_value_heads", (json_int_t)c->G, "head_dim", (json_int_t)c->H,
        "num_hidden_layers", (json_int_t)c->blocks, "rope_theta", c->rope_theta, "rms_norm_eps", c->norm_eps,
        "hidden_act", "gelu_pytorch_tanh", "hidden_activation", "gelu_pytorch_tanh", "tie_word_embeddings", 1,
        "attention_bias", 0, "embedding_scale_dtype", c->scale_exact ? "float32" : "bfloat16", "torch_dtype",
        torch_dtype(weights));
}

static json_t *fields_of(const ae_model_config *c, ae_weight_type weights) {
    if (ae_model_is_gemma(c)) return fields_of_gemma(c, weights);
    return json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:s, s:b, "
        "s:b, s:s}",
        "architectures", "RecurrentGemmaForCausalLM", "model_type", "recurrent_gemma", "vocab_size",
        (json_int_t)c->V, "hidden_size", (json_int_t)c->D, "lru_width", (json_int_t)c->C, "intermediate_size",
        (json_int_t)(2 * c->E), "num_attention_heads", (json_int_t)c->N, "num_key_value_heads",
        (json_int_t)c->G, "head_dim", (json_int_t)c->H, "attention_window_size", (json_int_t)c->W,
        "conv1d_width", (json_int_t)c->K, "num_hidden_layers", (json_int_t)c->blocks, "block_types",
        blocks_of(c), "rope_theta", c->rope_theta, "partial_rotary_factor", c->rope_share, "rms_norm_eps",
        c->norm_eps, "logits_soft_cap", c->soft_cap, "hidden_activation", "gelu_pytorch_tanh",
        "tie_word_embeddings", 1, "attention_bias", 0, "torch_dtype", torch_dtype(weights));
}

ae_status ae_model_config_to_hf(const ae_model_config *c, ae_weight_type weights, ptrdiff_t group,
                                char **text) {
    *text = NULL;
    const ae_status st = check_expressible(c);
    if (st != AE_OK) return st;
    json_t *o = fields_of(c, weights);
    int failed = 0;
    if (c->n_ends > 0) failed |= json_object_set_new(o, "eos_token_id", ae_model_ends_json(c, NULL, 0));
    failed |= ae_model_reward_scale_add(c, o);
    if (weights == AE_WEIGHT_INT8 || weights == AE_WEIGHT_INT4)
        failed |= json_object_set_new(o, "quantization_config", quantization_of(c, weights, group));
    *text = o != NULL && failed == 0 ? ae_json_text(o) : NULL;
    json_decref(o);
    return *text != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "config.json: out of memory");
}
