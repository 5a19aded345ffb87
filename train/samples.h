#ifndef AE_TRAIN_SAMPLES_H
#define AE_TRAIN_SAMPLES_H
#include "train/run.h"

#include <signal.h>

/* Writes RUN/samples/step-000123.txt: what the model makes of train.sample_prompt; a function of weights, seed and step. Nothing
 * without a tokenizer or with train.sample_tokens 0; only a warning where the tokenizer has no text for what came (model.vocab beyond
 * its size), or memory or disk are short. Once *stop is not 0 ends with AE_ERR_INTERRUPTED. */
ae_status ae_sample_write(const ae_run *run, const volatile sig_atomic_t *stop);

#endif
