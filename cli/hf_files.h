#ifndef AE_CLI_HF_FILES_H
#define AE_CLI_HF_FILES_H
#include "data/tokenizer.h"
#include "formats/safetensors.h"
#include "model/config.h"

/* Names of all files of a folder that the functions here and the writers of weights make, as patterns of the
 * shell. */
#define AE_HF_FILES                                                                                          \
    "config.json", "generation_config.json", "model.safetensors", "model-*-of-*.safetensors",                \
        "model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"

/* The files of a Hugging Face folder beside the weights: config.json, generation_config.json and, with a
 * tokenizer, tokenizer.model and tokenizer_config.json with the chat template (docs/model.md, "Dialogue
 * format"), and tokenizer.json where transformers would read the model otherwise (data/tokenizer_json.h;
 * AE_ERR_INPUT for a tokenizer that it cannot be told of). `type`: of the weights, F32, BF16 or F16. Without a
 * tokenizer (NULL) the ids of pad, eos and bos are Gemma's, as when generating. */
ae_status ae_hf_files_write(const char *folder, const ae_model_config *c, ae_file_dtype type,
                            const ae_tokenizer *t);

#endif
