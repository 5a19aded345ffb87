#ifndef AE_CLI_HF_FILES_H
#define AE_CLI_HF_FILES_H
#include "data/tokenizer.h"
#include "model/config.h"
#include "ops/types.h"

/* The files of a Hugging Face folder beside the weights: config.json, generation_config.json and, with a tokenizer, tokenizer.model and
 * tokenizer_config.json with the chat template (docs/model.md, "Dialogue format"). `type`: of the weights, F32 or BF16. Without a tokenizer
 * (NULL) the ids of pad, eos and bos are Gemma's, as when generating. */
ae_status ae_hf_files_write(const char *folder, const ae_model_config *c, ae_weight_type type,
                            const ae_tokenizer *t);

#endif
