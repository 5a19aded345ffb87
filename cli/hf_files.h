#ifndef AE_CLI_HF_FILES_H
#define AE_CLI_HF_FILES_H
#include "model/source.h"

/* The files of a Hugging Face folder beside the weights: config.json, generation_config.json and, where the model has a tokenizer,
 * tokenizer.model and tokenizer_config.json with the chat template (docs/model.md, "Dialogue format"). `type`: of the weights, F32 or
 * BF16. Without a tokenizer the ids of pad, eos and bos are Gemma's, as when generating. */
ae_status ae_hf_files_write(const char *folder, const ae_model_source *source, ae_weight_type type);

#endif
