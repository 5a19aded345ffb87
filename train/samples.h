#ifndef AE_TRAIN_SAMPLES_H
#define AE_TRAIN_SAMPLES_H
#include "data/tokenizer.h"
#include "model/model.h"
#include "train/objective.h"

/* How the prompt is read, for ae_generation and for the plan: tokens of its text and <bos> at most, 0
 * where no samples are written. */
ptrdiff_t ae_sample_prompt_tokens(const ae_train_config *c, const ae_tokenizer *tokenizer);

/* Writes RUN/samples/step-000123.txt: what the model makes of train.sample_prompt; a function of weights,
 * seed and step. Nothing without a tokenizer (NULL) or with train.sample_tokens 0. AE_ERR_INPUT where
 * the tokenizer has no text for what came (model.vocab beyond its size). Once *run->stop is not 0 ends with
 * AE_ERR_INTERRUPTED. */
ae_status ae_sample_write(const ae_run_facts *run, int64_t step, const ae_model *model,
                          ae_tokenizer *tokenizer);

#endif
