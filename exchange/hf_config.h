#ifndef AE_EXCHANGE_HF_CONFIG_H
#define AE_EXCHANGE_HF_CONFIG_H
#include "model/config.h"

/* config.json of a Hugging Face folder of RecurrentGemma or Gemma 1, with what aerie adds of a reward model
 * (reward_shift, reward_std), and the ends of answers, which generation_config.json beside it may name instead.
 * A field that the model cannot run exactly is refused by its name (docs/model.md). */
ae_status ae_model_config_from_hf(ae_model_config *c, const char *path);
/* Its quantization_config, of folders that aerie quantize wrote: INT8 or INT4; F32 without one. Another
 * maker's is refused. */
ae_status ae_quantization_from_hf(ae_weight_type *weights, ptrdiff_t *group, const char *path);
/* The same fields as JSON text (caller frees), with a quantization_config unless `weights` is F32 or BF16.
 * torch_dtype is bfloat16 for BF16, which says that every tensor is; else float32, which holds them all.
 * A shape of Gemma (ae_model_is_gemma) has the fields of that family, any other those of RecurrentGemma.
 * AE_ERR_INPUT for what its form cannot say: unscaled embeddings; no window, no soft cap, no biases of
 * RecurrentGemma, a cap and a partial rotation of Gemma. */
ae_status ae_model_config_to_hf(const ae_model_config *c, ae_weight_type weights, ptrdiff_t group,
                                char **text);

#endif
